//go:build cgo && !race && !cgshim_portable

package main

// With cgo the linker adds the C library, and the binary does not start in an image
// without one. If this line does not compile, set CGO_ENABLED=0. Or use -tags
// cgshim_portable for a binary without the parts that README.md lists.
var _ = set_CGO_ENABLED_0_or_use_the_tag_cgshim_portable
