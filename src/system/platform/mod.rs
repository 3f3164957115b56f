//! What differs between FreeBSD and Linux, and every system call that std does not have.
//!
//! Besides `ffi` this is the only module with unsafe code.
#![allow(unsafe_code)]

mod folder;
mod fork;
mod mount_table;
mod process;
mod program;
mod spawn;
#[cfg(test)]
pub mod starting;

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use folder::{is_no_folder, make_folder_in, open_folder_in};
pub use mount_table::{mount_table, parse_mountinfo, Mount};
pub use process::{exit, group_lives, reap, signal_group, Exit, Signal};
pub use spawn::start;

/// A pipe: the end to read from and the end to write to. No program inherits them.
pub fn pipe() -> io::Result<(File, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: the pointer is that of room for two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both are new, and nobody else's.
    let [reader, writer] = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
    Ok((reader.into(), writer))
}

/// How a file is locked (flock(2)).
#[derive(Clone, Copy, Debug)]
pub enum Flock {
    Shared,
    Alone,
    Not,
}

/// Locks a file, or unlocks it; false if another lock is in the way.
pub fn flock(file: BorrowedFd<'_>, how: Flock) -> io::Result<bool> {
    let operation = match how {
        Flock::Shared => libc::LOCK_SH,
        Flock::Alone => libc::LOCK_EX,
        Flock::Not => libc::LOCK_UN,
    };
    loop {
        // SAFETY: flock takes no pointers.
        if unsafe { libc::flock(file.as_raw_fd(), operation | libc::LOCK_NB) } == 0 {
            return Ok(true);
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::WouldBlock => return Ok(false),
            io::ErrorKind::Interrupted => {}
            _ => return Err(error),
        }
    }
}

/// The number of the user that this process works as.
pub fn user() -> u32 {
    // SAFETY: geteuid takes no pointers and cannot fail.
    unsafe { libc::geteuid() }
}

/// Unmounts what was mounted last at `place`, unless it is busy.
pub fn unmount(place: &Path) -> io::Result<()> {
    let place = std::ffi::CString::new(place.as_os_str().as_bytes())?;
    // SAFETY: `place` is a string that ends in NUL.
    #[cfg(target_os = "linux")]
    let done = unsafe { libc::umount2(place.as_ptr(), libc::UMOUNT_NOFOLLOW) };
    // SAFETY: `place` is a string that ends in NUL.
    #[cfg(target_os = "freebsd")]
    let done = unsafe { libc::unmount(place.as_ptr(), 0) };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The open flag that makes opening anything but a folder fail.
pub const OPEN_FOLDER: i32 = libc::O_DIRECTORY;

/// Sends a line to the system's log.
pub fn log_to_system(priority: i32, line: &str) {
    let Ok(line) = std::ffi::CString::new(line) else {
        return;
    };
    // Not openlog(3), which is for the host to call. The line then begins with the host's name.
    // SAFETY: the format takes one string, and `line` is one.
    unsafe { libc::syslog(libc::LOG_DAEMON | priority, c"%s".as_ptr(), line.as_ptr()) };
}

/// Makes reads from `file` return at once if there is nothing to read.
pub fn set_nonblocking(file: BorrowedFd<'_>) -> io::Result<()> {
    let fd = file.as_raw_fd();
    // SAFETY: fcntl with F_GETFL and F_SETFL takes no pointers, and `file` is open.
    let done = unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFL);
        flags != -1 && libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) != -1
    };
    if done {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Waits until one of `files` can be read or is at its end, or until `patience` is over.
pub fn wait_readable(files: &[BorrowedFd<'_>], patience: Duration) {
    let mut polled: Vec<libc::pollfd> = files
        .iter()
        .map(|file| libc::pollfd {
            fd: file.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        })
        .collect();
    // Rounded up: rounding down would spin through the last millisecond.
    let milliseconds = patience.as_micros().div_ceil(1000).min(1_000_000) as libc::c_int;
    // SAFETY: the pointer and the length are those of `polled`. A failure (EINTR) only means that
    // the caller looks too early.
    unsafe {
        libc::poll(
            polled.as_mut_ptr(),
            polled.len() as libc::nfds_t,
            milliseconds,
        )
    };
}

/// The local time as Qt's `Qt::ISODate` writes it, which is what a job's log has.
pub fn local_time() -> String {
    // SAFETY: both calls write into values that live here; localtime_r is the thread-safe one.
    let time = unsafe {
        let now = libc::time(std::ptr::null_mut());
        let mut time: libc::tm = std::mem::zeroed();
        libc::localtime_r(&now, &mut time);
        time
    };
    written(&time)
}

/// A time in seconds since 1970 as `2026-11-25T18:49:23`, in UTC; none for one that is out of the
/// calendar's range.
pub fn utc_time(seconds: i64) -> Option<String> {
    // SAFETY: gmtime_r writes into a value that lives here, or returns NULL.
    unsafe {
        let seconds = libc::time_t::try_from(seconds).ok()?;
        let mut time: libc::tm = std::mem::zeroed();
        let known = !libc::gmtime_r(&seconds, &mut time).is_null();
        known.then(|| written(&time))
    }
}

/// The time that it is so many seconds from now, in the same way.
pub fn utc_time_in(seconds: i64) -> Option<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let now = i64::try_from(now.as_secs()).ok()?;
    utc_time(now.checked_add(seconds)?)
}

fn written(time: &libc::tm) -> String {
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        time.tm_year + 1900,
        time.tm_mon + 1,
        time.tm_mday,
        time.tm_hour,
        time.tm_min,
        time.tm_sec
    )
}

/// The release that this host runs, if it runs FreeBSD.
pub fn freebsd_release() -> Option<String> {
    if !cfg!(target_os = "freebsd") {
        return None;
    }
    // SAFETY: uname fills in the value that it is given, each string of which ends in NUL.
    unsafe {
        let mut names: libc::utsname = std::mem::zeroed();
        (libc::uname(&mut names) == 0).then(|| {
            std::ffi::CStr::from_ptr(names.release.as_ptr())
                .to_string_lossy()
                .into_owned()
        })
    }
}

/// The open flags that make opening a FIFO or a device return at once, and a symbolic link fail.
pub const OPEN_REGULAR: i32 = libc::O_NONBLOCK | libc::O_NOFOLLOW;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_in_utc_has_the_form_of_iso_8601() {
        let time = |seconds| utc_time(seconds).unwrap();
        assert_eq!(time(0), "1970-01-01T00:00:00");
        assert_eq!(time(1_795_632_563), "2026-11-25T18:49:23");
        assert_eq!(utc_time(i64::MAX), None);
    }

    #[test]
    fn local_time_has_the_form_of_qt() {
        let time = local_time();
        assert_eq!(time.len(), 19, "{time}");
        assert_eq!(&time[10..11], "T");
    }
}
