// Package init tests an init's duties to its child and to orphans from outside:
// inheritance, signals, reaping, terminals and the end.
package init

import (
	"os"
	"testing"

	"github.com/cgshim/cgshim/test/internal/lab"
)

func TestMain(m *testing.M) {
	status := m.Run()
	lab.Cleanup()
	os.Exit(status)
}

// pid1 returns cgshim as PID 1 without a delegation.
func pid1(t *testing.T, args ...string) *lab.Run {
	t.Helper()
	lab.Root(t)
	return &lab.Run{Path: lab.Cgshim(t), Args: append([]string{"--cgroup=off"}, args...), PID1: true}
}
