package shim

import (
	"os"
	"path/filepath"
	"testing"
)

// What a file says of itself is not to be trusted.
func FuzzELF(f *testing.F) {
	header := make([]byte, 256)
	copy(header, "\x7fELF\x02\x01\x01")
	header[18], header[54], header[56] = 62, 56, 3
	f.Add(header)
	for i := range 8 {
		header[32+i] = 0xff // e_phoff, where the program headers are
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
