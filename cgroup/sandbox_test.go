package cgroup

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hierarchy returns the mount point of the hierarchy in which the tests make cgroups.
func hierarchy() string {
	for _, dir := range []string{mountPoint, mountPoint + "/unified"} {
		var fs unix.Statfs_t
		if unix.Statfs(dir, &fs) == nil && int64(fs.Type) == unix.CGROUP2_SUPER_MAGIC {
			return dir
		}
	}
	return ""
}

// sandbox is a cgroup for one child.
type sandbox struct {
	t         *testing.T
	dir, name string // name is the path in the hierarchy
	leafName  string
	user      bool // in a user namespace whose root is 100000 outside
}

var sandboxes int

func newSandbox(t *testing.T, suffix ...string) *sandbox {
	t.Helper()
	if os.Geteuid() != 0 || hierarchy() == "" {
		if os.Getenv("CGSHIM_MUST_RUN") != "" {
			t.Fatal("needs root and a cgroup2 hierarchy, and CGSHIM_MUST_RUN is set")
		}
		t.Skip("needs root and a cgroup2 hierarchy")
	}
	enableAtTop(t)
	sandboxes++
	s := &sandbox{t: t, name: fmt.Sprintf("cgshim-test-%d-%d%s", os.Getpid(), sandboxes, strings.Join(suffix, ""))}
	s.dir = filepath.Join(hierarchy(), s.name)
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.remove)
	return s
}

// inside makes a container's cgroup in a cgroup that enables these controllers, as the
// cgroup of a pod or of a user manager does.
func (s *sandbox) inside(controllers ...string) *sandbox {
	s.t.Helper()
	inner := *s
	inner.name, inner.dir = s.name+"/ctr", s.dir+"/ctr"
	for _, dir := range []string{inner.dir, s.dir + "/beside"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := os.WriteFile(s.dir+"/"+subtreeControl, []byte(list("+", controllers)), 0); err != nil {
		s.t.Fatal(err)
	}
	return &inner
}

// named makes a container's cgroup with the name that a runtime gives it.
func (s *sandbox) named(path string) *sandbox {
	s.t.Helper()
	inner := *s
	inner.name, inner.dir = s.name+path, s.dir+path
	if err := os.MkdirAll(inner.dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	for dir := s.dir; dir != inner.dir; {
		controllers := strings.Fields(readFile(s.t, dir+"/cgroup.controllers"))
		if err := os.WriteFile(dir+"/"+subtreeControl, []byte(list("+", controllers)), 0); err != nil {
			s.t.Fatal(err)
		}
		next, _, _ := strings.Cut(strings.TrimPrefix(inner.dir, dir+"/"), "/")
		dir += "/" + next
	}
	return &inner
}

// automaticLeaf stands for no name, as the sandbox replaces the empty name by init. The
// machine that runs the tests may be a container of Docker's.
const automaticLeaf = "automatic"

// handOver makes root of the sandbox's user namespace the owner of the cgroup, as runc
// does.
func (s *sandbox) handOver() {
	s.t.Helper()
	for _, file := range []string{"", "/cgroup.procs", "/cgroup.threads", "/" + subtreeControl} {
		if err := os.Chown(s.dir+file, 100000, 100000); err != nil {
			s.t.Fatal(err)
		}
	}
}

// handOverToGroup makes the group of that root the owner, as LXC does.
func (s *sandbox) handOverToGroup() {
	s.t.Helper()
	for file, mode := range map[string]os.FileMode{"": 0o775, "/cgroup.procs": 0o664, "/cgroup.threads": 0o664, "/" + subtreeControl: 0o664} {
		if err := errors.Join(os.Chown(s.dir+file, 0, 100000), os.Chmod(s.dir+file, mode)); err != nil {
			s.t.Fatal(err)
		}
	}
}

// restoreTop restores the hierarchy.
var restoreTop = func() {}

// enableAtTop enables controllers for the test cgroups, as systemd does on a host.
func enableAtTop(t *testing.T) {
	t.Helper()
	top := hierarchy()
	controllers, err := os.ReadFile(top + "/cgroup.controllers")
	if err != nil {
		t.Fatal(err)
	}
	enabled := strings.Fields(readFile(t, top+"/"+subtreeControl))
	added := slices.DeleteFunc(strings.Fields(string(controllers)), func(name string) bool { return slices.Contains(enabled, name) })
	if len(controllers) <= 1 {
		t.Fatal("the hierarchy has no controllers")
	}
	if len(added) == 0 {
		return
	}
	if err := os.WriteFile(top+"/"+subtreeControl, []byte(list("+", added)), 0); err != nil {
		t.Fatal(err)
	}
	restoreTop = func() { _ = os.WriteFile(top+"/"+subtreeControl, []byte(list("-", added)), 0) }
}

// remove kills the processes that are left in the cgroup, and removes the cgroup and
// all cgroups below.
func (s *sandbox) remove() {
	_ = os.WriteFile(s.dir+"/cgroup.kill", []byte("1"), 0)
	waitFor(s.t, "the test's cgroup to be removed", func() bool {
		var dirs []string
		_ = filepath.WalkDir(s.dir, func(path string, e os.DirEntry, err error) error {
			if err == nil && e.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for _, dir := range slices.Backward(dirs) {
			_ = unix.Rmdir(dir)
		}
		_, err := os.Stat(s.dir)
		return os.IsNotExist(err)
	})
}

func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("waited in vain for %s", what)
			return
		}
	}
}

// command returns c as a process that starts in the sandbox's cgroup.
func (s *sandbox) command(c child) (*exec.Cmd, *os.File) {
	s.t.Helper()
	spec, err := json.Marshal(c)
	if err != nil {
		s.t.Fatal(err)
	}
	dir, err := os.Open(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^$")
	cmd.Env = append(os.Environ(), childEnv+"="+string(spec), "CGSHIM_TEST_GROUP="+s.name)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID, UseCgroupFD: true, CgroupFD: int(dir.Fd()),
	}
	if !c.Bare {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWNS
	}
	if s.user {
		ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100000, Size: 65536}}
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings = ids, ids
		cmd.SysProcAttr.Credential = &syscall.Credential{}
	}
	return cmd, dir
}

func (c *child) setDefaults() {
	o := &c.Options
	o.Leaf, o.Timeout = cmp.Or(o.Leaf, "init"), cmp.Or(o.Timeout, 10*time.Second)
	if o.Leaf == automaticLeaf {
		o.Leaf = ""
	}
	for i := range c.Exec {
		c.Exec[i].setDefaults()
	}
	if c.Inner != nil {
		c.Inner.setDefaults()
	}
}

func (s *sandbox) run(c child) outcome {
	s.t.Helper()
	s.leafName = c.Options.Leaf
	c.setDefaults()
	cmd, dir := s.command(c)
	defer dir.Close()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("%v\n%s", err, stderr.String())
	}
	return parse(s.t, stdout.Bytes())
}

func parse(t *testing.T, stdout []byte) (out outcome) {
	t.Helper()
	if err := json.Unmarshal(stdout, &out); err != nil {
		t.Fatalf("%v in %q", err, stdout)
	}
	return out
}

// occupy clones a process of another PID namespace into the cgroup, as runc's exec
// does.
func (s *sandbox) occupy() *exec.Cmd {
	s.t.Helper()
	dir, err := os.Open(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	defer dir.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{sleeperEnv + "=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd()), Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func available(t *testing.T, controller string) bool {
	t.Helper()
	data, err := os.ReadFile(hierarchy() + "/cgroup.controllers")
	if err != nil {
		t.Fatal(err)
	}
	return slices.Contains(strings.Fields(string(data)), controller)
}

// onVM skips a test that needs more than hugetlb, or a machine without v1, outside of a
// VM. In the VM all these tests run, and a missing controller fails them.
func onVM(t *testing.T) {
	t.Helper()
	if hierarchy() == mountPoint {
		if !available(t, "pids") {
			t.Fatal("a unified hierarchy without the pids controller")
		}
		return
	}
	t.Skip("not on a hybrid host: test-vm runs it")
}

func (s *sandbox) set(files map[string]string) {
	s.t.Helper()
	for name, value := range files {
		if err := os.WriteFile(s.dir+"/"+name, []byte(value), 0); err != nil {
			s.t.Fatal(err)
		}
	}
}

// value returns the content of a file of the sandbox's cgroup, or "" if there is none.
func (s *sandbox) value(name string) string {
	data, _ := os.ReadFile(s.dir + "/" + name)
	return strings.TrimSpace(string(data))
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func childrenOf(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}
