package cgroup

import (
	"errors"
	"strconv"
	"strings"
)

// Error is a system call that failed. Its text names the call, the object, the data and
// the errno, as in this example:
//
//	write cgroup.subtree_control "+cpu +memory": device or resource busy
type Error struct {
	Op   string // the system call
	Path string // the file, cgroup or namespace, or "" for a call without one
	Data string // the data that the call wrote, or ""
	Err  error
}

func (e *Error) Error() string {
	s := e.Op
	if e.Path != "" {
		s += " " + e.Path
	}
	if e.Data != "" {
		s += " " + strconv.Quote(e.Data)
	}
	return s + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// BusyError says that other processes kept the container's cgroup busy until the
// deadline.
type BusyError struct {
	Left    []string // "PID command" of each process that could not be moved
	Foreign int      // number of processes of other PID namespaces, which this process can neither name nor move
	Elapsed string
	Err     error
}

func (e *BusyError) Error() string {
	s := e.Err.Error() + " for " + e.Elapsed
	if len(e.Left) > 0 {
		s += ", left: " + strings.Join(e.Left, ", ")
	}
	if e.Foreign > 0 {
		s += ", processes of other PID namespaces: " + strconv.Itoa(e.Foreign)
	}
	return s
}

func (e *BusyError) Unwrap() error { return e.Err }

// asError returns the [*Error] that err wraps, or nil.
func asError(err error) *Error {
	var e *Error
	errors.As(err, &e)
	return e
}

// is reports whether err is any of errnos.
func is(err error, errnos ...error) bool {
	for _, errno := range errnos {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
