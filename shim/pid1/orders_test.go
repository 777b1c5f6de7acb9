package pid1

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

func TestText(t *testing.T) {
	o := new(Orders)
	texts := []string{"", "a", "two words", "with \x00b a mark", strings.Repeat("long ", 1000)}
	var set []Text
	for _, s := range texts {
		set = append(set, o.text(s))
	}
	for i, s := range texts {
		if got := o.String(set[i]); got != s {
			t.Errorf("%q became %q", s, got)
		}
		if o.arena[set[i].at+set[i].size] != 0 {
			t.Errorf("%q does not end with a NUL", s)
		}
	}
}

// What does not fit is cut, and what was there before stays.
func TestArenaOverflow(t *testing.T) {
	o := new(Orders)
	room := len(o.arena)
	first := o.text("first")
	long := o.text(strings.Repeat("x", 2*room))
	if size := int(long.size); size != room-len("first")-2 || strings.Trim(o.String(long), "x") != "" {
		t.Errorf("%d bytes of %d", size, room)
	}
	for range 3 {
		if more := o.text("more"); more.size != 0 || o.String(more) != "" {
			t.Errorf("%q", o.String(more))
		}
	}
	if o.String(first) != "first" || o.arena[room-1] != 0 {
		t.Errorf("%q, and the last byte is %d", o.String(first), o.arena[room-1])
	}
	address, release := o.CString("path")
	if got := goString(address); got != "" {
		t.Errorf("a string without room is %q", got)
	}
	release()
	l := &life{orders: o}
	o.lines[LineRest], o.lines[LineDrain] = long, first
	l.say(LineDrain, &values{})
	l.page.n = 0
	if l.say(LineRest, &values{}); l.page.n != len(l.page.text) {
		t.Errorf("a line of %d bytes", l.page.n)
	}
}

func TestCStringLeavesNothing(t *testing.T) {
	o := new(Orders)
	o.text("before")
	used := o.arenaUsed
	for range 100_000 { // far more than the arena has room for
		address, release := o.CString("/some/path")
		if goString(address) != "/some/path" {
			t.Fatal("the string is another")
		}
		release()
	}
	if o.arenaUsed != used {
		t.Errorf("%d bytes are left", o.arenaUsed-used)
	}
}

func goString(p uintptr) string { return unsafe.String(at[byte](p), length(p)) }

func TestFixed(t *testing.T) {
	f := new(Fixed)
	for _, s := range []string{"", "text", strings.Repeat("x", 4096), "shorter", ""} {
		if f.Set(s); f.String() != s {
			t.Errorf("%d bytes became %d", len(s), len(f.String()))
		}
	}
	long := strings.Repeat("0123456789", 1000)
	if f.Set(long); f.String() != long[:4096] {
		t.Errorf("%d bytes", len(f.String()))
	}
}

func TestClose(t *testing.T) {
	o := new(Orders)
	for fd := range len(o.toClose) {
		if !o.Close(fd + 3) {
			t.Fatalf("no room for descriptor %d", fd+3)
		}
	}
	if o.Close(1000) || int(o.numClose) != len(o.toClose) || o.toClose[len(o.toClose)-1] != int32(len(o.toClose)+2) {
		t.Errorf("%d descriptors", o.numClose)
	}
}

func TestSetProgram(t *testing.T) {
	str := func(s string) *string { return &s }
	for _, c := range []struct {
		name    string
		program Program
		path    string
		env     []string // where it differs from the program's
	}{
		{name: "a program without arguments", program: Program{Args: []string{"/bin/program"}, ListenPID: -1, ListenID: -1}},
		{
			name:    "arguments and variables as they are",
			program: Program{Args: []string{"a", "", "b c", "\xff‹j›"}, Env: []string{"A=1", "", "A=2", "no value", "=x"}, Path: str("/a:/b"), ListenPID: -1, ListenID: -1},
			path:    "/a:/b",
		},
		{name: "an empty PATH is not an unset one", program: Program{Args: []string{"a"}, Path: str(""), ListenPID: -1, ListenID: -1}},
		{
			name:    "the variables of socket activation are the child's to fill in",
			program: Program{Args: []string{"a"}, Env: []string{"LISTEN_PID=1", "LISTEN_FDS=2", "LISTEN_PIDFDID=99"}, ListenPID: 0, ListenID: 2},
			env:     []string{"LISTEN_PID=", "LISTEN_FDS=2", "LISTEN_PIDFDID="},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := new(Orders)
			o.SetProgram(&c.program)
			if got := cstrings(o.argv, len(c.program.Args)); !slices.Equal(got, c.program.Args) {
				t.Errorf("arguments %q", got)
			}
			if got := *at[uintptr](o.argv + uintptr(len(c.program.Args))*wordSize); got != 0 {
				t.Error("the arguments have no end")
			}
			want := c.program.Env
			if c.env != nil {
				want = c.env
			}
			if got := cstrings(o.envp, len(want)); !slices.Equal(got, want) {
				t.Errorf("variables %q", got)
			}
			if got := *at[uintptr](o.envp + uintptr(len(want))*wordSize); got != 0 {
				t.Error("the variables have no end")
			}
			if o.argv-wordSize < o.words {
				t.Error("there is no word for the shell before the arguments")
			}
			switch {
			case (o.path == 0) != (c.program.Path == nil):
				t.Errorf("PATH is at %#x", o.path)
			case o.path != 0 && goString(o.path) != c.path:
				t.Errorf("PATH is %q", goString(o.path))
			}
		})
	}
}

// The child writes its own numbers into the variables of socket activation.
func TestNameChild(t *testing.T) {
	l := newLife()
	l.orders.SetProgram(&Program{Args: []string{"a"}, Env: []string{"LISTEN_PID=1", "LISTEN_PIDFDID=99"}, ListenPID: 0, ListenID: 1})
	l.nameChild(os.Getpid())
	if got := cstrings(l.orders.envp, 2); got[0] != fmt.Sprint("LISTEN_PID=", os.Getpid()) || !strings.HasPrefix(got[1], "LISTEN_PIDFDID=") || got[1] == "LISTEN_PIDFDID=99" {
		t.Errorf("%q", got)
	}
}

func TestDecimal(t *testing.T) {
	for _, n := range []uint64{0, 7, 10, 4194304, 1<<64 - 1} {
		for _, before := range []string{"", listenPID, listenID} {
			var to [64]byte
			for i := range to {
				to[i] = 'x'
			}
			copy(to[:], before)
			decimal(&to, len(before), n)
			want := before + fmt.Sprint(n)
			if got := string(to[:len(want)]); got != want || to[len(want)] != 0 {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	}
}

// stack is an initial stack as the kernel makes one (System V ABI).
type stack struct {
	words   []uintptr
	strings []byte
}

func newStack(args, env []string, auxiliary ...uintptr) *stack {
	s := new(stack)
	var offsets []int
	for _, text := range slices.Concat(args, env) {
		offsets = append(offsets, len(s.strings))
		s.strings = append(append(s.strings, text...), 0)
	}
	s.words = append(s.words, uintptr(len(args)))
	for i, offset := range offsets {
		if i == len(args) {
			s.words = append(s.words, 0)
		}
		s.words = append(s.words, address(&s.strings[offset]))
	}
	if len(env) == 0 {
		s.words = append(s.words, 0)
	}
	s.words = append(append(s.words, 0), auxiliary...)
	return s
}

func (s *stack) vector() uintptr { return address(&s.words[0]) }

func TestInitialStack(t *testing.T) {
	for _, env := range [][]string{nil, {"A=1"}, {"A=1", "", "B=2", "GOMEMLIMIT=x"}} {
		s := newStack([]string{"cgshim", "--", "x"}, env)
		if got := goString(argument(s.vector(), 2)); got != "x" {
			t.Errorf("the third argument is %q", got)
		}
		if got := cstrings(environment(s.vector()), len(env)); !slices.Equal(got, env) && len(env) > 0 {
			t.Errorf("variables %q", got)
		}
		o := &Orders{vector: s.vector()}
		if end := o.stringsEnd(); end != address(&s.strings[0])+uintptr(len(s.strings)) {
			t.Errorf("with %d variables the strings end %d bytes too early", len(env), address(&s.strings[0])+uintptr(len(s.strings))-end)
		}
	}
}

// A process that goes on into the runtime keeps the arguments and the auxiliary vector, and
// has only the runtime's own variables.
func TestNewVector(t *testing.T) {
	const sysinfo, random, pageSize = 33, 25, 6
	s := newStack([]string{"cgshim", "--", "x"}, []string{"GOMEMLIMIT=x", "GODEBUG=y"}, sysinfo, 11, random, 12, pageSize, 4096, 0, 0)
	room := make([]uintptr, 200)
	self.room = address(&room[0])
	defer func() { self.room = 0 }()
	v := newVector(s.vector())
	if got := cstrings(v+wordSize, int(*at[uintptr](v))); !slices.Equal(got, []string{"cgshim", "--", "x"}) {
		t.Errorf("arguments %q", got)
	}
	env := environment(v)
	var got, want []string
	for ; *at[uintptr](env) != 0; env += wordSize {
		got = append(got, goString(*at[uintptr](env)))
	}
	for _, setting := range settings {
		want = append(want, strings.TrimSuffix(setting, "\x00"))
	}
	if !slices.Equal(got, want) {
		t.Errorf("variables %q, want %q", got, want)
	}
	auxiliary := unsafe.Slice(at[uintptr](env+wordSize), 8)
	if !slices.Equal(auxiliary, []uintptr{sysinfo, 11, random, 12, pageSize, 4096, 0, 0}) {
		t.Errorf("auxiliary vector %v", auxiliary)
	}
	for i, setting := range settings {
		if !strings.HasSuffix(setting, "\x00") || strings.Count(setting, "\x00") != 1 {
			t.Errorf("setting %d is no C string", i)
		}
	}
}

func TestNamesOfTini(t *testing.T) {
	for name, want := range map[string]bool{
		"tini": true, "tini-static": true, "docker-init": true, "podman-init": true, "/sbin/docker-init": true, "/dev/init": true, "./tini": true,
		"cgshim": false, "/cgshim": false, "init": false, "/sbin/init": false, "/dev/init/x": false, "tini2": false, "mytini": false, "tini/": false, "": false,
		"dev/init": false, "/x/dev/init": false,
	} {
		s := newStack([]string{name}, nil)
		if got := tiniName(argument(s.vector(), 0)); got != want {
			t.Errorf("%q is a name of tini: %v", name, got)
		}
	}
}

func TestHostsOrders(t *testing.T) {
	old := self
	defer func() { self = old }()
	o := Host(noSource{})
	if o.PID != os.Getpid() || o.Parent != os.Getppid() || o.Notify != -1 || self.pid1 != (os.Getpid() == 1) || self.orders != o {
		t.Errorf("PID %d, parent %d, inotify %d", o.PID, o.Parent, o.Notify)
	}
	if !slices.Equal(o.Arguments(), os.Args) || !slices.Equal(o.Environ(), os.Environ()) || Native() {
		t.Error("not an ordinary Go program")
	}
}
