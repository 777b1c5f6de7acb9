package pid1

import (
	"time"

	"golang.org/x/sys/unix"
)

// PID 1 may not depend on the file of its binary. The kernel may drop a page of the code at
// any time, because it can read the page from the file again. If the file system has gone by
// then (a lazily pulled image, a network disk), the process gets SIGBUS (mmap(2)). So PID 1
// replaces the pages of its code by a copy in anonymous memory. After the spawn it uses no
// read-only data of the file, and the pages of its variables are private once they were
// written to. tools/pid1walk proves both, and that all the code of PID 1 is in the range.

// settled is how long the program has to run before the code is copied. A program that ends
// sooner does not have to wait for that. Until then the kernel has the pages in memory,
// because they were read a moment ago.
const settled = 50 * time.Millisecond

// mostSettles is the number of tries where no process can be created, or none ends in time.
const mostSettles = 60

// codePages returns the pages with the code of PID 1. The linker puts a package's functions
// one after another, and the packages in the order of their imports. In a debug build a
// function of package sys is before the first that has a name here, and the last one has
// some bytes.
func (l *life) codePages() (start, size uintptr) {
	first, last := bounds()
	start = (first - l.pageSize) &^ (l.pageSize - 1)
	return start, (last+2*l.pageSize)&^(l.pageSize-1) - start
}

// findPageSize takes the size of a page from the auxiliary vector (getauxval(3)).
func (l *life) findPageSize() {
	const atPagesz = 6
	p := environment(l.orders.vector)
	for ; *at[uintptr](p) != 0; p += wordSize {
	}
	for p += wordSize; *at[uintptr](p) != 0; p += 2 * wordSize {
		if *at[uintptr](p) == atPagesz {
			l.pageSize = *at[uintptr](p + wordSize)
		}
	}
}

// loadPages reads each page of the code, which may take long, and makes the pages of the
// variables private.
func (l *life) loadPages() {
	if l.host != nil {
		return
	}
	l.findPageSize()
	start, size := l.codePages()
	for p := start; p < start+size; p += l.pageSize {
		l.sum += *at[byte](p)
	}
	rewrite(&names.dot[0])
	rewrite(&names.end)
}

// rewrite writes the value that is there.
//
//go:noinline
func rewrite(p *byte) {
	old := *p
	*p = old + 1
	keep(p)
	*p = old
}

//go:noinline
func keep(*byte) {}

// settle copies the code. A seccomp filter may end a process that makes one of the calls, so
// a child tries them first.
func (l *life) settle() {
	l.settling = countdown{}
	if l.host != nil {
		return
	}
	l.flush()
	if l.writing() {
		l.settleLater()
		return
	}
	pid, errno := fork(written)
	if errno != 0 {
		l.settleLater()
		return
	}
	if pid == 0 {
		l.dieWithParent()
		l.orders.copied = l.copyCode()
		exit(0)
	}
	l.writer, l.impatient = pid, false
	l.awaitWriter()
	switch {
	case l.writer != 0: // this container has little processor time
		l.settleLater()
	case l.orders.copied:
		l.copyCode()
	}
}

func (l *life) settleLater() {
	if l.settles++; l.settles < mostSettles {
		l.settling = countdownOf(time.Second)
	}
}

// copyCode replaces the pages by a copy and reports whether that worked. The kernel exchanges
// them in one step (mremap(2)). It may refuse to make memory executable (PR_SET_MDWE,
// SELinux), and the pages stay as they are then.
func (l *life) copyCode() bool {
	start, size := l.codePages()
	to, errno := mmap(size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if errno != 0 {
		return false
	}
	for i := uintptr(0); i < size; i += wordSize {
		*at[uintptr](to + i) = *at[uintptr](start + i)
	}
	if _, errno = call(unix.SYS_MPROTECT, to, size, unix.PROT_READ|unix.PROT_EXEC, 0); errno == 0 {
		_, errno = call5(unix.SYS_MREMAP, to, size, size, unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED, start)
	}
	if errno != 0 {
		call(unix.SYS_MUNMAP, to, size, 0, 0)
	}
	return errno == 0
}
