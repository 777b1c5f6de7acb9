package init

import (
	"os"
	"strings"
	"testing"

	"github.com/cgshim/cgshim/test/internal/lab"
)

// attacks are what another user of the container, or another container with the same
// volume, may have done to /run before cgshim starts.
var attacks = map[string]struct {
	shell string
	named bool // cgshim says what it ignores
}{
	"nothing":                  {"true", false},
	"a FIFO":                   {"mkfifo /run/cgshim", true},
	"a file":                   {"echo x >/run/cgshim", true},
	"a link to a directory":    {"mkdir -m 700 /run/target && ln -s target /run/cgshim", true},
	"a link to a file":         {"echo x >/run/target && ln -s target /run/cgshim", true},
	"another user's directory": {"mkdir -m 700 /run/cgshim && chown 65534 /run/cgshim", true},
	"an open directory":        {"mkdir -m 777 /run/cgshim", true},
	"FIFOs in the directory":   {"mkdir -m 700 /run/cgshim && mkfifo /run/cgshim/base /run/cgshim/shared /run/cgshim/cgroup", false},
	"links in the directory":   {"mkdir -m 700 /run/cgshim && echo x >/run/target && ln -s ../target /run/cgshim/base && ln -s ../target /run/cgshim/cgroup", false},
	"a huge file":              {"mkdir -m 700 /run/cgshim && truncate -s 6G /run/cgshim/base /run/cgshim/cgroup", false},
	"a forged note":            {`mkdir -m 700 /run/cgshim && echo "$(stat -c %i /sys/fs/cgroup) $NAME" >/run/cgshim/base && echo 1 >/run/cgshim/shared`, false},
	"a lock on /run":           {"{ setpriv --reuid=65534 --regid=65534 --clear-groups flock /run sleep 1000 & } && until [ -n \"$(grep FLOCK /proc/locks)\" ]; do sleep 0.01; done", false},
}

// attacked returns PID 1 of a container in which an attack has happened.
func (c *container) attacked(shell, command string) *lab.Run {
	r := c.pid1()
	r.Args = []string{"-c", mounts() + "chmod 1777 /run && " + shell + " && exec " + command}
	r.Env = append(lab.Environ(), "NAME="+c.name, "CGSHIM="+lab.Cgshim(c.t))
	return r
}

// Whatever is in /run, the container is delegated as without it, under cgshim's own name
// and with --exec, at the first run and at the next.
func TestHostileRun(t *testing.T) {
	const own = "cat /proc/self/cgroup"
	for form, command := range map[string]string{
		"own name":        "$CGSHIM -- " + own,
		"--exec":          "$CGSHIM -x --cgroup=require -- " + own,
		"again":           "$CGSHIM --cgroup=require -- $CGSHIM -x --cgroup=require -- " + own,
		"by a supervisor": "sh -c '$CGSHIM -x --cgroup=require true && $CGSHIM -x --cgroup=require " + own + " && exit 0'",
		"beside an init":  "sh -c '$CGSHIM -- " + own + "; exit $?'",
	} {
		for name, attack := range attacks {
			t.Run(form+", "+name, func(t *testing.T) {
				c := newContainer(t)
				above := enabled(t)
				r := c.attacked(attack.shell, command)
				r.Start(t)
				lab.Until(t, "the end", func() bool { return dead(r.PID()) })
				status, said := r.Wait(t), r.Stderr.String()
				if status != 0 || !strings.HasSuffix(r.Stdout.String(), "0::/init\n") || !strings.Contains(said, "cgroup delegated") {
					t.Errorf("%d, %q, %q", status, r.Stdout.String(), said)
				}
				if strings.Contains(said, "/run/cgshim") != attack.named {
					t.Errorf("what is ignored is named: %q", said)
				}
				if now := enabled(t); now != above {
					t.Errorf("the cgroup above enables %q and not %q", now, above)
				}
			})
		}
	}
}

func enabled(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(hierarchy() + "/cgroup.subtree_control")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// --check opens nothing that can wait, and names what it ignores.
func TestCheckOfAHostileRun(t *testing.T) {
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			c := newContainer(t)
			r := c.attacked(attack.shell, "$CGSHIM --check")
			r.Start(t)
			lab.Until(t, "the end", func() bool { return dead(r.PID()) })
			status, text := r.Wait(t), r.Stdout.String()
			if status != 0 || !strings.Contains(text, "inner containers will be created under this container's cgroup") {
				t.Errorf("%d, %s", status, text)
			}
			if strings.Contains(text, "/run/cgshim") != attack.named {
				t.Errorf("what is ignored is named: %s", text)
			}
		})
	}
}

// An image's variables do not count where the operator says so.
func TestNoEnv(t *testing.T) {
	for name, c := range map[string]struct {
		args   []string
		status int
	}{
		"an image turns the status into 0": {nil, 0},
		"the operator does not let it":     {[]string{"--no-env"}, 42},
	} {
		r := pid1(t, append(c.args, "--", "sh", "-c", "exit 42")...)
		r.Env = append(lab.Environ(), "CGSHIM_EXPECT_EXIT=0-255")
		if status := r.Do(t); status != c.status {
			t.Errorf("%s: %d, %q", name, status, r.Stderr.String())
		}
	}
}

func TestAMisspeltVariableIsNamed(t *testing.T) {
	r := pid1(t, "--", "true")
	r.Env = append(lab.Environ(), "CGSHIM_STOPTIMEOUT=5s", "CGSHIM_DINDD=1")
	if status := r.Do(t); status != 0 || strings.Count(r.Stderr.String(), "\n") != 1 || !strings.Contains(r.Stderr.String(), `"CGSHIM_STOPTIMEOUT CGSHIM_DINDD"`) {
		t.Errorf("%d, %q", status, r.Stderr.String())
	}
}
