package rig

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// InGuest is set for a test binary in a machine.
const InGuest = "CGSHIM_GUEST"

// Guest says that this process is in a machine.
func Guest() bool { return os.Getenv(InGuest) != "" }

// Machine is a virtual machine for a test binary.
type Machine struct {
	Image string   // of the root disk
	Files []string // that the guest is to find in its working directory
	Env   []string // for the runner (test/vm), and what begins with CGSHIM_ for the tests too
}

// Install installs what Debian's packages provide of these commands.
func Install(commands ...string) error {
	_, here, _, _ := runtime.Caller(0)
	cmd := exec.Command(filepath.Join(filepath.Dir(here), "../../deps/install.sh"), commands...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}

// Runner builds test/vm in a directory.
func Runner(dir string) (string, error) {
	_, here, _, _ := runtime.Caller(0)
	runner := filepath.Join(dir, "vmrun")
	return runner, Static(runner, filepath.Join(filepath.Dir(here), "../../vm"))
}

// Static builds a program that needs nothing of the guest's.
func Static(into, pkg string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-o", into, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// Run runs this test binary in the machine, with its own arguments and those given, and
// copies what the guest prints. Lines that begin with the mark are the caller's. The
// binary under test is among the machine's files.
func (m Machine) Run(runner, mark string, marked func(string) error, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	bin, err := filepath.Abs(Cgshim())
	if err != nil {
		return err
	}
	if _, err := os.Stat(bin); err != nil {
		return fmt.Errorf("%w: run make build", err)
	}
	// An interrupted run takes its machines with it.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cmd := exec.CommandContext(ctx, runner, append(append([]string{self}, os.Args[1:]...), args...)...)
	cmd.Env = append(os.Environ(), InGuest+"=1", "CGSHIM_BIN=/pkg/"+filepath.Base(bin),
		"CGSHIM_VM_DISK="+m.Image, "CGSHIM_VM_FILES="+strings.Join(append([]string{bin}, m.Files...), " "))
	cmd.Env = append(cmd.Env, m.Env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stderr = os.Stderr
	console, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewReader(console)
	for ended := false; !ended; {
		line, failed := lines.ReadString('\n')
		if text, ok := strings.CutPrefix(line, mark); ok && mark != "" {
			err = errors.Join(err, marked(text))
		} else {
			fmt.Print(line)
		}
		ended = failed != nil
	}
	return errors.Join(err, cmd.Wait())
}

// Cgshim is the binary under test.
func Cgshim() string {
	if bin := os.Getenv("CGSHIM_BIN"); bin != "" {
		return bin
	}
	return "../../bin/cgshim"
}
