//go:build (amd64 || arm64) && !cgshim_portable && !race && !cgo

package process

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Load maps every page that Pin will copy, which reads the page from the file of the
// binary if the kernel does not have it in memory. A read from a file system that hangs
// takes for ever. Call Load before the program has been started. Only then may this
// process wait for a file system.
//
// Load also finds out where the parts of the image are, because a search would read the
// file as well.
func Load() {
	headers, bias := programHeaders()
	parts = parts[:0]
	for i := range headers {
		h := &headers[i]
		start, end := (bias+h.vaddr)&^(page-1), bias+h.vaddr+h.filesz
		switch {
		case h.kind == ptRelro:
			relro = part{start: start, used: (bias + h.vaddr + h.memsz) &^ (page - 1), flags: pfR}
		case h.kind == ptLoad:
			p := part{start, end, end, h.flags}
			if h.flags&(pfW|pfX) == 0 {
				p.used = lineTable(start, end)
			}
			readPages(p.start, p.used)
			keepPages(p.start, p.used)
			parts = append(parts, p)
		}
	}
}

// Pin makes this process independent of the file of its binary. The kernel may drop a
// page of the code or the constants at any time, because it can read the page from the
// file again. If the file system has gone by then (a lazily pulled image, a network
// disk), the process gets SIGBUS (mmap(2)). So Pin copies the code and the constants
// into anonymous memory, which the kernel does not drop. Pin writes to each page of the
// data, which makes a private copy of the page. Pin releases the pages that only the
// runtime needs.
//
// Call Pin after the program has started, so that the program need not wait for Pin.
// Pin reads nothing from the file, because Load has mapped the pages. The exception is a
// page that the kernel has dropped since. Pin allocates nothing. If the kernel refuses
// memory for a part, that part stays as it is.
func Pin() {
	copyPages(relro.start, relro.used, relro.flags)
	for i := range parts {
		switch p := &parts[i]; {
		case p.flags&pfW != 0:
			dirty(p.start, p.end, relro.start, relro.used)
			sys(unix.SYS_MUNLOCK, p.start, p.end-p.start, 0, 0, 0, 0)
		default:
			copyPages(p.start, p.used, p.flags)
			release(p.used, p.end)
		}
	}
}

// part is a part of this process's image. Up to used, this process needs it.
type part struct {
	start, used, end uintptr
	flags            uint32
}

// Load finds these for Pin.
var (
	parts []part
	relro part // the data that nothing writes to after start-up, or empty
)

// programHeader is an Elf64_Phdr (elf(5)).
type programHeader struct {
	kind, flags                                 uint32
	offset, vaddr, paddr, filesz, memsz, aligns uintptr
}

const (
	ptLoad, ptPhdr, ptRelro = 1, 6, 0x6474e552
	pfX, pfW, pfR           = 1, 2, 4
)

var page = uintptr(unix.Getpagesize())

// programHeaders returns the program headers that the kernel points to, and the
// distance by which it has moved the program (getauxval(3), AT_PHDR).
func programHeaders() (headers []programHeader, bias uintptr) {
	for i := range headersOf {
		if headersOf[i].kind == ptPhdr {
			bias = uintptr(unsafe.Pointer(unsafe.SliceData(headersOf))) - headersOf[i].vaddr
		}
	}
	return headersOf, bias
}

var headersOf = func() []programHeader {
	const atPhdr, atPhnum = 3, 5
	auxv, _ := unix.Auxv()
	var at, count uintptr
	for _, pair := range auxv {
		switch pair[0] {
		case atPhdr:
			at = pair[1]
		case atPhnum:
			count = pair[1]
		}
	}
	if at == 0 {
		return nil
	}
	return unsafe.Slice(*(**programHeader)(unsafe.Pointer(&at)), count)
}()

// lineTable returns the first page boundary in the runtime's table of line numbers, or
// end if there is no such table. The table is the last part of the constants
// (runtime/symtab.go, pcHeader). The runtime needs it for traces and to grow stacks.
func lineTable(start, end uintptr) uintptr {
	for at := start; at+8 <= end; at += 16 {
		const magic = 0xfffffff1
		header := *(*[8]byte)(*(*unsafe.Pointer)(unsafe.Pointer(&at)))
		if *(*uint32)(unsafe.Pointer(&header)) == magic && header[4] == 0 && header[5] == 0 && header[7] == 8 {
			return (at + page - 1) &^ (page - 1)
		}
	}
	return end
}

// readPages maps each of these pages. Linux before 5.14 cannot do that in one call
// (madvise(2), MADV_POPULATE_READ).
func readPages(start, end uintptr) {
	if start >= end || errnoOf(sys(unix.SYS_MADVISE, start, (end-start+page-1)&^(page-1), unix.MADV_POPULATE_READ, 0, 0, 0)) == 0 {
		return
	}
	for at := start; at < end; at += page {
		atomic.LoadUint32(*(**uint32)(unsafe.Pointer(&at)))
	}
}

// keepPages keeps the kernel from dropping these pages until Pin has copied them. It
// locks the pages that are mapped, and so copies none (mlock(2), MLOCK_ONFAULT). The
// kernel refuses this where RLIMIT_MEMLOCK is less than the image and the process lacks
// CAP_IPC_LOCK. The copies are not locked.
func keepPages(start, end uintptr) {
	const mlockOnfault = 1
	if start < end {
		sys(unix.SYS_MLOCK2, start, end-start, mlockOnfault, 0, 0, 0)
	}
}

// copyPages replaces these pages by a copy in anonymous memory. The kernel exchanges
// them in one step (mremap(2)).
func copyPages(start, end uintptr, flags uint32) {
	size := (end - start + page - 1) &^ (page - 1)
	if size == 0 {
		return
	}
	at := sys(unix.SYS_MMAP, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE, ^uintptr(0), 0)
	if errnoOf(at) != 0 {
		return
	}
	from, to := *(*unsafe.Pointer)(unsafe.Pointer(&start)), *(*unsafe.Pointer)(unsafe.Pointer(&at))
	copy(unsafe.Slice((*byte)(to), size), unsafe.Slice((*byte)(from), size))
	protection := uintptr(unix.PROT_READ)
	if flags&pfX != 0 {
		protection |= unix.PROT_EXEC
	}
	if errnoOf(sys(unix.SYS_MPROTECT, at, size, protection, 0, 0, 0)) == 0 &&
		errnoOf(sys(unix.SYS_MREMAP, at, size, size, unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED, start, 0)) == 0 {
		return
	}
	sys(unix.SYS_MUNMAP, at, size, 0, 0, 0, 0)
}

// dirty writes to each page the value that is there, except to the read-only pages.
func dirty(start, end, readOnly, readOnlyEnd uintptr) {
	for at := start; at < end; at += page {
		if at < readOnly || at >= readOnlyEnd {
			atomic.AddUint32(*(**uint32)(unsafe.Pointer(&at)), 0)
		}
	}
}

// release gives the kernel pages back that nothing touches any more. If something did
// touch such a page, the kernel would read it from the file again (madvise(2),
// MADV_DONTNEED).
func release(start, end uintptr) {
	if start < end {
		sys(unix.SYS_MADVISE, start, end-start, unix.MADV_DONTNEED, 0, 0, 0)
	}
}
