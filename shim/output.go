package shim

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// Stderr writes to descriptor 2. A write does not wait for a reader that has stopped
// reading. Output that cannot be written is lost.
type Stderr struct{}

// patience is how long a write to standard error may take. The program has to start also if
// nobody reads.
const patience = 100 * time.Millisecond

func (Stderr) Write(p []byte) (int, error) {
	done := make(chan error, 1)
	go func() { done <- writeAll(2, p) }()
	select {
	case err := <-done:
		if err != nil {
			return 0, err
		}
		return len(p), nil
	case <-time.After(patience):
		return 0, unix.EAGAIN
	}
}

// Sync does nothing, because fsync(2) fails on terminals and pipes (EINVAL).
func (Stderr) Sync() error { return nil }

// Stdout writes to descriptor 1 without os.File. Otherwise SIGPIPE would end the
// process if the reader has gone (os/signal, "SIGPIPE").
type Stdout struct{}

func (Stdout) Write(p []byte) (int, error) {
	if err := writeAll(1, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func writeAll(fd int, p []byte) error {
	for len(p) > 0 {
		n, err := unix.Write(fd, p)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		p = p[max(n, 0):]
	}
	return nil
}
