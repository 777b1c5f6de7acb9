package init

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cgshim/cgshim/test/internal/lab"
)

// The init and the program get the value, with -x too.
func TestOOMScoreAdj(t *testing.T) {
	own, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		env  string
		want string
	}{
		{nil, "", string(own)},
		{[]string{"--oom-score-adj=300"}, "", "300\n"},
		{nil, "CGSHIM_OOM_SCORE_ADJ=300", "300\n"},
		{[]string{"--oom-score-adj=keep"}, "CGSHIM_OOM_SCORE_ADJ=300", string(own)},
		{[]string{"-x", "--oom-score-adj=300"}, "", "300\n"},
	} {
		t.Run(fmt.Sprint(c.args, " ", c.env), func(t *testing.T) {
			r := &lab.Run{Path: lab.Cgshim(t), PID1: os.Geteuid() == 0, Env: append(lab.Environ(), c.env)}
			r.Args = append(c.args, "--", "sh", "-c", "cat /proc/self/oom_score_adj; read wait")
			in, hold, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			r.Stdin = in
			r.Start(t)
			in.Close()
			lab.Until(t, "the program to say it", func() bool { return strings.HasSuffix(r.Stdout.String(), "\n") })
			init, err := os.ReadFile("/proc/" + strconv.Itoa(r.PID()) + "/oom_score_adj")
			if got := r.Stdout.String(); got != c.want || string(init) != c.want || err != nil {
				t.Errorf("%q %q: the program has %q, the init %q, want %q", c.args, c.env, got, init, c.want)
			}
			hold.Close()
			if r.Wait(t); r.Stderr.String() != "" {
				t.Errorf("%q: %q", c.args, r.Stderr.String())
			}
		})
	}
}

// Without CAP_SYS_RESOURCE a process can only raise the value. The program starts all
// the same.
func TestOOMScoreAdjWithoutPrivilege(t *testing.T) {
	lab.Root(t)
	r := &lab.Run{Path: lab.Cgshim(t), PID1: true, Args: []string{"--oom-score-adj=-900", "--", "sh", "-c", "exit 7"}}
	r.Attr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	status := r.Do(t)
	said := r.Stderr.String()
	if status != 7 || strings.Count(said, "oom_score_adj not set") != 1 || !strings.Contains(said, "-900") ||
		!strings.Contains(said, "permission denied") || !strings.Contains(said, "CAP_SYS_RESOURCE") {
		t.Errorf("%d, %q", status, said)
	}
}
