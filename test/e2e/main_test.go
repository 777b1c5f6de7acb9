// Package e2e runs a real dockerd as a container's program. The entry point of the
// container is cgshim or one of its peers, which people use today. The tests look from
// outside at where the inner containers' processes are, whether limits hold, how the
// container stops, and what the host looks like afterwards.
//
// go test ./e2e boots Debian cloud kernels under QEMU (test/vm), with a root disk of
// Debian's packages, and runs the tests there. With E2E_HOST=1 the tests run on this
// machine. They then need root, unified cgroup v2, Docker, and nothing else running.
//
// CGSHIM_VM_KERNEL chooses the kernel. CGSHIM_E2E_PEERS=off leaves out the peers. With
// CGSHIM_E2E_DOC=FILE the tests also write their table to FILE, in Markdown.
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

// half names the tests that one of the two machines with dockerd runs. The other machine
// runs the rest. Each has one processor, because two emulated processors spend most of
// their time waiting for each other.
const half = "^Test(Attribution|SharedCgroupMount|Exec|InitPath|Scratch)$"

// programs names the tests without a dockerd. They run in a third machine, because a limit
// to two processors has no effect on a machine with one. The test binary in that machine
// has the variable withPrograms.
const (
	programs     = "^Test(Programs|OOMScore|Resize)$"
	withPrograms = "CGSHIM_E2E_PROGRAMS"
)

// resultLine begins the line of the console that holds a machine's table.
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

// lineWriter prints the table after resultLine, where the host looks for it.
type lineWriter struct{}

func (lineWriter) Write(p []byte) (int, error) { return fmt.Printf("\n%s%s", resultLine, p) }

// onMachines runs this binary in virtual machines. Three machines share a run of all
// tests. With -run one machine is enough.
func onMachines() error {
	if err := rig.Install("qemu-system-x86_64", "busybox", "mkfs.ext4"); err != nil {
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
	shares := []share{withDocker("-test.run=" + half), withDocker("-test.skip=" + both), withoutDocker}
	switch flag.Lookup("test.run").Value.String() {
	case "":
		if testing.Short() { // the cgroup tests of test-vm look at the same limits
			shares = shares[:2]
		}
	case programs:
		shares = []share{withoutDocker}
	default:
		shares = []share{withDocker("-test.skip=" + programs)}
	}
	images := make([]string, len(shares))
	for n, s := range shares {
		if images[n], err = s.disk.Image(); err != nil {
			return err
		}
	}
	tables := make([]table, len(shares))
	errs := make([]error, len(shares))
	// Two machines run at a time. dockerd gives its containerd 15 seconds to start, which
	// an emulated processor can miss when a third machine takes time from it.
	for first := 0; first < len(shares); first += 2 {
		var machines sync.WaitGroup
		for n := first; n < min(first+2, len(shares)); n++ {
			machines.Go(func() { errs[n] = runOn(runner, images[n], shares[n], &tables[n]) })
		}
		machines.Wait()
	}
	for _, t := range tables {
		rows.Rows = append(rows.Rows, t.Rows...)
		rows.Seen = cmp.Or(rows.Seen, t.Seen) // the third machine has no dockerd
	}
	return errors.Join(append(errs, rows.publish())...)
}

// share is the part of the tests that one machine runs, with the machine's size.
type share struct {
	disk         rig.Disk
	args, env    []string
	cpus, memory string
}

func withDocker(tests string) share {
	return share{disk: dockerDisk, args: []string{tests}, cpus: "1", memory: "4G"}
}

var withoutDocker = share{disk: programsDisk, args: []string{"-test.run=" + programs}, env: []string{withPrograms + "=1"}, cpus: "4", memory: "2G"}

// runOn runs a share in a machine and stores the machine's table in result.
func runOn(runner, image string, s share, result *table) error {
	none := errors.New("the machine ended without a table")
	m := rig.Machine{Image: image, Env: append([]string{
		"CGSHIM_VM_MEMORY=" + s.memory, "CGSHIM_VM_TIMEOUT=40m", "CGSHIM_VM_CPUS=" + s.cpus,
	}, s.env...)}
	err := m.Run(runner, resultLine, func(text string) error {
		none = nil
		return json.Unmarshal([]byte(text), result)
	}, s.args...)
	return errors.Join(none, err)
}
