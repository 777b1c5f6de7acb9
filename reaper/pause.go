package reaper

import "github.com/hashicorp/go-reap"

// Pause reaps, in the background, the children that have ended and every child that
// ends later. go-reap waits for any child and discards its status. So use Pause only
// where no status matters (docs/adr/0001-go-reap.md). go-reap takes SIGCHLD by
// os/signal.
func Pause() {
	for e, _ := Next(false); e.PID > 0; e, _ = Next(false) { // children that ended before go-reap listens for SIGCHLD
	}
	go reap.ReapChildren(nil, nil, nil, nil)
}
