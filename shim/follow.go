package shim

import "github.com/cgshim/cgshim/cgroup"

// follow starts to watch the container's limits. With Exec, no process of cgshim stays
// to follow them.
func (s *shim) follow(report *cgroup.Report) {
	if s.Exec {
		return
	}
	follower, err := report.Follow()
	if err == nil && follower != nil {
		err = s.signals.Watch(follower.FD())
	}
	if err != nil {
		s.log.Log(LevelWarn, "limits will not be followed", explain(err)...)
		return
	}
	s.follower = follower
}
