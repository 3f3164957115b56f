/*
 * LAB/real/zfs and LAB/real/zpool: those of Debian's zfs-fuse, asked of the lab's own daemon. Never two
 * at once that mount or unmount: the daemon mixes up the messages of two mounts at the same time on a
 * pipe of its own, and hangs. (Nothing that a host should see: it never mounts.)
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

/* After so many seconds a command that changes something has hung. */
#define LIMIT 120

static const char *below(char path[PATH_MAX], const char *folder, const char *name)
{
	snprintf(path, PATH_MAX, "%s/%s", folder, name);
	return path;
}

int main(int argc, char **argv)
{
	char lab[PATH_MAX / 2] = "", path[PATH_MAX];
	char *name = strrchr(argv[0], '/');
	ssize_t length = readlink("/proc/self/exe", lab, sizeof lab - 1);
	const char *suffix = "/real/zfs";
	int lock;

	name = name == NULL ? argv[0] : name + 1;
	length -= (ssize_t)strlen(suffix);
	if (length <= 0 || strcmp(lab + length, suffix) != 0) {
		fprintf(stderr, "%s: this belongs to a lab\n", name);
		return 2;
	}
	lab[length] = '\0';
	/* As zfs-fuse itself. */
	setpriority(PRIO_PROCESS, 0, -15);
	setenv("LD_PRELOAD", below(path, lab, "preload.so"), 1);
	setenv("LD_LIBRARY_PATH", below(path, lab, "lib"), 1);
	setenv("LAB_ZFS_FUSE", below(path, lab, "zfs-fuse"), 1);
	if (argc < 2 || (strcmp(argv[1], "list") != 0 && strcmp(argv[1], "get") != 0)) {
		/* The lock and the alarm stay with the real command. */
		alarm(LIMIT);
		lock = open(below(path, lab, "mounting"), O_RDWR | O_CREAT, 0600);
		if (lock == -1 || flock(lock, LOCK_EX) == -1) {
			perror(path);
			return 2;
		}
	}
	execv(below(path, "/usr/sbin", name), argv);
	perror(path);
	return 2;
}
