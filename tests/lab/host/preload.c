/*
 * Loaded before the C library into zfs-fuse, zfs and zpool, whose calls of two functions can bring the
 * whole machine to a stop.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

/*
 * sync(2) waits for every file system of the machine: for one of zfs-fuse's own too, that is just
 * being unmounted and waits for zfs-fuse. Its pools need none: they are gone with the lab.
 * zfs-fuse calls it in a loop, until a file system is no longer busy; hence the moment's rest.
 */
void sync(void)
{
	const struct timespec moment = { 0, 1000000 };

	nanosleep(&moment, NULL);
}

/*
 * zfs-fuse, told by poll(2) that a file system has a request, reads it with its one lock held. Where
 * the process that asked has been killed meanwhile, the kernel has taken the request back, and the
 * read would wait for another one, and every file system with it. EAGAIN it takes for no request.
 */
ssize_t read(int fd, void *buffer, size_t size)
{
	struct stat file;
	int flags;

	if (fstat(fd, &file) == 0 && S_ISCHR(file.st_mode) && file.st_rdev == makedev(10, 229) &&
	    (flags = fcntl(fd, F_GETFL)) != -1 && !(flags & O_NONBLOCK))
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	return syscall(SYS_read, fd, buffer, size);
}
