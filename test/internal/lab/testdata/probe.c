/*
 * The program that tests start under an init, to see what the init does to it. It is in C
 * because Go's runtime handles the very signals that the tests are about.
 *
 *   probe signals            print "ready", then the number of each signal that comes; the
 *                            numbers may wait in a buffer until 63 or 64 comes; end at 64
 *   probe origin             print "ready", then number, code, sender and value of the first
 *                            signal
 *   probe die SIGNAL         end by this signal, or with 77 if the signal does not end it
 *   probe moved              move to the process group of another process, print "ready"
 *   probe state              print the inherited state, a line each
 *   probe odd CLOSED COMMAND...
 *                            execute COMMAND with an unusual value of everything that a
 *                            process inherits; CLOSED is a set of the descriptors 0 to 2
 *                            to close
 *   probe env COMMAND...     execute COMMAND with an environment that has duplicates and
 *                            strings that are no variables
 *   probe subreaper COMMAND...
 *                            execute COMMAND as a child subreaper
 *   probe with BLOCKED IGNORED NOFILE COMMAND...
 *                            execute COMMAND with these signals blocked and ignored
 *                            (hexadecimal sets, bit 0 is signal 1) and this soft limit of
 *                            open files
 *   probe orphans N          leave N orphans, print "left", and let all orphans end at once;
 *                            end with 42 at the end of standard input
 *   probe linger FILE        leave an orphan that writes to FILE at TERM; end with 5
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The functions of libc refuse the signals 32 and 33, so call the kernel. */
static int mask(int how, unsigned long long *set) { return syscall(SYS_rt_sigprocmask, how, set, NULL, 8); }

static int signals(void)
{
	unsigned long long all = ~0ULL;
	mask(SIG_SETMASK, &all);
	/* A set-user-ID copy makes root its real user too, so that its parent may not
	 * signal it. */
	if (setuid(geteuid()) < 0)
		return 97;
	puts("ready");
	fflush(stdout);
	for (;;) {
		siginfo_t info;
		int sig = syscall(SYS_rt_sigtimedwait, &all, &info, NULL, 8);
		if (sig < 0)
			continue;
		printf("%d\n", sig);
		if (sig >= 63)
			fflush(stdout);
		if (sig == 64)
			break;
	}
	return 0;
}

/* Prints what a receiver knows about a signal (sigaction(2), "The siginfo_t argument"). */
static int origin(void)
{
	unsigned long long all = ~0ULL;
	siginfo_t info;
	int sig;
	mask(SIG_SETMASK, &all);
	puts("ready");
	fflush(stdout);
	while ((sig = syscall(SYS_rt_sigtimedwait, &all, &info, NULL, 8)) < 0)
		;
	printf("signal %d code %d from the parent %d value %d\n", sig, info.si_code, info.si_pid == getppid(), info.si_value.sival_int);
	return 0;
}

static int die(int sig)
{
	unsigned long long set = 0;
	struct rlimit none = {0, 0};
	setrlimit(RLIMIT_CORE, &none);
	mask(SIG_SETMASK, &set);
	kill(getpid(), sig);
	return 77;
}

/* Joins the group of a child that it makes for this. */
static int moved(void)
{
	int ready[2];
	char c;
	pid_t other;
	if (pipe(ready) < 0)
		return 1;
	if ((other = fork()) == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setpgid(0, 0);
		close(ready[0]);
		close(ready[1]);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &c, 1) != 0 || setpgid(0, other) < 0)
		return 1;
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}

static void cat(FILE *out, const char *file, const char *prefix)
{
	char line[4096];
	FILE *f = fopen(file, "r");
	while (f && fgets(line, sizeof line, f))
		if (!prefix || strncmp(line, prefix, strlen(prefix)) == 0)
			fputs(line, out);
	if (f)
		fclose(f);
}

static int state(int argc, char **argv)
{
	extern char **environ;
	char cwd[4096], *text;
	size_t size;
	stack_t stack;
	FILE *out = open_memstream(&text, &size);
	static const char *const keys[] = {
		"SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt", "Umask", "Cap", "NoNewPrivs", "Seccomp",
		"Uid", "Gid", "Groups", "Cpus_allowed_list", "Mems_allowed_list", "THP_enabled", NULL,
	};
	static const struct {
		const char *name;
		int op;
	} values[] = {
		{"dumpable", PR_GET_DUMPABLE}, {"keepcaps", PR_GET_KEEPCAPS}, {"securebits", PR_GET_SECUREBITS},
		{"timer slack", PR_GET_TIMERSLACK}, {"no huge pages", PR_GET_THP_DISABLE}, {NULL, 0},
	}, pointers[] = {
		{"parent death signal", PR_GET_PDEATHSIG}, {"subreaper", PR_GET_CHILD_SUBREAPER}, {NULL, 0},
	};

	for (int i = 0; i < argc; i++)
		fprintf(out, "arg %s\n", argv[i]);
	for (int i = 0; keys[i]; i++)
		cat(out, "/proc/self/status", keys[i]);
	cat(out, "/proc/self/limits", NULL);
	cat(out, "/proc/self/oom_score_adj", NULL);
	cat(out, "/proc/self/coredump_filter", NULL);
	for (int i = 0; values[i].name; i++)
		fprintf(out, "%s %d\n", values[i].name, prctl(values[i].op, 0, 0, 0, 0));
	for (int i = 0; pointers[i].name; i++) {
		int value = -1;
		prctl(pointers[i].op, &value, 0, 0, 0);
		fprintf(out, "%s %d\n", pointers[i].name, value);
	}
	sigaltstack(NULL, &stack);
	fprintf(out, "alternate stack %d\n", !(stack.ss_flags & SS_DISABLE));
	fprintf(out, "personality %x\n", personality(0xffffffff));
	fprintf(out, "scheduler %d\n", sched_getscheduler(0));
	fprintf(out, "ioprio %ld\n", syscall(SYS_ioprio_get, 1, 0));
	fprintf(out, "cwd %s\n", getcwd(cwd, sizeof cwd));
	fprintf(out, "nice %d\n", getpriority(PRIO_PROCESS, 0));
	for (char **e = environ; *e; e++)
		fprintf(out, "env %s\n", *e);
	for (int fd = 0; fd < 1024; fd++) {
		struct stat s;
		if (fstat(fd, &s) < 0)
			continue;
		fprintf(out, "fd %d flags %o %o", fd, fcntl(fd, F_GETFD), fcntl(fd, F_GETFL));
		if (S_ISFIFO(s.st_mode)) /* the inode differs from run to run */
			fputs(" pipe\n", out);
		else
			fprintf(out, " %lu:%lu at %ld\n", (unsigned long)s.st_dev, (unsigned long)s.st_ino,
				S_ISREG(s.st_mode) ? (long)lseek(fd, 0, SEEK_CUR) : 0);
	}
	fclose(out);
	/* Prefer descriptor 3 if it is open for writing, for 1 may be closed. */
	return write((fcntl(3, F_GETFL) & O_ACCMODE) == O_WRONLY ? 3 : 1, text, size) != (ssize_t)size;
}

/* Sets no limit of the address space. Go's runtime reserves far more of it than it uses, and
 * ends if the kernel refuses. */
static int odd(char **argv)
{
	static const struct {
		int resource;
		rlim_t soft, hard;
	} limits[] = {
		{RLIMIT_CORE, 4096, 8192}, {RLIMIT_CPU, 1000, 2000}, {RLIMIT_FSIZE, 1L << 30, 1L << 31},
		{RLIMIT_LOCKS, 10, 20}, {RLIMIT_MEMLOCK, 65536, 131072}, {RLIMIT_MSGQUEUE, 1000, 2000},
		{RLIMIT_NICE, 1, 2}, {RLIMIT_NOFILE, 333, 444}, {RLIMIT_NPROC, 5000, 6000},
		{RLIMIT_RTPRIO, 1, 2}, {RLIMIT_RTTIME, 1000000, 2000000}, {RLIMIT_SIGPENDING, 5000, 6000},
		{RLIMIT_STACK, 4 << 20, 5 << 20}, {RLIMIT_RSS, 1L << 30, 1L << 31},
	};
	int closed = atoi(argv[0]), fd;
	cpu_set_t cpus;
	struct sched_param none = {0};

	prctl(PR_SET_PDEATHSIG, 0);
	umask(027);
	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	if ((fd = open("/proc/self/oom_score_adj", O_WRONLY)) < 0 || write(fd, "321", 3) != 3 || close(fd) < 0 ||
	    (fd = open("/proc/self/coredump_filter", O_WRONLY)) < 0 || write(fd, "0x21", 4) != 4 || close(fd) < 0 ||
	    sched_setaffinity(0, sizeof cpus, &cpus) < 0 || sched_setscheduler(0, SCHED_BATCH, &none) < 0 ||
	    setpriority(PRIO_PROCESS, 0, 3) < 0 || syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 6) < 0 ||
	    prctl(PR_SET_TIMERSLACK, 123456) < 0 || prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || personality(ADDR_NO_RANDOMIZE) < 0) {
		perror("odd");
		return 99;
	}
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		struct rlimit l, now;
		getrlimit(limits[i].resource, &now); /* even root of a container may be unable to raise it */
		l.rlim_max = limits[i].hard < now.rlim_max ? limits[i].hard : now.rlim_max;
		l.rlim_cur = limits[i].soft < l.rlim_max ? limits[i].soft : l.rlim_max;
		if (setrlimit(limits[i].resource, &l) < 0) {
			perror("setrlimit");
			return 99;
		}
	}
	for (fd = 0; fd < 3; fd++)
		if (closed >> fd & 1)
			close(fd);
	execv(argv[1], argv + 1);
	perror(argv[1]);
	return 99;
}

/* execve(2) takes any strings as the environment. */
static int env(char **argv)
{
	static char *const strings[] = {"A=1", "A=2", "NOEQUALS", "", "=x", "B=", "PATH=/bin:/usr/bin", "B=2", "", "O=O", "GO", "GOMEMLIMIT=1G", "BYTES=\xff\xfe", NULL};
	prctl(PR_SET_PDEATHSIG, 0);
	execve(argv[0], argv, strings);
	perror(argv[0]);
	return 99;
}

static int with(char **argv)
{
	unsigned long long blocked = strtoull(argv[0], NULL, 16), ignored = strtoull(argv[1], NULL, 16);
	struct rlimit limit;
	for (int sig = 1; sig <= 64; sig++) {
		/* the kernel's struct sigaction, with handler, flags, restorer and mask */
		unsigned long action[4] = {ignored >> (sig - 1) & 1 ? 1 : 0, 0, 0, 0};
		syscall(SYS_rt_sigaction, sig, action, NULL, 8);
	}
	/* The test has set a parent-death signal, which execve keeps. Without an init in
	 * between the program would have it. */
	prctl(PR_SET_PDEATHSIG, 0);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = strtoul(argv[2], NULL, 10);
	setrlimit(RLIMIT_NOFILE, &limit);
	mask(SIG_SETMASK, &blocked);
	execv(argv[3], argv + 3);
	perror(argv[3]);
	return 99;
}

static int orphans(int n)
{
	int hold[2];
	if (pipe(hold) < 0)
		return 1;
	/* Each middle process leaves up to 100 orphans. All orphans end together when the
	 * parent closes the pipe. */
	for (int i = 0; i < n; i += 100) {
		pid_t middle = fork();
		if (middle < 0) {
			perror("fork");
			return 1;
		}
		if (middle == 0) {
			for (int j = i; j < n && j < i + 100; j++) {
				pid_t orphan = fork();
				if (orphan < 0)
					_exit(1);
				if (orphan == 0) {
					char c;
					close(hold[1]);
					while (read(hold[0], &c, 1) > 0)
						;
					_exit(0);
				}
			}
			_exit(0);
		}
		int status;
		if (waitpid(middle, &status, 0) != middle || status != 0)
			return 1;
	}
	puts("left");
	fflush(stdout);
	close(hold[1]);
	/* Wait until the test has seen the orphans and closes standard input. */
	char c;
	while (read(0, &c, 1) > 0)
		;
	return 42;
}

static const char *file;
static void on_term(int sig)
{
	int fd = open(file, O_WRONLY | O_CREAT, 0644);
	(void)sig;
	if (write(fd, "term\n", 5) == 5)
		_exit(0);
}

static int linger(void)
{
	int ready[2];
	char c;
	if (pipe(ready) < 0)
		return 1;
	if (fork() == 0) {
		signal(SIGTERM, on_term);
		close(ready[0]);
		close(ready[1]);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &c, 1) != 0)
		return 1;
	return 5;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "signals") == 0)
		return signals();
	if (argc > 1 && strcmp(argv[1], "origin") == 0)
		return origin();
	if (argc > 2 && strcmp(argv[1], "die") == 0)
		return die(atoi(argv[2]));
	if (argc > 1 && strcmp(argv[1], "moved") == 0)
		return moved();
	if (argc > 1 && strcmp(argv[1], "state") == 0)
		return state(argc, argv);
	if (argc > 3 && strcmp(argv[1], "odd") == 0)
		return odd(argv + 2);
	if (argc > 2 && strcmp(argv[1], "env") == 0)
		return env(argv + 2);
	if (argc > 2 && strcmp(argv[1], "subreaper") == 0) {
		prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
		execv(argv[2], argv + 2);
		perror(argv[2]);
		return 99;
	}
	if (argc > 5 && strcmp(argv[1], "with") == 0)
		return with(argv + 2);
	if (argc > 2 && strcmp(argv[1], "orphans") == 0)
		return orphans(atoi(argv[2]));
	if (argc > 2 && strcmp(argv[1], "linger") == 0) {
		file = argv[2];
		return linger();
	}
	fputs("usage: see probe.c\n", stderr);
	return 98;
}
