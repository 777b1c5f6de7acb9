package cgroup

import (
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// setUp observes, decides and applies, on the calling thread as [Plan.Apply]. In one
// container one run at a time does so. What another program has changed in between is
// looked at anew, until o.Timeout is over. The report is nil where the plan is refused.
func (k *kernel) setUp(o Options) (*Plan, *Report, error) {
	start := time.Now()
	o = o.withDefaults()
	p := Decide(k.observe("self"), o)
	if !p.unsettled() {
		return k.carryOut(p, start)
	}
	deadline := start.Add(o.Timeout)
	unlock, err := k.lock(deadline, o.Interrupted)
	if err != nil {
		return p, &Report{}, err
	}
	defer unlock()
	for pause := shortest; ; pause = min(2*pause, longest) {
		p := Decide(k.observe("self"), o)
		_, report, err := k.carryOut(p, start)
		if !moved(err) || over(deadline, o.Interrupted) {
			return p, report, err
		}
		k.sleep(pause)
	}
}

// Pauses between tries.
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

// unsettled reports whether another run can have made the plan what it is, or make it
// another: there are steps, or it is refused for where processes are.
func (p *Plan) unsettled() bool {
	if p.Refusal == nil {
		return len(p.Steps) > 0
	}
	return slices.Contains([]State{NotOurs, Outside, Hidden, Threaded, Undelegated, SharedMount}, p.State)
}

// moved reports whether a step failed because a cgroup is not where it was, or is
// another. Names in /proc and /run do not move, and a controller that is missing in
// the cgroup above has been looked for again already.
func moved(err error) bool {
	e := asError(err)
	if e == nil || !is(e.Err, unix.ENOENT, unix.ENODEV, unix.ESTALE) {
		return false
	}
	elsewhere := strings.HasPrefix(e.Path, "/") && !strings.HasPrefix(e.Path, mountPoint)
	return !elsewhere && e.Path != subtreeControl && slices.Contains([]string{"open", "mkdir", "read", "write", "fstat"}, e.Op)
}

// lock makes runs in one container wait for each other: they share their mounts, and
// so these directories. It needs no file, so it works where /run is read-only, and
// the kernel ends it with the process (flock(2)). Where neither can be locked it does
// without.
func (k *kernel) lock(deadline time.Time, interrupted func() bool) (unlock func(), err error) {
	for _, dir := range []string{"/run", "/"} {
		fd, err := k.openat(unix.AT_FDCWD, dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		for pause := shortest; ; pause = min(2*pause, longest) {
			err = k.flock(fd, unix.LOCK_EX|unix.LOCK_NB)
			if !is(err, unix.EWOULDBLOCK, unix.EINTR) {
				break
			}
			if over(deadline, interrupted) {
				k.close(fd)
				return nil, &Error{Op: "flock", Path: dir, Err: err}
			}
			k.sleep(pause)
		}
		if err == nil {
			return func() { k.close(fd) }, nil
		}
		k.close(fd)
	}
	return func() {}, nil
}
