package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cgshim/cgshim/test/internal/lab"
)

// Inner containers must be in cgroups below the outer container's, so that its limits hold
// for them and agents on the node see whose they are. TestAttribution looks at them from
// the top level of the machine, with each kind of cgroup namespace.
func TestAttribution(t *testing.T) {
	for _, ns := range []string{"private", "host"} {
		baseline := optionsAfterPlain(t, ns)
		for _, v := range tried() {
			t.Run(ns+"/"+v.name, func(t *testing.T) { attribution(t, ns, v, baseline) })
		}
	}
}

// cgroupNamespaces returns the values of --cgroupns that most cases are tried with. With
// -short the cases where cgshim enters a cgroup namespace of its own are few. The nightly
// run has all of them.
func cgroupNamespaces() []string {
	if testing.Short() {
		return []string{"private"}
	}
	return []string{"private", "host"}
}

// optionsAfterPlain returns the cgroup2 mount options after a privileged container without
// any init has run. The machine's runtime alone may change them (see resetOptions), so the
// tests compare with this result.
func optionsAfterPlain(t *testing.T, ns string, more ...string) string {
	t.Helper()
	args := append([]string{"run", "--rm", "--privileged", network, "--cgroupns=" + ns}, more...)
	args = append(args, plainImage, "true")
	key := strings.Join(args, " ")
	if after, known := afterPlain[key]; known {
		return after
	}
	resetOptions()
	if _, err := docker(args...); err != nil {
		t.Fatal(err)
	}
	afterPlain[key] = options()
	resetOptions()
	return afterPlain[key]
}

// afterPlain has the results of optionsAfterPlain by the container's command.
var afterPlain = map[string]string{}

func attribution(t *testing.T, ns string, v variant, baseline string) {
	before, err := observe()
	if err != nil {
		t.Fatal(err)
	}
	before.options = baseline
	defer before.repair()
	o, started := start("outer-"+ns+"-"+v.name, v, "--cgroupns="+ns)
	part := func(name string, f func() error) {
		rows.check(t, name+" ("+ns+")", v, func() error {
			if started != nil {
				return fmt.Errorf("dockerd did not start: %w", started)
			}
			return f()
		})
	}
	part("inner processes lie under the outer container", func() error {
		if _, err := o.inner("here", "sleep", "7311"); err != nil {
			return err
		}
		return o.under("sleep 7311")
	})
	part("dockerd lies under it, in a leaf", func() error {
		if err := o.under("dockerd --bridge=none --iptables=false --storage-driver=overlay2 --host=unix:///run/inner"); err != nil {
			return err
		}
		if own := read(o.file("cgroup.procs")); own != "" {
			return fmt.Errorf("processes in the container's own cgroup: %q", own)
		}
		return nil
	})
	if slices.Contains(cgroupNamespaces(), ns) {
		part("the eBPF view of an inner exec is below it", func() error { return o.seenByBPF(v) })
		part("the outer memory limit holds for an inner hog", o.holdsMemory)
		part("the outer pids limit holds for an inner fork bomb", o.holdsPIDs)
	}
	part("docker exec into the outer container works", func() error { return o.execLands("6111") })
	if v.name == ours.name {
		part("cgshim --check by docker exec reports the delegation", func() error { return o.checks() })
	}
	rows.check(t, "the host is as it was ("+ns+")", v, func() error {
		return errors.Join(o.remove(), before.since())
	})
}

// checks runs cgshim --check by docker exec. runc starts it in the cgroup namespace that
// the container was started in, and not in a namespace that cgshim has made since.
func (o *outer) checks() error {
	status, out := statusOf(socket, "exec", "--env=CGSHIM_LOG_FORMAT=json", o.id, "/cgshim", "--check")
	var d struct {
		State  string
		Limits struct{ Memory, PIDs string }
		Facts  struct{ PID int }
	}
	if err := json.Unmarshal([]byte(out), &d); err != nil || status != 0 {
		return fmt.Errorf("status %d, %v: %s", status, err, out)
	}
	if d.State != "already delegated" || d.Limits.Memory != strconv.Itoa(memoryLimit) || d.Limits.PIDs != strconv.Itoa(pidsLimit) || d.Facts.PID != 1 {
		return fmt.Errorf("%+v in %s", d, out)
	}
	return nil
}

// holdsMemory has an inner container touch more memory than the outer container may have.
// The kernel must kill the inner process, and count the kill in the outer container's
// cgroup.
func (o *outer) holdsMemory() error {
	killed := counter(o.file("memory.events"), "oom_kill")
	block := strconv.Itoa(memoryLimit/(1<<20)+200) + "M"
	status, out := statusOf(o.socket, "run", network, plainImage, "busybox", "dd", "if=/dev/zero", "of=/dev/null", "bs="+block, "count=1")
	if status == 0 {
		return fmt.Errorf("an inner container had %s of memory where the outer has %d M", block, memoryLimit>>20)
	}
	if now := counter(o.file("memory.events"), "oom_kill"); now <= killed {
		return fmt.Errorf("status %d without an OOM kill in the outer cgroup (%d): %s", status, now, out)
	}
	if status != 137 {
		return fmt.Errorf("status %d: %s", status, out)
	}
	return ping(o.socket)
}

// holdsPIDs has an inner container start more processes than the outer container may
// have. The kernel must refuse the forks beyond the limit.
func (o *outer) holdsPIDs() error {
	// A shell ends when it cannot fork. So the bomb is a subshell, and the outer shell then
	// executes sleep without a fork. It keeps the container, and with it the counters.
	bomb := fmt.Sprintf("(i=0; while [ $i -lt %d ]; do sleep 7322 & i=$((i+1)); done); exec sleep 7323", pidsLimit+50)
	if _, err := o.inner("bomb", "sh", "-c", bomb); err != nil {
		return err
	}
	err := eventually(time.Minute, func() error {
		if n := len(processes("sleep 7322")); n > pidsLimit {
			return hopeless(fmt.Errorf("%d inner processes where the outer container may have %d", n, pidsLimit))
		}
		if o.refusedForks() == 0 {
			return errors.New("the fork bomb met no limit")
		}
		return nil
	})
	// The inner dockerd cannot fork now, so the test ends the bomb from outside.
	for _, pid := range processes("sleep 732") {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_, removed := o.docker("rm", "--force", "bomb")
	return errors.Join(err, removed)
}

// refusedForks counts the refused forks in the container's cgroup and in all cgroups below
// it. The kernel counts a refusal in pids.events of the cgroup whose limit was met. Kernels
// before the mount option pids_localevents count it in the cgroup of the process that
// forked (Documentation/admin-guide/cgroup-v2.rst).
func (o *outer) refusedForks() (n int) {
	for _, dir := range append(groupsBelow(cgroupRoot+o.cgroup), cgroupRoot+o.cgroup) {
		n += max(0, counter(dir+"/pids.events", "max"))
	}
	return n
}

// execLands runs sleep in the outer container by docker exec. The process must get into
// the leaf. The number is the argument of sleep, by which the test finds the process.
func (o *outer) execLands(number string) error {
	if _, err := docker("exec", "--detach", o.id, "sleep", number); err != nil {
		return err
	}
	if err := o.under("sleep " + number); err != nil {
		return err
	}
	for _, pid := range processes("sleep " + number) {
		path, err := cgroupOf(pid)
		if err != nil {
			return err
		}
		if !inLeaf(o.cgroup, path) {
			return fmt.Errorf("docker exec is in %s, not in the leaf", path)
		}
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	return nil
}

var bpfLine = regexp.MustCompile(`(?m)^exec (\d+) (\S+)$`)

// seenByBPF gets the cgroup id of a process in an inner container from a BPF program, as
// agents on a node do. The id must belong to a cgroup below the outer container's. A cgroup
// id is the inode number of the directory (bpf-helpers(7), bpf_get_current_cgroup_id).
// Under cgshim the log must have the id of the outer container's cgroup.
func (o *outer) seenByBPF(v variant) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bpftrace", "-B", "none", "-e", `
BEGIN { printf("attached\n"); }
tracepoint:sched:sched_process_exec /comm == "id"/ { printf("exec %lu %s\n", cgroup, comm); }`)
	var out lab.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	defer func() {
		// A kill loses nothing, because bpftrace has printed everything. It sometimes
		// ignores an interrupt.
		_ = cmd.Process.Kill()
		<-ended
	}()
	err := eventually(time.Minute, func() error {
		if strings.Contains(out.String(), "attached") {
			return nil
		}
		err := fmt.Errorf("bpftrace does not attach: %s", out.String())
		select {
		case <-ended:
			return hopeless(fmt.Errorf("%w: %v", err, cmd.ProcessState))
		default:
			return err
		}
	})
	if err != nil {
		return err
	}
	if _, err := o.docker("exec", "here", "id"); err != nil {
		return err
	}
	var id string
	err = eventually(20*time.Second, func() error {
		found := bpfLine.FindStringSubmatch(out.String())
		if found == nil {
			return fmt.Errorf("no exec seen: %s", out.String())
		}
		id = found[1]
		return nil
	})
	if err != nil {
		return err
	}
	path := groupWithID(id)
	if !strings.HasPrefix(path, cgroupRoot+o.cgroup+"/") {
		return fmt.Errorf("cgroup id %s is %s, outside %s", id, strings.TrimPrefix(path, cgroupRoot), o.cgroup)
	}
	if v.name != ours.name {
		return nil
	}
	line, err := o.logged("cgroup delegated")
	if err != nil {
		return err
	}
	if own := inode(cgroupRoot + o.cgroup); fmt.Sprint(line["id"]) != own {
		return fmt.Errorf("cgshim logged the id %v; its cgroup's inode is %s", line["id"], own)
	}
	return nil
}

func inode(dir string) string {
	var st syscall.Stat_t
	if err := syscall.Stat(dir, &st); err != nil {
		return err.Error()
	}
	return strconv.FormatUint(st.Ino, 10)
}

func groupWithID(id string) string {
	for _, dir := range groupsBelow(cgroupRoot) {
		if inode(dir) == id {
			return dir
		}
	}
	return "of no cgroup"
}

// The container gets the host's /sys/fs/cgroup as a shared mount. What the container mounts
// there also appears on the host (mount_namespaces(7)). The host must be as it was
// nevertheless.
func TestSharedCgroupMount(t *testing.T) {
	const share = "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rshared"
	for _, ns := range cgroupNamespaces() {
		baseline := optionsAfterPlain(t, ns, share)
		for _, v := range tried() {
			t.Run(ns+"/"+v.name, func(t *testing.T) {
				before, err := observe()
				if err != nil {
					t.Fatal(err)
				}
				before.options = baseline
				defer before.repair()
				o, started := start("shared-"+ns+"-"+v.name, v, "--cgroupns="+ns, share)
				rows.check(t, "inner processes lie under it, /sys/fs/cgroup shared with the host ("+ns+")", v, func() error {
					if started != nil {
						return fmt.Errorf("dockerd did not start: %w", started)
					}
					if _, err := o.inner("here", "sleep", "7333"); err != nil {
						return err
					}
					return o.under("sleep 7333")
				})
				rows.check(t, "the host is as it was, /sys/fs/cgroup shared with it ("+ns+")", v, func() error {
					return errors.Join(o.remove(), before.since())
				})
			})
		}
	}
}
