package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// pauseImage is the sandbox image, in which cgshim is the pod's pause program.
const pauseImage = "e2e/pause"

// criConfig is the part of the containerd configuration of a Kubernetes node that matters
// here.
const criConfig = `version = 2
root = "%[1]s/containerd/root"
state = "%[1]s/containerd/state"
[grpc]
  address = "%[1]s/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/` + pauseImage + `:latest"
`

// TestCRI takes kubelet's place and runs dockerd in privileged pods of containerd. Inner
// containers must be below the pod, and the host must be as it was. containerd leaves a
// privileged container in the host's cgroup namespace.
func TestCRI(t *testing.T) {
	k, err := newKubelet()
	if err != nil {
		t.Fatal(err)
	}
	baseline := optionsAfterPlain(t, "host")
	for _, v := range tried() {
		t.Run(v.name, func(t *testing.T) {
			before, err := observe()
			if err != nil {
				t.Fatal(err)
			}
			before.options = baseline
			defer before.repair()
			p, started := k.dockerd(v)
			part := func(name string, f func() error) {
				rows.check(t, "Kubernetes pod (CRI, containerd): "+name, v, func() error {
					if started != nil {
						return fmt.Errorf("the pod did not start: %w", started)
					}
					return f()
				})
			}
			part("inner processes lie under the pod", func() error {
				if _, err := p.inner("here", "sleep", "7811"); err != nil {
					return err
				}
				return p.under("sleep 7811")
			})
			part("its memory limit holds for an inner hog", p.holdsMemory)
			part("exec works and lands in the leaf", p.exec)
			part("it stops, exit status 0", p.stop)
			rows.check(t, "Kubernetes pod (CRI, containerd): the host is as it was", v, func() error {
				return errors.Join(p.remove(), before.since())
			})
		})
	}
	rows.check(t, "cgshim --pause is a pod's PID 1: it reaps, and ends when it is told to", ours, k.pause)
}

// kubelet is the client of a containerd that the test starts.
type kubelet struct {
	runtime cri.RuntimeServiceClient
	pods    int
}

func newKubelet() (*kubelet, error) {
	config := place + "/containerd.toml"
	if err := os.WriteFile(config, fmt.Appendf(nil, criConfig, place), 0o644); err != nil {
		return nil, err
	}
	if err := daemon("containerd", "containerd", "--config="+config); err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient("unix://"+place+"/containerd.sock", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	k := &kubelet{runtime: cri.NewRuntimeServiceClient(conn)}
	err = eventually(time.Minute, func() error {
		_, err := k.runtime.Version(limited(), &cri.VersionRequest{})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("containerd: %w: %s", err, tail(read(place+"/containerd.log"), 5))
	}
	return k, handOver(pauseImage, outerImage)
}

// handOver copies images from dockerd to containerd.
func handOver(images ...string) error {
	file := place + "/images.tar"
	defer os.Remove(file)
	if _, err := docker(append([]string{"save", "--output=" + file}, images...)...); err != nil {
		return err
	}
	_, err := run("ctr", "--address="+place+"/containerd.sock", "--namespace=k8s.io", "images", "import", file)
	return err
}

// limited returns a context that ends a call after two minutes.
func limited() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	context.AfterFunc(ctx, cancel) // frees its timer
	return ctx
}

// pod is a sandbox with one container, which runs dockerd. The embedded outer holds the
// id and the cgroup of this container, and the socket of its dockerd.
type pod struct {
	*outer
	kubelet *kubelet
	parent  string // the pod's cgroup
	sandbox string
	config  *cri.PodSandboxConfig
}

// newPod makes the pod's cgroup, as kubelet does, and the sandbox in it.
func (k *kubelet) newPod(pids cri.NamespaceMode) (*pod, error) {
	k.pods++
	uid := fmt.Sprintf("0c6df1a2-7a4f-4b8e-9f5c-%012d", k.pods)
	p := &pod{kubelet: k, parent: "/kubepods/besteffort/pod" + uid}
	p.outer = &outer{name: "pod", dir: place + "/" + uid}
	p.socket = p.dir + "/run/docker.sock"
	for _, dir := range []string{p.dir + "/run", p.dir + "/data", p.dir + "/log", cgroupRoot + p.parent} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return p, err
		}
	}
	for _, dir := range []string{"/kubepods", "/kubepods/besteffort"} { // from the top down, as a cgroup gets its controllers from its parent
		if err := os.WriteFile(cgroupRoot+dir+"/cgroup.subtree_control", []byte("+cpu +memory +pids"), 0); err != nil {
			return p, err
		}
	}
	for file, value := range map[string]int{"memory.max": memoryLimit, "memory.swap.max": 0, "pids.max": pidsLimit} {
		if err := os.WriteFile(cgroupRoot+p.parent+"/"+file, []byte(strconv.Itoa(value)), 0); err != nil {
			return p, err
		}
	}
	p.config = &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: "pod" + strconv.Itoa(k.pods), Uid: uid, Namespace: "default"},
		LogDirectory: p.dir + "/log",
		DnsConfig:    &cri.DNSConfig{Servers: []string{"127.0.0.1"}},
		Linux: &cri.LinuxPodSandboxConfig{
			CgroupParent:    p.parent,
			SecurityContext: &cri.LinuxSandboxSecurityContext{Privileged: true, NamespaceOptions: namespaces(pids)},
		},
	}
	answer, err := k.runtime.RunPodSandbox(limited(), &cri.RunPodSandboxRequest{Config: p.config})
	if err != nil {
		return p, err
	}
	p.sandbox = answer.PodSandboxId
	return p, nil
}

// namespaces asks for the host's network, because any other needs a CNI plugin.
func namespaces(pids cri.NamespaceMode) *cri.NamespaceOption {
	return &cri.NamespaceOption{Network: cri.NamespaceMode_NODE, Pid: pids, Ipc: cri.NamespaceMode_POD}
}

func (p *pod) start(command, args []string) error {
	pids := p.config.Linux.SecurityContext.NamespaceOptions.Pid
	created, err := p.kubelet.runtime.CreateContainer(limited(), &cri.CreateContainerRequest{
		PodSandboxId: p.sandbox, SandboxConfig: p.config,
		Config: &cri.ContainerConfig{
			Metadata: &cri.ContainerMetadata{Name: "main"},
			Image:    &cri.ImageSpec{Image: "docker.io/" + outerImage + ":latest"},
			Command:  command, Args: args,
			Envs: []*cri.KeyValue{{Key: "PATH", Value: []byte(searchPath)}, {Key: "CGSHIM_LOG_FORMAT", Value: []byte("json")}},
			Mounts: []*cri.Mount{
				{HostPath: "/usr", ContainerPath: "/usr", Readonly: true},
				{HostPath: p.dir + "/data", ContainerPath: "/var/lib/docker"},
				{HostPath: p.dir + "/run", ContainerPath: "/run/inner"},
			},
			LogPath: "main.log",
			Linux:   &cri.LinuxContainerConfig{SecurityContext: &cri.LinuxContainerSecurityContext{Privileged: true, NamespaceOptions: namespaces(pids)}},
		},
	})
	if err != nil {
		return err
	}
	p.id, p.cgroup = created.ContainerId, p.parent+"/"+created.ContainerId
	_, err = p.kubelet.runtime.StartContainer(limited(), &cri.StartContainerRequest{ContainerId: p.id})
	return err
}

func (k *kubelet) dockerd(v variant) (*pod, error) {
	p, err := k.newPod(cri.NamespaceMode_CONTAINER)
	if err != nil {
		return p, err
	}
	if err := p.start(v.entry, innerDaemon); err != nil {
		return p, err
	}
	if err := eventually(time.Minute, func() error { return ping(p.socket) }); err != nil {
		return p, fmt.Errorf("%w: %s", err, tail(read(p.dir+"/log/main.log"), 5))
	}
	tar, err := plainTar()
	if err != nil {
		return p, err
	}
	return p, importImage(p.socket, plainImage, tar)
}

// exec runs a command in the container, as kubectl exec does.
func (p *pod) exec() error {
	answer, err := p.kubelet.runtime.ExecSync(limited(), &cri.ExecSyncRequest{ContainerId: p.id, Cmd: []string{"cat", "/proc/self/cgroup"}})
	if err != nil {
		return err
	}
	// runc starts the command in the cgroup namespace that the container was started in.
	// Here that is the host's namespace, so the path begins at the top level.
	if out := strings.TrimSpace(string(answer.Stdout)); !inLeaf("0::"+p.cgroup, out) || answer.ExitCode != 0 {
		return fmt.Errorf("exit status %d, the command is in %q: %s", answer.ExitCode, out, answer.Stderr)
	}
	return nil
}

// stop stops the container with dockerd, which must exit with status 0.
func (p *pod) stop() error {
	if _, err := p.kubelet.runtime.StopContainer(limited(), &cri.StopContainerRequest{ContainerId: p.id, Timeout: 30}); err != nil {
		return err
	}
	answer, err := p.kubelet.runtime.ContainerStatus(limited(), &cri.ContainerStatusRequest{ContainerId: p.id})
	if err != nil {
		return err
	}
	// The test does not compare the reason. The kernel has killed an inner container for
	// its memory, and memory.events also counts what happens below the cgroup. So containerd
	// calls the outer container OOMKilled.
	if s := answer.Status; s.State != cri.ContainerState_CONTAINER_EXITED || s.ExitCode != 0 {
		return fmt.Errorf("%v, exit status %d, %s: %s", s.State, s.ExitCode, s.Reason, tail(read(p.dir+"/log/main.log"), 3))
	}
	return nil
}

// remove removes the pod, and then the pod's cgroups, as kubelet does.
func (p *pod) remove() error {
	var errs []error
	if p.sandbox != "" {
		_, err := p.kubelet.runtime.StopPodSandbox(limited(), &cri.StopPodSandboxRequest{PodSandboxId: p.sandbox})
		errs = append(errs, err)
		_, err = p.kubelet.runtime.RemovePodSandbox(limited(), &cri.RemovePodSandboxRequest{PodSandboxId: p.sandbox})
		errs = append(errs, err)
	}
	for dir := p.parent; dir != ""; dir = dir[:strings.LastIndexByte(dir, '/')] {
		errs = append(errs, eventually(10*time.Second, func() error { return os.Remove(cgroupRoot + dir) }))
	}
	return errors.Join(append(errs, os.RemoveAll(p.dir))...)
}

// pause makes a pod whose containers share a PID namespace. The init of the namespace is
// the sandbox's program, cgshim --pause. It must reap the orphans of the container.
func (k *kubelet) pause() (err error) {
	p, err := k.newPod(cri.NamespaceMode_POD)
	defer func() { err = errors.Join(err, p.remove()) }()
	if err != nil {
		return err
	}
	init, err := p.pausePID()
	if err != nil {
		return err
	}
	if line := strings.ReplaceAll(read(fmt.Sprintf("/proc/%d/cmdline", init)), "\x00", " "); line != "/cgshim --pause" && line != "/cgshim --pause " {
		return fmt.Errorf("the sandbox's program is %q", line)
	}
	if path, err := cgroupOf(init); err != nil || path != p.parent+"/"+p.sandbox {
		return fmt.Errorf("it is in %s: %w", path, err)
	}
	// The kernel makes a process whose parent has ended a child of the init.
	if err := p.start([]string{"sh", "-c", "(sleep 1 & sleep 1 & sleep 7822 &); exec sleep 7823"}, nil); err != nil {
		return err
	}
	childrenOf := func(parent int, state string) (found []int) {
		for _, pid := range processes("") {
			if statField(pid, "PPid") == strconv.Itoa(parent) && strings.HasPrefix(statField(pid, "State"), state) {
				found = append(found, pid)
			}
		}
		return found
	}
	err = eventually(30*time.Second, func() error {
		orphans := processes("sleep 7822")
		if len(orphans) != 1 || !slices.Contains(childrenOf(init, ""), orphans[0]) {
			return errors.New("the orphan is not the init's")
		}
		if len(processes("sleep 1 ")) > 0 {
			return errors.New("the short ones have not ended")
		}
		return nil
	})
	if err != nil {
		return err
	}
	return eventually(10*time.Second, func() error {
		if zombies := childrenOf(init, "Z"); len(zombies) > 0 {
			return fmt.Errorf("not reaped: %v", zombies)
		}
		return nil
	})
}

func (p *pod) pausePID() (int, error) {
	answer, err := p.kubelet.runtime.PodSandboxStatus(limited(), &cri.PodSandboxStatusRequest{PodSandboxId: p.sandbox, Verbose: true})
	if err != nil {
		return 0, err
	}
	var info struct{ Pid int }
	err = json.Unmarshal([]byte(answer.Info["info"]), &info)
	return info.Pid, err
}
