package cgroup

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Step is one thing to do.
type Step struct {
	action
	Optional bool // the delegation does not depend on it
}

// action is what a step does. String is the equivalent shell line.
type action interface {
	String() string
	do(a *application) error
}

func (s Step) String() string {
	if s.Optional {
		return s.action.String() + "  # optional"
	}
	return s.action.String()
}

// Report is what was done.
type Report struct {
	HostPath string           // the container's cgroup, as seen before
	ID       uint64           // its inode: the cgroup id of eBPF, Tetragon and bpftrace
	Enabled  []string         // controllers that inner containers can be limited by
	Missing  map[string]error // controllers that could not be enabled
	Moved    int              // processes moved to the leaf
	Rounds   int              // times that took
	Foreign  int              // processes of other PID namespaces seen in the cgroup
	Replaced bool             // the old mount is gone; otherwise the new one is on top of it
	Outside  bool             // this process is not in the container's cgroup namespace, which another run has made
	Warnings []error          // steps that the delegation does not depend on and that failed
	Elapsed  time.Duration

	Plan      *Plan `json:"-"` // what was to be done; nil: nothing, with mode Off
	Delegated bool  // /sys/fs/cgroup is the container's cgroup, and inner containers come below it
	Why       error // of Delegate: why it is not delegated, in a mode that does not require it
}

// run is the state of an Apply.
type application struct {
	k      *kernel
	plan   *Plan
	report Report
	start  time.Time
	base   int // the container's cgroup directory
	mount  int // a mount of it that is not attached yet, or -1
	leaf   int // the leaf's cgroup.procs
	undo   []func() error

	before      []string // controllers that were enabled already
	descriptors []int    // to close at the end
	placed      bool     // the new mount is where everybody looks for it
}

// Apply carries the plan out on the calling thread, which must be the main one of the
// process: see [ErrThread]. If a step fails, what was done is undone and the error,
// which wraps an [*Error], says where.
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
			for i := len(a.undo) - 1; i >= 0; i-- {
				if left := a.undo[i](); left != nil {
					err = fmt.Errorf("%w; not undone: %w", err, left)
				}
			}
			return &a.report, err
		}
	}
	a.report.Delegated = p.Refusal == nil
	a.report.Elapsed = time.Since(a.start)
	return &a.report, nil
}

func (a *application) onFailure(undo func() error) { a.undo = append(a.undo, undo) }

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

// words reads a file of the container's cgroup that lists words.
func (a *application) words(name string) ([]string, error) {
	s, err := a.k.readFile(a.base, name)
	return strings.Fields(s), err
}

// openDir opens a directory to work in. O_PATH is enough for openat(2).
func (a *application) openDir(at int, name string) (int, error) {
	fd, err := a.k.openat(at, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &Error{Op: "open", Path: name, Err: err}
	}
	return fd, nil
}
