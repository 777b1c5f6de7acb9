package shim

import (
	"os"
	"path/filepath"
	"testing"
)

// The header of a file may be wrong.
func FuzzELF(f *testing.F) {
	header := make([]byte, 256)
	copy(header, "\x7fELF\x02\x01\x01")
	header[18], header[54], header[56] = 62, 56, 3
	f.Add(header)
	for i := range 8 {
		header[32+i] = 0xff // e_phoff, the offset of the program headers
	}
	header[39] = 0x7f
	f.Add(header)
	f.Add([]byte("#!/no/interpreter\r\n"))
	file := filepath.Join(f.TempDir(), "file")
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(elfInterpreter(data)) > len(data) {
			t.Errorf("%q names a longer interpreter than itself", data)
		}
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		interpreterOf(file)
		otherMachine(file)
	})
}
