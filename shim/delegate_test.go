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
			j, w := newJob(t, Config{CgroupMode: c.mode})
			var pending SignalSet
			j.pending = func() SignalSet { return pending }
			j.kernel.delegate = func(mode cgroup.Mode, o cgroup.Options) (*cgroup.Report, error) {
				for sig, want := range map[Signal]bool{unix.SIGTERM: true, unix.SIGINT: true, unix.SIGHUP: false, unix.SIGCHLD: false} {
					if pending = SetOf(sig); o.Interrupted() != want {
						t.Errorf("%v interrupts a busy delegation: %v", sig, !want)
					}
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
			if status := j.delegate(); status != c.status {
				t.Errorf("status %d, want %d", status, c.status)
			}
			if j.orders.Delegated != (c.report != nil && c.err == nil) {
				t.Errorf("delegated is %v", j.orders.Delegated)
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
			j, w := newJob(t, c.config)
			j.kernel.delegate = func(cgroup.Mode, cgroup.Options) (*cgroup.Report, error) {
				return &cgroup.Report{Plan: &cgroup.Plan{State: cgroup.NotInit, Refusal: notInit}, Why: notInit}, nil
			}
			if status := j.delegate(); status != 0 || j.orders.Delegated {
				t.Errorf("status %d, delegated %v", status, j.orders.Delegated)
			}
			w.wants(c.want)
		}
	})
	t.Run("a run whose namespace cannot be joined is delegated, and an error where that is required", func(t *testing.T) {
		for mode, want := range map[CgroupMode]int{CgroupAuto: 0, CgroupRequire: ExitRequire} {
			j, _ := newJob(t, Config{CgroupMode: mode})
			j.kernel.delegate = func(m cgroup.Mode, _ cgroup.Options) (*cgroup.Report, error) {
				r := &cgroup.Report{Plan: &cgroup.Plan{State: cgroup.Delegated, Options: cgroup.Options{Mirror: cgroup.MirrorNothing}}, Outside: true, Why: cgroup.ErrOutside}
				if m == cgroup.Require {
					return r, r.Why
				}
				return r, nil
			}
			if status := j.delegate(); status != want || j.orders.Delegated != (want == 0) {
				t.Errorf("mode %d: status %d, delegated %v", mode, status, j.orders.Delegated)
			}
		}
	})
}

// PID 1 has other children than this process where an unshare came before (Elsewhere), and a
// helper that was killed has left the cgroup half done.
func TestWhereTheHelperCannotDelegate(t *testing.T) {
	const killedReason = " state=delegation not finished reason=the helper that set the cgroup up was killed hint=look who kills processes in the container; the next start tries again"
	const elsewhere = " state=not PID 1 reason=the children of this process are in another PID namespace, from which its cgroup cannot be set up hint=start cgshim as the first process of the PID namespace: unshare --fork --pid"
	const required = "error cgroup not delegated, so the program does not start"
	failed := errors.New("why")
	for _, c := range []struct {
		name      string
		config    Config
		elsewhere bool
		killed    int32
		undo      []error
		state     cgroup.State
		status    int
		want      []string
		goesOn    bool
	}{
		{name: "off does nothing at all", config: Config{CgroupMode: CgroupOff}, elsewhere: true, killed: 1},
		{name: "elsewhere, and not asked to act", elsewhere: true, want: []string{"info cgroup not delegated" + elsewhere}},
		{name: "elsewhere, and asked to", config: Config{Dind: true}, elsewhere: true, want: []string{"warn cgroup not delegated" + elsewhere}},
		{name: "elsewhere, and required", config: Config{CgroupMode: CgroupRequire}, elsewhere: true, status: ExitRequire, want: []string{required + elsewhere + " required_by="}},
		{name: "killed: the work is undone, and the program starts", killed: 1, state: cgroup.HostView, want: []string{"undo", "warn cgroup not delegated" + killedReason}},
		{name: "killed, and required", config: Config{CgroupMode: CgroupRequire}, killed: 1, state: cgroup.HostView, status: ExitRequire, want: []string{"undo", required + killedReason + " required_by="}},
		{name: "killed, and required on v2", config: Config{CgroupMode: CgroupRequireV2}, killed: 1, state: cgroup.HostView, status: ExitRequire, want: []string{"undo", required + killedReason + " required_by="}},
		{
			name: "killed, and the work cannot be undone", killed: 1, undo: []error{failed}, state: cgroup.HostView,
			want: []string{"undo", "warn a delegation that was begun is not undone err=why", "warn cgroup not delegated" + killedReason},
		},
		{
			name: "killed after the work was complete", killed: 1, state: cgroup.Delegated, goesOn: true,
			want: []string{"undo", "warn cgroup not delegated err=the test does not delegate"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			j, w := newJob(t, c.config)
			called := false
			j.kernel.delegate = func(cgroup.Mode, cgroup.Options) (*cgroup.Report, error) {
				called = true
				return &cgroup.Report{}, errors.New("the test does not delegate")
			}
			j.orders.Elsewhere, j.orders.Killed, w.undo, w.state = c.elsewhere, c.killed, c.undo, c.state
			if status := j.delegate(); status != c.status || j.orders.Delegated || called != c.goesOn {
				t.Errorf("status %d, want %d; delegated %v; delegates %v", status, c.status, j.orders.Delegated, called)
			}
			w.wants(c.want...)
		})
	}
}

func TestModes(t *testing.T) {
	for mode, want := range map[CgroupMode]cgroup.Mode{
		CgroupAuto: cgroup.Auto, CgroupExplicit: cgroup.Auto, CgroupRequire: cgroup.Require, CgroupRequireV2: cgroup.RequireV2,
	} {
		j, _ := newJob(t, Config{CgroupMode: mode})
		if got := j.mode(); got != want {
			t.Errorf("mode %d is %d, want %d", mode, got, want)
		}
	}
}
