package init

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cgshim/cgshim/test/internal/lab"
)

// Each signal comes at a random moment of the first 3 ms after the exec of PID 1, while a busy
// loop runs on every processor. PID 1 must not end by itself, and must be one task afterwards.
// The program ends by the signal or does not get it, as under tini. From outside of its PID
// namespace SIGKILL ends any PID 1 and SIGSTOP stops it.
//
// CGSHIM_MOMENTS=300 makes so many runs for each signal.
func TestSignalsAtTheStart(t *testing.T) {
	lab.Root(t)
	for range runtime.NumCPU() {
		loop := exec.Command("sh", "-c", "while :; do :; done")
		loop.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := loop.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			_ = loop.Process.Kill()
			_ = loop.Wait()
		}()
	}
	for _, form := range []struct {
		name string
		run  lab.Run
	}{
		{"tini-static", lab.Run{Path: lab.TiniStatic}},
		{"cgshim", lab.Run{Path: lab.Cgshim(t), Args: []string{"--cgroup=off"}}},
		{"docker-init", lab.Run{Path: lab.Cgshim(t), Name: "docker-init"}},
	} {
		ends := map[string]int{}
		for sig := 1; sig <= 64; sig++ {
			if sig == 9 || sig == 19 {
				continue
			}
			for i := range 2 * runs(t, 1) {
				ends[signalAtTheStart(t, form.name, form.run, sig, 1+i%2)]++
			}
		}
		t.Logf("%s: %v", form.name, ends)
	}
}

// signalAtTheStart returns what became of the init.
func signalAtTheStart(t *testing.T, name string, r lab.Run, sig, times int) string {
	t.Helper()
	r.PID1 = true
	r.Args = append(r.Args[:len(r.Args):len(r.Args)], "--", lab.Probe(t), "signals")
	r.Start(t) // returns after the exec
	after := moment(3 * time.Millisecond)
	for range times {
		_ = syscall.Kill(r.PID(), syscall.Signal(sig))
	}
	what := fmt.Sprintf("%s, %d of signal %d after %v", name, times, sig, after)
	end := ""
	lab.Until(t, "the program: "+what, func() bool {
		switch {
		case dead(r.PID()):
			end = "ends"
		case strings.HasPrefix(r.Stdout.String(), "ready"):
			end = "lives"
		case stopped(r.PID()):
			end = "has a stopped program"
		}
		return end != ""
	})
	if end == "ends" { // the program ends by itself at 64
		status := r.Wait(t)
		if status != 128+sig && sig != 64 && name != "tini-static" || r.Cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
			t.Errorf("%s: status %d, %q", what, status, r.Stderr.String())
		}
		return end
	}
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", r.PID()))
	if len(tasks) != 1 {
		t.Errorf("%s: %d tasks", what, len(tasks))
	}
	_ = syscall.Kill(r.PID(), syscall.SIGKILL)
	r.Wait(t)
	return end
}

// stopped reports whether the child of a process has stopped. A signal that stops the child
// may come before its execve.
func stopped(pid int) bool {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, child := range strings.Fields(string(data)) {
		state, _ := os.ReadFile("/proc/" + child + "/stat")
		if _, rest, ok := strings.Cut(string(state), ") "); ok && strings.HasPrefix(rest, "T") {
			return true
		}
	}
	return false
}
