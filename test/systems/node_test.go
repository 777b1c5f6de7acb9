package systems

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cgshim/cgshim/test/internal/rig"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	core "k8s.io/api/core/v1"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	containerdSocket = "/run/containerd/containerd.sock"
	manifests        = "/etc/kubernetes/manifests"
	outerImage       = "localhost/outer:1"
	pauseImage       = "localhost/pause:1"
	plainImage       = "plain"
)

// criConfig is a node's containerd. A kubelet without an API server knows no
// RuntimeClass: the default runtime is what a case wants.
const criConfig = `version = 3
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '` + pauseImage + `'
[plugins.'io.containerd.cri.v1.runtime'.containerd]
  default_runtime_name = 'it'
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.it]
    runtime_type = 'io.containerd.runc.v2'
    cgroup_writable = %t
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.it.options]
      BinaryName = '%s'
      SystemdCgroup = %t
`

const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
cgroupDriver: %s
containerRuntimeEndpoint: unix://` + containerdSocket + `
staticPodPath: ` + manifests + `
failSwapOn: false
readOnlyPort: 10255
fileCheckFrequency: 1s
syncFrequency: 10s
evictionHard: {"memory.available": "50Mi", "nodefs.available": "1%%", "imagefs.available": "1%%", "nodefs.inodesFree": "1%%"}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
podPidsLimit: 2048
`

// flavour is what of a node makes a difference to cgroups.
type flavour struct {
	driver   string // of the kubelet and of containerd
	runtime  string // a program
	writable bool   // that /sys/fs/cgroup is in pods without privileges
}

// node is the machine with a containerd and a kubelet.
type node struct {
	flavour
	containerd, kubelet *exec.Cmd
	runtime             cri.RuntimeServiceClient
	api                 *apiServer
}

// start brings containerd up, and then the kubelet: one that is there before
// containerd answers has no metrics of containers for good.
func (n *node) start() error {
	path, err := exec.LookPath(n.flavour.runtime)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(manifests, 0o755); err != nil {
		return err
	}
	config := fmt.Appendf(nil, criConfig, n.writable, path, n.driver == "systemd")
	if err := os.WriteFile(place+"/containerd.toml", config, 0o644); err != nil {
		return err
	}
	if n.containerd, err = daemons.Start("containerd", "containerd", "--config="+place+"/containerd.toml"); err != nil {
		return err
	}
	conn, err := grpc.NewClient("unix://"+containerdSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	n.runtime = cri.NewRuntimeServiceClient(conn)
	err = rig.Eventually(2*time.Minute, func() error {
		_, err := n.runtime.Version(limited(), &cri.VersionRequest{})
		return err
	})
	if err != nil {
		return fmt.Errorf("containerd: %w: %s", err, rig.Tail(rig.Read(daemons.File("containerd")), 5))
	}
	if err := importImages(); err != nil {
		return err
	}
	if withAPI() && n.api == nil {
		if n.api, err = startAPI(); err != nil {
			return err
		}
	}
	if err := os.WriteFile(place+"/kubelet.yaml", fmt.Appendf(nil, kubeletConfig, n.driver), 0o644); err != nil {
		return err
	}
	args := []string{"kubelet", "--config=" + place + "/kubelet.yaml", "--hostname-override=vm", "--node-ip=10.255.255.2", "-v=2"}
	if n.api != nil {
		args = append(args, "--kubeconfig="+n.api.kubeconfig, "--register-node=true")
	}
	if n.kubelet, err = daemons.Start("kubelet", args...); err != nil {
		return err
	}
	err = rig.Eventually(3*time.Minute, func() error {
		_, err := get("http://127.0.0.1:10255/pods")
		return err
	})
	if err != nil {
		return fmt.Errorf("kubelet: %w: %s", err, rig.Tail(rig.Read(daemons.File("kubelet")), 5))
	}
	return nil
}

// stop stops both; the pods have to be gone.
func (n *node) stop() error {
	for _, cmd := range []*exec.Cmd{n.kubelet, n.containerd} {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		_ = cmd.Wait()
	}
	return nil
}

func limited() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	context.AfterFunc(ctx, cancel) // frees its timer
	return ctx
}

// client does without the names of certificates: the kubelet makes its own.
var client = http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}, Timeout: 2 * time.Minute}

func get(address string) ([]byte, error) { return call(http.MethodGet, address, "", "", nil) }

func call(method, address, token, kind string, body []byte) ([]byte, error) {
	request, err := http.NewRequest(method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", method, address, answer.Status, text)
	}
	return text, err
}

// importImages gives containerd the pods' images. Their programs are the node's own, by
// a volume: an import takes time by the megabyte, and changes nothing of what is tested.
func importImages() error {
	for name, i := range map[string]struct {
		image *rig.Image
		entry string
	}{
		outerImage: {outerRoot(), `["/cgshim","--dind","--"]`},
		pauseImage: {pauseRoot(), `["/cgshim","--pause"]`},
	} {
		root, err := i.image.Tar()
		if err != nil {
			return err
		}
		sum := sha256.Sum256(root)
		archive := rig.NewImage()
		archive.File("layer.tar", root, 0o644)
		archive.File("config.json", fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","config":{"Env":["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],"Entrypoint":%s,"WorkingDir":"/"},"rootfs":{"type":"layers","diff_ids":["sha256:%x"]},"history":[{"created_by":"the tests"}]}`, i.entry, sum), 0o644)
		archive.File("manifest.json", fmt.Appendf(nil, `[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]`, name), 0o644)
		whole, err := archive.Tar()
		if err != nil {
			return err
		}
		file := filepath.Join(place, "image.tar")
		if err := os.WriteFile(file, whole, 0o644); err != nil {
			return err
		}
		if _, err := rig.Exec("ctr", "--namespace=k8s.io", "images", "import", "--local", file); err != nil {
			return err
		}
	}
	return nil
}

// outerRoot has cgshim, and the places for what the container's volumes bring.
func outerRoot() *rig.Image {
	i := rig.NewImage("dev", "etc", "proc", "root", "run", "sys", "tmp", "usr", "out", "opt", "var/lib/docker")
	for _, dir := range []string{"bin", "sbin", "lib", "lib64"} {
		i.Link(dir, "usr/"+dir)
	}
	i.Add(&tar.Header{Name: "var/run", Typeflag: tar.TypeSymlink, Linkname: "/run", Mode: 0o777}, nil)
	i.File("etc/passwd", []byte(rig.Configured["etc/passwd"]), 0o644)
	i.File("etc/group", []byte(rig.Configured["etc/group"]), 0o644)
	i.Copy("cgshim", rig.Cgshim())
	i.Copy("supervisor", "/pkg/supervisor")
	i.Copy("busybox", "/bin/busybox")
	i.File("dind", []byte(rig.DindSteps), 0o755)
	i.File("unshared", []byte(rig.UnshareSteps), 0o755)
	return i
}

func pauseRoot() *rig.Image {
	i := rig.NewImage("proc", "sys", "dev", "etc")
	i.Copy("cgshim", rig.Cgshim())
	return i
}

// run gives the kubelet a pod.
func (n *node) run(p *core.Pod) error {
	p.APIVersion, p.Kind, p.Namespace = "v1", "Pod", "default"
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if n.api != nil {
		p.Spec.NodeName = "vm"
		return n.api.create(p)
	}
	// Renamed into place: the kubelet looks each second.
	temporary := filepath.Join(place, "manifest")
	if err := os.WriteFile(temporary, text, 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, filepath.Join(manifests, p.Name+".json"))
}

// full is the name of a pod as the kubelet has it.
func (n *node) full(name string) string {
	if n.api != nil {
		return name
	}
	return name + "-vm"
}

func (n *node) pod(name string) (*core.Pod, error) {
	text, err := get("http://127.0.0.1:10255/pods")
	if err != nil {
		return nil, err
	}
	var list core.PodList
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	for i := range list.Items {
		if list.Items[i].Name == n.full(name) {
			return &list.Items[i], nil
		}
	}
	return nil, fmt.Errorf("the kubelet has no pod %s", n.full(name))
}

// container is a running container of a pod.
type container struct {
	node   *node
	pod    *core.Pod
	name   string
	id     string
	pid    int
	cgroup string // its path from the root of the machine's hierarchy
	status core.ContainerStatus
}

// container returns a container that runs, and is ready where the pod has a probe.
func (n *node) container(pod, name string) (*container, error) {
	p, err := n.pod(pod)
	if err != nil {
		return nil, err
	}
	for _, s := range p.Status.ContainerStatuses {
		if s.Name != name {
			continue
		}
		if s.State.Running == nil || !s.Ready {
			return nil, fmt.Errorf("container %s of %s: ready %v, %+v, last %+v: %s", name, pod, s.Ready, s.State, s.LastTerminationState, rig.Tail(logs(p, name), 5))
		}
		c := &container{node: n, pod: p, name: name, status: s, id: strings.TrimPrefix(s.ContainerID, "containerd://")}
		c.pid, err = strconv.Atoi(rig.Read("/run/containerd/io.containerd.runtime.v2.task/k8s.io/" + c.id + "/init.pid"))
		if err != nil {
			return nil, err
		}
		c.cgroup, err = cgroupNamed(c.id)
		return c, err
	}
	return nil, fmt.Errorf("pod %s has no container %s yet: %s", pod, name, p.Status.Phase)
}

// ready waits for a container.
func (n *node) ready(pod, name string) (c *container, err error) {
	err = rig.Eventually(4*time.Minute, func() error {
		c, err = n.container(pod, name)
		return err
	})
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, strings.Join(trouble.FindAllString(rig.Tail(rig.Read(daemons.File("kubelet")), 300), -1), "\n"))
	}
	return c, err
}

// The kubelet's warnings and errors, in klog's form.
var trouble = regexp.MustCompile(`(?m)^[EW]\d{4} .*$`)

// cgroupNamed finds the cgroup of a container, whose name has the container's id.
func cgroupNamed(id string) (string, error) {
	for _, dir := range rig.GroupsBelow(rig.CgroupRoot) {
		base := filepath.Base(dir)
		if base != id && !strings.HasSuffix(base, "-"+id+".scope") {
			continue
		}
		// crun has one more below a scope (crun(1), run.oci.systemd.subgroup).
		if _, err := os.Stat(dir + "/container"); err == nil {
			dir += "/container"
		}
		return strings.TrimPrefix(dir, rig.CgroupRoot), nil
	}
	return "", fmt.Errorf("no cgroup of container %.12s", id)
}

// logs is what a pod's container has said, in its latest run.
func logs(p *core.Pod, name string) string {
	files, _ := filepath.Glob("/var/log/pods/default_" + p.Name + "_*/" + name + "/*.log")
	if len(files) == 0 {
		return ""
	}
	return rig.Read(files[len(files)-1])
}

// exec runs a command in the container, as kubectl exec does. Its words have no spaces.
func (c *container) exec(command ...string) (string, error) {
	address := fmt.Sprintf("https://127.0.0.1:10250/run/default/%s/%s?cmd=%s", c.pod.Name, c.name, url.QueryEscape(strings.Join(command, " ")))
	out, err := call(http.MethodPost, address, "", "", nil)
	return strings.TrimSpace(string(out)), err
}

// file is one of the container's cgroup.
func (c *container) file(name string) string { return rig.CgroupRoot + c.cgroup + "/" + name }

// podGroup is the cgroup of the pod.
func (c *container) podGroup() string { return filepath.Dir(c.cgroup) }

// socket is that of the dockerd in it.
func (c *container) socket() string { return fmt.Sprintf("/proc/%d/root/run/docker.sock", c.pid) }

// inner starts a container in the container.
func (c *container) inner(name string, args ...string) error {
	if _, err := rig.Docker(c.socket(), "image", "inspect", plainImage); err != nil {
		tar, err := rig.Plain()
		if err != nil {
			return err
		}
		if err := rig.Import(c.socket(), plainImage, bytes.NewReader(tar)); err != nil {
			return err
		}
	}
	_, err := rig.Docker(c.socket(), append([]string{"run", "--detach", "--network=none", "--name=" + name, plainImage}, args...)...)
	return err
}

var finished = regexp.MustCompile(`container finished.*containerID="([0-9a-f]+)" exitCode=(-?\d+)`)

// remove deletes a pod and returns the exit statuses of its containers, by their ids, as
// the kubelet has seen them. All of its cgroups are gone then.
func (n *node) remove(name string) (map[string]int, error) {
	p, err := n.pod(name)
	if err != nil {
		return nil, err
	}
	if n.api != nil {
		err = n.api.remove(name)
	} else {
		err = os.Remove(filepath.Join(manifests, name+".json"))
	}
	if err != nil {
		return nil, err
	}
	// A static pod's cgroup has the hash of its file for a name, and not its UID.
	uid := string(p.UID)
	if hash := p.Annotations["kubernetes.io/config.hash"]; hash != "" {
		uid = hash
	}
	err = rig.Eventually(3*time.Minute, func() error {
		if _, err := n.pod(name); err == nil {
			return errors.New("the pod is still there")
		}
		for _, dir := range rig.GroupsBelow(rig.CgroupRoot) {
			if base := strings.ReplaceAll(filepath.Base(dir), "_", "-"); strings.Contains(base, "pod"+uid) {
				return fmt.Errorf("%s is left: %q", dir, rig.Read(dir+"/cgroup.procs"))
			}
		}
		return nil
	})
	ended := map[string]int{}
	for _, found := range finished.FindAllStringSubmatch(rig.Read(daemons.File("kubelet")), -1) {
		ended[found[1]], _ = strconv.Atoi(found[2])
	}
	return ended, err
}

// update changes a container's memory limit and sets memory.oom.group, as the kubelet
// does when a pod is resized in place. With an API server the kubelet does it.
func (c *container) update(memory int64) error {
	if c.node.api != nil {
		return c.node.api.resize(c.pod.Name, c.name, memory)
	}
	if err := os.WriteFile(rig.CgroupRoot+c.podGroup()+"/memory.max", fmt.Append(nil, memory), 0); err != nil {
		return err
	}
	_, err := c.node.runtime.UpdateContainerResources(limited(), &cri.UpdateContainerResourcesRequest{
		ContainerId: c.id,
		Linux: &cri.LinuxContainerResources{
			MemoryLimitInBytes: memory, Unified: map[string]string{"memory.oom.group": "1"},
		},
	})
	return err
}
