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
	plan := cgroup.Decide(cgroup.Observe(), s.Cgroup)
	for _, step := range plan.Steps {
		s.log.Log(Debug, "cgroup step", "step", step.String())
	}
	if plan.Skip {
		return s.skip(plan)
	}
	report, err := plan.Apply()
	if err != nil {
		return s.refused(err)
	}
	s.delegated = true
	if plan.State == cgroup.Delegated {
		s.log.Log(Info, plan.State.String(), "cgroup", report.HostPath)
		return 0
	}
	facts := []any{
		"cgroup", report.HostPath, "id", report.ID, "controllers", strings.Join(report.Enabled, " "),
		"moved", report.Moved, "rounds", report.Rounds, "elapsed", report.Elapsed,
	}
	for _, err := range report.Warnings {
		s.log.Log(Warn, "limit not set", "err", err)
	}
	for name, err := range report.Missing {
		facts = append(facts, "missing_"+name, err)
	}
	s.log.Notice("cgroup delegated", facts...)
	return 0
}

// skip says why nothing was done, at the default level only where the user can
// change something.
func (s *shim) skip(plan *cgroup.Plan) int {
	facts := []any{"state", plan.State.String(), "reason", plan.Reason}
	if hint := plan.Hint; hint != "" {
		facts = append(facts, "hint", hint)
	}
	switch {
	case s.CgroupMode == CgroupRequire:
		s.log.Log(Error, "cgroup not delegated, which --cgroup=require asks for", facts...)
		return ExitRequire
	case plan.Actionable:
		s.log.Log(Warn, "cgroup not delegated", facts...)
	default:
		s.log.Log(Info, "cgroup not delegated", facts...)
	}
	return 0
}

// refused reports a step that failed; everything before it has been undone.
func (s *shim) refused(err error) int {
	facts := []any{"err", err}
	if hint := cgroup.Hint(err); hint != "" {
		facts = append(facts, "hint", hint)
	}
	if s.CgroupMode == CgroupRequire {
		s.log.Log(Error, "cgroup not delegated, which --cgroup=require asks for", facts...)
		return ExitRequire
	}
	s.log.Log(Warn, "cgroup not delegated", facts...)
	return 0
}
