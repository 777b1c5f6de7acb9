//go:build cgshim_release

package shim

import (
	"math"
	_ "unsafe" // go:linkname
)

// forcegcperiod is how often Go collects at least, in nanoseconds. Half of it is
// how long the runtime's monitor thread sleeps in an idle process: the one wake-up
// a minute that an idle init would have (runtime, sysmon). A collection still comes
// when there is garbage. The linker allows this with -checklinkname=0 only, so it
// is in the binary of the Makefile and not in that of a plain go build.
//
//go:linkname forcegcperiod runtime.forcegcperiod
var forcegcperiod int64

func init() { forcegcperiod = math.MaxInt64 }
