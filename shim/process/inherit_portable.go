//go:build !(amd64 || arm64) || cgshim_portable || race || cgo

package process

import "os"

func inherit() inheritance { return inheritFromRuntime() }

func (*inheritance) dropOwn() {}

// Environ returns the environment without empty strings. Of variables of the same name
// it returns only the first.
func Environ() []string { return os.Environ() }

func isOriginal(string) bool { return false }
