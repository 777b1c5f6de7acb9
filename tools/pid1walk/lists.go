package main

import "regexp"

// Names in these lists are without the path of the module and without `.abi0`.

// routines are functions of the runtime in assembly that need nothing of it. PID 1 may call
// them.
var routines = regexp.MustCompile(`^(runtime\.(memmove|memclrNoHeapPointers|memequal|cmpstring|duffzero|duffcopy)|memeqbody|cmpbody)$`)

// growth is called at the start of a function if the stack is too small. The walk shows that
// it never is.
var growth = regexp.MustCompile(`^runtime\.morestack`)

// ends are what a failed check in Go calls. In PID 1 it ends the container.
var ends = regexp.MustCompile(`^runtime\.(panicIndex|panicSlice|panicBounds|panicunsafe|panicdivide|panicshift|goPanic)`)

// starts are the functions that may jump to the start of the runtime, in a process that goes
// on into it.
var starts = regexp.MustCompile(`^shim/pid1\.(entry|launch)$`)

// exceptions has the functions that may do what no other function may do.
var exceptions = map[string]exception{
	"shim/pid1.(*life).next":          {indirect: 1, reason: "host is nil in the native build"},
	"shim/pid1.(*life).pending":       {indirect: 1, reason: "host is nil in the native build"},
	"shim/pid1.(*life).startLate":     {indirect: 1, reason: "host is nil in the native build"},
	"shim/pid1.core":                  {readOnly: true, reason: "before the spawn"},
	"shim/pid1.(*life).mayWait":       {readOnly: true, reason: "before the spawn"},
	"shim/pid1.(*life).bare":          {readOnly: true, reason: "before the spawn"},
	"shim/pid1.tiniName":              {readOnly: true, reason: "before the spawn"},
	"shim/pid1.(*life).prepare":       {readOnly: true, reason: "before the spawn"},
	"shim/pid1.(*life).runtimeFailed": {readOnly: true, reason: "before the spawn"},
	"shim/pid1.(*life).helperKilled":  {readOnly: true, reason: "before the spawn"},
	"shim/pid1.mmap":                  {readOnly: true, reason: "a debug build copies constants; if they are gone the code is not copied by a child"},
	"shim/pid1.(*life).raiseLimits":   {readOnly: true, reason: "in a helper, which needs the file"},
	"shim/pid1.newVector":             {readOnly: true, reason: "in a helper, which needs the file"},
}

type exception struct {
	indirect int // number of indirect calls and jumps
	// Read-only data is in pages of the file, which PID 1 may lose after the spawn. So the
	// function uses it only before.
	readOnly bool
	reason   string
}
