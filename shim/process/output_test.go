package process

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A write to standard error always returns. If a write hung, the test would wait for
// the helper and give up.
func TestWriteErrorNeitherBlocksNorEnds(t *testing.T) {
	for _, c := range []struct{ name, helper, want string }{
		{"a pipe that is full", "full pipe", "0 EAGAIN"},
		{"a pipe with room for a page takes one, whatever the length of the line", "page of a pipe", "4096 EAGAIN"},
		{"a pipe with room for all", "roomy pipe", "20000 none, read 20000"},
		{"a pipe without a reader", "closed pipe", "0 EAGAIN, and alive"},
		{"a descriptor that is closed", "closed descriptor", "0 EAGAIN"},
		{"a descriptor that cannot be written to", "read-only", "0 EBADF"},
		{"a terminal", "terminal", `6 none, shown "hello\r\n"`},
		{"a terminal that is stopped", "stopped terminal", "0 EAGAIN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wants(t, timed(t, "write: "+c.helper), c.want)
		})
	}
	t.Run("a reader that has stopped costs less from then on, until it reads", func(t *testing.T) {
		wants(t, helper("write: patience"), "1ms 100ms")
	})
}

// timed is a helper that ends if it hangs.
func timed(t *testing.T, name string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = []string{helperEnv + "=" + name}
	return cmd
}

func nameOf(errno syscall.Errno) string {
	if errno == 0 {
		return "none"
	}
	return unix.ErrnoName(errno)
}

// fill fills a pipe and leaves it blocking, as a program leaves it.
func fill(w int) {
	must(unix.SetNonblock(w, true))
	for page := make([]byte, 4096); ; {
		if _, err := unix.Write(w, page); err != nil {
			break
		}
	}
	must(unix.SetNonblock(w, false))
}

func init() {
	pipe := func() (r, w int) {
		var p [2]int
		must(unix.Pipe2(p[:], unix.O_CLOEXEC))
		must(unix.Dup3(p[1], 2, 0))
		must(unix.Close(p[1]))
		return p[0], 2
	}
	write := func(n int) string {
		// The scheduler's SIGURG would interrupt a write that blocks.
		swapMask(unix.SIG_BLOCK, ^Set(0))
		written, errno := WriteError(bytes.Repeat([]byte("x"), n))
		return strconv.Itoa(written) + " " + nameOf(errno)
	}
	terminal := func() (master int) {
		master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		must(err)
		must(unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0))
		n, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
		must(err)
		slave, err := unix.Open("/dev/pts/"+strconv.Itoa(n), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		must(err)
		must(unix.Dup3(slave, 2, 0))
		return master
	}
	for name, fn := range map[string]func(){
		"full pipe": func() {
			_, w := pipe()
			fill(w)
			fmt.Println(write(10))
		},
		"page of a pipe": func() {
			r, w := pipe()
			fill(w)
			_, err := unix.Read(r, make([]byte, 4096))
			must(err)
			fmt.Println(write(3 * 4096))
		},
		"roomy pipe": func() {
			r, _ := pipe()
			out := write(20_000)
			n, err := unix.Read(r, make([]byte, 1<<20))
			must(err)
			fmt.Printf("%s, read %d\n", out, n)
		},
		"closed pipe": func() {
			r, _ := pipe()
			must(unix.Close(r))
			fmt.Println(write(10) + ", and alive")
		},
		"closed descriptor": func() {
			must(unix.Close(2))
			fmt.Println(write(10))
		},
		"read-only": func() {
			fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
			must(err)
			must(unix.Dup3(fd, 2, 0))
			fmt.Println(write(10))
		},
		"terminal": func() {
			master := terminal()
			written, errno := WriteError([]byte("hello\n"))
			shown := make([]byte, 100)
			n, err := unix.Read(master, shown)
			must(err)
			result := "none"
			if errno != 0 {
				result = "error"
			}
			fmt.Printf("%d %s, shown %q\n", written, result, shown[:n])
		},
		"stopped terminal": func() {
			terminal()
			must(unix.IoctlSetInt(2, unix.TCXONC, 0)) // TCOOFF (ioctl_tty(2))
			fmt.Println(write(10))
		},
		"patience": func() {
			r, w := pipe()
			fill(w)
			write(10)
			first := patience
			_, err := unix.Read(r, make([]byte, 1<<20))
			must(err)
			write(10)
			fmt.Println(first, patience)
		},
	} {
		helpers["write: "+name] = fn
	}
}

func TestWriteOutput(t *testing.T) {
	cmd := helper("write output")
	out, err := cmd.Output()
	if want := strings.Repeat("0123456789", 100_000); err != nil || string(out) != want {
		t.Errorf("%d of %d bytes, %v", len(out), len(want), err)
	}
}

func init() {
	helpers["write output"] = func() {
		if n, errno := WriteOutput([]byte(strings.Repeat("0123456789", 100_000))); n != 1_000_000 || errno != 0 {
			fmt.Fprintln(os.Stderr, n, errno)
		}
	}
}
