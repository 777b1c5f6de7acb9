package cgroup

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Mode says whether a failed delegation is an error.
type Mode int

const (
	Auto      Mode = iota // delegate if that is possible
	Require               // fail if that is not possible
	RequireV2             // fail if that is not possible on cgroup v2; elsewhere nothing has to be delegated
	Off                   // do nothing
)

// Delegate delegates the container's cgroup. It observes, decides and applies. If the
// cgroup is delegated already, Delegate changes nothing.
//
// If Delegate returns no error, [Report].Delegated says whether the cgroup is delegated
// now. If not, [Report].Why has the reason, which is a [*Refusal] or the error of a step
// that failed and was undone. If mode requires a delegation, Delegate returns the reason
// as its error. [Hint] says what the user can change.
//
// With Auto, Delegate acts only in the container's entry point, unless Options.Anywhere
// is set. Call it on the main thread (see [ErrThread]).
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

// delegate sets the cgroup up. It returns a refusal as an error. It returns ErrOutside
// if the container's cgroup is delegated, but this process is outside of the container's
// cgroup namespace.
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

// ErrOutside says that the container's cgroup is delegated, but not for this process.
// Another process has made the cgroup namespace, and this process could not join it.
// The error that wraps ErrOutside has the reason.
var ErrOutside = errors.New("this process is not in the container's cgroup namespace")

// judge returns why as an error if this mode requires a delegation. Otherwise it stores
// why in the report.
func (m Mode) judge(r *Report, why error) (*Report, error) {
	required := m == Require || m == RequireV2 && r.Plan.State.V2()
	if why != nil && required {
		return r, why
	}
	r.Why = why
	return r, nil
}

func (r *Refusal) Error() string { return r.State.String() + ": " + r.Reason }

// ErrThread is the error of [Plan.Apply] and [Delegate] on any thread but the main
// thread of the process. A cgroup namespace belongs to a thread (unshare(2)). /proc
// shows the main thread's namespace as the namespace of the process, and a child gets
// the namespace of the thread that starts the child. So lock the main goroutine to its
// thread before main runs, and call both functions from there:
//
//	func init() { runtime.LockOSThread() }
//
// The goroutine stays locked afterwards. Start the children that are to be in the new
// namespace from this goroutine. Better still, let the process become the program by
// execve(2).
var ErrThread = errors.New("cgroup: not on the main thread of the process: call runtime.LockOSThread in an init function, and call this function from main")

func lockMainThread() error {
	runtime.LockOSThread()
	thread, process := unix.Gettid(), os.Getpid()
	if thread == process {
		return nil
	}
	runtime.UnlockOSThread()
	return fmt.Errorf("%w (thread %d of process %d)", ErrThread, thread, process)
}
