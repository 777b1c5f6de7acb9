//go:build (amd64 || arm64) && !cgshim_portable && !race && !cgo

package process

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Pin makes this process independent of the file that it was started from. The pages of
// a program are read from its file when they are touched, and the kernel may drop them at
// any time, for it can read them again. If the file system has gone by then (a lazily
// pulled image, a network disk) the process gets SIGBUS (mmap(2)). So the code and the
// constants become anonymous memory, which is not dropped, and each page of the data is
// written to, which makes a private copy of it. What only the runtime needs is let go of.
//
// It is called when the program is there already: both go on at the same time then. It
// allocates nothing. A part that the kernel refuses to copy stays as it is.
func Pin() {
	headers, bias := programHeaders()
	var relroStart, relroEnd uintptr // written to before the runtime started, and not now
	for i := range headers {
		if h := &headers[i]; h.kind == ptRelro {
			relroStart, relroEnd = (bias+h.vaddr)&^(page-1), (bias+h.vaddr+h.memsz)&^(page-1)
			copyPages(relroStart, relroEnd, pfR)
		}
	}
	for i := range headers {
		h := &headers[i]
		start, end := (bias+h.vaddr)&^(page-1), bias+h.vaddr+h.filesz
		switch {
		case h.kind != ptLoad:
		case h.flags&pfW != 0:
			dirty(start, end, relroStart, relroEnd)
		default:
			used := lineTable(start, end)
			copyPages(start, used, h.flags)
			release(used, end)
		}
	}
}

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

// programHeaders is where the kernel says that they are, and by how much the program was
// moved (getauxval(3), AT_PHDR).
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

// lineTable is the first page boundary in the runtime's table of line numbers, the last
// part of the constants (runtime/symtab.go, pcHeader). It serves traces and growing
// stacks. Where there is none it is end.
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

// copyPages puts a copy in anonymous memory in the place of these pages. The kernel
// exchanges them in one step (mremap(2)).
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

// dirty writes to each page what is there already, but to those that cannot be written.
func dirty(start, end, readOnly, readOnlyEnd uintptr) {
	for at := start; at < end; at += page {
		if at < readOnly || at >= readOnlyEnd {
			atomic.AddUint32(*(**uint32)(unsafe.Pointer(&at)), 0)
		}
	}
}

// release lets the kernel take pages back that are read from the file again if they are
// touched (madvise(2), MADV_DONTNEED). Nothing touches these.
func release(start, end uintptr) {
	if start < end {
		sys(unix.SYS_MADVISE, start, end-start, unix.MADV_DONTNEED, 0, 0, 0)
	}
}
