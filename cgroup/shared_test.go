package cgroup

import (
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Calls in several goroutines share nothing, as long as each goroutine has its own
// Follower. `make race` runs this test under the race detector.
func TestNothingIsShared(t *testing.T) {
	var all sync.WaitGroup
	for range 4 {
		r := newResized(t, map[string]string{"pids.max": "500", "init/pids.max": "max", oomGroupFile: "1", "init/" + oomGroupFile: "1"})
		f := r.follow(Options{OOMGroup: "0"})
		all.Go(func() {
			for range 10 {
				facts := Observe()
				p := Decide(facts, Options{})
				for _, step := range p.Steps {
					_ = step.String()
				}
				p.Container.Limits()
				OOMKills(false)
				_, _ = f.Update()
				_ = Hint(&Error{Op: "mount", Path: mountPoint, Err: unix.EPERM})
			}
		})
	}
	all.Wait()
}
