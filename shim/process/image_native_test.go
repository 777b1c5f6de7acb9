//go:build (amd64 || arm64) && !cgshim_portable && !race && !cgo

package process

import (
	"encoding/binary"
	"fmt"
	"os"
	"testing"
)

// Load maps every page that Pin copies, so Pin does not wait for the file system of the
// image. After Pin no page of the file is left that this process needs.
func TestLoadAndPin(t *testing.T) {
	wants(t, helper("load and pin"),
		"after Load some parts, not mapped 0",
		"after Pin some parts, not mapped 0, of the file 0")
}

func init() {
	helpers["load and pin"] = func() {
		Load()
		absent, _ := count()
		fmt.Printf("after Load %s, not mapped %d\n", amount(), absent)
		Pin()
		absent, file := count()
		fmt.Printf("after Pin %s, not mapped %d, of the file %d\n", amount(), absent, file)
	}
}

func amount() string {
	if len(parts) < 3 { // the code, the constants, the data
		return "too few parts"
	}
	return "some parts"
}

// count returns how many pages that this process needs are not mapped, and how many are
// pages of the file (proc_pid_pagemap(5)).
func count() (absent, file int) {
	pagemap, err := os.Open("/proc/self/pagemap")
	must(err)
	defer pagemap.Close()
	for _, p := range parts {
		for at := p.start; at < p.used; at += page {
			var entry [8]byte
			_, err := pagemap.ReadAt(entry[:], int64(at/page*8))
			must(err)
			bits := binary.NativeEndian.Uint64(entry[:])
			switch {
			case bits>>63 == 0:
				absent++
			case bits>>61&1 == 1:
				file++
			}
		}
	}
	return absent, file
}
