package cgroup

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestOnlyOnTheMainThread(t *testing.T) {
	// Two goroutines are locked to a thread each, so at least one is not on the main
	// thread.
	held, done := make(chan struct{}), make(chan struct{})
	defer close(done)
	other := func() (apply, delegate error) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if unix.Gettid() == os.Getpid() {
			close(held)
			<-done
			return nil, nil
		}
		_, apply = (&Plan{State: Private, Steps: []Step{{action: refusedStep{t}}}}).Apply()
		_, delegate = Delegate(Auto, Options{})
		return apply, delegate
	}
	errs := make(chan [2]error, 2)
	start := func() { go func() { a, d := other(); errs <- [2]error{a, d} }() }
	start()
	var got [2]error
	select {
	case got = <-errs:
	case <-held:
		start()
		got = <-errs
	}
	for _, err := range got {
		if !errors.Is(err, ErrThread) || !strings.Contains(err.Error(), "of process "+strconv.Itoa(os.Getpid())) {
			t.Error(err)
		}
	}
}

// refusedStep is a step that must not run.
type refusedStep struct{ t *testing.T }

func (refusedStep) String() string { return "" }

func (s refusedStep) do(*application) error {
	s.t.Error("a step was carried out")
	return nil
}

func TestModes(t *testing.T) {
	failure := &Error{"unshare", "CLONE_NEWCGROUP", "", unix.EPERM}
	for _, c := range []struct {
		state    State
		why      error
		required map[Mode]bool // modes in which that is an error
	}{
		{Private, nil, nil},
		{Private, failure, map[Mode]bool{Require: true, RequireV2: true}},
		{ReadOnly, &Refusal{State: ReadOnly}, map[Mode]bool{Require: true, RequireV2: true}},
		{NotMounted, failure, map[Mode]bool{Require: true, RequireV2: true}},
		{Legacy, &Refusal{State: Legacy}, map[Mode]bool{Require: true}},
		{Hybrid, &Refusal{State: Hybrid}, map[Mode]bool{Require: true}},
	} {
		for _, mode := range []Mode{Auto, Require, RequireV2} {
			r, err := mode.judge(&Report{Plan: &Plan{State: c.state}}, c.why)
			if want := c.required[mode]; (err != nil) != want || (r.Why != nil) != (c.why != nil && !want) {
				t.Errorf("%s, mode %d: %v, %v", c.state, mode, err, r.Why)
			}
		}
	}
	if r, err := Delegate(Off, Options{}); err != nil || r.Delegated || r.Why != nil {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestARefusalIsAnError(t *testing.T) {
	p := Decide(container(readOnly, unprivileged), Options{})
	var err error = p.Refusal
	if err.Error() != "read-only mount: /sys/fs/cgroup is mounted read-only" || Hint(err) != writable {
		t.Errorf("%v, %q", err, Hint(err))
	}
}

func TestZeroOptionsAreTheDefaults(t *testing.T) {
	p := Decide(container(), Options{})
	if p.Options.Timeout != DefaultTimeout || p.leaf != "init" {
		t.Errorf("%+v", p)
	}
	var steps []string
	for _, step := range p.Steps {
		steps = append(steps, step.String())
	}
	all := strings.Join(steps, "\n")
	for _, part := range []string{"into the leaf init", "cpu.max, cpu.max.burst, cpu.uclamp.max, cpu.uclamp.min, memory.high, memory.max, memory.swap.max, pids.max, memory.oom.group", "to the leaf init"} {
		if !strings.Contains(all, part) {
			t.Errorf("no %q in %s", part, all)
		}
	}
	if o := (Options{Leaf: "shim", Timeout: -1}).withDefaults(); o.Leaf != "shim" || o.Timeout != -1 {
		t.Errorf("%+v", o)
	}
}

func TestOver(t *testing.T) {
	past, future := time.Now().Add(-time.Second), time.Now().Add(time.Hour)
	always, never := func() bool { return true }, func() bool { return false }
	for _, c := range []struct {
		name        string
		deadline    time.Time
		interrupted func() bool
		over        bool
	}{
		{"before the deadline", future, nil, false},
		{"after it", past, nil, true},
		{"not interrupted", future, never, false},
		{"interrupted", future, always, true},
	} {
		if got := over(c.deadline, c.interrupted); got != c.over {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
