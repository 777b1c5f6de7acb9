// Command bench measures cgshim and its peers. Their runs take turns, so that a change of the
// machine's load affects all of them. It prints medians, 10 % and 90 % quantiles, and ratios:
//
//	go run ./bench                  print the table and write bin/bench.csv
//	go run ./bench -doc             also write the table into docs/performance.md
//	BENCHROUNDS=1 go run ./bench    one round, to see that it runs
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A peer is an init, with the arguments that come before the program.
type peer struct {
	name string
	args []string
}

var (
	peers = []peer{
		{"tini-static", []string{"/usr/bin/tini-static", "-s", "--"}}, // the ratios are to the first
		{"cgshim", []string{"CGSHIM", "--cgroup=off", "--"}},
		{"tini", []string{"/usr/bin/tini", "-s", "--"}},
		{"dumb-init", []string{"/usr/bin/dumb-init", "--"}},
		{"catatonit", []string{"/usr/bin/catatonit", "--"}},
	}
	// The first is an init with a shell, which cgshim replaces. The shell does the steps of
	// dind's and envbox's wrappers in eight programs and a loop.
	delegators = []peer{
		{"tini-static + shell", []string{"/usr/bin/tini-static", "--", "/usr/bin/unshare", "--cgroup", "/bin/sh", "-c", wrapper}},
		{"cgshim", []string{"CGSHIM", "--cgroup=require", "--"}},
	}
	// The lower bounds of every init in Go, and of every delegation on this kernel.
	leastGo, leastKernel = peer{name: "least in Go"}, peer{name: "least of the kernel"}
)

const wrapper = `set -e
cd /
umount -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /sys/fs/cgroup/init
until sed -e 's/ / +/g' -e 's/^/+/' </sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control 2>/dev/null
do
	xargs -rn1 </sys/fs/cgroup/cgroup.procs >/sys/fs/cgroup/init/cgroup.procs 2>/dev/null || :
done
exec "$0" "$@"`

var (
	helper, root string
	results      []result
	works        = map[string]int{} // the place of each work in the table
	rounds       = 60
)

// result has the numbers of one peer at one work.
type result struct {
	work, peer, unit string
	values           []float64
}

func main() {
	log.SetFlags(0)
	doc := flag.Bool("doc", false, "write the table into docs/performance.md")
	flag.Parse()
	if v := os.Getenv("BENCHROUNDS"); v != "" {
		var err error
		if rounds, err = strconv.Atoi(v); err != nil || rounds < 1 {
			log.Fatalf("BENCHROUNDS: %q is not a number of rounds", v)
		}
	}
	if os.Geteuid() != 0 {
		log.Fatal("bench: run as root: it makes namespaces and cgroups")
	}
	_, here, _, _ := runtime.Caller(0)
	root = filepath.Join(filepath.Dir(here), "../..")
	dir, err := os.MkdirTemp("", "cgshim-bench-")
	check(err)
	defer os.RemoveAll(dir)
	helper = filepath.Join(dir, "bench")
	run(exec.Command("cc", "-static", "-O2", "-Wall", "-o", helper, filepath.Join(filepath.Dir(here), "testdata/bench.c")))
	run(exec.Command("cc", "-static", "-O1", "-o", helper+"-probe", filepath.Join(filepath.Dir(here), "../internal/lab/testdata/probe.c")))
	run(exec.Command("cc", "-static", "-O1", "-o", helper+"-starved", filepath.Join(filepath.Dir(here), "../starved/testdata/starved.c")))
	for _, list := range [][]peer{peers, delegators} {
		for i := range list {
			if list[i].args[0] == "CGSHIM" {
				list[i].args[0] = filepath.Join(root, "bin/cgshim")
			}
		}
	}
	leastGo.args = []string{helper + "-least"}
	leastKernel.args = []string{helper, "least"}
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", helper+"-least", "./bench/testdata/least")
	build.Dir = filepath.Join(root, "test")
	run(build)
	startToExit()
	for _, n := range []int{0, 100, 1000} {
		delegation(n, 0, 0)
	}
	delegation(0, 0, 200*time.Millisecond)
	for _, n := range []int{10, 1000, 20_000} {
		delegation(0, n, 0)
	}
	signalLatency()
	orphanStorm()
	steadyOrphans()
	memoryAfterOrphans()
	idle()
	table := render()
	fmt.Print(table)
	check(os.WriteFile(filepath.Join(root, "bin/bench.csv"), []byte(csv()), 0o644))
	if *doc {
		check(intoPage(filepath.Join(root, "docs/performance.md"), table))
	}
}

func check(err error) {
	if err != nil {
		log.Fatal("bench: ", err)
	}
}

func run(cmd *exec.Cmd) {
	if out, err := cmd.CombinedOutput(); err != nil {
		log.Fatalf("bench: %q: %v\n%s", cmd.Args, err, out)
	}
}

func add(work, peer, unit string, values ...float64) {
	for i := range results {
		if r := &results[i]; r.work == work && r.peer == peer {
			r.values = append(r.values, values...)
			return
		}
	}
	if _, known := works[work]; !known {
		works[work] = len(works)
	}
	results = append(results, result{work, peer, unit, values})
}

// say runs a command and returns the numbers that it writes to descriptor 3.
func say(cmd *exec.Cmd) (numbers []float64) {
	r, w, err := os.Pipe()
	check(err)
	cmd.ExtraFiles = []*os.File{w}
	cmd.Stderr = os.Stderr
	check(cmd.Start())
	w.Close()
	var b strings.Builder
	buf := make([]byte, 65536)
	for {
		n, err := r.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			break
		}
	}
	r.Close()
	if err := cmd.Wait(); err != nil {
		log.Fatalf("bench: %q: %v", cmd.Args, err)
	}
	for _, field := range strings.Fields(b.String()) {
		n, err := strconv.ParseFloat(field, 64)
		check(err)
		numbers = append(numbers, n)
	}
	return numbers
}

func startToExit() {
	for range 5 * rounds {
		for _, p := range append(peers, leastGo) {
			args := append(append([]string{"run"}, p.args...), helper, "first")
			n := say(exec.Command(helper, args...))
			add("init and a static child, start to exit", p.name, "ms", n[len(n)-1]/1e6)
		}
	}
}

// hierarchy is a cgroup2 mount with a controller to delegate.
func hierarchy() string {
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if controllers, err := os.ReadFile(dir + "/cgroup.controllers"); err == nil {
			check(os.WriteFile(dir+"/cgroup.subtree_control", []byte("+"+strings.Join(strings.Fields(string(controllers)), " +")), 0))
			return dir
		}
	}
	log.Fatal("bench: no cgroup2 hierarchy")
	return ""
}

// delegation measures a delegated start. The kernel's lock for moves between cgroups costs its
// first user a grace period of RCU, and costs less for a while after that (percpu_down_write,
// rcu_sync_enter). So the stage uses the lock before each start, and then waits for rest.
func delegation(others, mounts int, rest time.Duration) {
	work := fmt.Sprintf("exec of init to the child's first instruction, delegated, %d other processes", others)
	if rest > 0 {
		work += ", no move between cgroups shortly before"
	}
	peers := append(delegators, leastKernel)
	if mounts > 0 {
		work = fmt.Sprintf("exec of init to the child's first instruction, delegated by cgshim alone, %d mounts", mounts)
		peers = []peer{{"tini-static", delegators[0].args[:2]}, delegators[1]}
	}
	top := hierarchy()
	for range max(1, rounds/(1+others/300+mounts/1000)) {
		for _, p := range peers {
			group := filepath.Join(top, "cgshim-bench")
			check(os.Mkdir(group, 0o755))
			dir, err := os.Open(group)
			check(err)
			stage := []string{"stage", strconv.Itoa(others), strconv.Itoa(mounts), strconv.FormatInt(rest.Milliseconds(), 10), top, group}
			cmd := exec.Command(helper, append(append(stage, p.args...), helper, "first")...)
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, UseCgroupFD: true, CgroupFD: int(dir.Fd())}
			n := say(cmd)
			dir.Close()
			removeGroup(group)
			add(work, p.name, "ms", (n[1]-n[0])/1e6)
		}
	}
}

func removeGroup(dir string) {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		children, _ := filepath.Glob(dir + "/*/cgroup.procs")
		for _, child := range children {
			_ = syscall.Rmdir(filepath.Dir(child))
		}
		err := syscall.Rmdir(dir)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			log.Fatalf("bench: rmdir %s: %v", dir, err)
		}
	}
}

// pid1 returns the command that starts an init in a PID namespace of its own.
func pid1(p peer, extra *os.File, program ...string) *exec.Cmd {
	cmd := exec.Command(p.args[0], append(slices.Clone(p.args[1:]), program...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	if extra != nil {
		cmd.ExtraFiles = []*os.File{extra}
	}
	return cmd
}

func end(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

func signalLatency() {
	for range max(1, rounds/6) {
		for _, p := range peers {
			r, w, err := os.Pipe()
			check(err)
			cmd := pid1(p, w, helper, "pong")
			check(cmd.Start())
			w.Close()
			ping := exec.Command(helper, "ping", strconv.Itoa(cmd.Process.Pid), strconv.Itoa(20*rounds))
			ping.Stdin = r
			for _, n := range say(ping) {
				add("signal to PID 1 until the child has answered", p.name, "us", n/1e3)
			}
			r.Close()
			end(cmd)
		}
	}
}

// few makes a number of orphans small if the run is only to show that the benchmark works.
func few(orphans int) int {
	if rounds == 1 {
		return orphans / 20
	}
	return orphans
}

func orphanStorm() {
	orphans := few(10_000)
	for range max(1, rounds/6) {
		for _, p := range peers {
			hold, release, err := os.Pipe()
			check(err)
			cmd := pid1(p, nil, helper+"-probe", "orphans", strconv.Itoa(orphans))
			cmd.Stdin = hold
			stdout, err := cmd.StdoutPipe()
			check(err)
			check(cmd.Start())
			_, err = stdout.Read(make([]byte, 16))
			check(err)
			began, peak := time.Now(), 0
			for {
				n, zombies := children(cmd.Process.Pid)
				peak = max(peak, zombies)
				if n == 1 {
					break
				}
			}
			add(fmt.Sprintf("%d orphans at once, until all are reaped", orphans), p.name, "ms", float64(time.Since(began).Microseconds())/1e3)
			add(fmt.Sprintf("%d orphans at once, most zombies seen", orphans), p.name, "", float64(peak))
			release.Close()
			hold.Close()
			end(cmd)
		}
	}
}

// steadyOrphans measures orphans that end one after the other, as fast as a program can make
// them.
func steadyOrphans() {
	orphans := few(5_000)
	for range max(1, rounds/8) {
		for _, p := range peers {
			r, w, err := os.Pipe()
			check(err)
			cmd := pid1(p, w, helper, "steady", strconv.Itoa(orphans))
			check(cmd.Start())
			w.Close()
			worked := 0.0
			peak, done := 0, make(chan float64)
			go func() {
				var took float64
				_, err := fmt.Fscan(r, &took)
				check(err)
				done <- took
			}()
			for took := 0.0; took == 0; {
				_, zombies := children(cmd.Process.Pid)
				peak = max(peak, zombies)
				worked = max(worked, processorTime(cmd.Process.Pid))
				select {
				case took = <-done:
					add("orphans a second, made and reaped one after the other", p.name, "/s", float64(orphans)/(took/1e9))
				default:
				}
			}
			add("orphans one after the other, most zombies seen", p.name, "", float64(peak))
			add("processor time of the init for each of these orphans", p.name, "us", worked/float64(orphans)/1e3)
			r.Close()
			end(cmd)
		}
	}
}

// processorTime returns how long the threads of a process have run so far, in nanoseconds
// (Documentation/scheduler/sched-stats.rst).
func processorTime(pid int) (sum float64) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, task := range tasks {
		data, _ := os.ReadFile(task)
		if fields := strings.Fields(string(data)); len(fields) > 0 {
			n, _ := strconv.ParseFloat(fields[0], 64)
			sum += n
		}
	}
	return sum
}

// memoryAfterOrphans measures the memory of an init that has reaped 100,000 children.
func memoryAfterOrphans() {
	orphans := few(100_000)
	for range max(1, rounds/20) {
		for _, p := range peers {
			r, w, err := os.Pipe()
			check(err)
			cmd := pid1(p, nil, helper+"-starved", "orphans", strconv.Itoa(orphans))
			cmd.Stdout = w
			check(cmd.Start())
			w.Close()
			word := make([]byte, 16)
			_, err = r.Read(word) // ready
			check(err)
			check(syscall.Kill(child(cmd.Process.Pid), syscall.SIGUSR1))
			_, err = r.Read(word) // made
			check(err)
			for n := 0; n != 1; n, _ = children(cmd.Process.Pid) {
			}
			add(fmt.Sprintf("proportional set size after %d orphans", orphans), p.name, "kB", field(fmt.Sprintf("/proc/%d/smaps_rollup", cmd.Process.Pid), "Pss:"))
			r.Close()
			end(cmd)
		}
	}
}

// child returns the PID of an init's first child, which is the program.
func child(pid int) int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	check(err)
	first, err := strconv.Atoi(strings.Fields(string(data))[0])
	check(err)
	return first
}

// children counts the children of a process, and estimates from a sample of 50 how many are
// zombies.
func children(pid int) (n, zombies int) {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	fields := strings.Fields(string(data))
	step := max(1, len(fields)/50)
	for i := 0; i < len(fields); i += step {
		stat, _ := os.ReadFile("/proc/" + fields[i] + "/stat")
		if strings.Contains(string(stat), ") Z ") {
			zombies += step
		}
	}
	return len(fields), zombies
}

func idle() {
	period := time.Minute
	if rounds == 1 {
		period = 2 * time.Second
	}
	var cmds []*exec.Cmd
	for _, p := range peers {
		cmd := pid1(p, nil, "/bin/sleep", "1000")
		check(cmd.Start())
		cmds = append(cmds, cmd)
	}
	time.Sleep(3 * time.Second) // until the init has started and given memory back, which is not idling
	var before []int
	for _, cmd := range cmds {
		before = append(before, switches(cmd.Process.Pid))
	}
	time.Sleep(period)
	for i, p := range peers {
		pid := cmds[i].Process.Pid
		add(fmt.Sprintf("context switches in %v of idling", period), p.name, "", float64(switches(pid)-before[i]))
		add("proportional set size, idle", p.name, "kB", field(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss:"))
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		check(err)
		add("threads, idle", p.name, "", float64(len(tasks)))
		add("anonymous memory, idle", p.name, "kB", field(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Anonymous:"))
		end(cmds[i])
		info, err := os.Stat(p.args[0])
		check(err)
		add("binary", p.name, "kB", float64(info.Size())/1e3)
	}
}

func field(file, key string) float64 {
	data, err := os.ReadFile(file)
	check(err)
	_, rest, _ := strings.Cut(string(data), "\n"+key)
	n, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	check(err)
	return n
}

func switches(pid int) (n int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, task := range tasks {
		n += int(field(task, "voluntary_ctxt_switches:") + field(task, "nonvoluntary_ctxt_switches:"))
	}
	return n
}

func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(q*float64(len(sorted)-1))]
}

// render returns the table in Markdown. The ratios are to the first peer of each work.
func render() string {
	var b strings.Builder
	b.WriteString("| work | init | median | 10 % | 90 % | ratio |\n|---|---|---|---|---|---|\n")
	work, first := "", 0.0
	slices.SortStableFunc(results, func(a, b result) int { return works[a.work] - works[b.work] })
	for _, r := range results {
		median := quantile(r.values, 0.5)
		name := r.work
		if r.work != work {
			work, first = r.work, median
		} else {
			name = ""
		}
		ratio := ""
		if first > 0 {
			ratio = fmt.Sprintf("%.2f", median/first)
		}
		fmt.Fprintf(&b, "| %s | %s | %.4g %s | %.4g | %.4g | %s |\n", name, r.peer, median, r.unit, quantile(r.values, 0.1), quantile(r.values, 0.9), ratio)
	}
	return b.String()
}

func csv() string {
	var b strings.Builder
	b.WriteString("work,init,unit,runs,median,p10,p90\n")
	for _, r := range results {
		fmt.Fprintf(&b, "%q,%s,%s,%d,%g,%g,%g\n", r.work, r.peer, r.unit, len(r.values), quantile(r.values, 0.5), quantile(r.values, 0.1), quantile(r.values, 0.9))
	}
	return b.String()
}

// intoPage puts the table between the page's markers.
func intoPage(page, table string) error {
	data, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	const begin, end = "<!-- begin table -->\n", "<!-- end table -->\n"
	before, rest, ok1 := strings.Cut(string(data), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		return fmt.Errorf("%s has no markers", page)
	}
	return os.WriteFile(page, []byte(before+begin+table+end+after), 0o644)
}
