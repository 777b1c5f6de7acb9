package process

import (
	"os/signal"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// inheritance is the state that this process was started with, and that the program has
// to start with. Umask, other descriptors, OOM score, capabilities and the other
// resource limits are not part of it, because nothing changes them before the child
// exists.
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

// action is a struct sigaction that the child passes to rt_sigaction(2). The handler
// comes first on every architecture but MIPS, which does not use actionIgnore. All zero
// is SIG_DFL on every architecture. If an action is nil, the child leaves the signal
// alone.
type action [8]uint64

var (
	actionDefault = &action{}
	actionIgnore  = &action{1} // SIG_IGN
)

// sigsetSize is the kernel's sizeof(sigset_t), which has 64 signals, and 128 on MIPS.
var sigsetSize = func() uintptr {
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		return 16
	}
	return 8
}()

// inheritFromRuntime returns the part of the state that is still known after Go's
// runtime has started. The runtime keeps an ignored HUP or INT. Other ignored signals
// are lost, and so are some blocked signals and, without nofileBefore, the soft
// RLIMIT_NOFILE. A closed standard descriptor is /dev/null by then.
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
