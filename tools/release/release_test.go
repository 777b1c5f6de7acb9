package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
)

// dist is the directory that `make release` has just filled.
var dist = os.Getenv("CGSHIM_DIST")

func TestMain(m *testing.M) {
	if dist == "" {
		fmt.Fprintln(os.Stderr, "CGSHIM_DIST is not set: run make release")
		os.Exit(1)
	}
	targets = chosen(os.Getenv("CGSHIM_ONLY"))
	// nohup(1) makes this process ignore SIGHUP. The children would inherit that, and a
	// shell can set no trap for an ignored signal.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	os.Exit(m.Run())
}

// emulators run the binaries of other architectures. The programs that these binaries
// start are the machine's own. 386 runs natively, because Go's runtime crashes under
// qemu-i386.
//
// boot_test.go tests arm64. QEMU's user mode handles a signal on any of its threads, so
// the main thread, which waits in rt_sigtimedwait(2), would sleep on.
var emulators = map[string][]string{
	"amd64":   nil,
	"386":     nil,
	"armv7":   {"qemu-arm-static"},
	"riscv64": {"qemu-riscv64-static"},
	"ppc64le": {"qemu-ppc64le-static"},
	"s390x":   {"qemu-s390x-static"},
	"loong64": {"qemu-loongarch64-static"},
}

// tried returns the released ports that can run here.
func tried() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, target := range targets {
			if _, ok := emulators[target.name]; ok && !yield(target.name) {
				return
			}
		}
	}
}

// command returns a command that runs the binary as PID 1 of a PID namespace.
func command(t *testing.T, name string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	line := append(append([]string{}, emulators[name]...), filepath.Join(dist, "cgshim-linux-"+name))
	line = append(line, args...)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	return cmd
}

func TestBinaryOfEachPortRuns(t *testing.T) {
	notExecutable := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(notExecutable, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name := range tried() {
		t.Run(name, func(t *testing.T) {
			for _, c := range []struct {
				what   string
				args   []string
				status int
				stdout string // a part of the output
				stderr string // a part of the output
			}{
				{"version", []string{"--version"}, 0, "cgshim version ", ""},
				{"help", []string{"--help"}, 0, "--cgroup", ""},
				{"unknown option", []string{"--nonsense"}, 1, "", "nonsense"},
				{"success", []string{"--", "sh", "-c", "echo out; echo err >&2"}, 0, "out\n", "err\n"},
				{"the child's status", []string{"--", "sh", "-c", "exit 7"}, 7, "", ""},
				{"a killed child", []string{"--", "sh", "-c", "kill -KILL $$"}, 128 + 9, "", "SIGKILL"},
				{"no such program", []string{"--", "no-such-program"}, 127, "", "no-such-program"},
				{"not executable", []string{"--", notExecutable}, 126, "", "plain"},
				{"an orphan is reaped", []string{"-w", "--", "sh", "-c", "orphan=$( (sleep 0.1 >/dev/null & echo $!) ); while kill -0 $orphan 2>/dev/null; do sleep 0.02; done"}, 0, "", "reaped"},
			} {
				var stdout, stderr bytes.Buffer
				cmd := command(t, name, c.args...)
				cmd.Stdout, cmd.Stderr = &stdout, &stderr
				status := exitStatus(cmd.Run())
				if status != c.status || !strings.Contains(stdout.String(), c.stdout) || !strings.Contains(stderr.String(), c.stderr) {
					t.Errorf("%s: exit status %d, want %d; stdout %q, want %q; stderr %q, want %q",
						c.what, status, c.status, stdout.String(), c.stdout, stderr.String(), c.stderr)
				}
			}
		})
	}
}

func TestBinaryOfEachPortForwardsSignals(t *testing.T) {
	for name := range tried() {
		t.Run(name, func(t *testing.T) {
			cmd := command(t, name, "--", "sh", "-c", "trap 'echo got HUP' HUP; trap 'echo got TERM; exit 42' TERM; echo ready; while :; do sleep 0.05; done")
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			for _, step := range []struct {
				wait string
				send syscall.Signal
			}{{"ready\n", syscall.SIGHUP}, {"got HUP\n", syscall.SIGTERM}, {"got TERM\n", 0}} {
				for buf := make([]byte, 64); !strings.HasSuffix(said.String(), step.wait); {
					n, err := out.Read(buf)
					said.Write(buf[:n])
					if err != nil {
						t.Fatalf("child said %q, then %v; want %q", said.String(), err, step.wait)
					}
				}
				if step.send != 0 {
					if err := cmd.Process.Signal(step.send); err != nil {
						t.Fatal(err)
					}
				}
			}
			if status := exitStatus(cmd.Wait()); status != 42 {
				t.Errorf("exit status %d, want 42", status)
			}
		})
	}
}

func TestChecksumsHold(t *testing.T) {
	cmd := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
	cmd.Dir = dist
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, target := range targets {
		name := "cgshim-linux-" + target.name
		for _, file := range []string{name, name + ".deb", name + ".rpm", name + ".apk"} {
			if _, err := os.Stat(filepath.Join(dist, file)); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestPackagesHaveNoComplaint(t *testing.T) {
	packages, _ := filepath.Glob(filepath.Join(dist, "*.deb"))
	if len(packages) != len(targets) {
		t.Fatalf("%d packages for %d targets", len(packages), len(targets))
	}
	for _, file := range packages {
		args := []string{"--allow-root", "--no-cfg", "--fail-on", "error,warning", "--display-level", ">=warning"}
		if strings.HasSuffix(file, "-loong64.deb") { // lintian of Debian 12 does not know this port
			args = append(args, "--suppress-tags", "unknown-architecture,binary-from-other-architecture")
		}
		if out, err := exec.Command("lintian", append(args, file)...).CombinedOutput(); err != nil {
			t.Errorf("lintian: %v\n%s", err, out)
		}
	}
}

// Each package has the binary of its port, the man page and the licences of the code in the
// binary. It calls the port by the name that the distribution uses.
func TestPackagesHoldTheBinary(t *testing.T) {
	for _, c := range []struct{ format, extract, arch, licenses string }{
		{"deb", `dpkg-deb --extract "$0" .`, `dpkg-deb --field "$0" Architecture`, "usr/share/doc/cgshim/copyright"},
		{"rpm", `rpm2cpio "$0" | busybox cpio -id`, `rpm -qp --queryformat '%{ARCH}\n' "$0"`, "usr/share/licenses/cgshim/*"},
		{"apk", `tar -xzf "$0" 2>/dev/null`, `sed -n 's/^arch = //p' .PKGINFO`, "usr/share/licenses/cgshim/*"},
	} {
		for _, target := range targets {
			t.Run(c.format+" "+target.name, func(t *testing.T) {
				dir := t.TempDir()
				sh := func(script string) string {
					cmd := exec.Command("sh", "-euc", script, filepath.Join(dist, "cgshim-linux-"+target.name+"."+c.format))
					cmd.Dir = dir
					var stderr bytes.Buffer
					cmd.Stderr = &stderr
					out, err := cmd.Output()
					if err != nil {
						t.Fatalf("%s: %v\n%s", script, err, stderr.Bytes())
					}
					return strings.TrimSpace(string(out))
				}
				sh(c.extract)
				if err := same(filepath.Join(dir, "usr/bin/cgshim"), filepath.Join(dist, "cgshim-linux-"+target.name)); err != nil {
					t.Error(err)
				}
				if info, err := os.Stat(filepath.Join(dir, "usr/bin/cgshim")); err != nil || info.Mode() != 0o755 {
					t.Errorf("%v, %v", info, err)
				}
				if page := sh("gzip -cd usr/share/man/man8/cgshim.8.gz | mandoc -Tlint -Wwarning; gzip -cd usr/share/man/man8/cgshim.8.gz"); !strings.Contains(page, "Dt CGSHIM 8") {
					t.Error("no man page")
				}
				if licenses := sh("cat " + c.licenses); !strings.Contains(licenses, "Permission is hereby granted") || !strings.Contains(licenses, "Mozilla Public License, version 2.0") {
					t.Errorf("%s does not have the licences of the code in the binary", c.licenses)
				}
				if arch := sh(c.arch); arch != architectures[target.name][c.format] {
					t.Errorf("architecture %q, want %q", arch, architectures[target.name][c.format])
				}
			})
		}
	}
}

// architectures has the names of the ports for dpkg-architecture(1), rpm and Alpine's
// abuild.
var architectures = map[string]map[string]string{
	"amd64":   {"deb": "amd64", "rpm": "x86_64", "apk": "x86_64"},
	"arm64":   {"deb": "arm64", "rpm": "aarch64", "apk": "aarch64"},
	"armv7":   {"deb": "armhf", "rpm": "armv7hl", "apk": "armv7"},
	"386":     {"deb": "i386", "rpm": "i386", "apk": "x86"},
	"ppc64le": {"deb": "ppc64el", "rpm": "ppc64le", "apk": "ppc64le"},
	"s390x":   {"deb": "s390x", "rpm": "s390x", "apk": "s390x"},
	"riscv64": {"deb": "riscv64", "rpm": "riscv64", "apk": "riscv64"},
	"loong64": {"deb": "loong64", "rpm": "loongarch64", "apk": "loongarch64"},
}

// The bill of materials has every module of the binary and Go's standard library, each with its
// licence.
func TestBillOfMaterials(t *testing.T) {
	file, err := os.Open(filepath.Join(dist, "cgshim.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	bom := cyclonedx.NewBOM()
	if err := cyclonedx.NewBOMDecoder(file, cyclonedx.BOMFileFormatJSON).Decode(bom); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, c := range append(*bom.Components, *bom.Metadata.Component) {
		got[c.Name] = ""
		if c.Licenses != nil && len(*c.Licenses) == 1 && (*c.Licenses)[0].License != nil {
			got[c.Name] = (*c.Licenses)[0].License.ID
		}
		if c.Version == "" {
			t.Errorf("%s has no version", c.Name)
		}
	}
	if want := map[string]string{
		"github.com/cgshim/cgshim":     "MIT",
		"github.com/hashicorp/go-reap": "MPL-2.0",
		"github.com/spf13/pflag":       "BSD-3-Clause",
		"go.uber.org/multierr":         "MIT",
		"go.uber.org/zap":              "MIT",
		"golang.org/x/sys":             "BSD-3-Clause",
		"std":                          "BSD-3-Clause",
	}; !maps.Equal(got, want) {
		t.Errorf("the components are %q, want %q", got, want)
	}
}

func exitStatus(err error) int {
	var status *exec.ExitError
	if errors.As(err, &status) {
		return status.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}
