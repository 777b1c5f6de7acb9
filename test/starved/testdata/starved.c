/*
 * Launchers, which take things away from an init, and programs, which do under the init
 * what a container should not. They are in C because Go's runtime needs threads and memory
 * of its own.
 *
 * Launchers. Each ends with the execution of COMMAND:
 *   starved in DIR COMMAND...              in the cgroup DIR
 *   starved limit NAME VALUE COMMAND...    with this hard and soft resource limit and with
 *                                          PR_SET_NO_NEW_PRIVS
 *   starved refuse NUMBERS WHAT COMMAND... without these system calls, with commas; WHAT is an
 *                                          errno, "kill" or "trap"
 *   starved closed COMMAND...              with the descriptors 0 to 2 closed
 *   starved before N COMMAND...            with N children that have ended, as zombies
 *   starved apart FLAGS COMMAND...         after unshare(FLAGS), hexadecimal
 *   starved mdwe COMMAND...                without memory that becomes executable (PR_SET_MDWE)
 *   starved deleted COMMAND...             from a file that is deleted
 *   starved bare COMMAND...                with an empty environment
 *   starved hide DIR COMMAND...            with an empty directory mounted over DIR
 *   starved join FILE COMMAND...           after setns(2) to the namespace FILE
 *   starved many N COMMAND...              with N more arguments
 *
 * Programs. A quoted word is printed. Where nothing else is said, a program ends by TERM
 * with status 42:
 *   starved exit STATUS                    end at once
 *   starved ready                          "ready"
 *   starved deaf                           "ready"; only KILL ends it
 *   starved root                           make the user of a setuid program the real user too,
 *                                          then as deaf
 *   starved slow MILLISECONDS              "ready"; "term" at TERM, and end so much later
 *   starved storm                          "ready"; two processes fork until TERM; then print
 *                                          how many forks worked and how many were refused
 *   starved full                           make processes until the kernel refuses one, "full";
 *                                          ignore all signals but TERM
 *   starved orphans N                      "ready"; at USR1 make N children of the init, one
 *                                          after the other, which end at once; "made"
 *   starved traced                         have the parent trace it, get two signals, "ready"
 *   starved stopped                        leave a stopped process, end with 6
 *   starved stubborn                       make a child, "ready"; both are as deaf
 *   starved fill                           fill stderr, leave an orphan that ends, "ready"
 *   starved flood                          four processes write to stderr without end, "ready"
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t got;
static void on_signal(int sig) { (void)sig, got = 1; }

static int fail(const char *what)
{
	perror(what);
	return 99;
}

static int run(char **command)
{
	execv(command[0], command);
	return fail(command[0]);
}

static void say(const char *word)
{
	if (write(1, word, strlen(word)) < 0)
		_exit(98);
}

/* SA_RESTART is not set, so the signal interrupts a system call that waits. */
static void catch(int sig)
{
	struct sigaction action = {.sa_handler = on_signal};
	sigaction(sig, &action, NULL);
}

static void until(int sig, const char *word)
{
	sigset_t set, old;
	got = 0;
	catch(sig);
	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_BLOCK, &set, &old);
	say(word);
	while (!got)
		sigsuspend(&old);
}

static int until_term(const char *word)
{
	until(SIGTERM, word);
	return 42;
}

static int deaf(const char *word)
{
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	say(word);
	while (pause() < 0)
		;
	return 0;
}

/* A list of numbers of system calls, and what the kernel does in place of the call. The number
 * of a system call belongs to an architecture. This filter asks only for the number, because no
 * program here makes calls of another architecture. */
static int refuse(char **args)
{
	struct sock_filter filter[256] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
	unsigned action = SECCOMP_RET_ERRNO | atoi(args[1]);
	unsigned short n = 1;
	if (strcmp(args[1], "kill") == 0)
		action = SECCOMP_RET_KILL_PROCESS;
	if (strcmp(args[1], "trap") == 0)
		action = SECCOMP_RET_TRAP;
	for (char *number = strtok(args[0], ","); number && n < 250; number = strtok(NULL, ",")) {
		filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, atoi(number), 0, 1);
		filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action);
	}
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {n, filter};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return fail("seccomp");
	return run(args + 2);
}

static int limit(char **args)
{
	static const struct {
		const char *name;
		int resource;
	} names[] = {
		{"as", RLIMIT_AS}, {"data", RLIMIT_DATA}, {"stack", RLIMIT_STACK},
		{"nofile", RLIMIT_NOFILE}, {"nproc", RLIMIT_NPROC}, {"fsize", RLIMIT_FSIZE},
		{"sigpending", RLIMIT_SIGPENDING},
	};
	struct rlimit l;
	l.rlim_cur = l.rlim_max = strtoull(args[1], NULL, 10);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(args[0], names[i].name) == 0)
			return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || setrlimit(names[i].resource, &l) ? fail("setrlimit") : run(args + 2);
	return fail(args[0]);
}

static int in(char **args)
{
	char file[4096];
	int fd;
	snprintf(file, sizeof file, "%s/cgroup.procs", args[0]);
	if ((fd = open(file, O_WRONLY)) < 0 || write(fd, "0", 1) != 1)
		return fail(file);
	close(fd);
	return run(args + 1);
}

static int before(char **args)
{
	int n = atoi(args[0]);
	prctl(PR_SET_PDEATHSIG, 0); /* the test set it, and execve would keep it */
	for (int i = 0; i < n; i++) {
		siginfo_t info;
		pid_t pid = fork();
		if (pid == 0)
			_exit(3);
		waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
	}
	return run(args + 1);
}

/* The kernel knows it since Linux 6.3. */
static int mdwe(char **command)
{
	const int set_mdwe = 65, refuse_exec_gain = 1;
	return prctl(set_mdwe, refuse_exec_gain, 0, 0, 0) ? fail("PR_SET_MDWE") : run(command);
}

static int deleted(char **command)
{
	extern char **environ;
	int fd = open(command[0], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || unlink(command[0]) < 0)
		return fail(command[0]);
	fexecve(fd, command, environ);
	return fail(command[0]);
}

static int hide(char **args)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("none", args[0], "tmpfs", 0, NULL))
		return fail(args[0]);
	return run(args + 1);
}

static int many(char **args)
{
	int n = atoi(args[0]), have = 0;
	while (args[1 + have])
		have++;
	char **command = calloc(have + n + 1, sizeof *command);
	if (!command)
		return fail("calloc");
	memcpy(command, args + 1, have * sizeof *command);
	for (int i = 0; i < n; i++)
		command[have + i] = "x";
	return run(command);
}

/* Two processes fork without a pause, so that they take every place at pids.max that becomes
 * free, if no thread of the init is faster. */
static int storm(void)
{
	int numbers[2];
	long long counts[2], made = 0, refused = 0;
	char line[100];
	if (pipe(numbers) < 0)
		return fail("pipe");
	for (int i = 0; i < 2; i++)
		if (fork() == 0) {
			/* The life of each child in nanoseconds. It adapts to the machine, so
			 * that the limit is just reached all the time. */
			double life = 1e6;
			catch(SIGTERM);
			counts[0] = counts[1] = 0;
			while (!got) {
				pid_t pid = fork();
				if (pid == 0) {
					struct timespec t = {0, life};
					signal(SIGTERM, SIG_DFL);
					if (fork() == 0)
						nanosleep(&t, NULL);
					_exit(0);
				}
				counts[pid < 0]++;
				life *= pid < 0 ? 0.98 : 1.1;
				life = life < 1e6 ? 1e6 : life > 9e8 ? 9e8 : life;
				while (waitpid(-1, NULL, WNOHANG) > 0)
					;
			}
			_exit(write(numbers[1], counts, sizeof counts) != sizeof counts);
		}
	close(numbers[1]);
	until(SIGTERM, "ready\n");
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM); /* all of this group, which the init has made for the program */
	while (read(numbers[0], counts, sizeof counts) == sizeof counts)
		made += counts[0], refused += counts[1];
	snprintf(line, sizeof line, "%lld %lld\n", made, refused);
	say(line);
	return 42;
}

static int full(void)
{
	for (int sig = 1; sig <= SIGRTMAX; sig++)
		if (sig != SIGTERM && sig != SIGCHLD)
			signal(sig, SIG_IGN);
	for (;;) {
		pid_t pid = fork();
		if (pid == 0)
			for (;;)
				pause();
		if (pid < 0)
			break;
	}
	return until_term("full\n");
}

/* A process that clone(2) makes with CLONE_PARENT is a child of the caller's parent, which is
 * the init. The init cannot tell such a child from an orphan, and one call makes it. */
static int gone(void *unused)
{
	(void)unused;
	_exit(0);
}

static int orphans(int n)
{
	static char stack[16384] __attribute__((aligned(16)));
	for (int i = -100; i < n; i++) {
		if (i == 0)
			until(SIGUSR1, "ready\n");
		pid_t pid = clone(gone, stack + sizeof stack, CLONE_PARENT | CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
		if (pid < 0)
			return fail("clone");
		/* Wait now and then until the init has reaped the last one. kill(2) finds a zombie. */
		while (i % 500 == 0 && kill(pid, 0) == 0)
			usleep(200);
	}
	return until_term("made\n");
}

static int slow(int milliseconds)
{
	until_term("ready\n");
	say("term\n");
	/* Sleep in many short steps. The clock of one long sleep goes on during a freeze. */
	for (int i = 0; i < milliseconds; i += 10)
		usleep(10000);
	return 42;
}

static int traced(void)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		return fail("ptrace");
	signal(SIGUSR1, SIG_IGN); /* its tracer gets even an ignored signal */
	signal(SIGWINCH, SIG_DFL);
	raise(SIGUSR1);
	raise(SIGWINCH);
	return until_term("ready\n");
}

static int stopped(void)
{
	int status;
	pid_t middle = fork();
	if (middle == 0) {
		pid_t pid = fork();
		if (pid == 0)
			for (;;)
				pause();
		kill(pid, SIGSTOP);
		waitpid(pid, &status, WUNTRACED);
		_exit(!WIFSTOPPED(status));
	}
	waitpid(middle, &status, 0);
	return WEXITSTATUS(status) == 0 ? 6 : 99;
}

static int fill(void)
{
	static char x[4096];
	int flags = fcntl(2, F_GETFL);
	fcntl(2, F_SETFL, flags | O_NONBLOCK);
	memset(x, 'x', sizeof x);
	for (size_t size = sizeof x; size > 0; size /= 2)
		while (write(2, x, size) > 0)
			;
	fcntl(2, F_SETFL, flags);
	pid_t middle = fork();
	if (middle == 0) {
		fork();
		_exit(0);
	}
	waitpid(middle, NULL, 0);
	return until_term("ready\n");
}

static int flood(void)
{
	static char x[3000];
	memset(x, 'x', sizeof x);
	for (int i = 0; i < 4; i++) {
		if (fork() != 0)
			continue;
		for (;;)
			if (write(2, x, 100 + rand() % 2900) < 0)
				usleep(100);
	}
	return until_term("ready\n");
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int number = argc > 2 ? atoi(argv[2]) : 0;
#define IS(name, least) (argc > (least) && strcmp(what, name) == 0)
	if (IS("in", 3))
		return in(argv + 2);
	if (IS("limit", 4))
		return limit(argv + 2);
	if (IS("refuse", 4))
		return refuse(argv + 2);
	if (IS("closed", 2)) {
		for (int fd = 0; fd < 3; fd++)
			close(fd);
		return run(argv + 2);
	}
	if (IS("apart", 2))
		return unshare(strtol(argv[2], NULL, 16)) ? fail("unshare") : run(argv + 3);
	if (IS("mdwe", 1))
		return mdwe(argv + 2);
	if (IS("deleted", 1))
		return deleted(argv + 2);
	if (IS("bare", 1))
		return clearenv() ? fail("clearenv") : run(argv + 2);
	if (IS("hide", 2))
		return hide(argv + 2);
	if (IS("join", 2))
		return setns(open(argv[2], O_RDONLY | O_CLOEXEC), 0) ? fail(argv[2]) : run(argv + 3);
	if (IS("many", 2))
		return many(argv + 2);
	if (IS("before", 3))
		return before(argv + 2);
	if (IS("exit", 2))
		return number;
	if (IS("storm", 1))
		return storm();
	if (IS("full", 1))
		return full();
	if (IS("orphans", 2))
		return orphans(number);
	if (IS("deaf", 1))
		return deaf("ready\n");
	if (IS("ready", 1))
		return until_term("ready\n");
	if (IS("root", 1))
		return setuid(geteuid()) ? fail("setuid") : deaf("ready\n");
	if (IS("slow", 2))
		return slow(number);
	if (IS("traced", 1))
		return traced();
	if (IS("stopped", 1))
		return stopped();
	if (IS("stubborn", 1)) {
		if (fork() == 0)
			return deaf("");
		return deaf("ready\n");
	}
	if (IS("fill", 1))
		return fill();
	if (IS("flood", 1))
		return flood();
	fputs("usage: see starved.c\n", stderr);
	return 97;
}
