package shim

import "github.com/cgshim/cgshim/cgroup"

// follow has the container's limits watched from now on. With Exec nobody stays to do
// that.
func (s *shim) follow(report *cgroup.Report) {
	if s.Exec {
		return
	}
	var err error
	if s.follower, err = report.Follow(); err != nil {
		s.log.Log(Warn, "limits will not be followed", explain(err)...)
	}
}
