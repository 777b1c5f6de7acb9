//go:build !(amd64 || arm64) || cgshim_portable || race || cgo

package process

import "os"

func inherit() inheritance { return inheritFromRuntime() }

func (*inheritance) dropOwn() {}

// Environ is the environment, but for empty strings and all but the first of a name.
func Environ() []string { return os.Environ() }

func isOriginal(string) bool { return false }
