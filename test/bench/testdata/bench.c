/*
 * What the benchmarks need and must not cost anything itself. Times are of
 * CLOCK_MONOTONIC, in nanoseconds; results go to descriptor 3, a line each.
 *
 *   bench run COMMAND...            start COMMAND, wait: the time that took
 *   bench stage N DIR COMMAND...    as PID 1 of new PID and mount namespaces: DIR over
 *                                   /sys/fs/cgroup, N sleeping processes, the time,
 *                                   then execute COMMAND
 *   bench first                     the time
 *   bench pong                      a byte for every SIGUSR1
 *   bench ping PID N                N times SIGUSR1 to PID until its byte has come
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void say(long long n) { dprintf(3, "%lld\n", n); }

static int fail(const char *what)
{
	perror(what);
	return 99;
}

int main(int argc, char **argv)
{
	if (argc > 2 && strcmp(argv[1], "run") == 0) {
		long long began = now();
		pid_t pid = vfork();
		int status;
		if (pid == 0) {
			execv(argv[2], argv + 2);
			_exit(99);
		}
		waitpid(pid, &status, 0);
		say(now() - began);
		return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
	}
	if (argc > 4 && strcmp(argv[1], "stage") == 0) {
		if (mount("", "/", "", MS_REC | MS_PRIVATE, NULL) || mount("proc", "/proc", "proc", 0, NULL) ||
		    mount(argv[3], "/sys/fs/cgroup", "", MS_BIND, NULL))
			return fail("mount");
		for (int i = atoi(argv[2]); i > 0; i--)
			if (fork() == 0)
				for (;;)
					pause();
		say(now());
		execv(argv[4], argv + 4);
		return fail(argv[4]);
	}
	if (argc > 1 && strcmp(argv[1], "first") == 0) {
		say(now());
		return 0;
	}
	if (argc > 1 && strcmp(argv[1], "pong") == 0) {
		sigset_t set;
		int sig;
		sigemptyset(&set);
		sigaddset(&set, SIGUSR1);
		sigprocmask(SIG_BLOCK, &set, NULL);
		do {
			if (write(3, "x", 1) != 1)
				return 0;
		} while (sigwait(&set, &sig) == 0);
	}
	if (argc > 3 && strcmp(argv[1], "ping") == 0) {
		char c;
		if (read(0, &c, 1) != 1) /* it is there */
			return fail("read");
		for (int i = atoi(argv[3]); i > 0; i--) {
			long long began = now();
			kill(atoi(argv[2]), SIGUSR1);
			if (read(0, &c, 1) != 1)
				return fail("read");
			say(now() - began);
		}
		return 0;
	}
	return 98;
}
