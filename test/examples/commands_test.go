package examples

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cgshim/cgshim/test/internal/lab"
)

// A line is a command line of cgshim in an example.
type line struct {
	file string
	name string // argv[0]
	args []string
	env  map[string]string
}

// lines returns the command lines of all examples. In examples with the image dind the
// image's entry script starts cgshim as docker-init. In the others cgshim is the entry point.
func lines(t *testing.T) (all []line) {
	for _, s := range services(t) {
		all = append(all, line{s.file, "docker-init", append([]string{"--"}, s.args...), s.env})
	}
	for file, spec := range manifests(t) {
		for _, c := range containers(spec) {
			if isDind(c) {
				all = append(all, line{file, "docker-init", append([]string{"--"}, c.Args...), variables(c)})
			}
		}
	}
	debian := append(words(t, "Dockerfile.debian", "ENTRYPOINT"), words(t, "Dockerfile.debian", "CMD")...)
	all = append(all, line{"Dockerfile.debian", "cgshim", debian[1:], nil})
	for _, file := range []string{"envbox.md", "lxc/dockerd.conf"} {
		for text := range strings.Lines(string(read(t, file))) {
			text = strings.TrimPrefix(strings.TrimSpace(text), "command = ")
			if list, found := strings.CutPrefix(strings.TrimPrefix(text, "ENTRYPOINT "), "["); found {
				text = strings.NewReplacer(`"`, "", ",", "", "]", "").Replace(list)
			}
			text = strings.TrimPrefix(text, "lxc.init.cmd = ")
			if args, found := strings.CutPrefix(text, "/cgshim "); found {
				all = append(all, line{file, "cgshim", strings.Fields(args), nil})
			}
		}
	}
	if len(all) < 10 {
		t.Fatalf("only %d command lines", len(all))
	}
	return all
}

// program replaces the program that an example starts. It prints its arguments.
const program = "#!/bin/sh\necho \"${0##*/}\" \"$@\"\nexit 3\n"

// cgshim must accept each command line, and must start the example's program with the
// program's arguments. The test runs cgshim in mount and PID namespaces of its own with an
// empty /run. It leaves cgroups alone, because other tests delegate in a virtual machine.
func TestCommandsRun(t *testing.T) {
	lab.Root(t)
	bin := lab.Cgshim(t)
	for _, l := range lines(t) {
		t.Run(l.file, func(t *testing.T) {
			dir := t.TempDir()
			end := slices.Index(l.args, "--")
			command := append([]string{}, l.args[end+1:]...)
			command[0] = filepath.Base(command[0])
			if err := os.WriteFile(filepath.Join(dir, command[0]), []byte(program), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(bin, filepath.Join(dir, l.name)); err != nil {
				t.Fatal(err)
			}
			run := func(options []string, env ...string) (string, int) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				args := []string{"--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", `mount -t tmpfs tmpfs /run; exec "$0" "$@"`, filepath.Join(dir, l.name)}
				args = append(append(append(args, options...), "--"), command...)
				cmd := exec.CommandContext(ctx, "unshare", args...)
				cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH")}
				for name, value := range l.env {
					cmd.Env = append(cmd.Env, name+"="+value)
				}
				cmd.Env = append(cmd.Env, env...)
				out, _ := cmd.CombinedOutput()
				said, _, _ := strings.Cut(string(out), "\n\nUsage: ")
				return said, cmd.ProcessState.ExitCode()
			}
			// Ignore the status, which depends on the cgroup that this machine gives the test.
			if out, status := run(append(slices.Clone(l.args[:end]), "--check")); !strings.HasPrefix(out, "verdict ") {
				t.Errorf("%s %q %q: status %d: %s", l.name, l.args, l.env, status, out)
			}
			want := strings.Join(command, " ") + "\n"
			out, status := run(append(slices.Clone(l.args[:end]), "--cgroup=off"), "CGSHIM_CGROUP=off")
			if !strings.Contains(out, want) || status != 3 {
				t.Errorf("%s %q %q: status %d: %s, want %q", l.name, l.args, l.env, status, out, want)
			}
		})
	}
}
