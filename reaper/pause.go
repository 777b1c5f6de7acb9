package reaper

import "github.com/hashicorp/go-reap"

// Pause reaps every child that ends from now on, in the background and for as long as
// the process lives. go-reap waits for any child and discards its status. So use Pause
// only where no status matters (docs/adr/0001-go-reap.md). It claims SIGCHLD.
func Pause() {
	Reap(false, func(Exit) {}) // children that ended before go-reap listens for SIGCHLD
	go reap.ReapChildren(nil, nil, nil, nil)
}
