package main

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/arch/x86/x86asm"
)

// A ref is what an instruction calls, jumps to or takes the address of. The target of an
// indirect call or jump is not known.
type ref struct {
	kind       kind
	pc, target uint64
}

type kind int

const (
	call kind = iota
	jump
	indirectCall
	indirectJump
	address
)

// A port says what the walk has to know of an architecture.
type port struct {
	decode    func(code []byte, pc uint64) ([]ref, error)
	pushed    int // bytes that a call instruction pushes
	start     string
	callsOnly bool // decode finds no addresses
}

var ports = map[string]port{
	"386":     {decodeX86(32), 4, "_rt0_386_linux", false},
	"amd64":   {decodeX86(64), 8, "_rt0_amd64_linux", false},
	"arm":     {decodeText(textARM), 0, "_rt0_arm_linux", true},
	"arm64":   {decodeARM64, 0, "_rt0_arm64_linux", false},
	"loong64": {decodeText(textLoong64), 0, "_rt0_loong64_linux", true},
	"ppc64le": {decodeText(textPPC64LE), 0, "_rt0_ppc64le_linux", true},
	"riscv64": {decodeText(textRISCV64), 0, "_rt0_riscv64_linux", true},
	"s390x":   {decodeText(textS390X), 0, "_rt0_s390x_linux", true},
}

// decodeX86 returns what reads the instructions of a function. Go's assembler and compiler use
// memory operands for everything that has a name, relative to RIP on amd64.
func decodeX86(bits int) func([]byte, uint64) ([]ref, error) {
	return func(code []byte, pc uint64) ([]ref, error) { return refsX86(code, pc, bits) }
}

func refsX86(code []byte, pc uint64, bits int) (refs []ref, err error) {
	for len(code) > 0 {
		inst, err := instX86(code, bits)
		if err != nil {
			return nil, fmt.Errorf("at %#x % x: %w", pc, code[:min(8, len(code))], err)
		}
		next := pc + uint64(inst.Len)
		direct := false
		for _, arg := range inst.Args {
			switch arg := arg.(type) {
			case x86asm.Rel:
				direct = true
				refs = append(refs, ref{jumpOr(inst.Op == x86asm.CALL), pc, next + uint64(int64(arg))})
			case x86asm.Mem:
				if arg.Base == x86asm.RIP {
					refs = append(refs, ref{address, pc, next + uint64(arg.Disp)})
				} else if arg.Base == 0 && arg.Segment != x86asm.FS && arg.Segment != x86asm.GS { // the thread's storage
					refs = append(refs, ref{address, pc, uint64(arg.Disp)})
				}
			}
		}
		switch inst.Op {
		case x86asm.CALL, x86asm.LCALL:
			if !direct {
				refs = append(refs, ref{indirectCall, pc, 0})
			}
		case x86asm.JMP, x86asm.LJMP:
			if !direct {
				refs = append(refs, ref{indirectJump, pc, 0})
			}
		}
		code, pc = code[inst.Len:], next
	}
	return refs, nil
}

func jumpOr(isCall bool) kind {
	if isCall {
		return call
	}
	return jump
}

// instX86 decodes an instruction. x86asm knows few AVX instructions, but memeqbody and its
// kind have them. So a VEX prefix becomes the prefixes of the SSE instruction that has the
// same opcode and operands (Intel's manual, volume 2, "VEX Prefix").
func instX86(code []byte, bits int) (x86asm.Inst, error) {
	if bits == 32 || len(code) < 4 || code[0] != 0xc4 && code[0] != 0xc5 {
		return x86asm.Decode(code, bits)
	}
	size, opcodes, last := 2, byte(1), code[1]
	if code[0] == 0xc4 {
		size, opcodes, last = 3, code[1]&0x1f, code[2]
	}
	sse := [][]byte{{}, {0x66}, {0xf3}, {0xf2}}[last&3]
	switch opcodes {
	case 1:
		sse = append(sse, 0x0f)
	case 2:
		sse = append(sse, 0x0f, 0x38)
	case 3:
		sse = append(sse, 0x0f, 0x3a)
	}
	inst, err := x86asm.Decode(append(sse, code[size:min(len(code), 16)]...), 64)
	inst.Len += size - len(sse)
	return inst, err
}

// decodeARM64 reads the instructions of a function (Arm Architecture Reference Manual, "A64
// instruction set encoding"). It only needs branches and what makes addresses.
func decodeARM64(code []byte, pc uint64) (refs []ref, err error) {
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(code[i:]) }
	constants := map[int]bool{} // words at the end of the function that LDR reads
	for i := 0; i+4 <= len(code); i += 4 {
		if constants[i] {
			continue
		}
		w, at := word(i), pc+uint64(i)
		add := func(k kind, offset int64) { refs = append(refs, ref{k, at, at + uint64(offset)}) }
		switch {
		case w>>26 == 0b100101: // BL
			add(call, signed(w, 0, 26)*4)
		case w>>26 == 0b000101: // B
			add(jump, signed(w, 0, 26)*4)
		case w>>24 == 0x54, w>>25&0x3f == 0b011010: // B.cond, CBZ, CBNZ
			add(jump, signed(w, 5, 19)*4)
		case w>>25&0x3f == 0b011011: // TBZ, TBNZ
			add(jump, signed(w, 5, 14)*4)
		case w&0xfffffc1f == 0xd65f0000: // RET
		case w>>21 == 0b1101011_0001, w>>21 == 0b1101011_1001: // BLR
			add(indirectCall, 0)
		case w>>25 == 0b1101011: // BR and the like
			add(indirectJump, 0)
		case w>>24&0x9f == 0x10: // ADR
			add(address, signed(w, 5, 19)*4+int64(w>>29&3))
		case w>>24&0x3b == 0x18: // LDR of a constant
			offset := signed(w, 5, 19) * 4
			add(address, offset)
			for n := range []int{1, 2, 1, 1, 1, 2, 4}[min(6, w>>30|w>>26&1<<2)] {
				constants[i+int(offset)+4*n] = true
			}
		case w>>24&0x9f == 0x90: // ADRP
			low := int64(-1)
			if i+8 <= len(code) {
				low = pageOffset(word(i+4), w&31)
			}
			if low < 0 {
				return nil, fmt.Errorf("at %#x: ADRP without the other half of the address", at)
			}
			page := int64(at&^0xfff) + (signed(w, 5, 19)*4+int64(w>>29&3))<<12
			add(address, page+low-int64(at))
		}
	}
	return refs, nil
}

// signed returns a field of an instruction, extended by its sign.
func signed(w uint32, shift, width int) int64 {
	return int64(int32(w<<(32-shift-width)) >> (32 - width))
}

// pageOffset returns the offset in the page whose address is in the register, or -1. Go's
// linker fills in ADRP and the instruction after it as a pair.
func pageOffset(w, register uint32) int64 {
	offset := int64(w >> 10 & 0xfff)
	switch {
	case w>>5&31 != register:
		return -1
	case w>>22 == 0b1001000100: // ADD
		return offset
	case w>>24&0x3b == 0x39: // LDR, STR
		scale := w >> 30
		if w>>26&1 == 1 && w>>23&1 == 1 { // of 16 bytes
			scale = 4
		}
		return offset << scale
	}
	return -1
}
