package cgroup

import (
	"bytes"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestKillOthersSparesTheLeaf(t *testing.T) {
	s := newSandbox(t)
	if _, err := os.Stat(s.dir + "/cgroup.kill"); err != nil {
		onVM(t) // Linux 5.14
	}
	out := s.run(child{Setup: []string{"private"}, Others: true})
	s.delegated(out)
	if out.Killed != "signal: killed" {
		t.Errorf("it ended with %q", out.Killed)
	}
}

func TestOOMKillsAreCounted(t *testing.T) {
	onVM(t)
	for _, setup := range []string{"private", "host"} {
		t.Run(setup, func(t *testing.T) {
			s := newSandbox(t)
			if err := os.WriteFile(s.dir+"/memory.max", []byte("64M"), 0); err != nil {
				t.Fatal(err)
			}
			// tail keeps the last line, and /dev/zero has but one.
			out := s.run(child{Setup: []string{setup}, Command: []string{"/bin/busybox", "tail", "/dev/zero"}})
			s.delegated(out)
			if !strings.Contains(out.Output, "signal: killed") || out.OOM != 1 {
				t.Errorf("%q, %d", out.Output, out.OOM)
			}
		})
	}
}

// The OOM killer ends the same processes as without a leaf: one process, or with
// memory.oom.group=1 the whole container. This holds at the container's limit and at
// the leaf's. The leaf reaches its limit first if the container's limit was raised and
// the copy is still old.
func TestOOM(t *testing.T) {
	onVM(t)
	// tail keeps the last line, and /dev/zero has but one.
	const hog = "exec busybox tail /dev/zero"
	for hit, command := range map[string]string{"memory.events.local": hog, "init/memory.events.local": "echo 48M >/sys/fs/cgroup/init/memory.max; " + hog} {
		for group, whole := range map[string]bool{"0": false, "1": true} {
			t.Run(hit+", group "+group, func(t *testing.T) {
				s := newSandbox(t)
				s.set(map[string]string{"memory.max": "64M", "memory.swap.max": "0", oomGroupFile: group})
				cmd, dir := s.command(child{Setup: []string{"private"}, Options: Options{Leaf: "init"}, Command: []string{"/bin/sh", "-c", command}})
				defer dir.Close()
				var stdout, stderr bytes.Buffer
				cmd.Stdout, cmd.Stderr = &stdout, &stderr
				err := cmd.Run()
				status := cmd.ProcessState.Sys().(syscall.WaitStatus)
				if events := s.value(hit); !strings.Contains(events, "\noom 1\n") {
					t.Errorf("%s, group %s: no OOM: %q", hit, group, events)
				}
				if whole {
					if !status.Signaled() || status.Signal() != unix.SIGKILL {
						t.Errorf("%s, group %s: PID 1 ended with %v, %s", hit, group, err, stdout.String())
					}
				} else {
					if err != nil {
						t.Fatalf("%s, group %s: %v\n%s", hit, group, err, stderr.String())
					}
					out := parse(t, stdout.Bytes())
					s.delegated(out)
					if !strings.Contains(out.Output, "signal: killed") || out.OOM != 1 {
						t.Errorf("%s, group %s: %q, %d", hit, group, out.Output, out.OOM)
					}
				}
				s.remove()
			})
		}
	}
}
