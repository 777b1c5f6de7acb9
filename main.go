// Command cgshim is the PID 1 of a container that runs containers. It delegates the
// container's cgroup, starts one program, forwards signals to the program, reaps every
// orphan and exits with the program's status.
//
// In the native build PID 1 never starts Go's runtime (package shim/pid1). The process that
// runs main is a helper of PID 1, which reads the command line, prepares the start and is
// gone. In a plain `go build` main runs in PID 1 itself.
//
// Go's runtime sizes GOMAXPROCS by the cpu.max of the cgroup that it starts in, and
// keeps the file open. The open file would pin the mount that cgshim replaces. These
// settings keep the runtime from reading the file.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0
package main

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"github.com/cgshim/cgshim/shim"
)

var process = shim.Begin()

// The runtime keeps init functions on the main thread, to which namespaces belong. So a
// helper does all its work in one. runtime.LockOSThread would create another thread.
func init() {
	if process.Helps() {
		os.Exit(run())
	}
}

func main() { os.Exit(run()) }

func run() int {
	s, err := parseOptions(process.Args(), process.Env())
	s.PID = process.PID()
	log := &logger{settings: s}
	switch {
	case err != nil:
		return rejectUsage(s, log, err)
	case s.print != "":
		return output(s.print)
	}
	if len(s.unknown) > 0 && process.Prepares() { // not again in a later helper
		log.Log(shim.LevelWarn, "unknown variables", "names", strings.Join(s.unknown, " "))
	}
	switch {
	case s.check:
		return shim.Check(s.Config, s.json, shim.Stdout{})
	case !s.Pause && len(s.Args) == 0:
		return rejectUsage(s, log, errNoProgram)
	}
	return process.Run(s.Config, log)
}

// rejectUsage explains a wrong command line on stderr, with the usage as tini does.
func rejectUsage(s *settings, log *logger, err error) int {
	var tini *tiniError
	switch {
	case errors.As(err, &tini) && tini.value:
		log.Log(shim.LevelError, err.Error())
	case tini != nil:
		complain(s.Path + ": " + err.Error() + "\n" + usage(s))
	case errors.Is(err, errNoProgram) && s.Tini:
		complain(usage(s))
	default:
		complain(s.Name + ": " + err.Error() + "\n\n" + usage(s))
	}
	return shim.ExitFailure
}

var errNoProgram = errors.New("no program given")

// output prints text on stdout. It fails if the write fails, because a script that
// reads the output must not take an empty answer for success.
func output(text string) int {
	if _, err := (shim.Stdout{}).Write([]byte(text)); err != nil {
		complain("write stdout " + strconv.Itoa(len(text)) + " bytes: " + err.Error() + "\n")
		return shim.ExitFailure
	}
	return 0
}

// complain writes to stderr without the format of a log line.
func complain(text string) { _, _ = shim.Stderr{}.Write([]byte(text)) }
