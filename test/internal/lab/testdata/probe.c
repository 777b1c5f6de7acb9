/*
 * The child under test. Go cannot be it: its runtime claims the very signals that
 * are asked about.
 *
 *   probe signals            say "ready", then the number of each signal taken; end on 64
 *   probe state              the inherited state, a line each
 *   probe with BLOCKED IGNORED NOFILE COMMAND...
 *                            execute COMMAND with these signals blocked and ignored
 *                            (hexadecimal sets, bit 0 is signal 1) and this soft limit
 *   probe orphans N          leave N orphans, which end when N more have been left
 *   probe linger FILE        an orphan that writes to FILE on TERM, and a parent that exits
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* libc keeps 32 and 33 from its own callers. */
static int mask(int how, unsigned long long *set) { return syscall(SYS_rt_sigprocmask, how, set, NULL, 8); }

static int signals(void)
{
	unsigned long long all = ~0ULL;
	mask(SIG_SETMASK, &all);
	/* A set-user-ID copy becomes root altogether, so that its parent may not
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
		if (sig == 64)
			break;
	}
	fflush(stdout);
	return 0;
}

static void cat(const char *file, const char *prefix)
{
	char line[4096];
	FILE *f = fopen(file, "r");
	while (f && fgets(line, sizeof line, f))
		if (!prefix || strncmp(line, prefix, strlen(prefix)) == 0)
			fputs(line, stdout);
	if (f)
		fclose(f);
}

static int state(void)
{
	extern char **environ;
	char cwd[4096];
	static const char *const keys[] = {"SigBlk", "SigIgn", "SigCgt", "Umask", "Cap", "NoNewPrivs", "Seccomp", "Uid", "Gid", "Groups", NULL};

	for (int i = 0; keys[i]; i++)
		cat("/proc/self/status", keys[i]);
	cat("/proc/self/limits", NULL);
	cat("/proc/self/oom_score_adj", NULL);
	printf("cwd %s\n", getcwd(cwd, sizeof cwd));
	printf("nice %d\n", getpriority(PRIO_PROCESS, 0));
	for (char **e = environ; *e; e++)
		printf("env %s\n", *e);
	for (int fd = 0; fd < 64; fd++) {
		struct stat s;
		if (fstat(fd, &s) == 0)
			printf("fd %d %lu:%lu flags %o %o\n", fd, (unsigned long)s.st_dev, (unsigned long)s.st_ino, fcntl(fd, F_GETFD), fcntl(fd, F_GETFL));
	}
	return 0;
}

static int with(char **argv)
{
	unsigned long long blocked = strtoull(argv[0], NULL, 16), ignored = strtoull(argv[1], NULL, 16);
	struct rlimit limit;
	for (int sig = 1; sig <= 64; sig++) {
		/* handler, flags, restorer, mask: the kernel's struct sigaction */
		unsigned long action[4] = {ignored >> (sig - 1) & 1 ? 1 : 0, 0, 0, 0};
		syscall(SYS_rt_sigaction, sig, action, NULL, 8);
	}
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
	/* Each middle process leaves one orphan; the orphans end together when the
	 * pipe closes. */
	for (int i = 0; i < n; i++) {
		pid_t middle = fork();
		if (middle < 0) {
			perror("fork");
			return 1;
		}
		if (middle == 0) {
			if (fork() == 0) {
				char c;
				close(hold[1]);
				while (read(hold[0], &c, 1) > 0)
					;
				_exit(0);
			}
			_exit(0);
		}
		waitpid(middle, NULL, 0);
	}
	puts("left");
	fflush(stdout);
	close(hold[1]);
	/* Until somebody says that they have seen what they came for. */
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
	if (argc > 1 && strcmp(argv[1], "state") == 0)
		return state();
	if (argc > 5 && strcmp(argv[1], "with") == 0)
		return with(argv + 2);
	if (argc > 2 && strcmp(argv[1], "orphans") == 0)
		return orphans(atoi(argv[2]));
	if (argc > 2 && strcmp(argv[1], "linger") == 0) {
		file = argv[2];
		return linger();
	}
	fputs("usage: probe signals | state | with ... | orphans N | linger FILE\n", stderr);
	return 98;
}
