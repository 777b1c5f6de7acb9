package cgroup

import (
	"errors"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// setUp observes, decides and applies. It works on the calling thread, as [Plan.Apply]
// does. A lock lets only one process of a container change cgroups at a time. A cgroup that
// is delegated already needs none. A program
// other than cgshim may still change the environment between the observation and a step.
// Then setUp observes again, until o.Timeout is over. The report is nil if the plan is
// refused.
func (k *kernel) setUp(o Options) (*Plan, *Report, error) {
	start := time.Now()
	o = o.withDefaults()
	p, err := k.plan(o)
	switch {
	case err != nil:
		return p, &Report{}, err
	case !p.unsettled():
		return k.carryOut(p, start)
	}
	deadline := start.Add(o.Timeout)
	unlock, ignored, err := k.lock(deadline, o.Interrupted)
	if err != nil {
		return p, &Report{Warnings: ignored}, err
	}
	defer unlock()
	for pause := shortest; ; pause = min(2*pause, longest) {
		p, err := k.plan(o)
		if err != nil {
			return p, &Report{}, err
		}
		_, report, err := k.carryOut(p, start)
		if p.again && err == nil {
			continue
		}
		if !moved(err) || over(deadline, o.Interrupted) {
			if report != nil {
				report.Warnings = append(report.Warnings, ignored...)
			}
			return p, report, err
		}
		k.sleep(pause)
	}
}

// ErrInterrupted says that [Options.Interrupted] ended the set-up before it changed
// anything.
var ErrInterrupted = errors.New("a stop signal came first")

// plan observes and decides. A container can have so many mounts or processes that the
// observation takes long, so o.Interrupted ends it.
func (k *kernel) plan(o Options) (*Plan, error) {
	f := k.until(o.Interrupted).observe("self")
	if o.Interrupted != nil && o.Interrupted() {
		return &Plan{HostPath: f.Unified, Options: o}, ErrInterrupted
	}
	return Decide(f, o), nil
}

// The shortest and the longest pause between two tries.
const shortest, longest = time.Millisecond, 100 * time.Millisecond

func over(deadline time.Time, interrupted func() bool) bool {
	return !time.Now().Before(deadline) || interrupted != nil && interrupted()
}

func (k *kernel) carryOut(p *Plan, start time.Time) (*Plan, *Report, error) {
	if p.Refusal != nil {
		return p, nil, nil
	}
	p.started = start
	report, err := p.apply(k)
	return p, report, err
}

// unsettled reports whether another run of cgshim may be changing the environment that
// this plan was made for. That is possible if the plan delegates. It is also possible if
// the plan is refused because of a mount, or because of the cgroups of processes.
func (p *Plan) unsettled() bool {
	if p.Refusal == nil {
		return p.State != Delegated
	}
	return slices.Contains([]State{NotOurs, Outside, Hidden, Threaded, Undelegated, SharedMount, NoRoom}, p.State)
}

// moved reports whether a step failed because another program removed or replaced a
// cgroup after setUp had observed it. Files in /proc and /run do not move. ENOENT from
// cgroup.subtree_control says that a controller is missing in the cgroup above. For this
// errno enableStep has tried again already.
func moved(err error) bool {
	e := asError(err)
	if e == nil || !is(e.Err, unix.ENOENT, unix.ENODEV, unix.ESTALE) {
		return false
	}
	elsewhere := strings.HasPrefix(e.Path, "/") && !strings.HasPrefix(e.Path, mountPoint)
	return !elsewhere && e.Path != subtreeControl && slices.Contains([]string{"open", "mkdir", "read", "write", "fstat"}, e.Op)
}
