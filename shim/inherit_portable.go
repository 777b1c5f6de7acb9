//go:build !(amd64 || arm64) || cgshim_portable

package shim

import "os"

func inherit() inheritance { return inheritFromRuntime() }

// Environ is the environment, but for empty strings and all but the first of a name.
func Environ() []string { return os.Environ() }
