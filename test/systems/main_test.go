// Package systems runs cgshim where users run it, with today's programs on a machine
// whose init is systemd: in the pods of a real kubelet (TestKubelet), under a supervisor
// written in Go as coder's envbox is one, in unprivileged LXC, and before systemd in a
// container.
//
// go test ./systems boots Debian 13's kernel under QEMU (test/vm) with a root disk of
// Debian's packages and of programs built from the Go module proxy (test/programs), and
// runs the cases there. CGSHIM_VM_KERNEL chooses another kernel. CGSHIM_K8S_API=1 has
// the pods come from an API server, and not from files.
package systems

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/cgshim/cgshim/test/internal/rig"
)

// place is the directory of the tests on the disk of the virtual machine.
const place = "/var/lib/rig"

// daemons are the daemons of the virtual machine.
var daemons = rig.Daemons{Logs: place}

func TestMain(m *testing.M) {
	flag.Parse()
	if !rig.Guest() {
		if err := onMachines(); err != nil {
			fmt.Fprintln(os.Stderr, "systems:", err)
			os.Exit(1)
		}
		return
	}
	if err := os.MkdirAll(place, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, "systems:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// half is what one of two machines runs, where all is to run.
const half = "^TestKubelet"

func onMachines() error {
	if err := rig.Install("qemu-system-x86_64", "busybox", "mkfs.ext4", "cc"); err != nil {
		return err
	}
	image, err := rootDisk().Image()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "cgshim-systems-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	runner, err := rig.Runner(dir)
	if err != nil {
		return err
	}
	supervisor := filepath.Join(dir, "supervisor")
	if err := rig.Static(supervisor, "./testdata/supervisor"); err != nil {
		return err
	}
	pod, err := filepath.Abs("../../examples/kubernetes/dind-pod.yaml")
	if err != nil {
		return err
	}
	cpus, shares := "2", [][]string{nil}
	if flag.Lookup("test.run").Value.String()+flag.Lookup("test.skip").Value.String() == "" {
		cpus, shares = "1", [][]string{{"-test.run=" + half}, {"-test.skip=" + half}}
	}
	m := rig.Machine{Image: image, Files: []string{supervisor, pod}, Env: []string{
		"CGSHIM_VM_KERNEL=" + cmp.Or(os.Getenv("CGSHIM_VM_KERNEL"), "6.12"), "CGSHIM_VM_INIT=/usr/lib/systemd/systemd",
		"CGSHIM_VM_MEMORY=4G", "CGSHIM_VM_TIMEOUT=25m", "CGSHIM_VM_CPUS=" + cpus,
	}}
	errs := make([]error, len(shares))
	var machines sync.WaitGroup
	for n, share := range shares {
		machines.Go(func() { errs[n] = m.Run(runner, "", nil, share...) })
	}
	machines.Wait()
	return errors.Join(errs...)
}
