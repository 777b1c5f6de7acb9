package shim

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// releaseText lets the kernel take back the pages of the program file that
// starting up needed, most of what is resident: waiting and reaping need a few of
// them, which come back from the page cache as they are touched. MADV_DONTNEED
// loses nothing in a mapping that cannot be written (madvise(2)). The calls come
// last and from a loop that needs nothing else, for each page that is touched brings
// 15 neighbours back (mm/memory.c, do_fault_around).
func releaseText() {
	type span struct{ start, length uintptr }
	var spans []span
	maps, _ := readFile("/proc/self/maps")
	for line := range strings.Lines(string(maps)) {
		// ADDRESS-ADDRESS PERMISSIONS OFFSET DEVICE INODE PATH (proc(5))
		fields := strings.Fields(line)
		if len(fields) < 6 || !strings.HasPrefix(fields[5], "/") || strings.Contains(fields[1], "w") {
			continue
		}
		from, to, _ := strings.Cut(fields[0], "-")
		start, err1 := strconv.ParseUint(from, 16, 64)
		end, err2 := strconv.ParseUint(to, 16, 64)
		if err1 == nil && err2 == nil {
			spans = append(spans, span{uintptr(start), uintptr(end - start)})
		}
	}
	for i := len(spans) - 1; i >= 0; i-- { // the text, which is first, as the last
		_, _, _ = unix.RawSyscall(unix.SYS_MADVISE, spans[i].start, spans[i].length, unix.MADV_DONTNEED)
	}
}
