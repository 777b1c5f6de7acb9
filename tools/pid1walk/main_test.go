package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

var (
	packages = []string{"shim/pid1", "reaper", "internal/sys"}
	standard = rules{
		entry: "shim/pid1.entry", packages: packages, pinned: packages, stack: 49152,
	}
)

// tree writes a small tree that keeps the rules, and the files of other archives over it.
func tree(t *testing.T, archives ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range append([]string{"clean.txt"}, archives...) {
		archive, err := txtar.ParseFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range archive.Files {
			path := filepath.Join(dir, file.Name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, file.Data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// eachBuild runs a test with each port, optimized and, where addresses are found too, for a
// debugger.
func eachBuild(t *testing.T, test func(*testing.T, build)) {
	for goarch, port := range ports {
		for _, gcflags := range []string{"", "all=-N -l"} {
			if port.callsOnly && gcflags != "" {
				continue
			}
			b := build{goarch: goarch, gcflags: gcflags}
			t.Run(b.String(), func(t *testing.T) { test(t, b) })
		}
	}
}

func TestCleanTreePasses(t *testing.T) {
	dir := tree(t)
	eachBuild(t, func(t *testing.T, b build) {
		b.dir = dir
		w, err := b.check(standard)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range w.faults {
			t.Error(f)
		}
		for _, want := range []string{"shim/pid1.entry", "shim/pid1.core", "reaper.Next", "internal/sys.Call"} {
			f := w.named(want)
			if _, reached := w.caller[f]; f == nil || !reached {
				t.Errorf("%s was not reached", want)
			}
		}
		if d := w.depths[w.named(standard.entry)].bytes; d < 80 || d > 1000 {
			t.Errorf("the deepest chain has %d bytes: %s", d, w.summary())
		}
	})
}

// Each fault is the whole message. PLANT stands for the path from there to the entry point.
func TestEveryPlantedViolationIsFound(t *testing.T) {
	// Ports of 32 bits have one ABI, so there are no wrappers between two.
	const plant = `shim/pid1\.plant < shim/pid1\.core( < shim/pid1\.core\.abi0)? < shim/pid1\.entry(\.abi0)?`
	const (
		always    = 0
		optimized = 1 << iota // not in a debug build
		addresses             // only where the port's decoder finds these
		tables                // only where the compiler makes jump tables
	)
	faults := []struct {
		fault string
		needs int
	}{
		{`(internal/)?strconv\.\w+ is not for PID 1 \(\w+\.go:\d+\): (internal/)?strconv\.\w+ < shim/pid1\.other < PLANT`, always},
		{`runtime\.(newobject|malloc\w+) is not for PID 1 \(plant\.go:\d+\): runtime\.\w+ < shim/pid1\.allocates < PLANT`, always},
		{`runtime\.gcWriteBarrier2 is not for PID 1 \(plant\.go:\d+\): runtime\.gcWriteBarrier2 < shim/pid1\.allocates < PLANT`, always},
		{`uses read-only data \(.* in \.[a-z.]+ at plant\.go:\d+\): shim/pid1\.allocates < PLANT`, addresses},
		{`runtime\.gcWriteBarrier2 is not for PID 1 \(plant\.go:\d+\): runtime\.gcWriteBarrier2 < shim/pid1\.barrier < PLANT`, always},
		{`runtime\.cputicks is not for PID 1 \(plant_\w+\.s:\d+\): runtime\.cputicks(\.abi0)? < shim/pid1\.jumps(\.abi0)? < PLANT`, always},
		{`_rt0_\w+_linux is not for PID 1 \(plant_\w+\.s:\d+\): _rt0_\w+_linux < shim/pid1\.starts(\.abi0)? < PLANT`, always},

		{`1 indirect calls and jumps, 0 are listed \(call at plant\.go:\d+\): shim/pid1\.calls < PLANT`, always},
		{`1 indirect calls and jumps, 0 are listed \(jump \(of a switch\?\) at plant\.go:\d+\): shim/pid1\.switches < PLANT`, optimized | tables},
		{`1 indirect calls and jumps, 0 are listed \(jump \(of a switch\?\) at plant_\w+\.s:\d+\): shim/pid1\.taken(\.abi0)? < shim/pid1\.starts(\.abi0)? < PLANT`, addresses},

		{`the deepest chain has 60\d\d\d bytes, the stack has 49152: shim/pid1\.entry.* > shim/pid1\.plant \(\d+\) > shim/pid1\.deep \(60\d\d\d\)`, always},
		{`recursion: shim/pid1\.recurses < shim/pid1\.recurses < PLANT`, always},
		{`recursion: shim/pid1\.pingPongs < shim/pid1\.pong < shim/pid1\.pingPongs < PLANT`, always},
		{`\d ends of PID 1, at most 0 are allowed:(?s:.*)runtime\.panic(Index|Bounds) at plant\.go:\d+: shim/pid1\.index < PLANT`, optimized},

		{`shim/pid1\.init would have to run before PID 1 \(.*\)`, always},
		{`shim/pid1\.init\.0 would have to run before PID 1 \(plant\.go:\d+\)`, always},
		{`shim/pid1\.\.inittask has functions that would have to run before PID 1`, always},
		{`internal/sys\.init would have to run before PID 1 \(.*\)`, always},
		{`internal/sys\.init\.0 would have to run before PID 1 \(init\.go:\d+\)`, always},
		{`internal/sys\.\.inittask has functions that would have to run before PID 1`, always},

		{`uses the variable os\.Args \(plant\.go:\d+\): shim/pid1\.foreign < PLANT`, addresses},

		{`not in the pinned pages: runtime\.memclrNoHeapPointers < shim/pid1\.clears < PLANT`, always},
		{`uses read-only data \(shim/pid1\.function -> .* in \.[a-z.]+ at plant\.go:\d+\): shim/pid1\.calls < PLANT`, addresses},
		{`uses read-only data \(.* in \.[a-z.]+ at plant\.go:\d+\): shim/pid1\.switches < PLANT`, optimized | tables},
		{`uses read-only data \("a string that is" in \.[a-z.]+ at plant\.go:\d+\): shim/pid1\.constant < PLANT`, addresses},
		{`uses read-only data \(shim/pid1\.texts -> "a string in read" in \.[a-z.]+ at plant\.go:\d+, .*\): shim/pid1\.names < PLANT`, addresses},
	}
	dir := tree(t, "planted.txt")
	lacks := func(b build, w *walk) (lacks int) {
		if w.debug {
			lacks |= optimized
		}
		if w.callsOnly {
			lacks |= addresses
		}
		if b.goarch != "amd64" && b.goarch != "arm64" {
			lacks |= tables
		}
		return lacks
	}
	eachBuild(t, func(t *testing.T, b build) {
		b.dir = dir
		w, err := b.check(standard)
		if err != nil {
			t.Fatal(err)
		}
		unexpected := slices.Clone(w.faults)
		for _, want := range faults {
			pattern := regexp.MustCompile("^" + strings.ReplaceAll(want.fault, "PLANT", plant) + "$")
			n := len(unexpected)
			unexpected = slices.DeleteFunc(unexpected, pattern.MatchString)
			if len(unexpected) == n && want.needs&lacks(b, w) == 0 {
				t.Errorf("not found: %s", want.fault)
			}
		}
		for _, f := range unexpected {
			t.Errorf("not expected: %s", f)
		}
	})
}

// These need no tree of their own, only other rules.
func TestRulesDecide(t *testing.T) {
	b := build{dir: tree(t), goarch: "amd64"}
	planted := build{dir: tree(t, "planted.txt"), goarch: "amd64"}
	for _, c := range []struct {
		name  string
		build build
		edit  func(*build, *rules)
		fault string // a part of one, or none
		found bool
	}{
		{"a binary with the entry point of the runtime", b, func(b *build, _ *rules) { b.ldflags = "-w" }, "the ELF entry point is not shim/pid1.entry", true},
		{"pinned pages without PID 1", b, func(_ *build, r *rules) { r.pinned = []string{"runtime.memmove"} }, "not in the pinned pages: reaper.Next <", true},
		{"a range of functions", b, func(_ *build, r *rules) { r.pinned = []string{"_rt0_amd64_linux:shim/pid1.core"} }, "not in the pinned pages", false},
		{"a pinned name that is none", b, func(_ *build, r *rules) { r.pinned = []string{"shim/pid1.nothing"} }, "nothing is named shim/pid1.nothing, which is to be pinned", true},
		{"a package that is not PID 1's", b, func(_ *build, r *rules) { r.packages = []string{"shim/pid1", "internal/sys"} }, "reaper.Next is not for PID 1", true},
		{"a stack of 100 bytes", b, func(_ *build, r *rules) { r.stack = 100 }, "the stack has 100: shim/pid1.entry", true},
		{"a pinned routine", planted, func(_ *build, r *rules) {
			r.pinned = append([]string{"runtime.memclrNoHeapPointers"}, packages...)
		}, "not in the pinned pages", false},
		{"ends that a debug build keeps", planted, func(b *build, r *rules) { b.gcflags = "all=-N -l" }, "ends of PID 1", false},
		{"ends that are allowed", planted, func(_ *build, r *rules) { r.maxEnds = 9 }, "ends of PID 1", false},
		{"read-only data that is allowed", planted, func(_ *build, r *rules) {
			r.exceptions = map[string]exception{"shim/pid1.constant": {readOnly: true}}
		}, "shim/pid1.constant", false},
		{"an indirect call that is allowed", planted, func(_ *build, r *rules) {
			r.exceptions = map[string]exception{"shim/pid1.calls": {indirect: 1, readOnly: true}}
		}, "shim/pid1.calls", false},
		{"two indirect calls that are allowed, and one is there", planted, func(_ *build, r *rules) {
			r.exceptions = map[string]exception{"shim/pid1.calls": {indirect: 2}}
		}, "1 indirect calls and jumps, 2 are listed", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, r := c.build, standard
			c.edit(&b, &r)
			w, err := b.check(r)
			if err != nil {
				t.Fatal(err)
			}
			if found := strings.Contains(strings.Join(w.faults, "\n"), c.fault); found != c.found {
				t.Errorf("found %v, want %v: %q in\n%s", found, c.found, c.fault, strings.Join(w.faults, "\n"))
			}
		})
	}
}
