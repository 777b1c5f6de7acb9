package main

import (
	"fmt"
	"slices"
	"strings"
)

// depth is how much of the stack a function can use, with everything that it calls.
type depth struct {
	bytes, own int
	next       *function
}

// depth adds up the deepest chain of frames below f. Above f are the functions of the chain
// that called it.
func (w *walk) depth(f *function, above []*function) (d depth) {
	if slices.Contains(above, f) {
		w.fault("recursion: %s", names(append(above, f)))
		return depth{}
	}
	if d, known := w.depths[f]; known {
		return d
	}
	above = append(above, f)
	type piece struct {
		end  uint64
		size int
	}
	var pieces []piece
	if err := w.sizes(f, func(end uint64, size int) {
		pieces = append(pieces, piece{end, size})
		d.own = max(d.own, size)
	}); err != nil {
		w.fault("%v: %s", err, w.path(f))
	}
	d.bytes = d.own
	for _, e := range w.calls[f] {
		if e.kind == address && slices.Contains(above, e.to) {
			continue // an address is no call
		}
		size := d.own
		for _, p := range pieces {
			if e.pc < p.end {
				size = p.size
				break
			}
		}
		if e.kind != jump {
			size += w.pushed
		}
		if size += w.depth(e.to, above).bytes; size > d.bytes {
			d.bytes, d.next = size, e.to
		}
	}
	w.depths[f] = d
	return d
}

// summary says what was walked, and shows the deepest chain.
func (w *walk) summary() string {
	pinned := uint64(0)
	for _, p := range w.pages {
		pinned += p[1] - p[0]
	}
	root := w.named(w.entry)
	return fmt.Sprintf("%d functions, %d ends of PID 1, %d bytes of code pinned, %d pages of the file with variables, %d of %d bytes of stack\n\t%s",
		w.reached, len(w.ends), pinned, len(w.kept), w.depths[root].bytes, w.stack, w.chain(root))
}

// chain writes the deepest chain down, with the frame of each function.
func (w *walk) chain(f *function) string {
	var parts []string
	for ; f != nil; f = w.depths[f].next {
		parts = append(parts, fmt.Sprintf("%s (%d)", f.name, w.depths[f].own))
	}
	return strings.Join(parts, " > ")
}

func names(chain []*function) string {
	var parts []string
	for _, f := range chain {
		parts = append([]string{f.name}, parts...)
	}
	return strings.Join(parts, " < ")
}
