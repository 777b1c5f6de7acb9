/*
 * The programs that the benchmarks run. They are in C so that they add little to what is
 * measured. They write times in nanoseconds to descriptor 3, a line each. A point in time
 * is of CLOCK_MONOTONIC.
 *
 *   bench run COMMAND...            start COMMAND and wait; write how long that took
 *   bench stage N MOUNTS REST DIR GROUP COMMAND...
 *                                   as PID 1 of new PID and mount namespaces, make MOUNTS
 *                                   mounts, mount DIR on /sys/fs/cgroup, start N sleeping
 *                                   processes in the
 *                                   cgroup GROUP, which is the caller's, move once, wait
 *                                   REST milliseconds, write the point in time, and
 *                                   execute COMMAND
 *   bench least COMMAND...          only make the system calls of a delegation, and
 *                                   execute COMMAND
 *   bench steady N                  make N orphans one after the other; write how long
 *                                   that took
 *   bench first                     write the point in time
 *   bench pong                      write a byte at the start and for every SIGUSR1
 *   bench ping PID N                send SIGUSR1 to PID and wait for its byte on standard
 *                                   input, N times; write how long each took
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
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

/* Mounts as a container with the node's / has them. */
static int mount_many(int n)
{
	char dir[32];
	if (n && mount("tmpfs", "/mnt", "tmpfs", 0, NULL))
		return -1;
	for (; n > 0; n--) {
		snprintf(dir, sizeof(dir), "/mnt/%d", n);
		if (mkdir(dir, 0755) || mount("tmpfs", dir, "tmpfs", 0, NULL))
			return -1;
	}
	return 0;
}

/* The least that a delegation takes. It reads no facts and checks nothing. */
static int delegate(void)
{
	static char pids[1 << 20];
	char controllers[4096] = "+";
	ssize_t n;
	int fd, leaf;
	if (unshare(CLONE_NEWCGROUP) || umount2("/sys/fs/cgroup", MNT_DETACH) ||
	    mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, NULL) || chdir("/sys/fs/cgroup") || mkdir("init", 0755))
		return -1;
	leaf = open("init/cgroup.procs", O_WRONLY);
	fd = open("cgroup.procs", O_RDONLY);
	for (size_t used = 0; (n = read(fd, pids + used, sizeof(pids) - 1 - used)) > 0; used += n)
		;
	for (char *pid = strtok(pids, "\n"); pid; pid = strtok(NULL, "\n"))
		if (write(leaf, pid, strlen(pid)) < 0)
			return -1;
	fd = open("cgroup.controllers", O_RDONLY);
	n = read(fd, controllers + 1, sizeof(controllers) / 2);
	for (char *c = controllers; (c = strchr(c, ' ')); c += 2)
		memmove(c + 2, c + 1, strlen(c + 1) + 1), c[1] = '+';
	fd = open("cgroup.subtree_control", O_WRONLY);
	return n > 0 && write(fd, controllers, strlen(controllers)) > 0 ? 0 : -1;
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
	if (argc > 7 && strcmp(argv[1], "stage") == 0) {
		int fd;
		if (chdir(argv[6]) || mount("", "/", "", MS_REC | MS_PRIVATE, NULL) || mount("proc", "/proc", "proc", 0, NULL) ||
		    mount_many(atoi(argv[3])) || mount(argv[5], "/sys/fs/cgroup", "", MS_BIND, NULL))
			return fail("mount");
		for (int i = atoi(argv[2]); i > 0; i--)
			if (fork() == 0)
				for (;;)
					pause();
		/* Move into the own cgroup, which takes the kernel's lock as any other move does. */
		fd = open("cgroup.procs", O_WRONLY | O_CLOEXEC);
		if (write(fd, "0", 1) != 1 || chdir("/"))
			return fail("cgroup.procs");
		usleep(1000 * atoi(argv[4]));
		say(now());
		execv(argv[7], argv + 7);
		return fail(argv[7]);
	}
	if (argc > 2 && strcmp(argv[1], "least") == 0) {
		if (delegate())
			return fail("delegate");
		execv(argv[2], argv + 2);
		return fail(argv[2]);
	}
	if (argc > 2 && strcmp(argv[1], "steady") == 0) {
		long long began = now();
		for (int i = atoi(argv[2]); i > 0; i--) {
			pid_t pid = fork();
			if (pid == 0)
				_exit(fork() < 0);
			waitpid(pid, NULL, 0);
		}
		say(now() - began);
		return 0;
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
		if (read(0, &c, 1) != 1) /* the byte that says that pong is ready */
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
