package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cgshim/cgshim/test/internal/rig"
)

// variant is an entry point of the outer container, cgshim or a peer.
type variant struct {
	name  string
	entry []string
}

var (
	ours     = variant{"cgshim", []string{"/cgshim", "--dind", "--"}}
	dind     = variant{"dind", []string{"/usr/bin/tini", "--", "/dind"}}
	unshared = variant{"unshare", []string{"/usr/bin/tini", "--", "/usr/bin/unshare", "--cgroup", "/unshared"}}
	variants = []variant{ours, dind, unshared}
)

// tried returns the entry points of this run. CGSHIM_E2E_PEERS=off leaves out the peers. A
// failure of a peer fails no test, so without the table a run of the peers shows nothing.
func tried() []variant {
	if os.Getenv("CGSHIM_E2E_PEERS") == "off" {
		return []variant{ours}
	}
	return variants
}

// outer is a container that runs dockerd.
type outer struct {
	name   string
	id     string
	cgroup string // its path from the machine's top level
	socket string // of the inner dockerd
	dir    string
}

const (
	memoryLimit = 400 << 20
	pidsLimit   = 300
)

// network is an option of docker run. With a network namespace dockerd runs itself twice for
// each container, which takes 4 of 6 seconds on an emulated processor.
const network = "--network=host"

// searchPath is the PATH of the outer containers. They have /usr of the machine. An image
// of dockerd's 150 MB would have to be packed and unpacked by an emulated processor.
const searchPath = "/bin:/usr/sbin:/usr/bin"

var innerDaemon = []string{"dockerd", "--bridge=none", "--iptables=false", "--storage-driver=overlay2", "--host=unix:///run/inner/docker.sock"}

// create makes a container whose command is the entry point and args. The options are for
// docker create.
func create(name string, v variant, options []string, args ...string) (*outer, error) {
	o := &outer{name: name, dir: place + "/" + name}
	o.socket = o.dir + "/run/docker.sock"
	for _, dir := range []string{o.dir + "/run", o.dir + "/data"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	command := []string{
		"create", "--name=" + name, "--privileged", network, "--volume=/usr:/usr:ro",
		"--memory=" + strconv.Itoa(memoryLimit), "--memory-swap=" + strconv.Itoa(memoryLimit), "--pids-limit=" + strconv.Itoa(pidsLimit),
		"--volume=" + o.dir + "/data:/var/lib/docker", "--volume=" + o.dir + "/run:/run/inner",
		"--env=CGSHIM_LOG_FORMAT=json", "--env=PATH=" + searchPath,
	}
	command = append(command, options...)
	command = append(append(append(command, outerImage), v.entry...), args...)
	id, err := docker(command...)
	if err != nil {
		return o, err
	}
	o.id, o.cgroup = id, "/docker/"+id
	return o, nil
}

// start makes a container, waits for its dockerd, and imports the plain image there.
func start(name string, v variant, options ...string) (*outer, error) {
	o, err := create(name, v, options, innerDaemon...)
	if err != nil {
		return o, err
	}
	if _, err := docker("start", o.id); err != nil {
		return o, err
	}
	if err := o.ready(); err != nil {
		return o, err
	}
	tar, err := plainTar()
	if err != nil {
		return o, err
	}
	return o, importImage(o.socket, plainImage, tar)
}

// ready waits for the inner dockerd. It asks the machine's dockerd about the container only
// after the container's cgroup has gone. Each call of the client would take time from the
// inner dockerd, which is starting.
func (o *outer) ready() error {
	return eventually(time.Minute, func() error {
		err := ping(o.socket)
		if err == nil {
			return nil
		}
		if _, gone := os.Stat(o.file("cgroup.procs")); gone == nil {
			return err
		}
		if state, _ := docker("inspect", "--format={{.State.Status}} {{.State.ExitCode}}", o.id); !strings.HasPrefix(state, "running") {
			logs, _ := o.logs()
			return hopeless(fmt.Errorf("the outer container is %s: %s", state, tail(logs, 3)))
		}
		return err
	})
}

func (o *outer) docker(args ...string) (string, error) { return client(o.socket, args...) }

// inner starts a container in the container.
func (o *outer) inner(name string, args ...string) (string, error) {
	return o.docker(append([]string{"run", "--detach", network, "--name=" + name, plainImage}, args...)...)
}

func (o *outer) logs() (string, error) {
	_, out := statusOf(socket, "logs", o.id)
	return out, nil
}

// logged returns cgshim's log line with the message.
func (o *outer) logged(message string) (map[string]any, error) {
	logs, _ := o.logs()
	for line := range strings.Lines(logs) {
		var fields map[string]any
		decoder := json.NewDecoder(strings.NewReader(line))
		decoder.UseNumber() // an inode number may not fit a float
		if decoder.Decode(&fields) == nil && fields["msg"] == message {
			return fields, nil
		}
	}
	return nil, fmt.Errorf("no %q in the log: %s", message, tail(logs, 5))
}

func (o *outer) file(name string) string { return cgroupRoot + o.cgroup + "/" + name }

// pid returns the PID of the container's PID 1 as the machine sees it.
func (o *outer) pid() (int, error) {
	text, err := docker("inspect", "--format={{.State.Pid}}", o.id)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

// remove removes the container and everything that the inner dockerd has stored.
func (o *outer) remove() error {
	if o == nil || o.id == "" {
		return nil
	}
	_, err := docker("rm", "--force", "--volumes", o.id)
	return errors.Join(err, os.RemoveAll(o.dir))
}

// under returns an error unless at least one process has the text in its command line, and
// every such process is in the container's cgroup or below it.
func (o *outer) under(text string) error { return rig.Under(o.cgroup, text) }
