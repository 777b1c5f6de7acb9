package cgroup

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Mode says how much a delegation matters.
type Mode int

const (
	Auto      Mode = iota // where it is possible
	Require               // it is an error if not
	RequireV2             // Require where containers are in cgroup v2; elsewhere there is nothing to do
	Off                   // nothing is done
)

// Delegate delegates the container's cgroup: it observes, decides and applies. Where
// that is done already, it finds that out and changes nothing.
//
// Without an error [Report].Delegated says whether the cgroup is delegated now. If it is
// not, [Report].Why is the reason: a [*Refusal], or what failed and was undone. Where
// mode requires a delegation, that is the error. [Hint] says what to change about it.
//
// With Auto it acts in the init of a container alone, unless Options.Anywhere is set. It
// has to be called on the main thread: see [ErrThread].
func Delegate(mode Mode, o Options) (*Report, error) {
	if mode == Off {
		return &Report{}, nil
	}
	if err := lockMainThread(); err != nil {
		return &Report{}, err
	}
	o.Anywhere = o.Anywhere || mode != Auto
	return mode.judge(linux.delegate(o))
}

// delegate sets the cgroup up. A refusal, and a delegation that this process is not in,
// are errors.
func (k *kernel) delegate(o Options) (*Report, error) {
	p, r, err := k.setUp(o)
	if r == nil {
		r = &Report{HostPath: p.HostPath}
	}
	r.Plan = p
	switch {
	case p.Refusal != nil:
		err = p.Refusal
	case err == nil && r.Outside:
		err = ErrOutside
		if len(r.Warnings) > 0 {
			err = fmt.Errorf("%w: %w", err, r.Warnings[0])
		}
	}
	return r, err
}

// ErrOutside is why there is no delegation for this process although the container's
// cgroup is delegated. The cgroup namespace that another process has made for it cannot
// be joined, and the error says why.
var ErrOutside = errors.New("this process is not in the container's cgroup namespace")

// judge says whether why there is no delegation is an error in this mode.
func (m Mode) judge(r *Report, why error) (*Report, error) {
	required := m == Require || m == RequireV2 && r.Plan.State.V2()
	if why != nil && required {
		return r, why
	}
	r.Why = why
	return r, nil
}

func (r *Refusal) Error() string { return r.State.String() + ": " + r.Reason }

// ErrThread is the error of [Plan.Apply] and [Delegate] on another thread than the
// process's main one. A cgroup namespace belongs to a thread (unshare(2)): that of the
// process is the main thread's, and a child gets that of the thread which starts it. So
// lock the main goroutine to its thread before main runs, and call them from there:
//
//	func init() { runtime.LockOSThread() }
//
// The lock stays afterwards. Children that are to be in the new namespace have to be
// started from that goroutine, or best: the process becomes the program by execve(2).
var ErrThread = errors.New("cgroup: not on the main thread of the process: call runtime.LockOSThread in an init function, and this from main")

func lockMainThread() error {
	runtime.LockOSThread()
	thread, process := unix.Gettid(), os.Getpid()
	if thread == process {
		return nil
	}
	runtime.UnlockOSThread()
	return fmt.Errorf("%w (thread %d of process %d)", ErrThread, thread, process)
}
