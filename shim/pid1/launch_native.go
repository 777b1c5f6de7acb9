//go:build 386 || amd64 || arm || arm64 || loong64 || ppc64le || riscv64 || s390x

package pid1

// launch goes on into the runtime, on a stack whose end is the vector. It does not return.
func launch(vector uintptr)

// bounds returns the addresses of the first and the last function of PID 1.
func bounds() (first, last uintptr)
