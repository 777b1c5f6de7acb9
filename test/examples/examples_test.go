// Package examples checks the files of examples/. Each file may have only keys that its
// format knows, cgshim must know the variables, the time-outs must fit together, and clients
// must find dockerd's socket.
package examples

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/hashicorp/hcl/v2/hclsimple"
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

// manifests returns the pods of all examples by file. A field that the Kubernetes API does
// not know is an error.
func manifests(t *testing.T) map[string]*core.PodSpec {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir(t), "kubernetes/*.yaml"))
	if err != nil || len(files) < 4 {
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
	// These are the values of a chart. Their template.spec is a pod's spec.
	var values struct {
		GithubConfigURL    string `json:"githubConfigUrl"`
		GithubConfigSecret string `json:"githubConfigSecret"`
		Template           core.PodTemplateSpec
	}
	if err := yaml.UnmarshalStrict(read(t, "github-arc/values.yaml"), &values); err != nil {
		t.Errorf("github-arc/values.yaml: %v", err)
	}
	pods["github-arc/values.yaml"] = &values.Template.Spec
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

// A volume must have the same path in every container of a pod, because a runner's
// docker run -v $PWD:... names a path in dockerd's container. A container with dockerd must
// be privileged and have a memory limit.
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
				} else if known != "" && known != m.MountPath && m.Name != "dind-externals" { // only copied
					t.Errorf("%s: %s is %s in one container and %s in another", file, m.Name, known, m.MountPath)
				}
				paths[m.Name] = m.MountPath
			}
			if isDind(c) && (c.SecurityContext == nil || c.SecurityContext.Privileged == nil || !*c.SecurityContext.Privileged || c.Resources.Limits.Memory().IsZero()) {
				t.Errorf("%s: %s is privileged and has limits, or there is nothing to hold", file, c.Name)
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

// stopsInTime checks that cgshim's stop time-out comes before the runtime kills cgshim.
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

// sockets returns the sockets of --host in a command line. The command line must begin with
// dockerd, or the entry script of docker:dind would add an API on TCP.
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

// resolved returns the path with /run in place of the symbolic link /var/run.
func resolved(file string) string {
	if rest, found := strings.CutPrefix(file, "/var/run/"); found {
		return "/run/" + rest
	}
	return file
}

// clientSocket returns the socket that docker connects to with these variables.
func clientSocket(vars map[string]string) string {
	host, set := vars["DOCKER_HOST"]
	if !set {
		host = "unix:///var/run/docker.sock"
	}
	return resolved(strings.TrimPrefix(host, "unix://"))
}

func isDind(c core.Container) bool { return strings.HasPrefix(c.Image, image) }

// image is the image of the Dockerfile, in a registry of the reader's own.
const image = "registry.example/cgshim-dind"

// dockerd must listen on the socket that the probes and the clients in other containers use.
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
			shared := slices.ContainsFunc(c.VolumeMounts, func(m core.VolumeMount) bool { return resolved(m.MountPath+"/") == path.Dir(socket)+"/" })
			if !slices.Contains(listening, socket) || !shared {
				t.Errorf("%s: %s has no socket %s", file, c.Name, socket)
			}
		}
	}
	if found < 4 {
		t.Errorf("%d containers with dockerd", found)
	}
}

// An empty DOCKER_TLS_CERTDIR turns off the authentication of an API on TCP. Without such an
// API the variable has no use, so no example may set it.
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

// The pods must be of the QoS class that their files state (Kubernetes, "Quality of
// Service").
func TestPodsAreOfTheirClass(t *testing.T) {
	pods := manifests(t)
	for file, guaranteed := range map[string]bool{"dind-pod.yaml": true, "dind-burstable.yaml": false} {
		c := pods[file].Containers[0].Resources
		equal := c.Requests.Cpu().Cmp(*c.Limits.Cpu()) == 0 && c.Requests.Memory().Cmp(*c.Limits.Memory()) == 0
		if equal != guaranteed || c.Requests.Memory().IsZero() {
			t.Errorf("%s: %+v", file, c)
		}
	}
	if len(pods["dind-burstable.yaml"].Containers[0].ResizePolicy) != 2 {
		t.Error("dind-burstable.yaml: no resize policy for processor and memory")
	}
}

func strictJSON(t *testing.T, name string, to any) {
	t.Helper()
	strict := json.NewDecoder(bytes.NewReader(read(t, name)))
	strict.DisallowUnknownFields()
	if err := strict.Decode(to); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func strictTOML(t *testing.T, name string, to any) {
	t.Helper()
	known, err := toml.Decode(string(read(t, name)), to)
	if err != nil || len(known.Undecoded()) > 0 {
		t.Fatalf("%s: %v, unknown keys %q", name, err, known.Undecoded())
	}
}

// With daemon.json dockerd must add cgshim as docker-init to every container.
func TestDaemonJSON(t *testing.T) {
	var daemon struct {
		Init     bool   `json:"init"`
		InitPath string `json:"init-path"`
	}
	strictJSON(t, "daemon.json", &daemon)
	if !daemon.Init || filepath.Base(daemon.InitPath) != "docker-init" {
		t.Errorf("%+v", daemon)
	}
}

// service is a container with dockerd, from a file of any format.
type service struct {
	file  string
	args  []string
	env   map[string]string
	grace time.Duration
}

func (s service) check(t *testing.T) {
	t.Helper()
	knowsVariables(t, s.file, s.env)
	stopsInTime(t, s.file, s.env, s.grace)
	if !slices.Contains(sockets(t, s.file, s.args), clientSocket(s.env)) {
		t.Errorf("%s: a client in the container finds no socket of %q", s.file, s.args)
	}
	if s.env["CGSHIM_CGROUP"] != "require-v2" {
		t.Errorf("%s: CGSHIM_CGROUP is %q", s.file, s.env["CGSHIM_CGROUP"])
	}
}

// services returns the services that are not in a Kubernetes manifest.
func services(t *testing.T) []service { return []service{composed(t), ecsTask(t), nomadTask(t)} }

// A service must use known variables, stop in time, listen where its client connects, and run
// only with a delegation on nodes with cgroup v2.
func TestServices(t *testing.T) {
	for _, s := range services(t) {
		t.Run(s.file, s.check)
	}
}

// ecsTask returns the service of the ECS task definition, which may have only the keys below.
// initProcessEnabled is not among them, because it puts another init before cgshim.
func ecsTask(t *testing.T) service {
	t.Helper()
	const name = "ecs/task-definition.json"
	var task struct {
		Family                  string
		RequiresCompatibilities []string
		NetworkMode             string
		ContainerDefinitions    []struct {
			Name, Image string
			Command     []string
			Environment []struct{ Name, Value string }
			Essential   bool
			Privileged  bool
			CPU, Memory int
			StopTimeout int
			HealthCheck struct {
				Command                                 []string
				Interval, Timeout, Retries, StartPeriod int
			}
			MountPoints []struct{ SourceVolume, ContainerPath string }
		}
		Volumes []struct {
			Name                      string
			DockerVolumeConfiguration struct{ Scope, Driver string }
		}
	}
	strictJSON(t, name, &task)
	c := task.ContainerDefinitions[0]
	// Fargate has no privileged containers. 120 s is the longest time that ECS waits.
	if !c.Privileged || c.Image != image || !slices.Equal(task.RequiresCompatibilities, []string{"EC2"}) || c.StopTimeout > 120 || c.Memory == 0 {
		t.Errorf("%s: %+v", name, task)
	}
	env := map[string]string{}
	for _, v := range c.Environment {
		env[v.Name] = v.Value
	}
	return service{name, c.Command, env, time.Duration(c.StopTimeout) * time.Second}
}

// nomadTask returns the service of the Nomad job, which may have only the blocks and keys
// below.
func nomadTask(t *testing.T) service {
	t.Helper()
	const name = "nomad/dind.nomad.hcl"
	var file struct {
		Job struct {
			Name  string `hcl:"name,label"`
			Group struct {
				Name string `hcl:"name,label"`
				Task struct {
					Name        string `hcl:"name,label"`
					Driver      string `hcl:"driver"`
					KillTimeout string `hcl:"kill_timeout"`
					Config      struct {
						Image      string   `hcl:"image"`
						Args       []string `hcl:"args"`
						Privileged bool     `hcl:"privileged"`
					} `hcl:"config,block"`
					Env struct {
						Cgroup      string `hcl:"CGSHIM_CGROUP"`
						StopTimeout string `hcl:"CGSHIM_STOP_TIMEOUT"`
					} `hcl:"env,block"`
					Resources struct {
						CPU    int `hcl:"cpu"`
						Memory int `hcl:"memory"`
					} `hcl:"resources,block"`
				} `hcl:"task,block"`
			} `hcl:"group,block"`
		} `hcl:"job,block"`
	}
	if err := hclsimple.Decode(path.Base(name)+".hcl", read(t, name), nil, &file); err != nil {
		t.Fatal(err)
	}
	task := file.Job.Group.Task
	grace, err := time.ParseDuration(task.KillTimeout)
	grace = min(grace, 30*time.Second) // max_kill_timeout of a client that does not set it
	if err != nil || task.Driver != "docker" || !task.Config.Privileged || task.Config.Image != image || task.Resources.Memory == 0 {
		t.Errorf("%s: %+v, %v", name, task, err)
	}
	return service{name, task.Config.Args, map[string]string{"CGSHIM_CGROUP": task.Env.Cgroup, "CGSHIM_STOP_TIMEOUT": task.Env.StopTimeout}, grace}
}

// The configuration of GitLab Runner may have only the keys below. Its job must look for
// dockerd under the alias of the service.
func TestGitLab(t *testing.T) {
	var runner struct {
		Concurrent int
		Runners    []struct {
			Name, URL, Token, Executor string
			Docker                     struct {
				Image                  string
				Privileged             bool
				ServicesPrivileged     bool     `toml:"services_privileged"`
				AllowedPrivileged      []string `toml:"allowed_privileged_services"`
				Volumes                []string
				ServiceMemory          string `toml:"service_memory"`
				ServiceCPUs            string `toml:"service_cpus"`
				WaitForServicesTimeout int    `toml:"wait_for_services_timeout"`
				Services               []struct {
					Name, Alias string
					Environment []string
				}
			}
		}
	}
	strictTOML(t, "gitlab/config.toml", &runner)
	docker := runner.Runners[0].Docker
	if docker.Privileged || !docker.ServicesPrivileged || !slices.Equal(docker.AllowedPrivileged, []string{image}) || len(docker.Services) != 1 || docker.Services[0].Name != image || !slices.Contains(docker.Volumes, "/certs/client") || docker.ServiceMemory == "" {
		t.Fatalf("%+v", docker)
	}
	env := map[string]string{}
	for _, v := range docker.Services[0].Environment {
		name, value, _ := strings.Cut(v, "=")
		env[name] = value
	}
	knowsVariables(t, "gitlab/config.toml", env)
	stopsInTime(t, "gitlab/config.toml", env, 10*time.Second) // the timeout of docker stop

	var jobs map[string]struct {
		Image     string            `json:"image"`
		Variables map[string]string `json:"variables"`
		Script    []string          `json:"script"`
	}
	if err := yaml.UnmarshalStrict(read(t, "gitlab/.gitlab-ci.yml"), &jobs); err != nil {
		t.Fatal(err)
	}
	if host := jobs["build"].Variables["DOCKER_HOST"]; host != "tcp://"+docker.Services[0].Alias+":2376" {
		t.Errorf("the job looks for dockerd at %s", host)
	}
}

// The configuration for the Kubernetes executor may have only the keys below. Its service alone is
// privileged and has limits, and shares the certificates with the job.
func TestGitLabOnKubernetes(t *testing.T) {
	const name = "gitlab/config-kubernetes.toml"
	var runner struct {
		Concurrent int
		Runners    []struct {
			Name, URL, Token, Executor string
			Environment                []string
			Kubernetes                 struct {
				Image              string
				Privileged         bool
				ServiceCPULimit    string `toml:"service_cpu_limit"`
				ServiceMemoryLimit string `toml:"service_memory_limit"`
				Grace              int    `toml:"pod_termination_grace_period_seconds"`
				Context            struct {
					Privileged bool
				} `toml:"service_container_security_context"`
				Services []struct{ Name, Alias string }
				Volumes  struct {
					EmptyDir []struct {
						Name, Medium string
						MountPath    string `toml:"mount_path"`
					} `toml:"empty_dir"`
				}
			}
		}
	}
	strictTOML(t, name, &runner)
	pod := runner.Runners[0].Kubernetes
	if pod.Privileged || !pod.Context.Privileged || pod.ServiceMemoryLimit == "" || len(pod.Services) != 1 || pod.Services[0].Name != image || pod.Services[0].Alias != "docker" {
		t.Errorf("%+v", pod)
	}
	if len(pod.Volumes.EmptyDir) != 1 || pod.Volumes.EmptyDir[0].MountPath != "/certs/client" {
		t.Errorf("volumes %+v", pod.Volumes)
	}
	env := map[string]string{}
	for _, v := range runner.Runners[0].Environment {
		name, value, _ := strings.Cut(v, "=")
		env[name] = value
	}
	knowsVariables(t, name, env)
	stopsInTime(t, name, env, time.Duration(pod.Grace)*time.Second)
}

// dockerd.conf must have the keys below and no others. They are keys of
// lxc.container.conf(5).
func TestLXC(t *testing.T) {
	known := []string{"lxc.include", "lxc.mount.auto", "lxc.cgroup.relative", "lxc.init.cmd", "lxc.signal.halt", "lxc.cgroup2.memory.max", "lxc.cgroup2.pids.max"}
	found := 0
	for line := range strings.Lines(string(read(t, "lxc/dockerd.conf"))) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(line, " = ")
		if !ok || value == "" || !slices.Contains(known, key) {
			t.Errorf("lxc/dockerd.conf: %q", line)
		}
		found++
	}
	if found != len(known) {
		t.Errorf("%d lines, of %d known", found, len(known))
	}
}

// composed returns the service of the Compose file, which may have only the keys below. The
// key init is not among them, because it puts another init before cgshim.
func composed(t *testing.T) service {
	t.Helper()
	const name = "compose.yaml"
	var file struct {
		Services map[string]struct {
			Build           string            `json:"build"`
			Command         []string          `json:"command"`
			Privileged      bool              `json:"privileged"`
			Environment     map[string]string `json:"environment"`
			StopGracePeriod string            `json:"stop_grace_period"`
			Healthcheck     struct {
				Test          []string `json:"test"`
				StartPeriod   string   `json:"start_period"`
				StartInterval string   `json:"start_interval"`
			} `json:"healthcheck"`
			MemLimit  string   `json:"mem_limit"`
			PidsLimit int      `json:"pids_limit"`
			Volumes   []string `json:"volumes"`
		} `json:"services"`
		Volumes map[string]struct{} `json:"volumes"`
	}
	if err := yaml.UnmarshalStrict(read(t, name), &file); err != nil {
		t.Fatal(err)
	}
	docker := file.Services["docker"]
	if _, err := os.Stat(filepath.Join(dir(t), docker.Build, "Dockerfile")); err != nil || !docker.Privileged || docker.MemLimit == "" {
		t.Errorf("%+v", docker)
	}
	for _, v := range docker.Volumes {
		volume, _, _ := strings.Cut(v, ":")
		if _, ok := file.Volumes[volume]; !ok {
			t.Errorf("no volume %s", volume)
		}
	}
	grace, err := time.ParseDuration(docker.StopGracePeriod)
	if err != nil {
		t.Error(err)
	}
	return service{name, docker.Command, docker.Environment, grace}
}

// words returns the JSON list of an instruction in a Dockerfile.
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

// With containers.conf podman must add cgshim to every container.
func TestContainersConf(t *testing.T) {
	var conf struct {
		Containers struct {
			Init     bool
			InitPath string `toml:"init_path"`
		}
	}
	strictTOML(t, "containers.conf", &conf)
	if !conf.Containers.Init || conf.Containers.InitPath != "/usr/libexec/podman/cgshim" {
		t.Errorf("%+v", conf)
	}
}
