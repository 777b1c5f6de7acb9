//go:build (amd64 || arm64) && !cgshim_portable && !race && !cgo

package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Without a timer nothing interrupts a write, so a child writes.
func TestWritesWithoutATimer(t *testing.T) {
	for _, c := range []struct {
		name   string
		number uint32
	}{{"timer_create", unix.SYS_TIMER_CREATE}, {"timer_settime", unix.SYS_TIMER_SETTIME}} {
		t.Run(c.name, func(t *testing.T) {
			cmd := timed(t, "no timer")
			cmd.Env = append(cmd.Env, fmt.Sprintf("NUMBER=%d", c.number))
			wants(t, cmd,
				"with the runtime: 10 none, by children false, children left false",
				"a pipe with room: 10 none, by children true, children left false",
				"a pipe with room for a long line: 20000 none, by children true, children left false",
				"all is read: true",
				"a pipe that is full: 0 EAGAIN, by children true, children left false",
				"in time: true",
				"a pipe with room again: 10 none, by children true, children left false",
				"a pipe without a reader: 10 none, by children true, children left false",
				"no process to be had: 0 EAGAIN, by children false, children left false")
		})
	}
}

func init() {
	helpers["no timer"] = func() {
		number, err := strconv.Atoi(os.Getenv("NUMBER"))
		must(err)
		refuse(uint32(number))
		Claim()
		var p [2]int
		must(unix.Pipe2(p[:], unix.O_CLOEXEC))
		must(unix.Dup3(p[1], 2, 0))
		faults := int64(0)
		write := func(what string, write func([]byte) (int, syscall.Errno), n int) {
			written, errno := write(bytes.Repeat([]byte("x"), n))
			_, err := unix.Wait4(-1, nil, unix.WNOHANG|unix.WALL, nil)
			var used unix.Rusage
			must(unix.Getrusage(unix.RUSAGE_CHILDREN, &used))
			fmt.Printf("%s: %d %s, by children %v, children left %v\n", what, written, nameOf(errno), used.Minflt > faults, err != unix.ECHILD)
			faults = used.Minflt
		}
		past := func(p []byte) (int, syscall.Errno) { // past poll(2), as if the program had filled the pipe after it
			setAlarm(patience)
			return writeUntilAlarm(p)
		}
		write("with the runtime", WriteError, 10)
		Alone()
		write("a pipe with room", WriteError, 10)
		write("a pipe with room for a long line", WriteError, 20_000)
		read, err := unix.Read(p[0], make([]byte, 1<<20))
		must(err)
		fmt.Println("all is read:", read == 20_020)
		fill(2)
		began := Now()
		write("a pipe that is full", past, 10)
		fmt.Println("in time:", Now()-began < 20*time.Second)
		_, err = unix.Read(p[0], make([]byte, 1<<20))
		must(err)
		write("a pipe with room again", WriteError, 10)
		must(unix.Close(p[0]))
		write("a pipe without a reader", past, 10)
		refuse(unix.SYS_CLONE)
		write("no process to be had", past, 10)
	}
}
