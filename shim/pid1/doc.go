// Package pid1 is the life of PID 1, from its exec to its exit. It starts helpers and the
// program, forwards signals, reaps, keeps the time-outs, and exits.
//
// In the native build this process never starts Go's runtime (docs/adr/0008-no-runtime.md).
// The ELF entry point is [entry], and the Go code that it calls lives by three rules. It
// makes system calls through package sys alone. It allocates nothing and calls nothing of
// the runtime. It keeps what it needs in variables of this package, on its stack and in the
// orders. tools/pid1walk proves this for each build.
//
// What needs the runtime is done by helpers. A helper is a fork of PID 1 that goes on into
// the runtime, and then is an ordinary Go program with the same arguments and the same
// environment. Helper and PID 1 share one piece of memory, the [Orders].
//
// Without the entry point, in a plain `go build`, the same loop runs in an ordinary Go
// program (host.go).
package pid1
