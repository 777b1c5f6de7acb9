package reaper

import "github.com/hashicorp/go-reap"

// Pause reaps whatever ends from now on, in the background, for as long as the
// process lives. go-reap discards the wait status and waits for any child, so it
// serves where no child's status matters and nowhere else: see
// docs/adr/0001-go-reap.md. It claims SIGCHLD.
func Pause() {
	Reap(false, func(Exit) {}) // those that ended before anyone listened for SIGCHLD
	go reap.ReapChildren(nil, nil, nil, nil)
}
