package process

import (
	"os/signal"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// inheritance is the state that this process was started with, as far as the runtime or
// this process changes it. The program has to start with the same state. Umask, other
// descriptors, capabilities and the other resource limits are not part of the
// inheritance, because nothing changes them before the child exists.
type inheritance struct {
	mask    unix.Sigset_t
	actions [numSignals]*action
	limits  []savedLimit
	closed  [3]bool // the descriptors 0 to 2 that were closed
}

// savedLimit is a resource limit to restore (prlimit(2)).
type savedLimit struct {
	resource   uintptr
	soft, hard uint64
}

// action is a struct sigaction that the child passes to rt_sigaction(2). A struct of
// zeros means SIG_DFL on every architecture. The handler comes first on every
// architecture but MIPS, which does not use actionIgnore. If an action is nil, the child
// leaves the signal alone.
type action [8]uint64

var (
	actionDefault = &action{}
	actionIgnore  = &action{1} // SIG_IGN
)

// sigsetSize is the size of the kernel's sigset_t. MIPS has 128 signals, and the other
// architectures have 64.
var sigsetSize = func() uintptr {
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		return 16
	}
	return 8
}()

// inheritFromRuntime returns the part of the state that is still known after Go's
// runtime has started. An ignored HUP or INT is still ignored. The runtime has lost the
// other ignored signals, some blocked signals, and the soft RLIMIT_NOFILE unless
// nofileBefore knows it. A closed standard descriptor is /dev/null by then.
func inheritFromRuntime() (in inheritance) {
	in.limits = nofileBefore()
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, nil, &in.mask) // cannot fail with these arguments
	for sig := Signal(1); sig < numSignals; sig++ {
		if !signal.Ignored(sig) {
			in.actions[sig] = actionDefault
		}
	}
	return in
}
