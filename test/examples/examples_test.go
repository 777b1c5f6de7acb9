// Package examples keeps examples/ valid.
package examples

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func dir(t *testing.T) string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "../../examples")
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// manifests decodes the pods, with only the fields that the Kubernetes API knows.
func manifests(t *testing.T) map[string]*core.PodSpec {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir(t), "kubernetes/*.yaml"))
	if err != nil || len(files) < 3 {
		t.Fatalf("%d manifests, %v", len(files), err)
	}
	pods := map[string]*core.PodSpec{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var kind struct{ APIVersion, Kind string }
		if err := yaml.Unmarshal(data, &kind); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		var spec *core.PodSpec
		switch kind.APIVersion + " " + kind.Kind {
		case "v1 Pod":
			var pod core.Pod
			err, spec = yaml.UnmarshalStrict(data, &pod), &pod.Spec
		case "apps/v1 Deployment":
			var deployment apps.Deployment
			err, spec = yaml.UnmarshalStrict(data, &deployment), &deployment.Spec.Template.Spec
		default:
			t.Fatalf("%s: %+v is not checked", file, kind)
		}
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		pods[filepath.Base(file)] = spec
	}
	return pods
}

func containers(spec *core.PodSpec) []core.Container {
	return append(slices.Clone(spec.InitContainers), spec.Containers...)
}

func variables(c core.Container) map[string]string {
	vars := map[string]string{}
	for _, v := range c.Env {
		vars[v.Name] = v.Value
	}
	return vars
}

// A volume that two containers share has the same path in both: a runner's
// `docker run -v $PWD:...` is about files of dockerd's container.
func TestManifests(t *testing.T) {
	for file, spec := range manifests(t) {
		paths := map[string]string{}
		for _, v := range spec.Volumes {
			paths[v.Name] = ""
		}
		for _, c := range containers(spec) {
			for _, m := range c.VolumeMounts {
				known, ok := paths[m.Name]
				if !ok {
					t.Errorf("%s: no volume %s", file, m.Name)
				} else if known != "" && known != m.MountPath {
					t.Errorf("%s: %s is %s in one container and %s in another", file, m.Name, known, m.MountPath)
				}
				paths[m.Name] = m.MountPath
			}
			knowsVariables(t, file, variables(c))
			stopsInTime(t, file, variables(c), time.Duration(grace(spec))*time.Second)
		}
	}
}

func grace(spec *core.PodSpec) int64 {
	if spec.TerminationGracePeriodSeconds == nil {
		return 30 // the API's default
	}
	return *spec.TerminationGracePeriodSeconds
}

// knowsVariables checks the variables against the man page.
func knowsVariables(t *testing.T, file string, vars map[string]string) {
	t.Helper()
	page := string(read(t, "../docs/cgshim.8"))
	for name := range vars {
		if strings.HasPrefix(name, "CGSHIM_") && !strings.Contains(page, ".Pq Ev "+name+"\n") {
			t.Errorf("%s: %s is no variable of cgshim", file, name)
		}
	}
}

// stopsInTime checks that cgshim kills its child before the runtime kills cgshim.
func stopsInTime(t *testing.T, file string, vars map[string]string, grace time.Duration) {
	t.Helper()
	value, set := vars["CGSHIM_STOP_TIMEOUT"]
	if !set {
		return
	}
	if timeout, err := time.ParseDuration(value); err != nil || timeout >= grace {
		t.Errorf("%s: CGSHIM_STOP_TIMEOUT is %q (%v), the grace period %v", file, value, err, grace)
	}
}

// sockets are the values of --host of a command line that docker:dind's entry script
// takes as it is. To options alone the script adds an API on TCP.
func sockets(t *testing.T, file string, args []string) (paths []string) {
	t.Helper()
	if len(args) == 0 || args[0] != "dockerd" {
		t.Errorf("%s: the arguments %q do not begin with dockerd", file, args)
	}
	for _, arg := range args {
		host, found := strings.CutPrefix(arg, "--host=")
		socket, local := strings.CutPrefix(host, "unix://")
		if found && !local {
			t.Errorf("%s: %s is not a local socket", file, arg)
		}
		if local {
			paths = append(paths, resolved(socket))
		}
	}
	if len(paths) == 0 {
		t.Errorf("%s: %q names no socket", file, args)
	}
	return paths
}

// resolved is a path without the link from /var/run to /run.
func resolved(file string) string {
	if rest, found := strings.CutPrefix(file, "/var/run/"); found {
		return "/run/" + rest
	}
	return file
}

// clientSocket is what docker connects to.
func clientSocket(vars map[string]string) string {
	host, set := vars["DOCKER_HOST"]
	if !set {
		host = "unix:///var/run/docker.sock"
	}
	return resolved(strings.TrimPrefix(host, "unix://"))
}

func isDind(c core.Container) bool { return strings.Contains(c.Image, "dind") }

// The probes, and the clients in other containers, use a socket that dockerd is told
// to listen on.
func TestDockerdInPods(t *testing.T) {
	found := 0
	for file, spec := range manifests(t) {
		var listening []string
		for _, c := range containers(spec) {
			if !isDind(c) {
				continue
			}
			found++
			listening = append(listening, sockets(t, file, c.Args)...)
			if !slices.Contains(listening, clientSocket(variables(c))) {
				t.Errorf("%s: the probe connects to %s, dockerd listens on %q", file, clientSocket(variables(c)), listening)
			}
			if c.StartupProbe == nil || c.LivenessProbe != nil {
				t.Errorf("%s: a startup probe and no liveness probe: a slow dockerd is not to be restarted", file)
			}
			for _, probe := range []*core.Probe{c.StartupProbe, c.ReadinessProbe} {
				if probe == nil {
					continue
				}
				if probe.Exec == nil || !slices.Equal(probe.Exec.Command, []string{"docker", "version"}) || probe.TimeoutSeconds < 5 {
					t.Errorf("%s: the probe is %+v", file, probe)
				}
			}
		}
		for _, c := range containers(spec) {
			if _, set := variables(c)["DOCKER_HOST"]; !set {
				continue
			}
			socket := clientSocket(variables(c))
			shared := slices.ContainsFunc(c.VolumeMounts, func(m core.VolumeMount) bool { return m.MountPath == path.Dir(socket) })
			if !slices.Contains(listening, socket) || !shared {
				t.Errorf("%s: %s has no socket %s", file, c.Name, socket)
			}
		}
	}
	if found < 2 {
		t.Errorf("%d containers with dockerd", found)
	}
}

// Empty, it turns the authentication of an API on TCP off, and there is no other use
// for it where dockerd has no such API.
func TestNobodySetsTheTLSDirectory(t *testing.T) {
	err := filepath.WalkDir(dir(t), func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(file)
		for line := range strings.Lines(string(data)) {
			if !strings.HasPrefix(strings.TrimSpace(line), "#") && strings.Contains(line, "DOCKER_TLS_CERTDIR") {
				t.Errorf("%s: %s", file, line)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestDaemonJSON(t *testing.T) {
	var daemon struct {
		Init     bool   `json:"init"`
		InitPath string `json:"init-path"`
	}
	strict := json.NewDecoder(bytes.NewReader(read(t, "daemon.json")))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&daemon); err != nil || !daemon.Init || filepath.Base(daemon.InitPath) != "docker-init" {
		t.Errorf("%+v, %v", daemon, err)
	}
}

// The keys are those of the Compose specification that the file uses, and no others:
// `init: true` would put an init before cgshim.
func TestCompose(t *testing.T) {
	const name = "compose.yaml"
	var file struct {
		Services map[string]struct {
			Build struct {
				Context    string `json:"context"`
				Dockerfile string `json:"dockerfile"`
			} `json:"build"`
			Command         []string          `json:"command"`
			Privileged      bool              `json:"privileged"`
			Environment     map[string]string `json:"environment"`
			StopGracePeriod string            `json:"stop_grace_period"`
			MemLimit        string            `json:"mem_limit"`
			PidsLimit       int               `json:"pids_limit"`
			Volumes         []string          `json:"volumes"`
		} `json:"services"`
		Volumes map[string]struct{} `json:"volumes"`
	}
	if err := yaml.UnmarshalStrict(read(t, name), &file); err != nil {
		t.Fatal(err)
	}
	docker := file.Services["docker"]
	if !docker.Privileged || docker.Build.Context != "." || docker.Environment["CGSHIM_CGROUP"] != "require" {
		t.Errorf("%+v", docker)
	}
	read(t, docker.Build.Dockerfile)
	if hosts := sockets(t, name, docker.Command); !slices.Contains(hosts, clientSocket(docker.Environment)) {
		t.Errorf("dockerd listens on %q, a client in its container does not look there", hosts)
	}
	for _, v := range docker.Volumes {
		volume, _, _ := strings.Cut(v, ":")
		if _, ok := file.Volumes[volume]; !ok {
			t.Errorf("no volume %s", volume)
		}
	}
	knowsVariables(t, name, docker.Environment)
	grace, err := time.ParseDuration(docker.StopGracePeriod)
	if err != nil {
		t.Error(err)
	}
	stopsInTime(t, name, docker.Environment, grace)
}

// The entry points are words of JSON, and begin with cgshim.
func TestDockerfiles(t *testing.T) {
	for name, command := range map[string]string{"Dockerfile.dind": "dockerd", "Dockerfile.debian": ""} {
		if entry := words(t, name, "ENTRYPOINT"); len(entry) < 3 || entry[0] != "/cgshim" {
			t.Errorf("%s: entry point %q", name, entry)
		}
		if cmd := words(t, name, "CMD"); strings.Join(cmd, " ") != command {
			t.Errorf("%s: command %q", name, cmd)
		}
	}
}

// words are those of an instruction of a Dockerfile.
func words(t *testing.T, name, instruction string) (list []string) {
	t.Helper()
	_, rest, found := strings.Cut(string(read(t, name)), "\n"+instruction+" ")
	if !found {
		return nil
	}
	line, _, _ := strings.Cut(rest, "\n")
	if err := json.Unmarshal([]byte(line), &list); err != nil {
		t.Errorf("%s: %s %s: %v", name, instruction, line, err)
	}
	return list
}

// The lines are those of a TOML file with one table and no values but booleans and
// strings.
func TestContainersConf(t *testing.T) {
	line := regexp.MustCompile(`^([a-z_]+) = (true|false|"[^"\\]*")$`)
	values := map[string]string{}
	table := ""
	for _, text := range strings.Split(string(read(t, "containers.conf")), "\n") {
		switch match := line.FindStringSubmatch(text); {
		case text == "" || strings.HasPrefix(text, "#"):
		case text == "[containers]":
			table = text
		case match == nil:
			t.Errorf("%q is no line of containers.conf", text)
		default:
			values[table+match[1]] = match[2]
		}
	}
	want := map[string]string{"[containers]init": "true", "[containers]init_path": `"/usr/libexec/podman/cgshim"`}
	for key, value := range want {
		if values[key] != value {
			t.Errorf("%s is %q, want %q", key, values[key], value)
		}
	}
	if len(values) != len(want) {
		t.Errorf("%q", values)
	}
}
