/*
 * Loaded before the C library into zfs-fuse, zfs and zpool: gives every lab a zfs-fuse of its own, and
 * takes from them what can bring the whole machine to a stop.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/*
 * sync(2) waits for every file system of the machine: for one of zfs-fuse's own too, which is being
 * unmounted and waits for zfs-fuse. It calls it in a loop until a file system is no longer busy; hence
 * the moment's rest.
 */
void sync(void)
{
	const struct timespec moment = { 0, 1000000 };

	nanosleep(&moment, NULL);
}

/* A lab's pools need not survive the machine's end. */
int fsync(int fd)
{
	(void)fd;
	return 0;
}

/*
 * zfs-fuse, told by poll(2) that a file system has a request, reads it with its one lock held. If the
 * process that asked was killed meanwhile, the kernel has taken the request back, and the read would
 * wait for another one, and all file systems with it. zfs-fuse takes EAGAIN for no request.
 */
ssize_t read(int fd, void *buffer, size_t size)
{
	struct stat file;
	int flags;

	if (fstat(fd, &file) == 0 && S_ISCHR(file.st_mode) && file.st_rdev == makedev(10, 229)) {
		flags = fcntl(fd, F_GETFL);
		if (!(flags & O_NONBLOCK))
			fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	}
	return syscall(SYS_read, fd, buffer, size);
}

/*
 * zfs-fuse keeps its socket, its lock and its list of pools in three folders of the machine. Here they
 * are one, $LAB_ZFS_FUSE: a lab meets neither another lab's zfs-fuse nor the machine's.
 */
static const char *ours(const char *path, char place[PATH_MAX])
{
	static const char *const folders[] = { "/var/run/zfs", "/var/lib/zfs", "/var/lock/zfs" };
	const char *lab = getenv("LAB_ZFS_FUSE");
	size_t i, length;

	for (i = 0; lab != NULL && i < sizeof folders / sizeof *folders; i++) {
		length = strlen(folders[i]);
		if (strncmp(path, folders[i], length) == 0 && (path[length] == '/' || path[length] == '\0')) {
			snprintf(place, PATH_MAX, "%s%s", lab, path + length);
			return place;
		}
	}
	return path;
}

#define REAL(function) ((__typeof__(&function))dlsym(RTLD_NEXT, #function))
/* A function whose first argument is a path. */
#define OF_A_PATH(function, parameters, ...) \
	int function parameters \
	{ \
		char place[PATH_MAX]; \
		return REAL(function)(ours(path, place), ##__VA_ARGS__); \
	}

OF_A_PATH(mkdir, (const char *path, mode_t mode), mode)
OF_A_PATH(creat64, (const char *path, mode_t mode), mode)
OF_A_PATH(stat64, (const char *path, struct stat64 *file), file)
OF_A_PATH(remove, (const char *path))
OF_A_PATH(unlink, (const char *path))

int open64(const char *path, int flags, ...)
{
	char place[PATH_MAX];
	mode_t mode;
	va_list more;

	va_start(more, flags);
	mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
	va_end(more);
	return REAL(open64)(ours(path, place), flags, mode);
}

int rename(const char *from, const char *to)
{
	char place[PATH_MAX], other[PATH_MAX];

	return REAL(rename)(ours(from, place), ours(to, other));
}

/* bind or connect, with our socket in the place of theirs. */
static int with_address(int (*call)(int, const struct sockaddr *, socklen_t), int fd,
    const struct sockaddr *address, socklen_t length)
{
	struct sockaddr_un mine = { .sun_family = AF_UNIX };
	char path[sizeof mine.sun_path + 1] = "", place[PATH_MAX];
	const size_t start = offsetof(struct sockaddr_un, sun_path);

	if (address->sa_family != AF_UNIX || length <= start || length > sizeof mine)
		return call(fd, address, length);
	memcpy(path, (const char *)address + start, length - start);
	if (ours(path, place) != place)
		return call(fd, address, length);
	if (strlen(place) >= sizeof mine.sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(mine.sun_path, place);
	return call(fd, (const struct sockaddr *)&mine, sizeof mine);
}

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
	return with_address(REAL(bind), fd, address, length);
}

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
	return with_address(REAL(connect), fd, address, length);
}

/*
 * What listens to the system's log may be slow, such as a test that has bound /dev/log and waits for
 * zfs-fuse itself before it reads. After ten lines zfs-fuse would wait for that.
 */
void vsyslog(int priority, const char *format, va_list arguments)
{
	(void)priority, (void)format, (void)arguments;
}

void syslog(int priority, const char *format, ...)
{
	(void)priority, (void)format;
}
