package shim

import "github.com/cgshim/cgshim/shim/process"

// What a command needs of the package process besides Run. main knows this package only.

// Signal is a signal number from 1 to 64.
type Signal = process.Signal

// SignalSet is a set of signals.
type SignalSet = process.Set

// LockMainThread keeps an init function, and with it main, on the main thread.
func LockMainThread() { process.LockMainThread() }

// Claim takes over every signal that can be taken. It comes before anything that can fail
// or take time.
func Claim() *process.Signals { return process.Claim() }

// Environ is the environment as execve(2) handed it over.
func Environ() []string { return process.Environ() }

// LookupEnv returns the value of key in env, where the first one counts as for getenv(3).
func LookupEnv(env []string, key string) (string, bool) { return process.LookupEnv(env, key) }

// Portable says how this binary was built, if it lacks what a build by the Makefile has.
func Portable() string {
	if lacks := process.Lacks(); lacks != "" {
		return "portable build: " + lacks
	}
	return ""
}

// ParseSignal reads a signal as users write it.
func ParseSignal(s string) (Signal, error) { return process.ParseSignal(s) }

// Rewritable reports whether sig can reach this process and so be rewritten.
func Rewritable(sig Signal) bool { return process.Rewritable(sig) }

// SetOf is the set of these signals.
func SetOf(signals ...Signal) SignalSet { return process.SetOf(signals...) }

// Stderr is descriptor 2. A write to it neither waits for a reader that has stopped to
// read nor raises a signal: what cannot be written is lost.
type Stderr struct{}

func (Stderr) Write(p []byte) (int, error) {
	n, errno := process.WriteError(p)
	if errno != 0 {
		return n, errno
	}
	return n, nil
}

// Sync does nothing: it is EINVAL on terminals and pipes.
func (Stderr) Sync() error { return nil }

// Stdout is descriptor 1 without os.File, which ends the process with SIGPIPE when the
// reader has gone (os/signal, "SIGPIPE").
type Stdout struct{}

func (Stdout) Write(p []byte) (int, error) {
	n, errno := process.WriteOutput(p)
	if errno != 0 {
		return n, errno
	}
	return n, nil
}
