// Package e2e runs a real dockerd as a container's program under cgshim, and under
// what people use today, and looks at it from outside: where the inner containers'
// processes are, whether limits hold, how it stops, what the host looks like
// afterwards.
//
// go test ./e2e boots a Debian cloud kernel under QEMU (test/vm) with a root disk
// of Debian's packages and runs the cases there. With E2E_HOST=1 they run here; that
// takes root, an unused machine with unified cgroup v2, and Docker.
//
// CGSHIM_VM_KERNEL chooses the kernel. CGSHIM_E2E_DOC=FILE has the table written as
// markdown.
package e2e

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
)

// inGuest is set for the test binary in the machine.
const inGuest = "CGSHIM_E2E_GUEST"

func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv(inGuest) == "" && os.Getenv("E2E_HOST") == "" {
		os.Exit(onMachine())
	}
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	status := m.Run()
	if status == 0 && !rows.passed() {
		status = 1
	}
	fmt.Printf("\n%s\n", rows.text())
	fmt.Printf("%s\n%s%s\n", docBegin, rows.markdown(), docEnd)
	stopDaemons()
	os.Exit(status)
}

// onMachine runs this binary in the machine and returns its exit status.
func onMachine() int {
	status, err := func() (int, error) {
		install := exec.Command("../deps/install.sh", "qemu-system-x86_64", "busybox", "mkfs.ext4")
		install.Stdout, install.Stderr = os.Stderr, os.Stderr
		if err := install.Run(); err != nil {
			return 0, err
		}
		image, err := rootDisk()
		if err != nil {
			return 0, err
		}
		dir, err := os.MkdirTemp("", "cgshim-e2e-")
		if err != nil {
			return 0, err
		}
		defer os.RemoveAll(dir)
		runner := filepath.Join(dir, "vmrun")
		if out, err := exec.Command("go", "build", "-o", runner, "../vm").CombinedOutput(); err != nil {
			return 0, fmt.Errorf("go build ../vm: %w\n%s", err, out)
		}
		return runOn(runner, image)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	return status
}

func runOn(runner, image string) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	bin, err := filepath.Abs(cgshim())
	if err != nil {
		return 0, err
	}
	if _, err := os.Stat(bin); err != nil {
		return 0, fmt.Errorf("%w: run make build", err)
	}
	// An interrupted run takes its machine with it.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var console bytes.Buffer
	cmd := exec.CommandContext(ctx, runner, append([]string{self}, os.Args[1:]...)...)
	cmd.Env = append(os.Environ(), inGuest+"=1", "CGSHIM_BIN=/pkg/"+filepath.Base(bin),
		"CGSHIM_VM_DISK="+image, "CGSHIM_VM_FILES="+bin, "CGSHIM_VM_MEMORY=4G", "CGSHIM_VM_TIMEOUT=25m")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stdout, cmd.Stderr = io.MultiWriter(os.Stdout, &console), os.Stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		return 0, err
	}
	return cmd.ProcessState.ExitCode(), writeDoc(console.String())
}

// cgshim is the binary under test.
func cgshim() string {
	if bin := os.Getenv("CGSHIM_BIN"); bin != "" {
		return bin
	}
	return "../../bin/cgshim"
}
