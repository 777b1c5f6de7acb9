package main

import (
	"encoding/binary"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/arch/arm/armasm"
	"golang.org/x/arch/loong64/loong64asm"
	"golang.org/x/arch/ppc64/ppc64asm"
	"golang.org/x/arch/riscv64/riscv64asm"
	"golang.org/x/arch/s390x/s390xasm"
)

// A disassembler returns the first instruction in Go's syntax, and its size. The text is empty
// if the instruction is not known, as most constants between the functions are.
type disassembler func(code []byte, pc uint64) (text string, size int)

// In the text every target of a call or jump is a name made of its address.
func nameOf(addr uint64) (string, uint64) { return "at" + strconv.FormatUint(addr, 16), addr }

var (
	named   = regexp.MustCompile(`\bat([0-9a-f]+)\(SB\)`)
	calling = regexp.MustCompile(`^(CALL|BL|BLX|JAL|BASR|BCLRL)\b[^.]`)
	jumping = regexp.MustCompile(`^(JMP|BR|B)\b[^.]`)
)

// decodeText finds the calls and jumps. It does not find what makes an address, because that
// takes two instructions on most of these ports. A conditional jump stays in its function.
func decodeText(disassemble disassembler) func([]byte, uint64) ([]ref, error) {
	return func(code []byte, pc uint64) (refs []ref, err error) {
		for len(code) > 0 {
			text, size := disassemble(code, pc)
			isCall := calling.MatchString(text)
			target := named.FindStringSubmatch(text)
			switch {
			case !isCall && !jumping.MatchString(text):
			case target != nil:
				to, err := strconv.ParseUint(target[1], 16, 64)
				if err != nil {
					return nil, err
				}
				refs = append(refs, ref{jumpOr(isCall), pc, to})
			case isCall:
				refs = append(refs, ref{indirectCall, pc, 0})
			case strings.Contains(text, "("):
				refs = append(refs, ref{indirectJump, pc, 0})
			}
			code, pc = code[min(size, len(code)):], pc+uint64(size)
		}
		return refs, nil
	}
}

func textARM(code []byte, pc uint64) (string, int) {
	inst, err := armasm.Decode(code, armasm.ModeARM)
	if err != nil {
		return "", 4
	}
	return armasm.GoSyntax(inst, pc, nameOf, nil), 4
}

func textLoong64(code []byte, pc uint64) (string, int) {
	inst, err := loong64asm.Decode(code)
	if err != nil {
		return "", 4
	}
	return loong64asm.GoSyntax(inst, pc, nameOf), 4
}

func textPPC64LE(code []byte, pc uint64) (string, int) {
	inst, err := ppc64asm.Decode(code, binary.LittleEndian)
	if err != nil {
		return "", 4
	}
	return ppc64asm.GoSyntax(inst, pc, nameOf), inst.Len
}

func textRISCV64(code []byte, pc uint64) (string, int) {
	inst, err := riscv64asm.Decode(code)
	if err != nil {
		return "", []int{2, 2, 2, 4}[code[0]&3]
	}
	return riscv64asm.GoSyntax(inst, pc, nameOf, nil), inst.Len
}

func textS390X(code []byte, pc uint64) (string, int) {
	size := []int{2, 4, 4, 6}[code[0]>>6]
	inst, err := s390xasm.Decode(code)
	if err != nil {
		return "", size
	}
	return s390xasm.GoSyntax(inst, pc, nameOf), size
}
