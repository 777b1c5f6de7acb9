// Package e2e runs a real dockerd as a container's program under cgshim, and under
// what people use today, and looks at it from outside: where the inner containers'
// processes are, whether limits hold, how it stops, what the host looks like
// afterwards.
//
// go test ./e2e boots Debian cloud kernels under QEMU (test/vm) with a root disk of
// Debian's packages and runs the cases there. With E2E_HOST=1 they run here; that
// takes root, an unused machine with unified cgroup v2, and Docker.
//
// CGSHIM_VM_KERNEL chooses the kernel. CGSHIM_E2E_DOC=FILE has the table written as
// markdown.
package e2e

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/cgshim/cgshim/test/internal/rig"
)

// half is what one of two machines runs; the other runs the rest. Each has one
// processor: two emulated ones wait for each other more than they get done.
const half = "^Test(Attribution|SharedCgroupMount|Exec|InitPath|Scratch)$"

// programs are the tests without a dockerd, which have a machine of their own: where
// there is but one processor, no limit of them shows.
const (
	programs     = "^Test(Programs|OOMScore|Resize)$"
	withPrograms = "CGSHIM_E2E_PROGRAMS"
)

// resultLine begins the line on the console that has a machine's table.
const resultLine = "e2e: result "

func TestMain(m *testing.M) {
	if os.Getenv(asGoProgram) != "" {
		goProgram()
		return
	}
	flag.Parse()
	guest := rig.Guest()
	if !guest && os.Getenv("E2E_HOST") == "" {
		err := onMachines()
		if err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			os.Exit(1)
		}
		return
	}
	if os.Getenv(withPrograms) == "" {
		if err := prepare(); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			os.Exit(1)
		}
	}
	status := m.Run()
	rows.Seen = versions()
	stopDaemons()
	var err error
	if guest {
		err = json.NewEncoder(lineWriter{}).Encode(rows)
	} else {
		err = rows.publish()
	}
	if err != nil && status == 0 {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		status = 1
	}
	os.Exit(status)
}

// lineWriter marks the table for the host.
type lineWriter struct{}

func (lineWriter) Write(p []byte) (int, error) { return fmt.Printf("\n%s%s", resultLine, p) }

// onMachines runs this binary in one machine, or where all is to run in two at once.
func onMachines() error {
	if err := rig.Install("qemu-system-x86_64", "busybox", "mkfs.ext4"); err != nil {
		return err
	}
	image, err := rootDisk.Image()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "cgshim-e2e-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	runner, err := rig.Runner(dir)
	if err != nil {
		return err
	}
	both := strings.TrimSuffix(half, ")$") + "|" + strings.TrimPrefix(programs, "^Test(")
	shares := []share{{args: []string{"-test.run=" + half}}, {args: []string{"-test.skip=" + both}}, withoutDocker}
	switch flag.Lookup("test.run").Value.String() {
	case "":
	case programs:
		shares = []share{withoutDocker}
	default:
		shares = []share{{args: []string{"-test.skip=" + programs}}}
	}
	tables := make([]table, len(shares))
	errs := make([]error, len(shares))
	// Two machines at a time. dockerd gives its containerd 15 seconds to start, which is
	// little for an emulated processor that a third machine takes time from.
	for first := 0; first < len(shares); first += 2 {
		var machines sync.WaitGroup
		for n := first; n < min(first+2, len(shares)); n++ {
			machines.Go(func() { errs[n] = runOn(runner, image, shares[n], &tables[n]) })
		}
		machines.Wait()
	}
	for _, t := range tables {
		rows.Rows, rows.Seen = append(rows.Rows, t.Rows...), t.Seen
	}
	return errors.Join(append(errs, rows.publish())...)
}

// share is what one machine runs.
type share struct {
	args, env    []string
	cpus, memory string
}

var withoutDocker = share{args: []string{"-test.run=" + programs}, env: []string{withPrograms + "=1"}, cpus: "4", memory: "2G"}

// runOn runs a share of the tests in a machine and fills in the table.
func runOn(runner, image string, s share, result *table) error {
	none := errors.New("the machine ended without a table")
	m := rig.Machine{Image: image, Env: append([]string{
		"CGSHIM_VM_MEMORY=" + cmp.Or(s.memory, "4G"), "CGSHIM_VM_TIMEOUT=25m", "CGSHIM_VM_CPUS=" + cmp.Or(s.cpus, "1"),
	}, s.env...)}
	err := m.Run(runner, resultLine, func(text string) error {
		none = nil
		return json.Unmarshal([]byte(text), result)
	}, s.args...)
	return errors.Join(none, err)
}
