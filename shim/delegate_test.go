package shim

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/cgroup"
)

// The log lines about the cgroup set-up, and whether the program may start.
func TestDelegateSaysWhatWasDone(t *testing.T) {
	denied := &cgroup.Error{Op: "unshare", Path: "cgroup namespace", Err: unix.EPERM}
	hintOf := func(err error) string {
		if hint := cgroup.Hint(err); hint != "" {
			return " hint=" + hint
		}
		return ""
	}
	legacy := &cgroup.Plan{State: cgroup.Legacy, Refusal: &cgroup.Refusal{State: cgroup.Legacy, Reason: "v1"}}
	readOnly := &cgroup.Plan{State: cgroup.ReadOnly, Refusal: &cgroup.Refusal{State: cgroup.ReadOnly, Reason: "ro", Hint: "rw"}}
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
			want: []string{"error cgroup not delegated, so the program does not start state=cgroup v1 reason=v1 required_by="},
		},
		{
			name: "require-v2 is content with v1", mode: CgroupRequireV2, plan: legacy,
			want: []string{"info cgroup not delegated state=cgroup v1 reason=v1"},
		},
		{
			name: "and not with what the user can change", mode: CgroupRequireV2, plan: readOnly, status: ExitRequire,
			want: []string{"error cgroup not delegated, so the program does not start state=read-only mount reason=ro hint=rw required_by="},
		},
		{
			name: "a step that failed is a warning, and the program starts", plan: &cgroup.Plan{State: cgroup.HostView}, report: &cgroup.Report{}, err: denied,
			want: []string{"warn cgroup not delegated err=" + denied.Error() + hintOf(denied)},
		},
		{
			name: "with require it does not", mode: CgroupRequire, plan: &cgroup.Plan{State: cgroup.HostView}, report: &cgroup.Report{}, err: denied, status: ExitRequire,
			want: []string{"error cgroup not delegated, so the program does not start err=" + denied.Error() + hintOf(denied) + " required_by="},
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
			s.system.setUp = func(mode cgroup.Mode, o cgroup.Options) (*cgroup.Report, error) {
				if !o.Interrupted() {
					t.Error("a TERM that waits does not interrupt a busy delegation")
				}
				if w.pending = 2; o.Interrupted() != s.StopSignals.Has(unix.SIGINT) {
					t.Error("an INT does not interrupt it")
				}
				if w.pending = 1; o.Interrupted() {
					t.Error("a HUP does")
				}
				r := c.report
				if r == nil {
					r = &cgroup.Report{}
				}
				r.Plan, r.Why = c.plan, c.err
				r.Plan.Options.Mirror = cgroup.MirrorNothing // there are no limits to follow
				if mode != cgroup.Auto {
					return r, c.err
				}
				return r, nil
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
	t.Run("a process that was not asked to act says so to nobody", func(t *testing.T) {
		notInit := &cgroup.Refusal{State: cgroup.NotInit, Reason: "not the entry point", Hint: "be it"}
		for _, c := range []struct {
			config Config
			want   string
		}{
			{Config{}, "info cgroup not delegated state=not PID 1 reason=not the entry point hint=be it"},
			{Config{Dind: true}, "warn cgroup not delegated state=not PID 1 reason=not the entry point hint=be it"},
			{Config{CgroupMode: CgroupExplicit}, "warn cgroup not delegated state=not PID 1 reason=not the entry point hint=be it"},
		} {
			s, w := newWorld(t, c.config)
			s.system.setUp = func(cgroup.Mode, cgroup.Options) (*cgroup.Report, error) {
				return &cgroup.Report{Plan: &cgroup.Plan{State: cgroup.NotInit, Refusal: notInit}, Why: notInit}, nil
			}
			if status := s.delegate(); status != 0 || s.delegated {
				t.Errorf("status %d, delegated %v", status, s.delegated)
			}
			w.wants(c.want)
		}
	})
	t.Run("a run whose namespace cannot be joined is delegated, and an error where that is required", func(t *testing.T) {
		for mode, want := range map[CgroupMode]int{CgroupAuto: 0, CgroupRequire: ExitRequire} {
			s, _ := newWorld(t, Config{CgroupMode: mode})
			s.system.setUp = func(m cgroup.Mode, _ cgroup.Options) (*cgroup.Report, error) {
				r := &cgroup.Report{Plan: &cgroup.Plan{State: cgroup.Delegated, Options: cgroup.Options{Mirror: cgroup.MirrorNothing}}, Outside: true, Why: cgroup.ErrOutside}
				if m == cgroup.Require {
					return r, r.Why
				}
				return r, nil
			}
			if status := s.delegate(); status != want || s.delegated != (want == 0) {
				t.Errorf("mode %d: status %d, delegated %v", mode, status, s.delegated)
			}
		}
	})
}

func TestModes(t *testing.T) {
	for mode, want := range map[CgroupMode]cgroup.Mode{
		CgroupAuto: cgroup.Auto, CgroupExplicit: cgroup.Auto, CgroupRequire: cgroup.Require, CgroupRequireV2: cgroup.RequireV2,
	} {
		s, _ := newWorld(t, Config{CgroupMode: mode})
		if got := s.mode(); got != want {
			t.Errorf("mode %d is %d, want %d", mode, got, want)
		}
	}
}
