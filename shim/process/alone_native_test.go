//go:build (amd64 || arm64) && !cgshim_portable && !race && !cgo

package process

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Where the signal ends no thread, all of them stay, and the start is not held up.
func TestAlone(t *testing.T) {
	for name, want := range map[string]string{
		"as usual":                   "alone true",
		"kill refused":               "alone false, soon, it works",
		"the signal has no effect":   "alone false, soon, it works",
		"a thread takes it too late": "it works\nthreads have ended: false",
	} {
		t.Run(name, func(t *testing.T) { wants(t, helper("alone: "+name), want) })
	}
}

func init() {
	works := func() {
		done := make(chan bool)
		go func() {
			time.Sleep(time.Millisecond) // needs the threads of the runtime
			done <- true
		}()
		<-done
		fmt.Println("it works")
	}
	fails := func() {
		began := time.Now()
		Alone()
		took := time.Since(began)
		how := "soon"
		if took > 400*time.Millisecond {
			how = took.String()
		}
		fmt.Printf("alone %v, %s, ", alone, how)
		works()
	}
	helpers["alone: as usual"] = func() {
		Claim()
		Alone()
		fmt.Println("alone", alone)
	}
	helpers["alone: kill refused"] = func() {
		Claim()
		refuse(unix.SYS_KILL)
		fails()
	}
	helpers["alone: the signal has no effect"] = func() {
		Claim()
		const sigIgn = 1
		setAction(unix.SIGSEGV, &sigaction{handler: sigIgn}, nil)
		fails()
	}
	// A thread takes the signal after this process has given up.
	helpers["alone: a thread takes it too late"] = func() {
		Claim()
		var old sigaction
		const sigIgn = 1
		setAction(unix.SIGSEGV, &sigaction{handler: sigIgn}, &old)
		Alone()
		setAction(unix.SIGSEGV, &old, nil)
		threads := len(Entries("/proc/self/task"))
		mask := swapMask(unix.SIG_BLOCK, faults)
		must(unix.Kill(unix.Getpid(), unix.SIGSEGV))
		for (*Signals)(nil).Pending().Has(unix.SIGSEGV) {
			time.Sleep(time.Millisecond)
		}
		swapMask(unix.SIG_SETMASK, mask)
		works()
		time.Sleep(20 * time.Millisecond)
		fmt.Println("threads have ended:", len(Entries("/proc/self/task")) < threads)
	}
}
