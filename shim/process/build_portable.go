//go:build !(amd64 || arm64) || cgshim_portable || race || cgo

package process

// Lacks says what this binary cannot do because of how it was built, "" for nothing.
func Lacks() string { return "without assembly" }
