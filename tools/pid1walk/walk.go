package main

import (
	"debug/elf"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// rules is what a build must keep.
type rules struct {
	entry    string
	packages []string // of PID 1
	pinned   []string // packages, functions or FIRST:LAST
	stack    int
	maxEnds  int
	debug    bool // built with -N

	exceptions map[string]exception
}

// A walk goes through the functions that PID 1 can reach.
type walk struct {
	*image
	port
	rules
	calls  map[*function][]edge
	caller map[*function]*function // the first that was seen
	depths map[*function]depth
	pages  [][2]uint64 // pinned

	reached int
	kept    map[uint64]bool // pages of the file with variables that PID 1 uses
	ends    []string
	faults  []string
	used    map[string]bool // exceptions
}

type edge struct {
	ref
	to *function
}

// check walks an image and reports what breaks the rules.
func check(img *image, p port, r rules) *walk {
	w := &walk{
		image: img, port: p, rules: r, calls: map[*function][]edge{}, caller: map[*function]*function{},
		depths: map[*function]depth{}, kept: map[uint64]bool{}, used: map[string]bool{},
	}
	root := w.named(r.entry)
	if root == nil || root.start != img.file.Entry {
		w.fault("the ELF entry point is not %s", r.entry)
		return w
	}
	w.pin()
	w.inits()
	w.caller[root] = nil
	for queue := []*function{root}; len(queue) > 0; queue = queue[1:] {
		queue = append(queue, w.visit(queue[0])...)
	}
	if d := w.depth(root, nil); d.bytes > r.stack {
		w.fault("the deepest chain has %d bytes, the stack has %d: %s", d.bytes, r.stack, w.chain(root))
	}
	// Without the optimizer, checks stay in the code that cannot fail.
	if len(w.ends) > r.maxEnds && !r.debug {
		w.fault("%d ends of PID 1, at most %d are allowed:\n\t%s", len(w.ends), r.maxEnds, strings.Join(w.ends, "\n\t"))
	}
	return w
}

func (w *walk) fault(format string, args ...any) {
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

// plain returns the name without the ABI.
func (f *function) plain() string {
	return strings.TrimSuffix(strings.TrimSuffix(f.name, ".abi0"), ".abiinternal")
}

// packageOf returns the package of a function or variable. The function that compares two
// values of a type is in the package of the type.
func packageOf(name string) string {
	name, _, _ = strings.Cut(strings.TrimPrefix(name, "type:.eq."), "[")
	slash := strings.LastIndexByte(name, '/') + 1
	last, _, found := strings.Cut(name[slash:], ".")
	if !found {
		return ""
	}
	return name[:slash] + last
}

// named returns the function with the name. Assembly comes before the compiler's wrapper.
func (w *walk) named(name string) (found *function) {
	for _, f := range w.functions {
		if f.name == name+".abi0" || f.name == name && found == nil {
			found = f
		}
	}
	return found
}

func (w *walk) path(f *function) string {
	path := f.name
	for f = w.caller[f]; f != nil; f = w.caller[f] {
		path += " < " + f.name
	}
	return path
}

// pin finds the pages of each pinned range.
func (w *walk) pin() {
	for _, name := range w.pinned {
		first, last, isRange := strings.Cut(name, ":")
		low, high := ^uint64(0), uint64(0)
		for _, f := range w.functions {
			if packageOf(f.name) == name || f.plain() == first || isRange && f.plain() == last {
				low, high = min(low, f.start), max(high, f.end)
			}
		}
		if high == 0 {
			w.fault("nothing is named %s, which is to be pinned", name)
			continue
		}
		w.pages = append(w.pages, [2]uint64{low &^ 0xfff, (high + 0xfff) &^ 0xfff})
	}
}

// inits finds what would have to run before PID 1's packages can be used.
func (w *walk) inits() {
	for _, pkg := range w.packages {
		init := regexp.MustCompile(`^` + regexp.QuoteMeta(pkg) + `\.(map\.)?init(\.\d+)?$`)
		for _, f := range w.functions {
			if init.MatchString(f.plain()) {
				w.fault("%s would have to run before PID 1 (%s)", f.name, w.line(f.start))
			}
		}
		// It has the state, the number of functions, and these (cmd/compile/internal/pkginit).
		for _, s := range w.data {
			if s.Name == pkg+"..inittask" && w.order.Uint32(w.bytes(s.Value, 8)[4:]) > 0 {
				w.fault("%s has functions that would have to run before PID 1", s.Name)
			}
		}
	}
}

// visit looks at one function, and returns the functions that it leads to for the first time.
func (w *walk) visit(f *function) (next []*function) {
	w.reached++
	if !slices.ContainsFunc(w.pages, func(p [2]uint64) bool { return p[0] <= f.start && f.end <= p[1] }) {
		w.fault("not in the pinned pages: %s", w.path(f))
	}
	refs, err := w.decode(w.codeOf(f), f.start)
	if err != nil {
		w.fault("unknown instruction %v: %s", err, w.path(f))
	}
	var sites, data []string
	for _, r := range refs {
		switch to := w.at(r.target); {
		case r.kind == indirectCall:
			sites = append(sites, "call at "+w.line(r.pc))
		case r.kind == indirectJump:
			sites = append(sites, "jump (of a switch?) at "+w.line(r.pc))
		case r.kind == address && to == nil:
			data = append(data, w.readOnly(r, map[uint64]bool{})...)
			w.foreign(f, r)
		case to == nil:
			w.fault("a jump to %#x, where no function is: %s", r.target, w.path(f))
		case to == f && !(r.kind == call && r.target == f.start):
			// a branch, or a constant in the code
		default:
			if w.follow(f, edge{r, to}) {
				next = append(next, to)
			}
		}
	}
	allowed := w.exceptions[f.plain()]
	if len(sites) != allowed.indirect {
		w.fault("%d indirect calls and jumps, %d are listed (%s): %s", len(sites), allowed.indirect, strings.Join(sites, ", "), w.path(f))
	}
	data = slices.Compact(data)
	if len(data) > 0 && !allowed.readOnly {
		w.fault("uses read-only data (%s): %s", strings.Join(data, ", "), w.path(f))
	}
	w.used[f.plain()] = w.used[f.plain()] || len(sites) > 0 || len(data) > 0
	return next
}

// follow notes that f leads to another function, and reports whether the walk has to go on
// there.
func (w *walk) follow(f *function, e edge) bool {
	name := e.to.plain()
	switch {
	case growth.MatchString(name):
		return false
	case ends.MatchString(name):
		w.ends = append(w.ends, fmt.Sprintf("%s at %s: %s", name, w.line(e.pc), w.path(f)))
		return false
	case name == w.start && starts.MatchString(f.plain()) && e.kind == jump:
		return false
	}
	if !slices.Contains(w.packages, packageOf(name)) && !routines.MatchString(name) {
		w.fault("%s is not for PID 1 (%s): %s < %s", name, w.line(e.pc), e.to.name, w.path(f))
		return false
	}
	w.calls[f] = append(w.calls[f], e)
	_, seen := w.caller[e.to]
	if !seen {
		w.caller[e.to] = f
	}
	return !seen
}

// foreign notes the use of a variable that the runtime or another package sets. A routine may
// look at a variable of the runtime, and code with a write barrier looks whether it is on.
func (w *walk) foreign(f *function, r ref) {
	s, v := w.section(r.target), w.variable(r.target)
	if s == nil || s.Flags&elf.SHF_WRITE == 0 || r.target >= v.Value+v.Size || v.Name == "runtime.writeBarrier" ||
		slices.Contains(w.packages, packageOf(v.Name)) || routines.MatchString(f.plain()) {
		return
	}
	w.fault("uses the variable %s (%s): %s", v.Name, w.line(r.pc), w.path(f))
}

// bytes returns what the file has at an address, up to the end of the section.
func (w *walk) bytes(addr, size uint64) []byte {
	s := w.section(addr)
	data, err := s.Data()
	if err != nil {
		return nil
	}
	return data[addr-s.Addr : min(addr-s.Addr+size, uint64(len(data)))]
}

// describe returns the name of the variable at an address. Strings, and constants that the
// compiler makes, have no name, so it returns their start.
func (w *walk) describe(addr uint64) string {
	v := w.variable(addr)
	if strings.HasSuffix(v.Name, ".*") && v.Name != "go:string.*" || addr < v.Value+v.Size {
		return v.Name
	}
	return fmt.Sprintf("%.16q", w.bytes(addr, 16))
}

// readOnly describes read-only data that is at the address, or that a pointer leads to from
// there. Only the section .data has pointers.
func (w *walk) readOnly(r ref, seen map[uint64]bool) (found []string) {
	s, v := w.section(r.target), w.variable(r.target)
	switch {
	case s == nil || seen[v.Value]:
		return nil
	case w.debug && strings.Contains(v.Name, "..dict."):
		// Without inlining each call of a generic function passes the address of a dictionary.
		return nil
	case s.Flags&elf.SHF_WRITE == 0:
		return []string{fmt.Sprintf("%s in %s at %s", w.describe(r.target), s.Name, w.line(r.pc))}
	case s.Type == elf.SHT_PROGBITS:
		w.kept[r.target&^0xfff] = true
	}
	if s.Name != ".data" {
		return nil
	}
	seen[v.Value] = true
	words := w.bytes(v.Value, v.Size)
	for i := 0; i+w.wordSize() <= len(words); i += w.wordSize() {
		for _, text := range w.readOnly(ref{address, r.pc, w.word(words[i:])}, seen) {
			found = append(found, v.Name+" -> "+text)
		}
	}
	return found
}
