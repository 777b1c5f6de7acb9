// Command run shows cgshim at work. It makes a sandbox of namespaces and starts cgshim as
// PID 1 of the sandbox, with a real dockerd as the program. It runs containers inside, stops
// the sandbox, and checks that nothing is left. It needs root. Outside of its temporary
// directory it only makes a cgroup and enables controllers for the cgroup, and it undoes
// both.
//
// -kinds selects the kinds of sandbox:
//
//	host     cgroup v2 in the host's cgroup namespace, so that /sys/fs/cgroup shows the
//	         whole tree (docker run --cgroupns=host)
//	private  cgroup v2 in a cgroup namespace of its own (docker's default on v2)
//	v1       cgroup v1, where cgshim only runs dockerd
//
// A hybrid machine has its controllers in v1 and also has a v2 hierarchy. Its sandboxes of
// the kinds host and private get only the v2 hierarchy and delegate its few controllers.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// The parent-death signal and the namespaces belong to a thread (prctl(2), unshare(2)), so
// the main thread must do all the work.
func init() { runtime.LockOSThread() }

func main() {
	if len(os.Args) > 1 && os.Args[1] == "enter" {
		err := enter(os.Args[2:])
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(1)
	}
	kinds := flag.String("kinds", "", "comma-separated `list` of host, private, v1; default the first that this machine has")
	all := flag.Bool("all", false, "every kind that this machine has")
	pid1 := flag.String("init", os.Getenv("CGSHIM_BIN"), "the `binary` to be PID 1")
	flag.Parse()

	possible := kindsOf(machine())
	chosen := possible[:1]
	if *all {
		chosen = possible
	}
	if *kinds != "" {
		chosen = strings.Split(*kinds, ",")
	}
	for _, kind := range chosen {
		if !slices.Contains(possible, kind) {
			fmt.Fprintf(os.Stderr, "run: no kind %s on this machine: it has %s\n", kind, strings.Join(possible, ", "))
			os.Exit(2)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	failed := 0
	for _, kind := range chosen {
		r := &run{ctx: ctx, kind: kind, init: *pid1}
		if err := r.story(); err != nil {
			r.fail("%v", err)
			r.showLog()
		}
		r.clean()
		failed += r.failed
	}
	if failed > 0 {
		fmt.Printf("FAIL: %d of what must hold did not\n", failed)
		os.Exit(1)
	}
	fmt.Println("PASS")
}

// run is one sandbox, from its temporary directory to the proof that it is gone.
type run struct {
	ctx    context.Context
	kind   string
	init   string
	failed int

	dir    string // temporary directory for all files of dockerd
	tree   *tree  // the sandbox's cgroup, or nil on v1
	pid1   *exec.Cmd
	exited chan error
}

// story runs every step in order, up to an error. It prints and counts a check that fails,
// and goes on.
func (r *run) story() (err error) {
	if r.dir, err = os.MkdirTemp("", "cgshim-run-"); err != nil {
		return err
	}
	fmt.Printf("\n=== sandbox %s, kind %s\n", filepath.Base(r.dir), r.kind)
	if r.kind != "v1" {
		if r.tree, err = newTree(filepath.Base(r.dir)); err != nil {
			return err
		}
		fmt.Printf("cgroup %s, controllers %q\n", r.tree.dir, r.tree.controllers())
	}
	if err := r.start(); err != nil {
		return err
	}
	if err := r.awaitDaemon(); err != nil {
		return err
	}
	r.checkInit()
	if err := r.innerContainers(); err != nil {
		return err
	}
	if err := r.image(); err != nil {
		return err
	}
	r.showTree()
	return r.stop()
}

// start starts the first process of the sandbox, which becomes cgshim with dockerd (see
// enter).
func (r *run) start() error {
	daemon := []string{
		"/cgshim", "-v", "--dind", "--",
		"dockerd", "--data-root", r.path("data"), "--exec-root", r.path("exec"),
		"--host", "unix://" + r.path("docker.sock"), "--pidfile", r.path("docker.pid"),
		"--bridge=none", "--iptables=false", "--ip6tables=false",
	}
	if r.kind == "v1" {
		daemon = append(daemon, "--cgroup-parent=/"+filepath.Base(r.dir))
	}
	args := []string{"enter", r.kind, r.dir, r.init}
	if r.tree != nil {
		args = append(args, r.tree.dir, r.tree.mount)
	} else {
		args = append(args, "", "")
	}
	log, err := os.Create(r.path("log"))
	if err != nil {
		return err
	}
	defer log.Close()
	r.pid1 = exec.Command("/proc/self/exe", append(args, daemon...)...)
	r.pid1.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	r.pid1.Stdout, r.pid1.Stderr = log, log
	r.pid1.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL,
		Setpgid:    true, // so that an interrupt from the terminal reaches only this program
	}
	fmt.Println("start", strings.Join(daemon, " "))
	if err := r.pid1.Start(); err != nil {
		return err
	}
	r.exited = make(chan error, 1)
	go func() { r.exited <- r.pid1.Wait() }()
	return nil
}

func (r *run) awaitDaemon() error {
	began := time.Now()
	for {
		version, err := r.docker(nil, "version", "--format", "server {{.Server.Version}}")
		if err == nil {
			r.ok("docker version answers after %.1fs: %s", time.Since(began).Seconds(), version)
			return nil
		}
		select {
		case status := <-r.exited:
			r.exited <- status
			return fmt.Errorf("PID 1 ended before dockerd answered: %v", status)
		case <-r.ctx.Done():
			return r.ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
		if time.Since(began) > 90*time.Second {
			return fmt.Errorf("docker version: no answer for 90s: %w", err)
		}
	}
}

// checkInit checks in the kernel's files that cgshim has delegated the cgroup.
func (r *run) checkInit() {
	pid := r.pid1.Process.Pid
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	r.must(err == nil && exe == "/cgshim", "PID 1 of the sandbox is %s", exe)
	_, line := r.log("cgroup")
	r.must(line != "", "its cgroup line: %s", line)
	if r.tree == nil {
		return
	}
	r.must(cgroupOf(pid) == r.tree.path+"/init", "the host sees PID 1 in %s", cgroupOf(pid))
	for _, name := range []string{"dockerd", "containerd"} {
		child := r.tree.process(name)
		r.must(child > 0 && cgroupOf(child) == r.tree.path+"/init", "the host sees %s in %s", name, cgroupOf(child))
	}
	own, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/cgroup", pid))
	child, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/cgroup", r.tree.process("dockerd")))
	ours, _ := os.Readlink("/proc/self/ns/cgroup")
	r.must(own == child && own != ours, "PID 1 and dockerd share %s, the host's is %s", own, ours)
	have, enabled := r.tree.controllers(), read(filepath.Join(r.tree.dir, "cgroup.subtree_control"))
	r.must(sameWords(have, enabled), "controllers %q are all delegated: %q", have, enabled)
}

// innerContainers makes an image of busybox and runs it in several ways.
func (r *run) innerContainers() error {
	image, err := busyboxImage(nil)
	if err != nil {
		return err
	}
	if _, err := r.docker(image, "import", "-", "inner"); err != nil {
		return err
	}
	out, err := r.docker(nil, "run", "--rm", "--network=none", "inner", "sh", "-c", "echo hello from pid $$")
	r.must(err == nil && out == "hello from pid 1", "an inner container says %q%s", out, because(err))
	_, err = r.docker(nil, "run", "--rm", "--network=none", "inner", "sh", "-c", "exit 7")
	var status *exec.ExitError
	r.must(errors.As(err, &status) && status.ExitCode() == 7, "one that exits with 7 is seen to: %v", err)

	marker := filepath.Base(r.dir) + "-inner"
	_, err = r.docker(nil, "run", "--detach", "--name=inner", "--network=none", "--stop-timeout=5", "inner",
		"sh", "-c", "trap 'exit 0' TERM; : "+marker+"; while :; do sleep 1; done")
	if err != nil {
		return err
	}
	id, err := r.docker(nil, "inspect", "--format", "{{.Id}}", "inner")
	if err != nil {
		return err
	}
	pid := processWith(marker)
	if r.tree != nil {
		r.must(pid > 0 && cgroupOf(pid) == r.tree.path+"/docker/"+id, "the host sees the inner container in %s", short(cgroupOf(pid), id))
	} else {
		r.must(pid > 0 && strings.Contains(read(fmt.Sprintf("/proc/%d/cgroup", pid)), "/"+filepath.Base(r.dir)+"/"+id), "the host sees the inner container, pid %d, below %s", pid, filepath.Base(r.dir))
	}
	out, err = r.docker(nil, "exec", "inner", "busybox", "cat", "/proc/1/comm")
	r.must(err == nil && out == "sh", "docker exec into it works: %q%s", out, because(err))

	if r.tree != nil {
		// Enter through the namespaces, as docker exec and kubectl exec do.
		out, err = r.inside("cat /proc/1/cgroup")
		r.must(err == nil && lastLine(out) == "0::/init", "inside, PID 1 is in %s%s", lastLine(out), because(err))
	}
	zombies := zombiesOf(r.pid1.Process.Pid)
	r.must(len(zombies) == 0, "PID 1 has no zombies: %v", zombies)
	return nil
}

// image runs cgshim as PID 1 of an unprivileged container, where it cannot delegate anything.
// The program's status must still come through.
func (r *run) image() error {
	image, err := busyboxImage(map[string]string{"cgshim": r.init})
	if err != nil {
		return err
	}
	if _, err := r.docker(image, "import", "-", "shimmed"); err != nil {
		return err
	}
	const line = "echo pid $$ of $(cat /proc/1/comm); sleep 0.1 & kill -TERM $$"
	out, err := r.docker(nil, "run", "--rm", "--network=none", "--entrypoint=/cgshim", "shimmed", "--", "sh", "-c", line)
	var status *exec.ExitError
	r.must(errors.As(err, &status) && status.ExitCode() == 128+15 && strings.HasSuffix(out, "of cgshim"),
		"an image with cgshim alone and a shell runs: %q, killed by SIGTERM: %v", out, err)
	return nil
}

// stop sends SIGTERM to PID 1 while a container still runs inside.
func (r *run) stop() error {
	began := time.Now()
	if err := r.pid1.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case status := <-r.exited:
		r.exited <- status
		r.must(status == nil, "SIGTERM to PID 1: it ended after %.1fs with %v", time.Since(began).Seconds(), r.pid1.ProcessState)
	case <-time.After(60 * time.Second):
		return errors.New("SIGTERM to PID 1: still there after 60s")
	}
	return nil
}

// clean ends the sandbox in whatever state it is, checks that no process and no mount is left,
// and removes everything that this program has made.
func (r *run) clean() {
	if r.pid1 != nil && r.pid1.Process != nil {
		_ = r.pid1.Process.Kill() // also ends its PID namespace
		<-r.exited
	}
	if r.dir == "" {
		return
	}
	name := filepath.Base(r.dir)
	left := processesWith(name)
	r.must(len(left) == 0, "no process is left: %v", left)
	mounts := mountsWith(name)
	r.must(len(mounts) == 0, "no mount is left: %v", mounts)
	err := removeCgroups(name)
	if r.tree != nil {
		r.tree.restore()
	}
	r.must(err == nil, "no cgroup is left%s", because(err))
	err = os.RemoveAll(r.dir)
	r.must(err == nil, "no file is left%s", because(err))
}

func (r *run) path(name string) string { return filepath.Join(r.dir, name) }

func (r *run) ok(format string, args ...any) { fmt.Printf("ok    "+format+"\n", args...) }

func (r *run) fail(format string, args ...any) {
	r.failed++
	fmt.Printf("FAIL  "+format+"\n", args...)
}

func (r *run) must(holds bool, format string, args ...any) {
	if holds {
		r.ok(format, args...)
	} else {
		r.fail(format, args...)
	}
}
