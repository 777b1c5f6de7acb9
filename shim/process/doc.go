// Package process has the code that depends on how Linux makes a process and on how
// Go's runtime works. It receives signals. It starts a program with exactly the state
// that this process was started with. It lets this process go on without the runtime
// while the program runs.
//
// A caller calls [Claim] first and then makes its own preparations. Then the caller
// calls [Load], [Alone], [Program.Spawn] and [Pin]. After Alone the process has one thread. It
// makes system calls by sys, which the runtime does not see, and it allocates nothing.
// So the process survives whatever the program or the kernel does to its threads, its
// memory or the file of its binary (docs/adr/0007-alone.md).
//
// This takes assembly, which exists for amd64 and arm64. Files with portable in their
// names are for the other architectures, for -race, for cgo, and for the tag
// cgshim_portable.
package process
