package shim

import (
	"strings"

	"github.com/cgshim/cgshim/cgroup"
)

// delegate does the cgroup set-up that the mode asks for. The status is 0 where
// the child may be started.
func (s *shim) delegate() int {
	if s.CgroupMode == CgroupOff {
		return 0
	}
	if !s.pid1 && !s.Cgroup.Anywhere {
		s.log.Log(Debug, "cgroup set-up skipped", "reason", "not PID 1")
		return 0
	}
	s.Cgroup.Interrupted = s.stopPending // who wants an end need not wait for it
	plan, report, err := s.setUp(s.Cgroup)
	for _, step := range plan.Steps {
		s.log.Log(Debug, "cgroup step", "step", step.String())
	}
	if plan.Skip {
		return s.skip(plan)
	}
	if err != nil {
		return s.notDelegated(Warn, explain(err)) // what was done is undone
	}
	s.delegated = true
	for _, err := range report.Warnings {
		s.log.Log(Warn, "optional cgroup step failed", explain(err)...)
	}
	facts := []any{"cgroup", report.HostPath, "id", report.ID, "controllers", strings.Join(report.Enabled, " ")}
	if plan.State == cgroup.Delegated {
		s.log.Log(Info, plan.State.String(), facts...)
		return 0
	}
	facts = append(facts, "moved", report.Moved, "rounds", report.Rounds, "elapsed", report.Elapsed)
	for name, err := range report.Missing {
		facts = append(facts, "missing_"+name, err)
		if hint := cgroup.Hint(err); hint != "" {
			facts = append(facts, "hint", hint)
		}
	}
	if len(report.Enabled) == 0 {
		facts = append(facts, "hint", "inner containers can have no limits: the cgroups above this one enable no controllers for it")
	}
	s.log.Notice("cgroup delegated", facts...)
	return 0
}

// setUp delegates this process's cgroup, unless the plan says to skip that.
func setUp(o cgroup.Options) (plan *cgroup.Plan, report *cgroup.Report, err error) {
	if plan = cgroup.Decide(cgroup.Observe(), o); !plan.Skip {
		report, err = plan.Apply()
	}
	return plan, report, err
}

// explain is an error with what to change about it.
func explain(err error) []any {
	facts := []any{"err", err}
	if hint := cgroup.Hint(err); hint != "" {
		facts = append(facts, "hint", hint)
	}
	return facts
}

// skip says why nothing was done, at the default level only where the user can
// change something.
func (s *shim) skip(plan *cgroup.Plan) int {
	facts := []any{"state", plan.State.String(), "reason", plan.Reason}
	if hint := plan.Hint; hint != "" {
		facts = append(facts, "hint", hint)
	}
	if plan.Actionable {
		return s.notDelegated(Warn, facts)
	}
	return s.notDelegated(Info, facts)
}

// notDelegated says so at level, and ends the run where a delegation is required.
func (s *shim) notDelegated(level Level, facts []any) int {
	if s.CgroupMode == CgroupRequire {
		s.log.Log(Error, "cgroup not delegated, which --cgroup=require asks for", facts...)
		return ExitRequire
	}
	s.log.Log(level, "cgroup not delegated", facts...)
	return 0
}
