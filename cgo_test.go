//go:build cgo && !race && !cgshim_portable

package main

// A test may be linked with the C library.
const set_CGO_ENABLED_0_or_use_the_tag_cgshim_portable = 0
