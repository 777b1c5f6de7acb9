package shim

import (
	"errors"
	"strings"

	"github.com/cgshim/cgshim/cgroup"
)

// delegate does the cgroup set-up that the mode asks for. It returns 0 if the program
// may start.
func (s *shim) delegate() int {
	if s.CgroupMode == CgroupOff {
		return 0
	}
	s.Cgroup.Interrupted = s.stopPending // a stop signal ends the wait for a busy cgroup
	report, why := s.setUp(s.mode(), s.Cgroup)
	if why == nil {
		why = report.Why
	}
	plan := report.Plan
	if plan == nil {
		return s.notDelegated(LevelWarn, explain(why))
	}
	for _, step := range plan.Steps {
		s.log.Log(LevelDebug, "cgroup step", "step", step.String())
	}
	switch {
	case plan.Refusal != nil:
		return s.refused(plan.Refusal)
	case errors.Is(why, cgroup.ErrOutside) && !s.required():
	case why != nil:
		return s.notDelegated(LevelWarn, explain(why)) // the steps are undone
	}
	s.delegated = true
	s.follow(report)
	for _, err := range report.Warnings {
		s.log.Log(LevelWarn, "optional cgroup step failed", explain(err)...)
	}
	facts := []any{"cgroup", report.HostPath, "id", report.ID, "controllers", strings.Join(report.Enabled, " ")}
	if r := plan.NoRoom; r != nil {
		s.log.Log(LevelWarn, "no room for inner cgroups", "reason", r.Reason, "hint", r.Hint)
	}
	if plan.State == cgroup.Delegated {
		s.log.Log(LevelInfo, plan.State.String(), facts...)
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

// explain returns log fields with err and its hint.
func explain(err error) []any {
	facts := []any{"err", err}
	if hint := cgroup.Hint(err); hint != "" {
		facts = append(facts, "hint", hint)
	}
	return facts
}

// refused logs why the cgroup is not delegated. The line appears at the default level
// only if the user can change something. If this process is not the container's entry
// point, the user must also have asked for a delegation, because cgshim may run there as
// a plain init.
func (s *shim) refused(r *cgroup.Refusal) int {
	facts := []any{"state", r.State.String(), "reason", r.Reason}
	if r.Hint != "" {
		facts = append(facts, "hint", r.Hint)
	}
	asked := s.Dind || s.CgroupMode != CgroupAuto
	switch {
	case s.CgroupMode == CgroupRequireV2 && !r.State.V2():
		s.log.Log(LevelInfo, "cgroup not delegated", facts...)
		return 0
	case r.Hint == "" || r.State == cgroup.NotInit && !asked:
		return s.notDelegated(LevelInfo, facts)
	}
	return s.notDelegated(LevelWarn, facts)
}

// mode converts the mode for the package cgroup.
func (s *shim) mode() cgroup.Mode {
	switch s.CgroupMode {
	case CgroupRequire:
		return cgroup.Require
	case CgroupRequireV2:
		return cgroup.RequireV2
	}
	return cgroup.Auto
}

func (s *shim) required() bool {
	return s.CgroupMode == CgroupRequire || s.CgroupMode == CgroupRequireV2
}

// notDelegated logs at level that the cgroup is not delegated. If the mode requires a
// delegation, it logs an error and returns the status to exit with.
func (s *shim) notDelegated(level Level, facts []any) int {
	if s.required() {
		s.log.Log(LevelError, "cgroup not delegated, so the program does not start", append(facts, "required_by", s.CgroupFrom)...)
		return ExitRequire
	}
	s.log.Log(level, "cgroup not delegated", facts...)
	return 0
}
