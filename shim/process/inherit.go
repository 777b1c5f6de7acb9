package process

import (
	"os/signal"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// inheritance is the state that the program starts with: the state that this process was
// started with. Umask, other descriptors, OOM score, capabilities and the other resource
// limits need nothing done: nothing changes them before the child exists.
type inheritance struct {
	mask    unix.Sigset_t
	actions [numSignals]*action
	limits  []savedLimit
	closed  [3]bool // of the descriptors 0 to 2
}

// savedLimit is a resource limit to restore (prlimit(2)).
type savedLimit struct {
	resource   uintptr
	soft, hard uint64
}

// action is a struct sigaction for rt_sigaction(2) as the child passes it.
// The handler comes first on every architecture but MIPS, where actionIgnore is
// not used; all zero is SIG_DFL on every one. A nil action leaves the signal.
type action [8]uint64

var (
	actionDefault = &action{}
	actionIgnore  = &action{1} // SIG_IGN
)

// sigsetSize is the kernel's sizeof(sigset_t): 64 signals, on MIPS 128.
var sigsetSize = func() uintptr {
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		return 16
	}
	return 8
}()

// inheritFromRuntime is what can still be known once Go's runtime has started:
// it keeps an ignored HUP or INT; the other ignored signals are lost, and so are some
// blocked signals, and without nofileBefore the soft RLIMIT_NOFILE; a closed standard
// descriptor is /dev/null.
func inheritFromRuntime() (in inheritance) {
	in.limits = nofileBefore()
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, nil, &in.mask) // constant arguments: cannot fail
	for sig := Signal(1); sig < numSignals; sig++ {
		if !signal.Ignored(sig) {
			in.actions[sig] = actionDefault
		}
	}
	return in
}
