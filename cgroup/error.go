package cgroup

import (
	"errors"
	"strconv"
	"strings"
)

// Error is a failed call: what was done, to what, with what, and the errno. It
// reads `write cgroup.subtree_control "+cpu +memory": device or resource busy`.
type Error struct {
	Op   string // the system call
	Path string // the object, or "" where the call has none
	Data string // what was written, or ""
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

// BusyError is a delegation that other processes kept busy until the deadline.
type BusyError struct {
	Left    []string // "PID command" of processes that could not be moved away
	Foreign int      // processes of other PID namespaces, which cannot be named or moved from here
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

// asError is the [*Error] that err wraps, or nil.
func asError(err error) *Error {
	var e *Error
	errors.As(err, &e)
	return e
}

// is reports whether err is one of errnos.
func is(err error, errnos ...error) bool {
	for _, errno := range errnos {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
