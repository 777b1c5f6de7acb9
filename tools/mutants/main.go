// Command mutants makes one mistake after another in a copy of the sources and runs the
// tests that should notice it.
//
//	go run ./mutants [-only REGEXP] [-v]
//
// It fails if no test notices a mistake, unless list.go explains why no test can. It
// also fails if an explained mistake is noticed, if the text to replace does not occur
// exactly once, and if the tests fail without a mistake. So the list cannot rot.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/cgshim/cgshim/tools/internal/tree"
)

// patience is how long the tests of one mistake may take. A mistake that makes them hang
// counts as noticed only if list.go says so, because a busy machine may be the reason.
// The compiler has more time.
const (
	patience = 2 * time.Minute
	compiled = 20 * time.Minute
)

func main() {
	only := flag.String("only", "", "make only the mistakes whose file or name matches this")
	verbose := flag.Bool("v", false, "print what the tests say")
	flag.Parse()
	if err := run(regexp.MustCompile(*only), *verbose); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(only *regexp.Regexp, verbose bool) error {
	began := time.Now()
	top, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return fmt.Errorf("git rev-parse: %w", err)
	}
	root, err := os.MkdirTemp("", "cgshim-mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	if err := tree.Copy(strings.TrimSpace(string(top)), root); err != nil {
		return err
	}

	var wrong []string
	counts := map[result]int{}
	sane := map[string]error{} // what the tests of a command line say without a mistake
	for _, m := range mutants {
		if !only.MatchString(m.file + " " + m.name) {
			continue
		}
		if m.root && os.Geteuid() != 0 {
			counts[skipped]++
			continue
		}
		args := m.test()
		key := strings.Join(args, " ")
		if _, tried := sane[key]; !tried {
			got, out := test(root, args)
			if sane[key] = nil; got != survived {
				sane[key] = fmt.Errorf("go %s fails without a mistake:\n%s", key, out)
				wrong = append(wrong, sane[key].Error())
			}
		}
		if sane[key] != nil {
			continue
		}
		start := time.Now()
		got, out, err := m.try(root, args)
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("%s: %s: %v", m.file, m.name, err))
			continue
		}
		if got == hung && m.hangs {
			got = killed
		}
		counts[got]++
		note := ""
		switch {
		case got == survived && m.explained == "":
			wrong = append(wrong, fmt.Sprintf("%s: %s: no test notices: go %s", m.file, m.name, key))
		case got == hung:
			wrong = append(wrong, fmt.Sprintf("%s: %s: the tests did not end in %v: go %s", m.file, m.name, patience, key))
		case got == survived:
			note = " (explained)"
			counts[explained]++
		case m.explained != "":
			wrong = append(wrong, fmt.Sprintf("%s: %s: is noticed, and list.go says that it cannot be", m.file, m.name))
		}
		fmt.Printf("%-8s %5.1fs  %s: %s%s\n", got, time.Since(start).Seconds(), m.file, m.name, note)
		if verbose {
			fmt.Println(out)
		}
	}
	fmt.Printf("%d noticed, %d not noticed, %d of these explained, %d need root, in %v\n",
		counts[killed], counts[survived], counts[explained], counts[skipped], time.Since(began).Round(time.Second))
	if counts[skipped] > 0 && os.Getenv("CGSHIM_MUST_RUN") != "" {
		wrong = append(wrong, "CGSHIM_MUST_RUN is set, and some mistakes need root")
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "\n"))
	}
	return nil
}

type result string

const (
	killed    result = "noticed"
	hung      result = "hung"
	survived  result = "SURVIVED"
	skipped   result = "skipped"
	explained result = "explained"
	broken    result = "broken" // the tests did not run
)

// test returns the arguments of the go command.
func (m mutant) test() []string {
	args := []string{"test", "-vet=off", "-ldflags=-s -w", "-count=1", "-failfast", "-timeout", patience.String()}
	if m.run != "" {
		args = append(args, "-run", m.run)
	}
	if m.native {
		return append(args, initTests)
	}
	return append(args, "./"+filepath.Dir(m.file))
}

// initTests are the tests in test/init, of the whole binary.
const initTests = "./init"

// try makes the mistake, runs the tests, and undoes the mistake.
func (m mutant) try(root string, args []string) (got result, out string, err error) {
	file := filepath.Join(root, m.file)
	source, err := os.ReadFile(file)
	if err != nil {
		return "", "", err
	}
	if n := strings.Count(string(source), m.old); n != 1 {
		return "", "", fmt.Errorf("%q occurs %d times", m.old, n)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(source), m.old, m.new, 1)), 0o644); err != nil {
		return "", "", err
	}
	got, out = test(root, args)
	if err := os.WriteFile(file, source, 0o644); err != nil {
		return "", "", err
	}
	if got == broken {
		return "", "", fmt.Errorf("the tests do not run:\n%s", out)
	}
	return got, out, nil
}

// test runs the go command in a process group of its own, and kills the group
// afterwards. A test that hangs has children.
func test(root string, args []string) (result, string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience+compiled)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "CGSHIM_MUST_RUN=1")
	if args[len(args)-1] == initTests {
		bin := filepath.Join(root, "bin/cgshim")
		if out, err := exec.CommandContext(ctx, "make", "-s", "-C", root, "build", "OUT="+bin).CombinedOutput(); err != nil {
			return broken, string(out)
		}
		cmd.Dir = filepath.Join(root, "test")
		cmd.Env = append(cmd.Env, "CGSHIM_BIN="+bin)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	group := func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Cancel, cmd.WaitDelay = group, 10*time.Second
	data, err := cmd.CombinedOutput()
	if cmd.Process != nil {
		_ = group()
	}
	out := string(data)
	switch {
	case strings.Contains(out, "[build failed]") || strings.Contains(out, "[setup failed]") || strings.Contains(out, "no tests to run"):
		return broken, out
	case err == nil:
		return survived, out
	case ctx.Err() != nil || strings.Contains(out, "panic: test timed out"):
		return hung, out
	case cmd.ProcessState == nil:
		return broken, err.Error()
	}
	return killed, out
}
