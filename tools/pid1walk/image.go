package main

import (
	"bytes"
	"cmp"
	"debug/elf"
	"debug/gosym"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// An image is a binary with its symbols.
type image struct {
	file      *elf.File
	text      *elf.Section
	code      []byte
	functions []*function // by address
	data      []elf.Symbol
	lines     *gosym.Table
	table     []byte // the section .gopclntab
	order     binary.ByteOrder
	steps     map[uint64]uint32 // entry of a function to its table of stack sizes
}

// A function has a name without the path of the module.
type function struct {
	name       string
	start, end uint64
}

func open(path, module string) (*image, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	file, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	symbols, err := file.Symbols()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	img := &image{file: file, order: file.ByteOrder, text: file.Section(".text")}
	slices.SortStableFunc(symbols, func(a, b elf.Symbol) int { return cmp.Compare(a.Value, b.Value) })
	for _, s := range symbols {
		s.Name = strings.ReplaceAll(s.Name, module+"/", "")
		switch elf.ST_TYPE(s.Info) {
		case elf.STT_FUNC:
			img.functions = append(img.functions, &function{s.Name, s.Value, s.Value + s.Size})
		case elf.STT_OBJECT:
			img.data = append(img.data, s)
		}
	}
	if img.code, err = img.text.Data(); err != nil {
		return nil, err
	}
	return img, img.readTable()
}

// readTable reads the runtime's table of functions (runtime.pcHeader, runtime._func).
func (img *image) readTable() (err error) {
	section := img.file.Section(".gopclntab")
	if section == nil {
		return errors.New("no section .gopclntab: this is no Go binary")
	}
	if img.table, err = section.Data(); err != nil {
		return err
	}
	if magic := img.order.Uint32(img.table); magic != 0xfffffff1 {
		return fmt.Errorf("the table of functions has the unknown magic number %#x", magic)
	}
	word := func(i int) uint64 { return img.word(img.table[8+img.wordSize()*i:]) }
	number, steps, functions := word(0), word(6), word(7)
	img.steps = map[uint64]uint32{}
	for i := range number {
		pair := img.table[functions+8*i:]
		fn := img.table[functions+uint64(img.order.Uint32(pair[4:])):]
		img.steps[img.text.Addr+uint64(img.order.Uint32(pair))] = uint32(steps) + img.order.Uint32(fn[16:])
	}
	img.lines, err = gosym.NewTable(nil, gosym.NewLineTable(img.table, img.text.Addr))
	return err
}

func (img *image) wordSize() int {
	if img.file.Class == elf.ELFCLASS32 {
		return 4
	}
	return 8
}

func (img *image) word(data []byte) uint64 {
	if img.file.Class == elf.ELFCLASS32 {
		return uint64(img.order.Uint32(data))
	}
	return img.order.Uint64(data)
}

// at returns the function that contains the address, or nil.
func (img *image) at(pc uint64) *function {
	i, _ := slices.BinarySearchFunc(img.functions, pc, func(f *function, pc uint64) int {
		if f.end <= pc {
			return -1
		}
		return 1
	})
	if i < len(img.functions) && img.functions[i].start <= pc {
		return img.functions[i]
	}
	return nil
}

func (img *image) codeOf(f *function) []byte {
	return img.code[f.start-img.text.Addr : f.end-img.text.Addr]
}

// line names the line of the sources, for a message.
func (img *image) line(pc uint64) string {
	file, line, _ := img.lines.PCToLine(pc)
	return fmt.Sprintf("%s:%d", filepath.Base(file), line)
}

// sizes calls visit with each piece of the function and the bytes that its frame has there.
// The table has pairs of differences, of the size and of the address (runtime.step).
func (img *image) sizes(f *function, visit func(end uint64, size int)) error {
	offset, found := img.steps[f.start]
	if !found {
		return errors.New("the runtime has no table of its frame")
	}
	table, quantum := img.table[offset:], uint64(img.table[6])
	pc, size := f.start, -1
	for pc < f.end {
		up, n := binary.Uvarint(table)
		if up == 0 && pc != f.start {
			break
		}
		by, m := binary.Uvarint(table[n:])
		table = table[n+m:]
		size += int(up>>1) ^ -int(up&1)
		pc += by * quantum
		visit(pc, size)
	}
	return nil
}

// section returns the loaded section that contains the address, or nil.
func (img *image) section(addr uint64) *elf.Section {
	for _, s := range img.file.Sections {
		if s.Flags&elf.SHF_ALLOC != 0 && s.Addr <= addr && addr < s.Addr+s.Size {
			return s
		}
	}
	return nil
}

// variable returns the last symbol of data at or before the address.
func (img *image) variable(addr uint64) elf.Symbol {
	i := sort.Search(len(img.data), func(i int) bool { return img.data[i].Value > addr })
	if i == 0 {
		return elf.Symbol{Name: "?", Value: addr}
	}
	return img.data[i-1]
}
