package systems

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cgshim/cgshim/test/internal/rig"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"
)

// TestKubelet runs pods under a real kubelet.
func TestKubelet(t *testing.T) {
	t.Cleanup(func() {
		if t.Failed() {
			for _, name := range []string{"kubelet", "containerd"} {
				fmt.Printf("the end of %s's log:\n%s\n", name, rig.Tail(rig.Read(daemons.File(name)), 40))
			}
		}
	})
	if _, err := rig.Exec("busybox", "ip", "addr", "add", "10.255.255.2/32", "dev", "lo"); err != nil {
		t.Fatal(err)
	}
	n := &node{flavour: flavour{driver: "cgroupfs", runtime: "runc"}}
	if !step(t, "node: cgroupfs driver, runc", n.start) {
		t.FailNow()
	}
	t.Run("burstable", func(t *testing.T) { burstable(t, n) })
	t.Run("two containers", func(t *testing.T) { twoContainers(t, n) })
	t.Run("shared process namespace", func(t *testing.T) { sharedPIDs(t, n) })
	t.Run("oom", func(t *testing.T) { outOfMemory(t, n) })
	t.Run("resize", func(t *testing.T) { resize(t, n) })
	t.Run("hack dind", func(t *testing.T) { hackDind(t, n) })
	step(t, "the kubelet has no errors of ours", n.complaints)

	step(t, "the node stops", n.stop)
	n.flavour = flavour{driver: "systemd", runtime: "crun", writable: true}
	if !step(t, "node: systemd driver, crun", n.start) {
		t.FailNow()
	}
	t.Run("guaranteed", func(t *testing.T) { guaranteed(t, n) })
	t.Run("user namespace", func(t *testing.T) { userNamespace(t, n) })
	step(t, "the kubelet has no errors of ours", n.complaints)
	step(t, "the node stops", n.stop)
}

// step is a part of a case, with its time. It reports whether the part passed.
func step(t *testing.T, name string, f func() error) bool {
	t.Helper()
	began := time.Now()
	err := f()
	fmt.Printf("%-70s %5.1f s\n", name, time.Since(began).Seconds())
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return err == nil
}

// example is the pod that examples/kubernetes has, as far as this node can run it.
func example(name string) (*core.Pod, error) {
	text, err := os.ReadFile("/pkg/dind-pod.yaml")
	if err != nil {
		return nil, err
	}
	p := new(core.Pod)
	if err := yaml.UnmarshalStrict(text, p); err != nil {
		return nil, err
	}
	p.Name = name
	c := &p.Spec.Containers[0]
	c.Image = outerImage
	c.Args = append(c.Args, modest...)
	// The node is slow. A probe that times out would not show a fault of dockerd.
	for _, probe := range []*core.Probe{c.StartupProbe, c.ReadinessProbe} {
		probe.TimeoutSeconds = 30
	}
	c.Resources.Limits, c.Resources.Requests = amounts("1", "400Mi"), amounts("100m", "100Mi")
	volumes(p)
	return p, nil
}

func amounts(cpu, memory string) core.ResourceList {
	return core.ResourceList{core.ResourceCPU: resource.MustParse(cpu), core.ResourceMemory: resource.MustParse(memory)}
}

// volumes brings the node's programs into every container, and a directory to write to.
func volumes(p *core.Pod) {
	for _, v := range []struct {
		name, from, to string
		readOnly       bool
	}{{"programs", "/usr", "/usr", true}, {"out", place, "/out", false}} {
		p.Spec.Volumes = append(p.Spec.Volumes, core.Volume{Name: v.name, VolumeSource: core.VolumeSource{HostPath: &core.HostPathVolumeSource{Path: v.from}}})
		for i := range p.Spec.Containers {
			c := &p.Spec.Containers[i]
			c.VolumeMounts = append(c.VolumeMounts, core.VolumeMount{Name: v.name, MountPath: v.to, ReadOnly: v.readOnly})
		}
	}
}

func setEnv(c *core.Container, name, value string) {
	c.Env = slices.DeleteFunc(c.Env, func(e core.EnvVar) bool { return e.Name == name })
	c.Env = append(c.Env, core.EnvVar{Name: name, Value: value})
}

func shell(line string) *core.LifecycleHandler {
	return &core.LifecycleHandler{Exec: &core.ExecAction{Command: []string{"/bin/sh", "-c", line}}}
}

// small is a pod of privileged containers that run a shell line each under cgshim.
func small(name, memory string, lines ...string) *core.Pod {
	p := new(core.Pod)
	p.Name = name
	yes, grace := true, int64(20)
	p.Spec.TerminationGracePeriodSeconds = &grace
	for i, line := range lines {
		line = strings.ReplaceAll(line, "$", "$$") // the kubelet expands $(NAME) and turns $$ into $
		c := core.Container{
			Name: fmt.Sprintf("c%d", i), Image: outerImage, Command: []string{"/cgshim", "--"}, Args: []string{"/bin/sh", "-c", line},
			Env:             []core.EnvVar{{Name: "CGSHIM_CGROUP", Value: "require"}},
			SecurityContext: &core.SecurityContext{Privileged: &yes},
		}
		if memory != "" {
			c.Resources.Limits = core.ResourceList{core.ResourceMemory: resource.MustParse(memory)}
		}
		p.Spec.Containers = append(p.Spec.Containers, c)
	}
	volumes(p)
	return p
}

// burstable is the example's pod through all of its life.
func burstable(t *testing.T, n *node) {
	const name = "dind"
	p, err := example(name)
	if err != nil {
		t.Fatal(err)
	}
	p.Spec.Containers[0].Lifecycle = &core.Lifecycle{
		// The hook starts with the container, so it may come before, during or after the
		// set-up. cgshim moves the processes that are in the container's cgroup at that time.
		PostStart: shell("cat /proc/self/cgroup >/out/started; until [ -d /sys/fs/cgroup/init ] && [ -S /run/docker.sock ]; do sleep 0.2; done; cat /proc/self/cgroup >/out/hook"),
		PreStop:   shell("cat /proc/self/cgroup >/out/stopping"),
	}
	var c *container
	step(t, "starts, and its probes succeed", func() error {
		if err := n.run(p); err != nil {
			return err
		}
		c, err = n.ready(name, "docker")
		return err
	})
	if err != nil {
		t.FailNow()
	}
	step(t, "the hook after the start ends in the leaf", func() error { return inFile("hook", c.cgroup) })
	step(t, "every controller is delegated, and PID 1 is in the leaf", func() error { return c.delegated() })
	step(t, "inner processes lie under the pod", func() error {
		if err := c.inner("here", "sh", "-c", "dd if=/dev/zero of=/dev/shm/x bs=1M count=60 2>/dev/null; exec sleep 7811"); err != nil {
			return err
		}
		return rig.Under(c.cgroup+"/docker", "sleep 7811")
	})
	step(t, "exec works and lands in the leaf", func() error { return c.execLands() })
	step(t, "cgshim --check by exec says so", func() error { return c.checks(400 << 20) })
	step(t, "the kubelet's summary has the inner memory", func() error { return c.summary(60 << 20) })
	step(t, "cAdvisor has one labelled series for the container", func() error { return c.observed() })
	step(t, "an inner container's own limit ends it alone", func() error {
		return c.hog(300, "--memory=64m", "--memory-swap=64m")
	})
	step(t, "the pod's limit holds for an inner hog, which ends alone", func() error { return c.hog(500) })
	step(t, "nothing of it has restarted, and it is ready", func() error {
		now, err := n.ready(name, "docker")
		if err == nil && (now.status.RestartCount != 0 || now.id != c.id) {
			err = fmt.Errorf("%+v", now.status)
		}
		return err
	})
	step(t, "PID 1 is killed: the kubelet starts it again, nothing nests deeper", func() error {
		c, err = c.crash("sleep 7811")
		return err
	})
	if err != nil {
		t.FailNow()
	}
	step(t, "deleted, it ends with status 0, and no cgroup is left", func() error {
		if err := c.inner("there", "sleep", "7812"); err != nil {
			return err
		}
		ended, err := n.remove(name)
		if status, seen := ended[c.id]; err == nil && (!seen || status != 0) {
			err = fmt.Errorf("exit status %d, seen by the kubelet: %v", status, seen)
		}
		return err
	})
	step(t, "the hook before the stop ran in the leaf", func() error { return inFile("stopping", c.cgroup) })
}

// inFile compares the cgroup that a hook has written down with the container's.
func inFile(name, cgroup string) error {
	if got := rig.Read(place + "/" + name); !rig.InLeaf("0::"+cgroup, got) {
		return fmt.Errorf("it was in %q, the container is in %q (at its start in %q)", got, cgroup, rig.Read(place+"/started"))
	}
	return nil
}

// delegated looks at the container's cgroup from outside.
func (c *container) delegated() error {
	path, err := rig.CgroupOf(c.pid)
	if err != nil {
		return err
	}
	if !rig.InLeaf(c.cgroup, path) {
		return fmt.Errorf("PID 1 is in %s, its container in %s: %s", path, c.cgroup, rig.Tail(logs(c.pod, c.name), 3))
	}
	if own := rig.Read(c.file("cgroup.procs")); own != "" {
		return fmt.Errorf("processes in the container's own cgroup: %q", own)
	}
	have, enabled := strings.Fields(rig.Read(c.file("cgroup.controllers"))), strings.Fields(rig.Read(c.file("cgroup.subtree_control")))
	slices.Sort(have)
	slices.Sort(enabled)
	if !slices.Equal(have, enabled) || !slices.Contains(have, "memory") {
		return fmt.Errorf("of the controllers %q these are enabled: %q", have, enabled)
	}
	return nil
}

// execLands looks where a command is that the kubelet runs in the container. runc leaves
// the command in the namespace that the container was started in, which is the host's
// where the container is privileged. crun has it join the namespace of PID 1.
func (c *container) execLands() error {
	want := c.cgroup
	if c.node.flavour.runtime == "crun" {
		want = "/"
	}
	out, err := c.exec("cat", "/proc/self/cgroup")
	if err == nil && !rig.InLeaf("0::"+want, out) {
		err = fmt.Errorf("the command is in %q, not in the leaf of %q, and the container is in %s", out, want, c.cgroup)
	}
	return err
}

func (c *container) checks(memory int) error {
	out, err := c.exec("/cgshim", "--check", "--json")
	if err != nil {
		return err
	}
	var d struct {
		State  string
		Limits struct{ Memory string }
	}
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if d.State != "already delegated" || d.Limits.Memory != strconv.Itoa(memory) {
		return fmt.Errorf("%+v in %s", d, out)
	}
	return nil
}

// summary waits until the kubelet's numbers have at least so much memory for the pod and
// for the container. They are a few seconds old.
func (c *container) summary(atLeast uint64) error {
	type usage struct{ UsageBytes uint64 }
	return rig.Eventually(90*time.Second, func() error {
		text, err := get("http://127.0.0.1:10255/stats/summary")
		if err != nil {
			return err
		}
		var s struct {
			Pods []struct {
				PodRef     struct{ Name string }
				Memory     usage
				Containers []struct {
					Name   string
					Memory usage
				}
			}
		}
		if err := json.Unmarshal(text, &s); err != nil {
			return err
		}
		for _, p := range s.Pods {
			if p.PodRef.Name != c.pod.Name {
				continue
			}
			for _, in := range p.Containers {
				if in.Name == c.name && in.Memory.UsageBytes >= atLeast && p.Memory.UsageBytes >= atLeast {
					return nil
				}
			}
			return fmt.Errorf("%+v", p)
		}
		return fmt.Errorf("no pod %s in %s", c.pod.Name, text)
	})
}

// hog lets an inner container touch so many megabytes. It is to be killed, and nothing
// else.
func (c *container) hog(megabytes int, options ...string) error {
	before := victims()
	args := append([]string{"run", "--rm", "--network=none"}, options...)
	args = append(args, plainImage, "busybox", "dd", "if=/dev/zero", "of=/dev/null", fmt.Sprintf("bs=%dM", megabytes), "count=1")
	status, out := rig.DockerStatus(c.socket(), args...)
	if status != 137 {
		return fmt.Errorf("status %d: %s", status, out)
	}
	// A probe of the kubelet has the container's own oom_score_adj, which --oom-score-adj
	// does not change. So a probe that runs at that moment is killed before the hog.
	chosen := slices.DeleteFunc(victims()[len(before):], func(line string) bool { return strings.Contains(line, "(docker)") })
	if len(chosen) != 1 || !strings.Contains(chosen[0], "(busybox)") {
		return fmt.Errorf("the OOM killer has chosen %q", chosen)
	}
	return errors.Join(rig.Ping(c.socket()), rig.Under(c.cgroup, "sleep 7811"))
}

// victims are the kernel's lines about the processes that the OOM killer has chosen.
func victims() []string {
	said, _ := rig.Exec("busybox", "dmesg")
	return victim.FindAllString(said, -1)
}

var victim = regexp.MustCompile(`(?m)Killed process .*$`)

// crash kills PID 1 of the container, and returns the one that the kubelet starts then.
func (c *container) crash(inner string) (*container, error) {
	nested, err := rig.CgroupOf(c.pid)
	if err != nil {
		return nil, err
	}
	if err := syscall.Kill(c.pid, syscall.SIGKILL); err != nil {
		return nil, err
	}
	var next *container
	err = rig.Eventually(4*time.Minute, func() error {
		if next, err = c.node.container(strings.TrimSuffix(c.pod.Name, "-vm"), c.name); err == nil && next.id == c.id {
			err = errors.New("it has not ended")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if last := next.status.LastTerminationState.Terminated; last == nil || last.ExitCode != 137 || next.status.RestartCount != 1 {
		return next, fmt.Errorf("%+v", next.status)
	}
	if left := rig.Processes(inner); len(left) > 0 {
		return next, fmt.Errorf("an inner process is left: %v", left)
	}
	if _, err := os.Stat(c.file("")); err == nil {
		return next, fmt.Errorf("the cgroup %s is left", c.cgroup)
	}
	again, err := rig.CgroupOf(next.pid)
	if err != nil {
		return next, err
	}
	if strings.ReplaceAll(nested, c.id, next.id) != again {
		return next, fmt.Errorf("PID 1 was in %s and is in %s", nested, again)
	}
	return next, next.delegated()
}

// twoContainers tests a pod with two containers under cgshim. The end of one container must
// not change the cgroups of the other.
func twoContainers(t *testing.T, n *node) {
	const name = "two"
	// The sum keeps the inner process's command line out of those of cgshim and the shell.
	line := "mkdir /sys/fs/cgroup/inner; sh -c 'echo $$ >/sys/fs/cgroup/inner/cgroup.procs; exec sleep $((7820+%d))' & wait"
	step(t, "both are delegated, each on its own", func() error {
		if err := n.run(small(name, "", fmt.Sprintf(line, 1), fmt.Sprintf(line, 2))); err != nil {
			return err
		}
		for i, inner := range []string{"sleep 7821", "sleep 7822"} {
			c, err := n.ready(name, fmt.Sprintf("c%d", i))
			if err != nil {
				return err
			}
			if err := errors.Join(c.delegated(), rig.Under(c.cgroup+"/inner", inner)); err != nil {
				return err
			}
		}
		return nil
	})
	step(t, "one crashes: the other goes on", func() error {
		other, err := n.ready(name, "c1")
		if err != nil {
			return err
		}
		c, err := n.ready(name, "c0")
		if err != nil {
			return err
		}
		if _, err := c.crash("no such process"); err != nil {
			return err
		}
		now, err := n.ready(name, "c1")
		if err == nil && now.id != other.id {
			err = errors.New("the other has restarted")
		}
		return errors.Join(err, other.delegated(), rig.Under(other.cgroup+"/inner", "sleep 7822"))
	})
	step(t, "deleted, nothing is left", func() error { _, err := n.remove(name); return err })
}

// sharedPIDs is a pod whose PID 1 is the pause program: cgshim --pause. Under auto each
// container is set up all the same.
func sharedPIDs(t *testing.T, n *node) {
	const name = "share"
	p := small(name, "", "sleep 7831 & wait", "sleep 7832 & wait")
	yes := true
	p.Spec.ShareProcessNamespace = &yes
	for i := range p.Spec.Containers {
		setEnv(&p.Spec.Containers[i], "CGSHIM_CGROUP", "auto")
	}
	step(t, "PID 1 is cgshim --pause, and both containers are delegated", func() error {
		if err := n.run(p); err != nil {
			return err
		}
		for _, c := range []string{"c0", "c1"} {
			c, err := n.ready(name, c)
			if err != nil {
				return err
			}
			if err := c.delegated(); err != nil {
				return err
			}
			if init, err := c.exec("cat", "/proc/1/cmdline"); err != nil || strings.ReplaceAll(init, "\x00", " ") != "/cgshim --pause " {
				return fmt.Errorf("PID 1 is %q: %v", init, err)
			}
			if err := c.execLands(); err != nil {
				return err
			}
		}
		return nil
	})
	step(t, "deleted, nothing is left", func() error { _, err := n.remove(name); return err })
}

// outOfMemory tests the options for the OOM killer if the kubelet has set memory.oom.group. The
// container may have 200 MB. Its program has some memory of its own. An inner process asks for
// more than its own limit or than the limit of the container.
func outOfMemory(t *testing.T, n *node) {
	// dd has touched its whole buffer when the first byte of it comes, and then waits
	// for ever to write the rest.
	const program = `mkdir /sys/fs/cgroup/inner
echo %s >/sys/fs/cgroup/inner/memory.max
dd if=/dev/zero bs=%s count=1 2>/dev/null | { dd of=/tmp/ready bs=1 count=1 2>/dev/null; exec sleep 7871; } &
until [ -s /tmp/ready ]; do sleep 0.1; done
sh -c 'echo $$ >/sys/fs/cgroup/inner/cgroup.procs; echo 0 >/proc/self/oom_score_adj; exec dd if=/dev/zero of=/dev/null bs=%s count=1' &
wait $!
echo hog $? >/out/hog
wait`
	const group, score = "CGSHIM_OOM_GROUP", "CGSHIM_OOM_SCORE_ADJ"
	for i, c := range []struct {
		name            string
		env             map[string]string
		limit, own, hog string
		all             bool // that the whole container is killed
	}{
		{"oom-group=0, the inner limit", map[string]string{group: "0"}, "16M", "20M", "64M", false},
		{"oom-group=1, the inner limit", map[string]string{group: "1"}, "16M", "20M", "64M", false},
		// Without the score, the kubelet's oom_score_adj has the program chosen before the hog.
		{"oom-group=0 and oom-score-adj=0, the container's limit", map[string]string{group: "0", score: "0"}, "max", "20M", "250M", false},
		{"oom-group=1, the container's limit", map[string]string{group: "1"}, "max", "20M", "250M", true},
		{"oom-group=keep, the container's limit", nil, "max", "20M", "250M", true},
		{"oom-score-adj, the program has more", map[string]string{group: "0", score: "-900"}, "max", "120M", "100M", false},
	} {
		step(t, c.name, func() error {
			name := fmt.Sprintf("oom%d", i)
			_ = os.Remove(place + "/hog")
			p := small(name, "200Mi", fmt.Sprintf(program, c.limit, c.own, c.hog))
			for k, v := range c.env {
				setEnv(&p.Spec.Containers[0], k, v)
			}
			if err := n.run(p); err != nil {
				return err
			}
			err := rig.Eventually(2*time.Minute, func() error {
				if c.all {
					p, err := n.pod(name)
					if err != nil {
						return err
					}
					for _, s := range p.Status.ContainerStatuses {
						if last := cmpOr(s.LastTerminationState.Terminated, s.State.Terminated); last != nil {
							if last.ExitCode != 137 || last.Reason != "OOMKilled" {
								return rig.InVain(fmt.Errorf("%+v", last))
							}
							return nil
						}
					}
					return fmt.Errorf("it goes on: %+v", p.Status.ContainerStatuses)
				}
				if got := rig.Read(place + "/hog"); got != "hog 137" {
					return fmt.Errorf("the inner process: %q", got)
				}
				return nil
			})
			if err == nil && !c.all {
				var it *container
				if it, err = n.ready(name, "c0"); err == nil && it.status.RestartCount != 0 {
					err = fmt.Errorf("the container was killed too: %+v", it.status.LastTerminationState)
				}
				// The command lines of cgshim and the shell have the same words.
				own := func(pid int) bool { return strings.HasPrefix(rig.CommandLine(pid), "dd if=/dev/zero bs="+c.own) }
				if err == nil && !slices.ContainsFunc(rig.Processes("dd if="), own) {
					err = errors.New("the program was killed too")
				}
			}
			_, gone := n.remove(name)
			return errors.Join(err, gone)
		})
	}
}

func cmpOr(a, b *core.ContainerStateTerminated) *core.ContainerStateTerminated {
	if a != nil {
		return a
	}
	return b
}

// resize changes the limit of a running container. Its leaf follows, and the option for
// memory.oom.group holds against the kubelet.
func resize(t *testing.T, n *node) {
	const name, before, after = "resize", 100 << 20, 160 << 20
	var c *container
	step(t, "the leaf has the container's limits", func() (err error) {
		p := small(name, strconv.Itoa(before), "sleep 7841 & wait")
		setEnv(&p.Spec.Containers[0], "CGSHIM_OOM_GROUP", "0")
		p.Spec.Containers[0].Resources.Limits[core.ResourceCPU] = resource.MustParse("700m")
		if err := n.run(p); err != nil {
			return err
		}
		if c, err = n.ready(name, "c0"); err != nil {
			return err
		}
		return errors.Join(c.mirrored(before, "0"), c.delegated())
	})
	if c == nil {
		t.FailNow()
	}
	step(t, "resized in place, the leaf follows, and so does memory.oom.group", func() error {
		if err := c.update(after); err != nil {
			return err
		}
		return rig.Eventually(90*time.Second, func() error { return c.mirrored(after, "0") })
	})
	step(t, "it is the same container, and it ends with status 143", func() error {
		now, err := n.ready(name, "c0")
		if err != nil || now.id != c.id {
			return fmt.Errorf("%v: %+v", err, now)
		}
		ended, err := n.remove(name)
		if ended[c.id] != 143 {
			err = errors.Join(err, fmt.Errorf("exit status %d", ended[c.id]))
		}
		return err
	})
}

// mirrored compares the limits of the leaf with those of the container.
func (c *container) mirrored(memory int, group string) error {
	leaf, err := rig.CgroupOf(c.pid)
	if err != nil {
		return err
	}
	var errs []error
	if got := rig.Read(c.file("memory.max")); got != strconv.Itoa(memory) {
		errs = append(errs, fmt.Errorf("memory.max of the container is %s, want %d", got, memory))
	}
	if got := rig.Read(c.file("memory.oom.group")); got != group {
		errs = append(errs, fmt.Errorf("memory.oom.group of the container is %s, want %s", got, group))
	}
	for _, file := range []string{"memory.max", "cpu.max", "pids.max", "memory.high", "memory.swap.max", "memory.oom.group"} {
		if own, leaf := rig.Read(c.file(file)), rig.Read(rig.CgroupRoot+leaf+"/"+file); own != leaf {
			errs = append(errs, fmt.Errorf("%s of the container is %q, of the leaf %q", file, own, leaf))
		}
	}
	return errors.Join(errs...)
}

// hackDind is the control: the same pod with what people use today. Its inner containers
// lie beside it.
func hackDind(t *testing.T, n *node) {
	const name = "control"
	p, err := example(name)
	if err != nil {
		t.Fatal(err)
	}
	p.Spec.Containers[0].Command = []string{"/usr/bin/tini", "--", "/dind"}
	before := rig.GroupsBelow(rig.CgroupRoot)
	step(t, "without cgshim an inner process lies outside the pod", func() error {
		if err := n.run(p); err != nil {
			return err
		}
		c, err := n.ready(name, "docker")
		if err != nil {
			return err
		}
		if err := c.inner("here", "sleep", "7851"); err != nil {
			return err
		}
		pids := rig.Processes("sleep 7851")
		if len(pids) == 0 {
			return errors.New("no process")
		}
		path, err := rig.CgroupOf(pids[0])
		if err == nil && strings.HasPrefix(path, c.podGroup()) {
			err = fmt.Errorf("it is in %s, in the pod: what this rung looks for is not seen", path)
		}
		return err
	})
	step(t, "deleted", func() error {
		_, err := n.remove(name)
		for _, dir := range slices.Backward(rig.GroupsBelow(rig.CgroupRoot)) {
			if !slices.Contains(before, dir) {
				for _, pid := range strings.Fields(rig.Read(dir + "/cgroup.procs")) {
					_ = os.WriteFile(rig.CgroupRoot+"/cgroup.procs", []byte(pid), 0)
				}
				_ = os.Remove(dir)
			}
		}
		return err
	})
}

// guaranteed is the example's pod with all of its resources requested.
func guaranteed(t *testing.T, n *node) {
	const name = "guaranteed"
	p, err := example(name)
	if err != nil {
		t.Fatal(err)
	}
	p.Spec.Containers[0].Resources.Requests = p.Spec.Containers[0].Resources.Limits
	var c *container
	step(t, "starts, is delegated, and inner processes lie under the pod", func() error {
		if err := n.run(p); err != nil {
			return err
		}
		if c, err = n.ready(name, "docker"); err != nil {
			return err
		}
		if !strings.Contains(c.cgroup, "kubepods.slice/kubepods-pod") {
			return fmt.Errorf("the container is in %s, not in the slice of guaranteed pods", c.cgroup)
		}
		if err := c.delegated(); err != nil {
			return err
		}
		if err := c.inner("here", "sleep", "7811"); err != nil {
			return err
		}
		return rig.Under(c.cgroup+"/docker", "sleep 7811")
	})
	if c == nil {
		t.FailNow()
	}
	step(t, "exec works and lands in the leaf", func() error { return c.execLands() })
	step(t, "the pod's limit holds for an inner hog, which ends alone", func() error { return c.hog(500) })
	step(t, "systemd reloads: nothing of it changes", func() error {
		if _, err := rig.Exec("systemctl", "daemon-reload"); err != nil {
			return err
		}
		return errors.Join(c.delegated(), rig.Under(c.cgroup+"/docker", "sleep 7811"))
	})
	step(t, "deleted, it ends with status 0, and no cgroup is left", func() error {
		ended, err := n.remove(name)
		if status, seen := ended[c.id]; err == nil && (!seen || status != 0) {
			err = fmt.Errorf("exit status %d, seen by the kubelet: %v", status, seen)
		}
		return err
	})
}

// userNamespace is examples/kubernetes/user-namespace-pod.yaml's kind of pod: hostUsers:
// false, not privileged, with a runtime that mounts /sys/fs/cgroup writable.
func userNamespace(t *testing.T, n *node) {
	const name = "users"
	p := small(name, "100Mi", "mkdir /sys/fs/cgroup/inner && sh -c 'echo $$ >/sys/fs/cgroup/inner/cgroup.procs; exec sleep $((7860+1))' & wait")
	no, yes, unmasked := false, true, core.UnmaskedProcMount
	p.Spec.HostUsers = &no
	unconfined := core.SeccompProfile{Type: core.SeccompProfileTypeUnconfined}
	p.Spec.Containers[0].SecurityContext = &core.SecurityContext{
		AllowPrivilegeEscalation: &yes, Capabilities: &core.Capabilities{Add: []core.Capability{"SYS_ADMIN"}}, ProcMount: &unmasked,
		SeccompProfile: &unconfined, AppArmorProfile: &core.AppArmorProfile{Type: core.AppArmorProfileTypeUnconfined},
	}
	step(t, "in a user namespace of its own it is delegated", func() error {
		if err := n.run(p); err != nil {
			return err
		}
		c, err := n.ready(name, "c0")
		if err != nil {
			return err
		}
		if uid := strings.Fields(rig.Read(fmt.Sprintf("/proc/%d/uid_map", c.pid))); len(uid) != 3 || uid[1] == "0" {
			return fmt.Errorf("its user namespace is the host's: %q", uid)
		}
		return errors.Join(c.delegated(), rig.Under(c.cgroup+"/inner", "sleep 7861"))
	})
	step(t, "deleted, nothing is left", func() error { _, err := n.remove(name); return err })
}

// The kubelet's errors are lines that begin with E and the date (klog).
var complaint = regexp.MustCompile(`(?m)^E\d{4} .*$`)

// complaints are those of the kubelet's errors that speak of cgroups or of a pod.
func (n *node) complaints() error {
	var errs []error
	for _, line := range complaint.FindAllString(rig.Read(daemons.File("kubelet")), -1) {
		// The first is for what these tests have killed. The second comes when the kubelet
		// reports the status of a pod whose cgroup it has removed.
		if strings.Contains(line, "CrashLoopBackOff") || strings.Contains(line, "failed to read memory cgroup") {
			continue
		}
		if strings.Contains(line, "cgroup") || strings.Contains(line, "default/") {
			errs = append(errs, errors.New(line))
		}
	}
	return errors.Join(errs...)
}
