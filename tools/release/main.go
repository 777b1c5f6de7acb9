// Command release makes the files of a release. They are a binary for each port, packages
// with each binary, an SBOM and the checksums. release builds each binary and each package
// twice, in two directories, the second binary without the build cache. It fails if the
// two files differ.
package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"

	"github.com/cgshim/cgshim/tools/internal/tree"
)

// A target is a port as Go and the release call it.
type target struct{ goarch, goarm, name string }

var targets = []target{
	{"amd64", "", "amd64"},
	{"arm64", "", "arm64"},
	{"arm", "7", "armv7"},
	{"386", "", "386"},
	{"ppc64le", "", "ppc64le"},
	{"s390x", "", "s390x"},
	{"riscv64", "", "riscv64"},
	{"loong64", "", "loong64"},
}

func main() {
	r := &release{}
	flag.StringVar(&r.root, "root", "..", "the repository's `directory`")
	flag.StringVar(&r.out, "out", "../dist", "`directory` to fill; what is in it goes")
	flag.StringVar(&r.version, "version", "", "the `version`, without the v of its tag")
	flag.StringVar(&r.commit, "commit", "", "the commit")
	only := flag.String("only", "", "comma-separated `names` of targets; default all")
	binaries := flag.Bool("binaries", false, "stop after the binaries have been compared")
	flag.Parse()
	r.targets = chosen(*only)
	if err := r.run(*binaries); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// chosen returns the targets that the list only names, or all targets if it is empty.
func chosen(only string) (list []target) {
	for _, t := range targets {
		if only == "" || slices.Contains(strings.Split(only, ","), t.name) {
			list = append(list, t)
		}
	}
	return list
}

type release struct {
	root, out       string
	version, commit string
	targets         []target
}

func (r *release) run(binariesOnly bool) (err error) {
	if len(r.targets) == 0 {
		return errors.New("no such target")
	}
	temp, err := os.MkdirTemp("", "cgshim-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	first, second := filepath.Join(temp, "one"), filepath.Join(temp, "another", "and-deeper")
	for _, dir := range []string{first, second} {
		if err := tree.Copy(r.root, dir); err != nil {
			return err
		}
	}
	// The old files in out stay until all new files have been made.
	out := r.out
	r.out = filepath.Join(temp, "dist")
	if err := os.Mkdir(r.out, 0o755); err != nil {
		return err
	}
	for _, t := range r.targets {
		name := "cgshim-linux-" + t.name
		built := filepath.Join(r.out, name)
		if err := r.build(first, t, built, ""); err != nil {
			return err
		}
		again := filepath.Join(temp, name)
		if err := r.build(second, t, again, filepath.Join(temp, "cache")); err != nil {
			return err
		}
		if err := same(built, again); err != nil {
			return err
		}
	}
	if binariesOnly {
		return publish(r.out, out)
	}
	for _, t := range r.targets {
		built := filepath.Join(r.out, "cgshim-linux-"+t.name)
		files, err := r.packages(first, t, built)
		if err != nil {
			return err
		}
		again, err := r.packages(second, t, built)
		if err != nil {
			return err
		}
		for i, file := range files {
			if err := same(file, again[i]); err != nil {
				return err
			}
			if err := os.Rename(file, filepath.Join(r.out, filepath.Base(file))); err != nil {
				return err
			}
		}
	}
	if err := r.sbom(first); err != nil {
		return err
	}
	if err := r.checksums(); err != nil {
		return err
	}
	return publish(r.out, out)
}

func publish(from, to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return os.CopyFS(to, os.DirFS(from))
}

// build calls the Makefile, so that a release has the same binary as `make build`.
func (r *release) build(dir string, t target, out, cache string) error {
	cmd := exec.Command("make", "-s", "build", "GOARCH="+t.goarch, "OUT="+out, "VERSION="+r.version, "COMMIT="+r.commit)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOARM="+t.goarm)
	if t.goarm == "" {
		cmd.Env = os.Environ()
	}
	if cache != "" {
		cmd.Env = append(cmd.Env, "GOCACHE="+cache)
	}
	return run(cmd)
}

// sbom lists the modules in the binaries with their licences, and Go's standard library. All
// binaries have the same modules. cyclonedx-gomod takes the version from a tag of a repository,
// so dir, a copy of the sources, becomes one.
func (r *release) sbom(dir string) error {
	for _, args := range [][]string{
		{"init", "--quiet"},
		{"add", "--all"},
		{"-c", "user.name=cgshim", "-c", "user.email=", "-c", "commit.gpgsign=false", "commit", "--quiet", "--message=" + r.version},
		{"tag", "v" + r.version},
	} {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		if err := run(cmd); err != nil {
			return err
		}
	}
	file := filepath.Join(r.out, "cgshim.cdx.json")
	cmd := exec.Command("go", "tool", "-modfile="+filepath.Join("tools", "go.mod"), "cyclonedx-gomod", "app", "-json",
		"-noserial", "-notimestamp", "-std", "-licenses", "-assert-licenses", "-short-purls", "-output", file)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+r.targets[0].goarch, "GOARM="+r.targets[0].goarm)
	if err := run(cmd); err != nil {
		return err
	}
	return licenseOfGo(file)
}

// licenseOfGo adds the licence of Go's standard library to an SBOM. cyclonedx-gomod knows the
// licences of modules only.
func licenseOfGo(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	bom := cyclonedx.NewBOM()
	if err := cyclonedx.NewBOMDecoder(bytes.NewReader(data), cyclonedx.BOMFileFormatJSON).Decode(bom); err != nil {
		return err
	}
	for i := range *bom.Components {
		if c := &(*bom.Components)[i]; c.Name == "std" {
			c.Licenses = &cyclonedx.Licenses{{License: &cyclonedx.License{ID: "BSD-3-Clause"}}}
		}
	}
	var out bytes.Buffer
	if err := cyclonedx.NewBOMEncoder(&out, cyclonedx.BOMFileFormatJSON).SetPretty(true).Encode(bom); err != nil {
		return err
	}
	return os.WriteFile(file, out.Bytes(), 0o644)
}

func (r *release) checksums() error {
	entries, err := os.ReadDir(r.out)
	if err != nil {
		return err
	}
	var sums strings.Builder
	for _, entry := range entries {
		sum, err := hash(filepath.Join(r.out, entry.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%s  %s\n", sum, entry.Name())
	}
	fmt.Print(sums.String())
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(sums.String()), 0o644)
}

func same(a, b string) error {
	one, err1 := hash(a)
	other, err2 := hash(b)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if one != other {
		return fmt.Errorf("%s: not reproducible: %s, then %s", filepath.Base(a), one, other)
	}
	fmt.Printf("%s  %s, twice\n", one, filepath.Base(a))
	return nil
}

func hash(file string) (string, error) {
	data, err := os.ReadFile(file)
	return fmt.Sprintf("%x", sha256.Sum256(data)), err
}

func run(cmd *exec.Cmd) error {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out.Bytes())
	}
	return nil
}
