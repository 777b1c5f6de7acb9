//go:build !(amd64 || arm64) || cgshim_portable

package shim

func inherit() inheritance { return inheritFromRuntime() }
