package starved

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/cgshim/cgshim/test/internal/lab"
)

// A resource is a thing of which an init may have little.
type resource struct {
	what  string
	most  int // the largest value that the test tries
	step  int // the minimum is exact to this
	aim   int // cgshim's minimum is at most this
	name  string
	group func(int) control
}

var resources = []resource{
	{"processes, `--pids-limit`", 12, 1, 4, "", pidsMax},
	{"processes, RLIMIT_NPROC", 12, 1, 4, "nproc", nil},
	{"descriptors, RLIMIT_NOFILE", 16, 1, 4, "nofile", nil},
	{"address space, RLIMIT_AS", 1 << 30, 1 << 20, 800 << 20, "as", nil},
	{"data, RLIMIT_DATA", 256 << 20, 128 << 10, 72 << 20, "data", nil},
	{"stack, RLIMIT_STACK", 1 << 20, 4 << 10, 256 << 10, "stack", nil},
	{"memory of the container, with a program that ends at once", 16 << 20, 64 << 10, 4 << 20, "", memoryLimit},
}

// try starts a program under the init with this limit to the resource.
func (r resource) try(t *testing.T, s side, value int) (status int, said string) {
	t.Helper()
	run := s.run("--", helper, "exit", "7")
	if r.group != nil {
		run = by(run, groups(t, r.group(value))...)
	} else {
		run = limit(run, r.name, value)
	}
	status = run.Do(t)
	return status, run.Stderr.String()
}

// least returns the least value with which the init starts a program, or up to a step more.
func (r resource) least(t *testing.T, s side) int {
	t.Helper()
	if status, said := r.try(t, s, r.most); status != 7 {
		t.Fatalf("%s does not start with %d: %d, %q", s.name, r.most, status, said)
	}
	low, high := 0, r.most // it does not start with low, and starts with high
	for high-low > r.step {
		middle := (low + high) / 2
		if status, _ := r.try(t, s, middle); status == 7 {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}

// minimum is a row of the second table of docs/survival.md.
type minimum struct {
	resource
	cgshim, tini int
}

var minima []minimum

// cgshim must start with no more than its aim of each resource. With less than it needs it
// must say in one line why it does not start. The minimum of tini-static is for comparison.
func TestMinima(t *testing.T) {
	lab.Root(t)
	for _, r := range resources {
		t.Run(r.what, func(t *testing.T) {
			m := minimum{r, r.least(t, cgshim), r.least(t, tini)}
			minima = append(minima, m)
			t.Logf("cgshim %s, tini-static %s", m.amount(m.cgshim), m.amount(m.tini))
			if m.cgshim > r.aim {
				t.Errorf("it needs %s, more than %s", m.amount(m.cgshim), m.amount(r.aim))
			}
			seen := map[int]bool{}
			for _, value := range []int{m.cgshim - 1, m.cgshim - r.step, m.cgshim * 9 / 10, m.cgshim * 3 / 4, m.cgshim / 2, m.cgshim / 4, m.cgshim / 8, m.cgshim / 16} {
				if value <= 0 || seen[value] {
					continue
				}
				seen[value] = true
				// It may start even so, because its need varies from run to run.
				if status, said := r.try(t, cgshim, value); status != 7 && !explained(status, said) {
					t.Errorf("with %s: %d, %q", m.amount(value), status, said)
				}
			}
		})
	}
}

// explained reports whether an init that did not start has said why, in one line. It cannot
// say anything if the kernel ended it by a signal. An execve(2) that fails after the point of
// no return ends with SIGSEGV or SIGKILL, and a lack of memory ends with SIGKILL. Status 99
// comes from starved, which says why it could not execute the init.
func explained(status int, said string) bool {
	if said == "" {
		return status == 137 || status == 139
	}
	return strings.Count(said, "\n") == 1 && (strings.Contains(said, "cgshim") || status == 99)
}

func (r resource) amount(n int) string {
	switch {
	case r.step == 1:
		return strconv.Itoa(n)
	case n < 1<<20:
		return fmt.Sprintf("%d kB", n>>10)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
}

// With very few descriptors cgshim must say at most one line. The line must not be about a
// mount or a goroutine, which are not the reason.
func TestFewDescriptors(t *testing.T) {
	lab.Root(t)
	for descriptors := range 8 {
		r := limit(cgshim.run("--", helper, "exit", "7"), "nofile", descriptors)
		r.Args = append([]string{}, r.Args...)
		for i, arg := range r.Args {
			if arg == "--cgroup=off" { // the default
				r.Args[i] = "--cgroup=auto"
			}
		}
		status := r.Do(t)
		if said := r.Stderr.String(); strings.Contains(said, "mount proc") || strings.Contains(said, "goroutine") || strings.Count(said, "\n") > 1 {
			t.Errorf("%d descriptors: %d, %q", descriptors, status, said)
		}
	}
}

// An idle init must be one task. The row also notes its memory.
func TestOneTask(t *testing.T) {
	both(t, "has its program run, and does nothing", func(t *testing.T, s side) sight {
		r := s.run("--", helper, "ready")
		r.Start(t)
		if !listening(t, r, "ready") {
			return ended(r, r.Wait(t), 0, 0)
		}
		tasks := func() int {
			list, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", r.PID()))
			return len(list)
		}
		lab.Until(t, "the init to be at rest", func() bool { return lab.Status(r.PID(), "State")[0] == 'S' })
		if !s.tini { // the last memory is for the copy of the code
			lab.Until(t, "the copy of the code", func() bool { return copied(r.PID()) })
		}
		return sight{tasks() == 1, fmt.Sprintf("%d task, PSS %d kB", tasks(), kilobytes(t, r.PID(), "Pss"))}
	})
}

func machine() string {
	release, _ := exec.Command("uname", "-rm").Output()
	return fmt.Sprintf("Linux %s", strings.TrimSpace(string(release)))
}
