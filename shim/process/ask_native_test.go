//go:build (amd64 || arm64) && !cgshim_portable && !race && !cgo

package process

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A child finds the answer, so that this process never waits long for a file system.
func TestAsk(t *testing.T) {
	wants(t, helper("ask"),
		"an answer of 12 bytes in time, children left: false",
		"an answer of 0 bytes in time, children left: false",
		"an answer of 16384 bytes in time, children left: false",
		"an answer of 0 bytes too late, children left: false",
		"an answer of 0 bytes in time, children left: false", // hurry
		"an answer of 0 bytes in time, children left: false", // panic
		"this process is unchanged: true",
		"an answer of 0 bytes in time, children left: false") // no child
}

// With the threads of the runtime there can be no copy of the process.
func TestAskWithTheRuntime(t *testing.T) {
	asker := 0
	if got := Ask(func() string { asker = unix.Getpid(); return "answer" }, 0, nil); string(got) != "answer" || asker != unix.Getpid() {
		t.Errorf("%q, asked in %d", got, asker)
	}
}

func init() {
	helpers["ask"] = func() {
		Claim()
		Alone()
		long := strings.Repeat("x", 2*len(replied))
		const limit = 400 * time.Millisecond
		ask := func(answer func() string, hurry bool) {
			began := Now()
			length := len(Ask(answer, limit, func() bool { return hurry }))
			when := "in time"
			if Now()-began >= limit {
				when = "too late"
			}
			_, errno := result(sys(unix.SYS_WAIT4, ^uintptr(0), 0, unix.WNOHANG, 0, 0, 0))
			fmt.Printf("an answer of %d bytes %s, children left: %v\n", length, when, errno != unix.ECHILD)
		}
		changed := false
		slow := func() string {
			pause(2 * time.Second)
			return "late"
		}
		ask(func() string { changed = true; return "no such file" }, false)
		ask(func() string { return "" }, false)
		ask(func() string { return long }, false)
		ask(slow, false)
		ask(slow, true)
		ask(func() string { panic("a file that has gone") }, false)
		fmt.Println("this process is unchanged:", !changed)
		refuse(unix.SYS_CLONE)
		ask(func() string { return "answer" }, false)
	}
}

func TestChdirAllocatesNothing(t *testing.T) {
	if n := testing.AllocsPerRun(10, func() { Chdir("/no/such/directory/at/all") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if errno := Chdir(strings.Repeat("x", unix.PathMax)); errno != unix.ENAMETOOLONG {
		t.Error(errno)
	}
}
