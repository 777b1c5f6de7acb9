package cgroup

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Step is one action of a plan.
type Step struct {
	action
	Optional bool // the delegation does not depend on it
}

// action is what a step does. String says it in words. A shell command would be wrong
// here, because each line of it would run in another shell's namespaces.
type action interface {
	String() string
	do(a *application) error
}

func (s Step) String() string {
	if s.Optional {
		return s.action.String() + " (optional)"
	}
	return s.action.String()
}

// Report says what [Plan.Apply] or [Delegate] did.
type Report struct {
	HostPath string           // path of the container's cgroup before the delegation
	ID       uint64           // its inode, which eBPF, Tetragon and bpftrace call the cgroup id
	Enabled  []string         // controllers that can limit inner containers
	Missing  map[string]error // why a controller could not be enabled
	Moved    int              // number of processes that were moved into the leaf
	Rounds   int              // number of evacuations
	Foreign  int              // number of processes of other PID namespaces in the cgroup
	Replaced bool             // the old mount was removed, and not only covered by the new mount
	Outside  bool             // this process is outside of the cgroup namespace that another run of cgshim has made
	Warnings []error          // errors of steps that the delegation does not depend on
	Elapsed  time.Duration

	Plan      *Plan `json:"-"` // nil with mode Off
	Delegated bool  // /sys/fs/cgroup is the container's cgroup, and inner containers are created below it
	Why       error // Delegate stores here why the cgroup is not delegated, if the mode does not require that

	copied Mirrored // what mirrorStep has copied
}

// application is the state of one Apply.
type application struct {
	k      *kernel
	plan   *Plan
	report Report
	start  time.Time
	base   int // directory of the container's cgroup
	mount  int // a new mount of the container's cgroup that is not attached yet, or -1
	leaf   int // cgroup.procs of the leaf
	undo   []func() error

	before      []string // controllers that were enabled before
	descriptors []int    // closed at the end
	placed      bool     // the new mount is at /sys/fs/cgroup
}

// Apply carries the plan out. Call it on the main thread of the process (see
// [ErrThread]). If a step fails, Apply undoes the earlier steps and returns the error,
// which wraps an [*Error] that names the call.
func (p *Plan) Apply() (*Report, error) {
	if err := lockMainThread(); err != nil {
		return &Report{HostPath: p.HostPath, Plan: p}, err
	}
	return p.apply(&linux)
}

func (p *Plan) apply(k *kernel) (*Report, error) {
	a := &application{k: k, plan: p, start: p.started, base: -1, mount: -1, leaf: -1}
	if a.start.IsZero() {
		a.start = time.Now()
	}
	a.report = Report{HostPath: p.HostPath, ID: p.id, Enabled: p.enabled, Missing: map[string]error{}, Outside: p.outside, Plan: p}
	defer a.close()
	for _, step := range p.Steps {
		err := step.do(a)
		if err != nil && step.Optional {
			a.report.Warnings = append(a.report.Warnings, err)
			continue
		}
		if err != nil {
			if left := a.rollBack(); left != nil {
				err = fmt.Errorf("%w; not undone: %w", err, left)
			}
			return &a.report, err
		}
	}
	a.report.Delegated = p.Refusal == nil && !p.again
	a.report.Elapsed = time.Since(a.start)
	return &a.report, nil
}

func (a *application) onFailure(undo func() error) { a.undo = append(a.undo, undo) }

// rollBack undoes the steps, the last first. It goes on after an error.
func (a *application) rollBack() (err error) {
	for _, undo := range slices.Backward(a.undo) {
		switch left := undo(); {
		case err == nil:
			err = left
		case left != nil:
			err = fmt.Errorf("%w; not undone: %w", err, left)
		}
	}
	return err
}

func (a *application) close() {
	if a.mount == a.base {
		a.mount = -1
	}
	for _, fd := range append(a.descriptors, a.base, a.mount, a.leaf) {
		if fd >= 0 {
			a.k.close(fd)
		}
	}
}

// words reads a file of the container's cgroup and splits its content at blanks.
func (a *application) words(name string) ([]string, error) {
	s, err := a.k.readFile(a.base, name)
	return strings.Fields(s), err
}

func (a *application) openDir(at int, name string) (int, error) { return a.k.openDir(at, name) }
