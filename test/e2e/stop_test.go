package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// obliging is a program of an inner container that ends with status 7 on TERM.
var obliging = []string{"sh", "-c", "trap 'exit 7' TERM; while :; do sleep 1 & wait; done"}

// docker stop, restart and kill must work with dockerd in the outer container. dockerd must
// stop its containers in order and start again, the cgroups must not nest deeper, and other
// signals must reach the program.
func TestStop(t *testing.T) {
	for _, v := range tried() {
		t.Run(v.name, func(t *testing.T) {
			before, err := observe()
			if err != nil {
				t.Fatal(err)
			}
			defer before.repair()
			o, started := start("stop-"+v.name, v, "--cgroupns=private", "--stop-timeout=30")
			part := func(name string, f func() error) {
				rows.check(t, name, v, func() error {
					if started != nil {
						return fmt.Errorf("dockerd did not start: %w", started)
					}
					return f()
				})
			}
			part("docker stop: dockerd stops its containers, exit status 0", o.stops)
			name, times := "docker restart, cgshim ten times: dockerd comes up, nothing nests deeper", 10
			switch {
			case testing.Short():
				name, times = "docker restart, twice: dockerd comes up, nothing nests deeper", 2
			case v.name != ours.name:
				times = 1 // enough to see a peer nest
			}
			part(name, func() error { return o.restarts(times) })
			part("docker kill and start: no stale pid file in the way", func() error {
				if _, err := docker("kill", o.id); err != nil {
					return err
				}
				return o.again()
			})
			rows.check(t, "docker rm leaves no cgroup behind", v, func() error {
				return errors.Join(o.remove(), before.since())
			})
			rows.check(t, "docker kill -s USR1, --stop-signal=RTMIN+3 reach the program", v, func() error {
				return leavesTheHost(before.options, func() error { return stopSignals(v) })
			})
		})
	}
}

// stops stops the outer container while an inner container runs. The exit status of the
// inner container shows later whether dockerd had the time to stop it.
func (o *outer) stops() error {
	if _, err := o.inner("obliging", obliging...); err != nil {
		return err
	}
	if err := o.under("trap 'exit 7' TERM"); err != nil {
		return err
	}
	if _, err := docker("stop", o.id); err != nil {
		return err
	}
	status, err := docker("inspect", "--format={{.State.Status}} {{.State.ExitCode}}", o.id)
	if err != nil {
		return err
	}
	if status != "exited 0" {
		return fmt.Errorf("the outer container: %s", status)
	}
	if err := o.again(); err != nil {
		return err
	}
	inner, err := o.docker("inspect", "--format={{.State.Status}} {{.State.ExitCode}}", "obliging")
	if err != nil {
		return err
	}
	if inner != "exited 7" {
		return fmt.Errorf("the inner container was not stopped in order: %s", inner)
	}
	return nil
}

// again starts the container once more and waits for its dockerd.
func (o *outer) again() error {
	if _, err := docker("start", o.id); err != nil {
		return err
	}
	return o.ready()
}

// shape returns the names of the cgroups below the container's.
func (o *outer) shape() string {
	var dirs []string
	for _, dir := range groupsBelow(cgroupRoot + o.cgroup) {
		dirs = append(dirs, strings.TrimPrefix(dir, cgroupRoot+o.cgroup+"/"))
	}
	return strings.Join(dirs, " ")
}

func (o *outer) restarts(times int) error {
	first := o.shape()
	for n := range times {
		if _, err := docker("restart", o.id); err != nil {
			return fmt.Errorf("restart %d: %w", n+1, err)
		}
		if err := o.ready(); err != nil {
			return fmt.Errorf("restart %d: %w", n+1, err)
		}
		if now := o.shape(); now != first {
			return fmt.Errorf("restart %d: cgroups %q, at first %q", n+1, now, first)
		}
	}
	return o.execLands("6511")
}

// stopSignals runs a shell as the program. The shell prints the signals that it gets.
func stopSignals(v variant) (err error) {
	const program = "trap 'echo got USR1' USR1; trap 'echo got 37; exit 9' 37; echo ready; while :; do sleep 1 & wait; done"
	o, err := create("signals-"+v.name, v, []string{"--cgroupns=private", "--stop-signal=RTMIN+3"}, "sh", "-c", program)
	defer func() { err = errors.Join(err, o.remove()) }()
	if err != nil {
		return err
	}
	says := func(text string) error {
		return eventually(20*time.Second, func() error {
			if logs, _ := o.logs(); !strings.Contains(logs, text) {
				return fmt.Errorf("no %q in the log: %s", text, tail(logs, 5))
			}
			return nil
		})
	}
	if _, err := docker("start", o.id); err != nil {
		return err
	}
	if err := says("ready"); err != nil {
		return err
	}
	if _, err := docker("kill", "--signal=USR1", o.id); err != nil {
		return err
	}
	if err := says("got USR1"); err != nil {
		return err
	}
	if _, err := docker("stop", o.id); err != nil {
		return err
	}
	if err := says("got 37"); err != nil {
		return err
	}
	status, err := docker("inspect", "--format={{.State.Status}} {{.State.ExitCode}}", o.id)
	if err == nil && status != "exited 9" {
		err = errors.New("the container: " + status)
	}
	return err
}
