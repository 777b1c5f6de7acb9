package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	for _, size := range []int{0, 1, 4095, 4096, 4097, 100_000, MostRead, 3 * MostRead} {
		want := bytes.Repeat([]byte("abcdefg"), size/7+1)[:size]
		name := filepath.Join(dir, "file")
		if err := os.WriteFile(name, want, 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := ReadFile(name)
		if err != nil || !bytes.HasPrefix(want, got) || len(got) < min(size, MostRead) || len(got) > 2*MostRead {
			t.Errorf("%d of %d bytes, %v", len(got), size, err)
		}
	}
	for name, want := range map[string]error{
		"/no/such": unix.ENOENT, dir: unix.EISDIR, strings.Repeat("/x", 200): unix.ENAMETOOLONG, "/proc/self/exe/x": unix.ENOTDIR,
	} {
		if _, err := ReadFile(name); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
}

func TestEntries(t *testing.T) {
	dir := t.TempDir()
	var want []string
	for i := range 500 { // more than one read
		name := fmt.Sprintf("file with a long name %d", i)
		want = append(want, name)
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got := Entries(dir)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d of %d", len(got), len(want))
	}
	if got := Entries("/no/such"); got != nil {
		t.Errorf("%q", got)
	}
}

func TestEachProcess(t *testing.T) {
	found := 0
	EachProcess(func(pid int) bool {
		if pid == os.Getpid() {
			found++
		}
		return true
	})
	if found != 1 {
		t.Errorf("this process is found %d times", found)
	}
	calls := 0
	if EachProcess(func(int) bool { calls++; return false }); calls != 1 {
		t.Errorf("%d calls after the answer no", calls)
	}
}

func TestLookingAtProcessesAllocatesNothing(t *testing.T) {
	needNative(t)
	if n := testing.AllocsPerRun(3, func() { EachProcess(func(pid int) bool { return Parent(pid) >= 0 }) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestParent(t *testing.T) {
	if got := Parent(os.Getpid()); got != os.Getppid() {
		t.Errorf("%d, want %d", got, os.Getppid())
	}
	if got := Parent(1 << 23); got != 0 { // above the kernel's largest pid_max
		t.Errorf("a process that is not there has the parent %d", got)
	}
	t.Run("a command may have parentheses and spaces", func(t *testing.T) {
		wants(t, helper("odd command"), "true")
	})
}

func TestCalls(t *testing.T) {
	if errno := Kill(os.Getpid(), 0); errno != 0 {
		t.Error(errno)
	}
	if errno := Kill(1<<23, 0); errno != unix.ESRCH {
		t.Error(errno)
	}
	if errno := Chdir("/no/such"); errno != unix.ENOENT {
		t.Error(errno)
	}
	if errno := Chdir("a\x00b"); errno != unix.EINVAL {
		t.Error(errno)
	}
	if errno := SetGroup(1<<23, 0); errno != unix.ESRCH {
		t.Error(errno)
	}
	if _, errno := ForegroundGroup(-1); errno != unix.EBADF {
		t.Error(errno)
	}
	if errno := SetForegroundGroup(-1, 1); errno != unix.EBADF {
		t.Error(errno)
	}
	before := time.Now()
	if at := time.Unix(0, int64(WallClock())); at.Before(before.Round(0)) || at.After(time.Now()) {
		t.Errorf("the time is %v", at)
	}
	if a, b := Now(), Now(); a > b || a <= 0 {
		t.Errorf("%v, then %v", a, b)
	}
	for result, want := range map[uintptr]error{0: nil, 5: nil, ^uintptr(0): unix.EPERM, ^uintptr(4094): unix.Errno(4095), ^uintptr(4095): nil} {
		if errno := errnoOf(result); (errno == 0) != (want == nil) || errno != 0 && errno != want {
			t.Errorf("errnoOf(%#x) = %v, want %v", result, errno, want)
		}
	}
}

func TestCloseInherited(t *testing.T) {
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, c := range []struct{ name, helper string }{
		{"by close_range(2)", "close"},
		{"one by one where a sandbox refuses close_range", "close without close_range"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := helper(c.helper)
			for range 6 {
				cmd.ExtraFiles = append(cmd.ExtraFiles, null) // 3 to 8
			}
			wants(t, cmd, "3 false", "4 false", "5 true", "6 false", "7 true", "8 false", "0 true", "1 true", "2 true")
		})
	}
}

func init() {
	helpers["odd command"] = func() {
		name := []byte(") S 1 (x) R 2\x00")
		must(unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&name[0])), 0, 0, 0))
		fmt.Println(Parent(os.Getpid()) == os.Getppid())
	}
	helpers["close"] = func() {
		CloseInherited(-1, 5, 7)
		for _, fd := range []int{3, 4, 5, 6, 7, 8, 0, 1, 2} {
			_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
			fmt.Println(fd, err == nil)
		}
	}
	helpers["close without close_range"] = func() {
		refuse(unix.SYS_CLOSE_RANGE)
		if err := unix.CloseRange(1000, 1000, 0); err != unix.ENOSYS {
			fmt.Println("close_range is not refused:", err)
		}
		helpers["close"]()
	}
}

// refuse makes the kernel answer ENOSYS to a system call from now on (seccomp(2)).
func refuse(number uint32) {
	const nr = 0 // offset in struct seccomp_data
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: nr},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: number},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	must(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	must(unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0))
}
