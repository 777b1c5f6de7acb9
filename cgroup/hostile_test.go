package cgroup

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// These tests attack the places where cgshim leaves something for later runs. The
// attacker is another user of the container. It may also be root in another container with
// the same volume, and then has this user's ID.

const someUser = 65534

// inPlace makes something of each kind at a path.
var inPlace = map[string]func(path string) error{
	"a FIFO":   func(path string) error { return unix.Mkfifo(path, 0o600) },
	"a socket": func(path string) error { return unix.Mknod(path, unix.S_IFSOCK|0o600, 0) },
	"a link to a directory of this user": func(path string) error {
		return first(os.MkdirAll(path+".target", 0o700), func() error { return os.Symlink(path+".target", path) })
	},
	"a link to nothing": func(path string) error { return os.Symlink("/does/not/exist", path) },
	"a link to itself":  func(path string) error { return os.Symlink(path, path) },
	"a hard link to a file of this user": func(path string) error {
		return first(os.WriteFile(path+".target", []byte("secret"), 0o600), func() error { return os.Link(path+".target", path) })
	},
	"a huge file": func(path string) error {
		return first(os.WriteFile(path, nil, 0o600), func() error { return os.Truncate(path, 6<<30) })
	},
	"a file of another user": func(path string) error {
		return first(os.WriteFile(path, nil, 0o600), func() error { return os.Chown(path, someUser, someUser) })
	},
	"a directory of another user": func(path string) error {
		return first(os.Mkdir(path, 0o700), func() error { return os.Chown(path, someUser, someUser) })
	},
	"a directory that others may enter": func(path string) error {
		return first(os.Mkdir(path, 0o700), func() error { return os.Chmod(path, 0o711) })
	},
	"a directory that others may write": func(path string) error {
		return first(os.Mkdir(path, 0o700), func() error { return os.Chmod(path, 0o1777) })
	},
}

// twoRooms gives the test rooms of its own.
func twoRooms(t *testing.T) (one, two string) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CGSHIM_MUST_RUN") != "" {
			t.Fatal("needs root, and CGSHIM_MUST_RUN is set")
		}
		t.Skip("needs root")
	}
	old := rooms
	t.Cleanup(func() { rooms = old })
	one, two = filepath.Join(t.TempDir(), "cgshim"), filepath.Join(t.TempDir(), "cgshim")
	rooms = []string{one, two}
	return one, two
}

// locked calls lock and checks that it takes no time and locks this room.
func locked(t *testing.T, room string) (ignored []error) {
	t.Helper()
	start := time.Now()
	unlock, ignored, err := linux.lock(start.Add(10*time.Second), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if spent := time.Since(start); spent > 5*time.Second {
		t.Errorf("it took %v", spent)
	}
	if fd, err := linux.openRoom(room, false); err != nil {
		t.Error(err)
	} else if linux.flock(fd, unix.LOCK_EX|unix.LOCK_NB) != unix.EWOULDBLOCK {
		t.Errorf("%s is not locked", room)
	} else {
		linux.close(fd)
	}
	return ignored
}

func TestWhatIsInThePlaceOfTheRoomIsIgnoredAndNamed(t *testing.T) {
	for name, put := range inPlace {
		t.Run(name, func(t *testing.T) {
			one, two := twoRooms(t)
			must(name, put(one))
			ignored := locked(t, two)
			if len(ignored) != 1 || !strings.Contains(ignored[0].Error(), " "+one) || Hint(ignored[0]) != otherRoom {
				t.Errorf("%q", ignored)
			}
			o := observation{kernel: &linux, Facts: new(Facts)}
			o.kept()
			if len(o.Errors) != 1 || o.Errors[0] != ignored[0].Error() {
				t.Errorf("--check says %q", o.Errors)
			}
			if left, _ := os.ReadDir(one + ".target"); len(left) > 0 {
				t.Errorf("%v was made behind the link", left)
			}
			must("rmdir", os.Remove(two))
			must(name, put(two))
			unlock, ignored, err := linux.lock(time.Now(), nil)
			if err != nil || len(ignored) != 2 {
				t.Errorf("without a room it goes on without a lock: %v, %q", err, ignored)
			}
			unlock()
		})
	}
}

func TestTheRoomIsAcceptedInAVolumeWithAnFSGroup(t *testing.T) {
	one, _ := twoRooms(t)
	must("chmod", os.Chmod(filepath.Dir(one), 0o777|os.ModeSetgid))
	if ignored := locked(t, one); len(ignored) > 0 {
		t.Errorf("%q", ignored)
	}
}

// A user of the container can open and lock /run, which cgshim once took for its lock.
func TestALockBesideTheRoomDoesNotCount(t *testing.T) {
	one, _ := twoRooms(t)
	fd, err := unix.Open(filepath.Dir(one), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must("open", err)
	defer unix.Close(fd)
	must("flock", unix.Flock(fd, unix.LOCK_EX))
	if ignored := locked(t, one); len(ignored) > 0 {
		t.Errorf("%q", ignored)
	}
}

const lockerEnv = "CGSHIM_TEST_LOCKER"

// locker locks a directory and says so.
func init() {
	if dir := os.Getenv(lockerEnv); dir != "" {
		fd, err := unix.Open(dir, unix.O_RDONLY, 0)
		must("open", err)
		must("flock", unix.Flock(fd, unix.LOCK_EX))
		os.Stdout.WriteString("locked\n")
		for {
			unix.Pause()
		}
	}
}

func startLocker(t *testing.T, dir string, attr syscall.SysProcAttr) (pid int) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env, cmd.SysProcAttr = []string{lockerEnv + "=" + dir}, &attr
	attr.Pdeathsig = unix.SIGKILL
	stdout, err := cmd.StdoutPipe()
	must("pipe", err)
	must("start", cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if _, err := stdout.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

func TestTheHolderOfTheLockIsNamed(t *testing.T) {
	one, _ := twoRooms(t)
	must("mkdir", os.Mkdir(one, 0o700))
	pid := startLocker(t, one, syscall.SysProcAttr{})
	_, _, err := linux.lock(time.Now().Add(100*time.Millisecond), nil)
	if want := `flock ` + one + ` "PID ` + strconv.Itoa(pid) + `": resource temporarily unavailable`; err == nil || err.Error() != want || !strings.Contains(Hint(err), "--cgroup-timeout") {
		t.Errorf("%v, want %s", err, want)
	}
}

// With shareProcessNamespace, the processes of the other container are visible.
func TestALockOfAContainerWithTheSamePIDNamespaceIsNotWaitedFor(t *testing.T) {
	one, two := twoRooms(t)
	must("mkdir", os.Mkdir(one, 0o700))
	startLocker(t, one, syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS})
	if ignored := locked(t, two); len(ignored) != 1 || !strings.Contains(ignored[0].Error(), heldOutside) {
		t.Errorf("%q", ignored)
	}
}

func TestFlockHolder(t *testing.T) {
	locks := []byte("1: POSIX  ADVISORY  WRITE 11 00:2f:77 0 EOF\n2: FLOCK  ADVISORY  WRITE 12 00:2f:177 0 EOF\n3: -> FLOCK  ADVISORY  WRITE 13 00:2f:77 0 EOF\n" +
		"4: FLOCK  ADVISORY  WRITE -1 00:2f:77 0 EOF\n5: FLOCK  ADVISORY  WRITE 14 00:2f:77 0 EOF\nshort\n")
	for inode, want := range map[uint64]int{77: 14, 177: 12, 7: 0} {
		if got := flockHolder(locks, inode); got != want {
			t.Errorf("%d: %d", inode, got)
		}
	}
}

// While the room is exchanged all the time, what is opened is the room or nothing.
func TestWhatChangesBetweenLookAndOpen(t *testing.T) {
	one, _ := twoRooms(t)
	dir := filepath.Dir(one)
	var kinds []string
	for name, put := range inPlace {
		kind := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		must(name, put(kind))
		kinds = append(kinds, kind)
	}
	must("mkdir", os.Mkdir(dir+"/own", 0o700))
	var own unix.Stat_t
	must("stat", unix.Stat(dir+"/own", &own))
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			other := kinds[i%len(kinds)]
			for _, name := range []string{other, dir + "/own"} {
				_ = os.Rename(name, one)
				_ = os.Rename(one, name)
			}
		}
	}()
	opened, refused := 0, 0
	for deadline := time.Now().Add(20 * time.Second); (opened < 200 || refused < 200) && time.Now().Before(deadline); {
		fd, err := linux.openRoom(one, false)
		if err != nil {
			refused++
			continue
		}
		opened++
		var s unix.Stat_t
		must("fstat", unix.Fstat(fd, &s))
		if s.Ino != own.Ino {
			t.Fatalf("inode %d, mode %o, owner %d was opened", s.Ino, s.Mode, s.Uid)
		}
		linux.close(fd)
	}
	close(stop)
	<-done
	if opened == 0 || refused == 0 {
		t.Errorf("opened %d times, refused %d times", opened, refused)
	}
}

func init() {
	for name, put := range inPlace {
		setups["room is "+name] = func() { must(name, put("/run/cgshim")) }
		setups["pin is "+name] = func() {
			must("mkdir", os.MkdirAll("/run/cgshim", 0o700))
			must(name, put("/run/cgshim/"+pinName))
		}
	}
	// What runs before version 0.2 kept, and where an attacker may still expect it. It
	// names the cgroup above as the container's.
	setups["forged files"] = func() {
		var s unix.Stat_t
		must("stat", unix.Stat(outside, &s))
		must("mkdir", os.MkdirAll("/run/cgshim", 0o700))
		must("write", os.WriteFile("/run/cgshim/base", []byte(strconv.FormatUint(s.Ino, 10)+" "+filepath.Base(os.Getenv("CGSHIM_TEST_GROUP"))+"\n"), 0o600))
		must("write", os.WriteFile("/run/cgshim/shared", []byte("1"), 0o600))
	}
	// A note of a run in another container, whose cgroup is the one above.
	setups["note of the cgroup above"] = func() {
		text := note{1, 1, 0, filepath.Base(os.Getenv("CGSHIM_TEST_GROUP"))}.String()
		must("setxattr", unix.Setxattr(outside, noteNames[0], []byte(text), 0))
	}
	setups["run locked"] = func() {
		for _, dir := range []string{"/run", "/"} {
			fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			must("open", err)
			must("flock", unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB))
		}
	}
	setups["own proc"] = func() { must("mount proc", unix.Mount("proc", "/proc", "proc", 0, "")) }
}

// Whatever is in /run, a container is delegated as without it, and soon.
func TestHostileRunDoesNotKeepFromDelegating(t *testing.T) {
	for _, setup := range slices.Concat(
		setupsOf("room is "), setupsOf("pin is "), []string{"forged files", "note of the cgroup above", "run locked"},
	) {
		t.Run(setup, func(t *testing.T) {
			s := newSandbox(t).inside(available1(t))
			above := filepath.Dir(s.dir)
			enabled := readFile(t, above+"/"+subtreeControl)
			start := time.Now()
			out := s.run(child{Setup: []string{"host", setup}, SetUp: true, Options: Options{Timeout: 10 * time.Second}})
			s.delegated(out)
			if spent := time.Since(start); spent > 20*time.Second {
				t.Errorf("it took %v", spent)
			}
			if named := len(out.Warned) == 1 && strings.Contains(out.Warned[0], "/run/cgshim"); named != strings.HasPrefix(setup, "room is ") {
				t.Errorf("%q", out.Warned)
			}
			if now := readFile(t, above+"/"+subtreeControl); now != enabled || !slices.Equal(childrenOf(t, above), []string{"beside", "ctr"}) {
				t.Errorf("the cgroup above enables %q, has %q", now, childrenOf(t, above))
			}
		})
	}
}

// A run beside another PID 1 keeps its namespace in the other room, and the next run
// finds it there. A namespace cannot be forged.
func TestHostileRunDoesNotKeepFromKeepingTheNamespace(t *testing.T) {
	for _, setup := range slices.Concat(setupsOf("room is "), setupsOf("pin is "), []string{"forged files", "read-only run"}) {
		t.Run(setup, func(t *testing.T) {
			s := newSandbox(t)
			run := child{SetUp: true, Options: Options{Anywhere: true, Timeout: 10 * time.Second}}
			out := s.run(child{Setup: []string{"host", setup}, Idle: true, Exec: []child{run, run}})
			s.once(out, "init")
			if out.Exec[1].State != Delegated {
				t.Errorf("%+v", out.Exec[1])
			}
		})
	}
}

// Root in a container that shares the volume has this user's ID, and can lock the room.
// Its processes have no PID here.
func TestALockOfAnotherContainerIsNotWaitedFor(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"private", "locked"}, Inner: &child{Bare: true, Setup: []string{"own proc", "host"}, SetUp: true, Options: Options{Timeout: 10 * time.Second}}})
	s.delegated(out)
	inner := out.Inner
	if inner.State != HostView || inner.Err != "" || inner.After.Membership != "/init" {
		t.Errorf("%+v", inner)
	}
	if len(inner.Warned) != 1 || !strings.Contains(inner.Warned[0], heldOutside) || !strings.Contains(inner.Warned[0], otherHolder) {
		t.Errorf("%q", inner.Warned)
	}
}

// A second run needs no lock, so nobody can keep it from starting its program.
func TestADelegatedContainerNeedsNoLock(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"host", "locked"}, Exec: []child{{SetUp: true, Options: Options{Anywhere: true, Timeout: 10 * time.Second}}}})
	s.delegated(out)
	if again := out.Exec[0]; again.State != Delegated || again.Err != "" || again.Calls["flock"] != 0 || again.After.Membership != "/init" {
		t.Errorf("%+v", again)
	}
}

func setupsOf(prefix string) (names []string) {
	for name := range setups {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// available1 returns a controller that the test hierarchy has.
func available1(t *testing.T) string {
	t.Helper()
	return strings.Fields(readFile(t, hierarchy()+"/cgroup.controllers"))[0]
}
