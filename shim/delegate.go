package shim

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/cgroup"
)

// delegate does the cgroup set-up that the mode asks for. It returns 0 if the program
// may start.
func (j *job) delegate() int {
	if j.CgroupMode == CgroupOff {
		return 0
	}
	if refusal := j.mayDelegate(); refusal != nil {
		return j.refused(refusal)
	}
	j.Cgroup.Interrupted = j.hurry // a stop signal ends the wait for a busy cgroup
	report, why := j.kernel.delegate(j.mode(), j.Cgroup)
	if why == nil {
		why = report.Why
	}
	plan := report.Plan
	if plan == nil {
		return j.notDelegated(LevelWarn, explainError(why))
	}
	for _, step := range plan.Steps {
		j.log.Log(LevelDebug, "cgroup step", "step", step.String())
	}
	switch {
	case plan.Refusal != nil:
		return j.refused(plan.Refusal)
	case errors.Is(why, cgroup.ErrOutside) && !j.required():
	case why != nil:
		return j.notDelegated(LevelWarn, explainError(why)) // the steps are undone
	}
	j.orders.Delegated = true
	j.follow(report)
	for _, err := range report.Warnings {
		j.log.Log(LevelWarn, "optional cgroup step failed", explainError(err)...)
	}
	facts := []any{"cgroup", report.HostPath, "id", report.ID, "controllers", strings.Join(report.Enabled, " ")}
	if r := plan.NoRoom; r != nil {
		j.log.Log(LevelWarn, "no room for inner cgroups", "reason", r.Reason, "hint", r.Hint)
	}
	if plan.State == cgroup.Delegated {
		j.log.Log(LevelInfo, plan.State.String(), facts...)
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
	j.log.Notice("cgroup delegated", facts...)
	return 0
}

// mayDelegate refuses where the helper cannot do the set-up.
func (j *job) mayDelegate() *cgroup.Refusal {
	switch o := j.orders; {
	case o.Elsewhere:
		return &cgroup.Refusal{
			State: cgroup.NotInit, Reason: "the children of this process are in another PID namespace, from which its cgroup cannot be set up",
			Hint: "start cgshim as the first process of the PID namespace: unshare --fork --pid",
		}
	case o.Killed > 0:
		return j.takeBack()
	}
	return nil
}

// takeBack undoes the work of a helper that was killed. If the work was complete, nothing is
// left to do. Before the cgroup namespace of PID 1 has a mount of its own, some of the work
// can be seen in the old namespace only.
func (j *job) takeBack() *cgroup.Refusal {
	err := j.kernel.undo(j.Cgroup)
	if err != nil && j.returnToNamespace() {
		err = j.kernel.undo(j.Cgroup)
	}
	if err == nil && j.kernel.decide(j.Cgroup).State == cgroup.Delegated {
		return nil
	}
	j.returnToNamespace()
	if err != nil {
		j.log.Log(LevelWarn, "a delegation that was begun is not undone", explainError(err)...)
	}
	return &cgroup.Refusal{State: cgroup.Interrupted, Reason: "the helper that set the cgroup up was killed", Hint: "look who kills processes in the container; the next start tries again"}
}

// returnToNamespace brings PID 1 and this process back into the cgroup namespace from before
// the set-up, and reports whether there is one.
func (j *job) returnToNamespace() bool {
	if j.orders.OldNamespace < 0 {
		return false
	}
	j.call(unix.SYS_SETNS, uintptr(j.orders.OldNamespace), unix.CLONE_NEWCGROUP)
	return cgroup.Rejoin() == nil
}

// hurry reports whether a stop signal waits.
func (j *job) hurry() bool {
	if j.pending != nil {
		return j.pending()&j.StopSignals != 0
	}
	return j.orders.Hurry()
}

// explainError returns log fields with err and its hint.
func explainError(err error) []any {
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
func (j *job) refused(r *cgroup.Refusal) int {
	facts := []any{"state", r.State.String(), "reason", r.Reason}
	if r.Hint != "" {
		facts = append(facts, "hint", r.Hint)
	}
	asked := j.Dind || j.CgroupMode != CgroupAuto
	switch {
	case j.CgroupMode == CgroupRequireV2 && !r.State.V2():
		j.log.Log(LevelInfo, "cgroup not delegated", facts...)
		return 0
	case r.Hint == "" || r.State == cgroup.NotInit && !asked:
		return j.notDelegated(LevelInfo, facts)
	}
	return j.notDelegated(LevelWarn, facts)
}

// mode converts the mode for the package cgroup.
func (j *job) mode() cgroup.Mode {
	switch j.CgroupMode {
	case CgroupRequire:
		return cgroup.Require
	case CgroupRequireV2:
		return cgroup.RequireV2
	}
	return cgroup.Auto
}

func (j *job) required() bool {
	return j.CgroupMode == CgroupRequire || j.CgroupMode == CgroupRequireV2
}

// notDelegated logs at level that the cgroup is not delegated. If the mode requires a
// delegation, it logs an error and returns the status to exit with.
func (j *job) notDelegated(level Level, facts []any) int {
	if j.required() {
		j.log.Log(LevelError, "cgroup not delegated, so the program does not start", append(facts, "required_by", j.CgroupFrom)...)
		return ExitRequire
	}
	j.log.Log(level, "cgroup not delegated", facts...)
	return 0
}
