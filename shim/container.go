package shim

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/cgroup"
)

// ownContainer is the container's cgroup. It says whether that is delegated.
type ownContainer bool

func (c ownContainer) OOMKills() (kills uint64, ok bool) { return cgroup.OOMKills(bool(c)) }

func (ownContainer) KillOthers() unix.Errno {
	var errno unix.Errno
	errors.As(cgroup.KillOthers(), &errno)
	return errno
}
