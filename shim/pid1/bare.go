package pid1

import "golang.org/x/sys/unix"

// bare reports whether the command line is `docker-init -- PROGRAM ARGS` of `docker run
// --init`, under any of tini's names, and nothing else is asked for. Then it fills in the
// orders itself, and the program starts without a helper.
func (l *life) bare() bool {
	o := l.orders
	argc := *at[uintptr](o.vector)
	if !l.pid1 || argc < 3 || !same(argument(o.vector, 1), "--") || !tiniName(argument(o.vector, 0)) || l.inheritsDescriptors() {
		return false
	}
	for p := environment(o.vector); *at[uintptr](p) != 0; p += wordSize {
		name := *at[uintptr](p)
		switch {
		case hasPrefix(name, "TINI_"), hasPrefix(name, "CGSHIM_"), hasPrefix(name, "LISTEN_PID"), hasPrefix(name, "POSIXLY_CORRECT"):
			return false
		case hasPrefix(name, "PATH=") && o.path == 0: // getenv(3) uses the first entry
			o.path = name + uintptr(len("PATH="))
		}
	}
	o.argv, o.envp = o.vector+3*wordSize, environment(o.vector)
	o.Tini = true
	o.ForwardAll()
	o.SetLine(LineFailed, "[WARN  tini (1)] Child was dead when forwarding signal\n")
	o.SetLine(LineUnsent, "[WARN  tini (1)] Unexpected error when forwarding signal: '\x00k'\n")
	o.SetLine(LineNoStart, "[FATAL tini (1)] fork failed: \x00k\n")
	o.SetErrno(unix.EPERM, "Operation not permitted")
	o.SetErrno(unix.EAGAIN, "Resource temporarily unavailable")
	o.SetErrno(unix.ENOMEM, "Cannot allocate memory")
	return true
}

// inheritsDescriptors reports whether this process has got descriptors besides the standard
// ones. A program hands them down from 3 on (sd_listen_fds(3)).
func (l *life) inheritsDescriptors() bool {
	_, errno := call(unix.SYS_FCNTL, 3, unix.F_GETFD, 0, 0)
	return errno == 0
}

// argument returns the address of an argument.
func argument(vector uintptr, i uintptr) uintptr { return *at[uintptr](vector + (i+1)*wordSize) }

// tiniName reports whether the C string is a name under which this program keeps tini's
// defaults. Podman 2 and 3 also mount their init as /dev/init. Other programs are called init
// too, so there the whole path counts.
func tiniName(name uintptr) bool {
	if same(name, "/dev/init") {
		return true
	}
	base := name
	for p := name; *at[byte](p) != 0; p++ {
		if *at[byte](p) == '/' {
			base = p + 1
		}
	}
	return same(base, "docker-init") || same(base, "podman-init") || same(base, "tini") || same(base, "tini-static")
}

// same reports whether the C string is s.
func same(p uintptr, s string) bool { return hasPrefix(p, s) && *at[byte](p + uintptr(len(s))) == 0 }

func hasPrefix(p uintptr, s string) bool {
	for i := 0; i < len(s); i++ {
		if *at[byte](p + uintptr(i)) != s[i] {
			return false
		}
	}
	return true
}
