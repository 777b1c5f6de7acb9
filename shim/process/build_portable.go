//go:build !(amd64 || arm64) || cgshim_portable || race || cgo

package process

// Lacks names the part that this binary lacks because of the way it was built, or "".
func Lacks() string { return "without assembly" }
