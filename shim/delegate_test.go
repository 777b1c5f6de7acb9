package shim

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/cgroup"
)

// What the user is told of the cgroup set-up, and whether the program may start.
func TestDelegateSaysWhatWasDone(t *testing.T) {
	denied := &cgroup.Error{Op: "unshare", Path: "cgroup namespace", Err: unix.EPERM}
	hintOf := func(err error) string {
		if hint := cgroup.Hint(err); hint != "" {
			return " hint=" + hint
		}
		return ""
	}
	legacy := &cgroup.Plan{State: cgroup.Legacy, Skip: true, Reason: "v1"}
	readOnly := &cgroup.Plan{State: cgroup.ReadOnly, Skip: true, Reason: "ro", Actionable: true, Hint: "rw"}
	for _, c := range []struct {
		name   string
		mode   CgroupMode
		plan   *cgroup.Plan
		report *cgroup.Report
		err    error
		want   []string
		status int
	}{
		{name: "off does not even look", mode: CgroupOff},
		{name: "a state that the user cannot change is no warning", plan: legacy, want: []string{"info cgroup not delegated state=cgroup v1 reason=v1"}},
		{name: "one that the user can change is", plan: readOnly, want: []string{"warn cgroup not delegated state=read-only mount reason=ro hint=rw"}},
		{
			name: "require ends the run in either", mode: CgroupRequire, plan: legacy, status: ExitRequire,
			want: []string{"error cgroup not delegated, which --cgroup=require asks for state=cgroup v1 reason=v1"},
		},
		{
			name: "a step that failed is a warning, and the program starts", plan: &cgroup.Plan{State: cgroup.HostView}, report: &cgroup.Report{}, err: denied,
			want: []string{"warn cgroup not delegated err=" + denied.Error() + hintOf(denied)},
		},
		{
			name: "with require it does not", mode: CgroupRequire, plan: &cgroup.Plan{State: cgroup.HostView}, report: &cgroup.Report{}, err: denied, status: ExitRequire,
			want: []string{"error cgroup not delegated, which --cgroup=require asks for err=" + denied.Error() + hintOf(denied)},
		},
		{
			name: "a delegation is told of once", plan: &cgroup.Plan{State: cgroup.HostView},
			report: &cgroup.Report{HostPath: "/pod", ID: 42, Enabled: []string{"cpu", "memory"}, Moved: 3, Rounds: 1, Elapsed: time.Second},
			want:   []string{"warn notice: cgroup delegated cgroup=/pod id=42 controllers=cpu memory moved=3 rounds=1 elapsed=1s"},
		},
		{
			name: "what is missing has its errno, what failed on the side a warning", plan: &cgroup.Plan{State: cgroup.HostView},
			report: &cgroup.Report{HostPath: "/pod", ID: 42, Enabled: []string{"cpu"}, Missing: map[string]error{"pids": errors.New("why")}, Warnings: []error{errors.New("what")}},
			want: []string{
				"warn optional cgroup step failed err=what",
				"warn notice: cgroup delegated cgroup=/pod id=42 controllers=cpu moved=0 rounds=0 elapsed=0s missing_pids=why",
			},
		},
		{
			name: "no controller at all has a hint", plan: &cgroup.Plan{State: cgroup.HostView}, report: &cgroup.Report{HostPath: "/pod", ID: 42},
			want: []string{"warn notice: cgroup delegated cgroup=/pod id=42 controllers= moved=0 rounds=0 elapsed=0s " +
				"hint=inner containers can have no limits: the cgroups above this one enable no controllers for it"},
		},
		{
			name: "a second run says little", plan: &cgroup.Plan{State: cgroup.Delegated}, report: &cgroup.Report{HostPath: "/pod", ID: 42, Enabled: []string{"cpu"}},
			want: []string{"info already delegated cgroup=/pod id=42 controllers=cpu"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, w := newWorld(t, Config{CgroupMode: c.mode})
			w.pending = DefaultStopSignals()
			s.setUp = func(o cgroup.Options) (*cgroup.Plan, *cgroup.Report, error) {
				if !o.Interrupted() {
					t.Error("a TERM that waits does not interrupt a busy delegation")
				}
				if w.pending = 2; o.Interrupted() != s.StopSignals.Has(unix.SIGINT) {
					t.Error("an INT does not interrupt it")
				}
				if w.pending = 1; o.Interrupted() {
					t.Error("a HUP does")
				}
				return c.plan, c.report, c.err
			}
			if status := s.delegate(); status != c.status {
				t.Errorf("status %d, want %d", status, c.status)
			}
			if s.delegated != (c.report != nil && c.err == nil) {
				t.Errorf("delegated is %v", s.delegated)
			}
			w.wants(c.want...)
		})
	}
	t.Run("another process than PID 1 leaves it alone, unless it is asked to act anywhere", func(t *testing.T) {
		s, w := newWorld(t, Config{})
		s.pid1 = false
		looked := 0
		s.setUp = func(cgroup.Options) (*cgroup.Plan, *cgroup.Report, error) {
			looked++
			return legacy, nil, nil
		}
		if status := s.delegate(); status != 0 || looked != 0 {
			t.Errorf("status %d, %d looks", status, looked)
		}
		w.wants("debug cgroup set-up skipped reason=not PID 1")
		s.Cgroup.Anywhere = true
		if s.delegate(); looked != 1 {
			t.Errorf("%d looks", looked)
		}
	})
}
