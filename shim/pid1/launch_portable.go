//go:build !(386 || amd64 || arm || arm64 || loong64 || ppc64le || riscv64 || s390x)

package pid1

// launch is never called, because these ports have no entry point.
func launch(uintptr) {}

// bounds is for a process without the runtime.
func bounds() (first, last uintptr) { return 0, 0 }
