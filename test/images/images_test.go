// Package images builds the images of the Dockerfile, of the examples and of a release by a
// real dockerd, and runs them. It makes the base images itself, because a test cannot reach
// a public registry.
package images

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cgshim/cgshim/test/internal/docker"
	"github.com/cgshim/cgshim/test/internal/lab"
)

var root = func() string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "../..")
}()

// clone returns a directory with the files that git tracks or would add.
func clone(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("sh", "-ec", `
		git ls-files --cached --others --exclude-standard |
			while read -r file; do [ ! -e "$file" ] || echo "$file"; done |
			tar -c -T - | tar -x -C "$0"`, dir)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("copy the tree: %v\n%s", err, out)
	}
	return dir
}

// golang makes a replacement for the image golang, with Go, make and a shell. The image also
// has the modules, in a directory in the form of a module proxy, and a cache of compiled
// packages. So a build in the image needs no network.
func golang(t *testing.T, d *docker.Daemon, tree, tag string) {
	t.Helper()
	dir := t.TempDir()
	goEnv := func(name string) string {
		out, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	modules, built := filepath.Join(dir, "modules"), filepath.Join(dir, "built")
	for _, args := range [][]string{{"go", "mod", "download"}, {"make", "-s", "build", "OUT=" + filepath.Join(dir, "cgshim")}} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = tree
		cmd.Env = append(os.Environ(), "GOMODCACHE="+modules, "GOCACHE="+built, "GOFLAGS=-modcacherw",
			"GOPROXY=file://"+goEnv("GOMODCACHE")+"/cache/download,"+goEnv("GOPROXY"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
	}
	files := docker.Busybox(t, docker.WithLibraries(t, "make"))
	maps.Copy(files, docker.Files{
		"proxy": filepath.Join(modules, "cache/download"), "root/.cache/go-build": built,
		"tmp/empty": docker.Text(""),
	})
	sources, err := filepath.Glob(filepath.Join(goEnv("GOROOT"), "src", "*"))
	if err != nil {
		t.Fatal(err)
	}
	parts := []string{"VERSION", "bin/go", "go.env", "pkg/include"}
	for _, tool := range []string{"asm", "compile", "link"} {
		parts = append(parts, "pkg/tool/linux_"+runtime.GOARCH+"/"+tool)
	}
	for _, source := range sources {
		if name := filepath.Base(source); name != "cmd" {
			parts = append(parts, "src/"+name)
		}
	}
	for _, part := range parts {
		files["usr/local/go/"+part] = filepath.Join(goEnv("GOROOT"), part)
	}
	d.Import(tag, files, "--change=ENV PATH=/usr/local/go/bin:/usr/bin:/bin", "--change=ENV HOME=/root",
		"--change=ENV GOPROXY=file:///proxy", "--change=ENV GOTOOLCHAIN=local")
}

// dind makes a replacement for docker:dind from testdata/dind. Its dockerd only prints how it
// was started.
func dind(t *testing.T, d *docker.Daemon, tag string) {
	t.Helper()
	files := docker.Busybox(t, nil)
	scripts, err := filepath.Glob("testdata/dind/*")
	if err != nil || len(scripts) < 5 {
		t.Fatal(scripts, err)
	}
	for _, script := range scripts {
		files["usr/local/bin/"+filepath.Base(script)] = script
	}
	var changes []string
	for _, change := range []string{
		"ENV PATH=/usr/local/bin:/bin", "ENV DOCKER_TLS_CERTDIR=/certs", "VOLUME /var/lib/docker",
		"EXPOSE 2375", "EXPOSE 2376", `ENTRYPOINT ["dockerd-entrypoint.sh"]`, "CMD []",
	} {
		changes = append(changes, "--change="+change)
	}
	d.Import(tag, files, changes...)
}

// Both of Docker's builders must build both images of the Dockerfile from a clone, and the
// images must run.
func TestDockerfile(t *testing.T) {
	d := docker.Start(t)
	tree := clone(t)
	golang(t, d, tree, "golang:local")
	dind(t, d, "dind:local")
	d.Import("plain:local", docker.Busybox(t, nil))
	for name, buildKit := range map[string]bool{"BuildKit": true, "the builder before it": false} {
		t.Run(name, func(t *testing.T) {
			args := []string{"--network=none", "--build-arg=GO=golang:local", "--build-arg=BASE=dind:local", "--build-arg=VERSION=" + version, "--build-arg=COMMIT=" + commit}
			d.Build(buildKit, append(args, "--tag=dind:built", tree)...)
			d.Build(buildKit, append(args, "--target=binary", "--tag=cgshim:built", tree)...)
			t.Run("binary", func(t *testing.T) { testBinary(t, d, buildKit, "cgshim:built", says) })
			t.Run("dind", func(t *testing.T) { testDind(t, d, "dind:built", "dind:local", says) })
		})
	}
}

// The Dockerfiles of examples/ must build on replacements of their base images, and their
// images must run dockerd under cgshim.
func TestExamples(t *testing.T) {
	d := docker.Start(t)
	bin := lab.Cgshim(t)
	says, err := exec.Command(bin, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	d.Import("cgshim:built", docker.Files{"cgshim": bin})
	dind(t, d, "dind:local")
	example := func(name string) string {
		data, err := os.ReadFile(filepath.Join(root, "examples", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	t.Run("Dockerfile.dind", func(t *testing.T) {
		d.BuildFrom(true, example("Dockerfile.dind"), "--network=none", "--build-arg=CGSHIM=cgshim:built", "--build-arg=BASE=dind:local", "--tag=dind:example")
		testDind(t, d, "dind:example", "dind:local", string(says))
	})
	t.Run("Dockerfile.debian", func(t *testing.T) {
		d.Import("debian:local", docker.Busybox(t, docker.Files{
			"bin/apt-get": docker.Text("#!/bin/sh\n[ \"$1\" = update ] || [ \"$*\" = \"install -y --no-install-recommends ca-certificates docker.io iptables\" ]\n"),
			"bin/dockerd": "testdata/dind/dockerd",
		}))
		d.BuildFrom(true, example("Dockerfile.debian"), "--network=none", "--build-arg=CGSHIM=cgshim:built", "--build-arg=BASE=debian:local", "--tag=debian:example")
		got := d.Run("run", "--rm", "--network=none", "debian:example", "dockerd", "--host=unix:///run/docker.sock")
		if !strings.HasPrefix(got.Stdout, "arguments: --host=unix:///run/docker.sock\npid 1: /cgshim as /cgshim --dind -- dockerd ") || got.Status != 3 {
			t.Errorf("%+v", got)
		}
	})
}

// version and commit are the build arguments of each image.
const version, commit = "1.2.3", "0123456789ab"

// says is the output of --version of a binary from such an image.
const says = "cgshim version " + version + " - git." + commit + "\n"

// testBinary runs an image that has only the binary. It also copies the binary to another
// image, as users do, and runs that image.
func testBinary(t *testing.T, d *docker.Daemon, buildKit bool, image, says string) {
	if got := d.Run("run", "--rm", "--network=none", image, "--version"); got.Stdout != says || got.Status != 0 {
		t.Errorf("--version: %+v", got)
	}
	d.BuildFrom(buildKit, "FROM plain:local\nCOPY --from="+image+" / /\nENTRYPOINT [\"/cgshim\", \"--\"]\n", "--tag=copied")
	texts := d.Run("run", "--rm", "--network=none", "copied", "cat", "/usr/share/licenses/cgshim/LICENSE", "/usr/share/licenses/cgshim/NOTICE")
	if !strings.Contains(texts.Stdout, "Permission is hereby granted") || !strings.Contains(texts.Stdout, "Mozilla Public License, version 2.0") {
		t.Errorf("the licences in the image: %+v", texts)
	}
	got := d.Run("run", "--rm", "--network=none", "copied", "sh", "-c", `echo "$(readlink /proc/1/exe) $PPID"; exit 7`)
	if got.Stdout != "/cgshim 1\n" || got.Status != 7 {
		t.Errorf("COPY --from: %+v", got)
	}
}

// testDind runs an image that was made from base, as users run docker:dind. Its configuration
// must be base's, and cgshim must be the only init.
func testDind(t *testing.T, d *docker.Daemon, image, base, says string) {
	if got, want := config(t, d, image), config(t, d, base); !cmp.Equal(got, want) {
		t.Errorf("the configuration is not the base's: %s", cmp.Diff(want, got))
	}
	const standard = "--host=unix:///var/run/docker.sock --host=tcp://0.0.0.0:2375"
	for _, c := range []struct {
		name    string
		args    []string
		command string
	}{
		{"no arguments", nil, standard},
		{"options", []string{"--tls=false", "--mtu=1400"}, standard + " --tls=false --mtu=1400"},
		{"dockerd", []string{"dockerd", "--host=unix:///run/docker.sock"}, "--host=unix:///run/docker.sock"},
	} {
		t.Run(c.name, func(t *testing.T) {
			// These are the parts of --privileged that a container can have on every machine.
			got := d.Run(append([]string{"run", "--rm", "--network=none", "--cap-add=SYS_ADMIN", "--security-opt=seccomp=unconfined", "--security-opt=apparmor=unconfined", image}, c.args...)...)
			want := "arguments: " + c.command + "\n" +
				"pid 1: /cgshim as docker-init -- dockerd " + c.command + " \n" +
				"parent: 1\n" +
				"container: docker\n"
			if got.Stdout != want || got.Status != 3 {
				t.Errorf("status %d\n%s", got.Status, cmp.Diff(want, got.Stdout))
			}
			for line := range strings.Lines(got.Stderr) {
				if strings.Contains(line, " ran") || strings.Contains(line, "not running as PID 1") || strings.Contains(line, "[ERROR") || strings.Contains(line, "[WARN") {
					t.Errorf("stderr: %s", line)
				}
			}
		})
	}
	t.Run("another program", func(t *testing.T) {
		if got := d.Run("run", "--rm", "--network=none", image, "sh", "-c", "exit 5"); got.Status != 5 {
			t.Errorf("%+v", got)
		}
	})
	// dockerd asks its init for the version in this form.
	t.Run("docker-init", func(t *testing.T) {
		got := d.Run("run", "--rm", "--network=none", "--entrypoint=docker-init", image, "--version")
		_, commit, _ := strings.Cut(says, " - ")
		if !strings.HasPrefix(got.Stdout, "tini version ") || !strings.HasSuffix(got.Stdout, " - "+commit) || got.Status != 0 {
			t.Errorf("%+v", got)
		}
	})
}

// config returns the configuration of an image without the variables of cgshim.
func config(t *testing.T, d *docker.Daemon, image string) map[string]any {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal([]byte(d.Must("inspect", "--format={{json .Config}}", image)), &all); err != nil {
		t.Fatal(err)
	}
	kept := map[string]any{}
	for _, key := range []string{"Entrypoint", "Cmd", "Volumes", "ExposedPorts", "User", "WorkingDir"} {
		kept[key] = all[key]
		if empty, ok := all[key].([]any); ok && len(empty) == 0 {
			kept[key] = nil
		}
	}
	var env []any
	for _, variable := range all["Env"].([]any) {
		if !strings.HasPrefix(variable.(string), "CGSHIM_") {
			env = append(env, variable)
		}
	}
	kept["Env"] = env
	return kept
}
