// Package process is everything that has to know how a process is made and how Go's
// runtime works: how signals arrive, how a program is started with exactly the state
// that this process was started with, and how this process goes on without the runtime
// once the program is there.
//
// The life of a caller is Claim, then whatever it has to do, then [Alone], then
// [Program.Spawn] and [Pin]. From Alone on the process is one thread. It makes system
// calls by sys, which the runtime does not see, and allocates nothing: nothing that the
// program or the kernel does to threads, to memory or to the file of this binary can end
// it then (docs/adr/0007-alone.md).
//
// On amd64 and arm64 this takes assembly. The files with portable in their names are
// for the other architectures, for -race and for cgo, and for the tag cgshim_portable.
package process
