//go:build (amd64 || arm64) && !cgshim_portable && !race && !cgo

package process

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
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
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, "/proc/self/exe")
			cmd.Env = []string{helperEnv + "=no timer", fmt.Sprintf("NUMBER=%d", c.number)}
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
		write := func(what string, write func([]byte) (int, error), n int) {
			written, err := write(bytes.Repeat([]byte("x"), n))
			name := "none"
			if err != nil {
				name = unix.ErrnoName(err.(unix.Errno))
			}
			_, err = unix.Wait4(-1, nil, unix.WNOHANG|unix.WALL, nil)
			var used unix.Rusage
			must(unix.Getrusage(unix.RUSAGE_CHILDREN, &used))
			fmt.Printf("%s: %d %s, by children %v, children left %v\n", what, written, name, used.Minflt > faults, err != unix.ECHILD)
			faults = used.Minflt
		}
		line := func(p []byte) (int, error) { return asError(WriteError(p)) }
		past := func(p []byte) (int, error) { // past poll(2), as if the program had filled the pipe after it
			setAlarm(patience)
			return asError(writeUntilAlarm(p))
		}
		write("with the runtime", line, 10)
		Alone()
		write("a pipe with room", line, 10)
		write("a pipe with room for a long line", line, 20_000)
		read, err := unix.Read(p[0], make([]byte, 1<<20))
		must(err)
		fmt.Println("all is read:", read == 20_020)
		must(unix.SetNonblock(2, true))
		for page := make([]byte, 4096); ; {
			if _, err := unix.Write(2, page); err != nil {
				break
			}
		}
		must(unix.SetNonblock(2, false))
		began := Now()
		write("a pipe that is full", past, 10)
		fmt.Println("in time:", Now()-began < 20*time.Second)
		_, err = unix.Read(p[0], make([]byte, 1<<20))
		must(err)
		write("a pipe with room again", line, 10)
		must(unix.Close(p[0]))
		write("a pipe without a reader", past, 10)
		refuse(unix.SYS_CLONE)
		write("no process to be had", past, 10)
	}
}

func asError(n int, errno unix.Errno) (int, error) {
	if errno != 0 {
		return n, errno
	}
	return n, nil
}
