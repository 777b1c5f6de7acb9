package shim

import "github.com/cgshim/cgshim/shim/process"

// The functions of the package process that a command needs besides Run. main imports
// only this package.

// Signal is a signal number from 1 to 64.
type Signal = process.Signal

// SignalSet is a set of signals.
type SignalSet = process.Set

// LockMainThread locks the main goroutine to the main thread. Call it from an init
// function.
func LockMainThread() { process.LockMainThread() }

// Claim takes over every signal that a process can take. Call it before anything that
// can fail or take time.
func Claim() *process.Signals { return process.Claim() }

// Environ returns the environment that execve(2) handed over.
func Environ() []string { return process.Environ() }

// LookupEnv returns the value of key in env. As with getenv(3), the first entry counts.
func LookupEnv(env []string, key string) (string, bool) { return process.LookupEnv(env, key) }

// Portable names the parts that this binary lacks compared to a build by the Makefile.
func Portable() string {
	if lacks := process.Lacks(); lacks != "" {
		return "portable build: " + lacks
	}
	return ""
}

// ParseSignal parses a signal as users write it.
func ParseSignal(s string) (Signal, error) { return process.ParseSignal(s) }

// Rewritable reports whether sig can reach this process and so be rewritten.
func Rewritable(sig Signal) bool { return process.Rewritable(sig) }

// SetOf returns the set of these signals.
func SetOf(signals ...Signal) SignalSet { return process.SetOf(signals...) }

// Stderr writes to descriptor 2. A write does not wait for a reader that has stopped
// reading, and it raises no signal. Output that cannot be written is lost.
type Stderr struct{}

func (Stderr) Write(p []byte) (int, error) {
	n, errno := process.WriteError(p)
	if errno != 0 {
		return n, errno
	}
	return n, nil
}

// Sync does nothing, because fsync(2) fails on terminals and pipes (EINVAL).
func (Stderr) Sync() error { return nil }

// Stdout writes to descriptor 1 without os.File. Otherwise SIGPIPE would end the
// process if the reader has gone (os/signal, "SIGPIPE").
type Stdout struct{}

func (Stdout) Write(p []byte) (int, error) {
	n, errno := process.WriteOutput(p)
	if errno != 0 {
		return n, errno
	}
	return n, nil
}
