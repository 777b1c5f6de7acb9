//go:build (amd64 || arm64) && !cgshim_portable && !race && !cgo

package process

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Load maps every page that Pin copies, so Pin does not wait for the file system of the
// image. After Pin no page of the file is left that this process needs.
func TestLoadAndPin(t *testing.T) {
	wants(t, helper("load and pin"),
		"after Load some parts, not mapped 0, locked all",
		"after Pin some parts, not mapped 0, of the file 0, locked none")
}

func init() {
	helpers["load and pin"] = func() {
		Load()
		absent, _ := count()
		inMemory := locked()
		if !mayLock() {
			inMemory = "all" // of what it may lock
		}
		fmt.Printf("after Load %s, not mapped %d, locked %s\n", amount(), absent, inMemory)
		Pin()
		absent, file := count()
		fmt.Printf("after Pin %s, not mapped %d, of the file %d, locked %s\n", amount(), absent, file, locked())
	}
}

// locked says how many of the mappings that this process needs the kernel keeps in memory
// (proc_pid_smaps(5), lo).
func locked() string {
	smaps, err := os.ReadFile("/proc/self/smaps")
	must(err)
	var area [2]uintptr
	found := map[bool]bool{}
	for line := range strings.Lines(string(smaps)) {
		var start, end uintptr
		if n, _ := fmt.Sscanf(line, "%x-%x ", &start, &end); n == 2 {
			area = [2]uintptr{start, end}
		}
		if flags, isFlags := strings.CutPrefix(line, "VmFlags:"); isFlags {
			for _, p := range parts {
				if area[0] < p.used && p.start < area[1] {
					found[slices.Contains(strings.Fields(flags), "lo")] = true
				}
			}
		}
	}
	switch {
	case found[true] && found[false]:
		return "some"
	case found[true]:
		return "all"
	}
	return "none"
}

// mayLock reports whether the kernel lets this process lock as much memory as its image
// has, once more.
func mayLock() bool {
	var size uintptr
	for _, p := range parts {
		size += p.end - p.start + 2*page
	}
	memory, err := unix.Mmap(-1, 0, int(size), unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	must(err)
	return unix.Mlock(memory) == nil
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
