package e2e

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// The set-up must succeed although docker exec runs in a loop, from before the start of the
// container until after the set-up. Each exec brings a process into the container's own
// cgroup. The kernel enables no controllers while a process is there (cgroups(7), "no
// internal processes" rule).
func TestExec(t *testing.T) {
	runtimes := []string{"runc", "crun"}
	if testing.Short() {
		runtimes = runtimes[:1]
	}
	for _, runtime := range runtimes {
		for _, v := range tried() {
			t.Run(runtime+"/"+v.name, func(t *testing.T) {
				baseline := optionsAfterPlain(t, "private")
				rows.check(t, "docker exec before, during and after the set-up, with "+runtime, v, func() error {
					return leavesTheHost(baseline, func() error { return execs(runtime, v) })
				})
			})
		}
	}
}

func execs(runtime string, v variant) (err error) {
	o, err := create("exec-"+runtime+"-"+v.name, v, []string{"--runtime=" + runtime, "--cgroupns=private"}, "sleep", "7411")
	defer func() { err = errors.Join(err, o.remove()) }()
	if err != nil {
		return err
	}
	done := make(chan struct{})
	results := make(chan error, 100)
	var loops sync.WaitGroup
	for range 3 {
		loops.Go(func() {
			for {
				select {
				case <-done:
					return
				case results <- oneExec(o):
				}
			}
		})
	}
	_, started := docker("start", o.id)
	// The entry point starts the program when the set-up is over.
	err = errors.Join(started, eventually(30*time.Second, func() error {
		for _, pid := range processes("sleep 7411") {
			if path, err := cgroupOf(pid); err == nil && inLeaf(o.cgroup, path) && read(fmt.Sprintf("/proc/%d/comm", pid)) == "sleep" {
				return nil
			}
		}
		return errors.New("the program does not run in the leaf")
	}))
	seen := 0
	for err == nil && seen < 4 { // some that succeed
		if failed := <-results; failed == nil {
			seen++
		} else if !tooEarly(failed) {
			err = failed
		}
	}
	close(done)
	for drained := make(chan struct{}); drained != nil; {
		select {
		case failed := <-results:
			if failed != nil && !tooEarly(failed) {
				err = errors.Join(err, failed)
			}
		case <-wait(&loops):
			drained = nil
		}
	}
	if err != nil {
		return err
	}
	if enabled := read(o.file("cgroup.subtree_control")); !strings.Contains(enabled, "memory") {
		return fmt.Errorf("controllers enabled for inner containers: %q", enabled)
	}
	return o.execLands("6411")
}

func wait(g *sync.WaitGroup) <-chan struct{} {
	done := make(chan struct{})
	go func() { g.Wait(); close(done) }()
	return done
}

func oneExec(o *outer) error {
	_, err := docker("exec", o.id, "true")
	return err
}

// tooEarly reports whether dockerd refused the exec because the container does not run yet.
func tooEarly(err error) bool { return strings.Contains(err.Error(), "is not running") }
