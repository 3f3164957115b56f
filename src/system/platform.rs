//! What differs between FreeBSD and Linux, and every system call that std does not have.
//!
//! Beside `ffi` this is the only module with unsafe code.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use super::mounts::Mount;
use crate::limits;

/// How a process group is asked to end.
#[derive(Clone, Copy, Debug)]
pub enum Signal {
    Terminate,
    Kill,
}

/// Signals the process group that `leader` leads. A group that is gone is no error.
pub fn signal_group(leader: u32, signal: Signal) {
    let number = match signal {
        Signal::Terminate => libc::SIGTERM,
        Signal::Kill => libc::SIGKILL,
    };
    // A pid of 0 or 1 would mean our own group or everybody.
    if let Ok(group @ 2..) = libc::pid_t::try_from(leader) {
        // SAFETY: kill takes no pointers.
        unsafe { libc::kill(-group, number) };
    }
}

/// Lets a command begin as from a login, whatever the host has done to itself: no descriptor but
/// 0, 1 and 2, no signal ignored, the usual file mode mask. (std itself gives it an empty signal
/// mask.)
pub fn inherit_nothing(command: &mut Command) {
    let begin = || {
        close_on_exec();
        for signal in 1..32 {
            // SAFETY: signal takes no pointers; it fails for KILL and STOP, which cannot be ignored.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        // SAFETY: umask takes no pointers and cannot fail.
        unsafe { libc::umask(0o022) };
        Ok(())
    };
    // SAFETY: it runs between fork and exec, and makes system calls only: it allocates nothing
    // and takes no lock.
    unsafe { command.pre_exec(begin) };
}

/// Marks all descriptors from 3 on to be closed when another program is executed. They are not
/// closed at once, because one of them is std's, which tells the parent whether that succeeds.
fn close_on_exec() {
    const FIRST: libc::c_int = 3;
    // SAFETY: close_range takes no pointers.
    #[cfg(target_os = "linux")]
    let done = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            FIRST,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    // SAFETY: as above.
    #[cfg(target_os = "freebsd")]
    let done = unsafe {
        libc::close_range(
            FIRST as libc::c_uint,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC as libc::c_int,
        )
    };
    if done == 0 {
        return;
    }
    // A kernel that is older than that option (Linux 5.11, FreeBSD 14).
    let mut left = open_descriptors();
    for descriptor in 0.. {
        // SAFETY: fcntl with F_GETFD and F_SETFD takes no pointers.
        let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFD) };
        if flags != -1 {
            left -= 1;
            if descriptor >= FIRST {
                // SAFETY: as above.
                unsafe { libc::fcntl(descriptor, libc::F_SETFD, flags | libc::FD_CLOEXEC) };
            }
        }
        if left == 0 || descriptor == limits::DESCRIPTORS {
            break;
        }
    }
}

/// How many descriptors are open, or more than there can be where the system does not say.
#[cfg(target_os = "linux")]
fn open_descriptors() -> libc::c_int {
    libc::c_int::MAX
}

/// How many descriptors are open, or more than there can be where the system does not say.
#[cfg(target_os = "freebsd")]
fn open_descriptors() -> libc::c_int {
    let name = [libc::CTL_KERN, libc::KERN_PROC, libc::KERN_PROC_NFDS, 0];
    let mut count: libc::c_int = 0;
    let mut size = size_of::<libc::c_int>();
    // SAFETY: the pointers are those of the name, of the count and of its size.
    let done = unsafe {
        libc::sysctl(
            name.as_ptr(),
            name.len() as libc::c_uint,
            (&raw mut count).cast(),
            &raw mut size,
            std::ptr::null(),
            0,
        )
    };
    if done == 0 && count > 0 {
        count
    } else {
        libc::c_int::MAX
    }
}

/// Sends a line to the system's log.
pub fn log_to_system(priority: i32, line: &str) {
    #[cfg(feature = "fuzzing")]
    if crate::fuzzing::is_on() {
        return;
    }
    let Ok(line) = std::ffi::CString::new(line) else {
        return;
    };
    // Not openlog(3): that would be the host's to call. Its name stands before the line then.
    // SAFETY: the format takes one string, and `line` is one.
    unsafe { libc::syslog(libc::LOG_DAEMON | priority, c"%s".as_ptr(), line.as_ptr()) };
}

/// Makes reads from `file` return at once where there is nothing to read.
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

/// The release that this host runs, where it runs FreeBSD.
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

/// The mount table, in the order of mounting.
#[cfg(target_os = "linux")]
pub fn mount_table() -> io::Result<Vec<Mount>> {
    #[cfg(feature = "fuzzing")]
    if let Some(table) = crate::fuzzing::mountinfo() {
        return Ok(parse_mountinfo(&table));
    }
    let table = std::fs::read("/proc/self/mountinfo")?;
    Ok(parse_mountinfo(&table))
}

/// Source: proc_pid_mountinfo(5). Lines look like
/// `36 35 98:0 / /mnt rw,noatime master:1 - ext3 /dev/root rw,errors=continue`.
#[cfg(target_os = "linux")]
fn parse_mountinfo(table: &[u8]) -> Vec<Mount> {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    let mount = |line: &[u8]| {
        let mut fields = line.split(|byte| *byte == b' ');
        let root = fields.nth(3)?;
        let mountpoint = fields.next()?;
        let mut after = fields.skip_while(|field| *field != b"-").skip(1);
        let _kind = after.next()?;
        let source = after.next()?;
        // A bind mount of a part of a file system is not where that file system is mounted.
        (root == b"/").then(|| Mount {
            source: String::from_utf8(unescape(source))
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
            mountpoint: OsString::from_vec(unescape(mountpoint)).into(),
        })
    };
    table
        .split(|byte| *byte == b'\n')
        .filter_map(mount)
        .collect()
}

/// Undoes the kernel's escapes for space, tab, newline and backslash: `\040` and the like.
#[cfg(target_os = "linux")]
fn unescape(field: &[u8]) -> Vec<u8> {
    if !field.contains(&b'\\') {
        return field.to_vec();
    }
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let code = (byte == b'\\')
            .then(|| after.get(..3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                plain.push(code);
                rest = &after[3..];
            }
            None => {
                plain.push(byte);
                rest = after;
            }
        }
    }
    plain
}

/// The mount table, in the order of mounting. getfsstat(2) rather than getmntinfo(3), whose
/// buffer is shared by all threads.
#[cfg(target_os = "freebsd")]
pub fn mount_table() -> io::Result<Vec<Mount>> {
    use std::ffi::{CStr, OsStr};
    use std::os::unix::ffi::OsStrExt;

    // What appears between two calls is caught by asking for more than there was.
    const SPARE: usize = 64;
    loop {
        // SAFETY: without a buffer the call only counts.
        let count = unsafe { libc::getfsstat(std::ptr::null_mut(), 0, libc::MNT_NOWAIT) };
        let room = usize::try_from(count).map_err(|_| io::Error::last_os_error())? + SPARE;
        let mut table: Vec<libc::statfs> = Vec::with_capacity(room);
        let bytes = (room * size_of::<libc::statfs>()) as libc::c_long;
        // SAFETY: `table` has room for `bytes` bytes.
        let count = unsafe { libc::getfsstat(table.as_mut_ptr(), bytes, libc::MNT_NOWAIT) };
        let filled = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        if filled >= room {
            continue;
        }
        // SAFETY: the kernel has filled that many entries.
        unsafe { table.set_len(filled) };
        // SAFETY: the kernel ends both names with NUL inside their arrays.
        let text = |name: &[libc::c_char]| unsafe { CStr::from_ptr(name.as_ptr()) }.to_bytes();
        return Ok(table
            .iter()
            .map(|entry| Mount {
                source: String::from_utf8_lossy(text(&entry.f_mntfromname)).into_owned(),
                mountpoint: OsStr::from_bytes(text(&entry.f_mntonname)).into(),
            })
            .collect());
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn mountinfo_is_read_with_its_escapes_and_without_bind_mounts_of_parts() {
        let table = b"43 27 0:40 / /mnt/a\\040b rw - fuse.zfs tank/a\\040b rw,user_id=0\n\
            44 27 0:40 / /mnt/c rw shared:1 master:2 - zfs tank/c rw\n\
            45 27 0:40 /part /mnt/d rw - zfs tank/c rw\n\
            broken\n";
        let mounts = parse_mountinfo(table);
        let mount = |source: &str, mountpoint: &str| Mount {
            source: source.into(),
            mountpoint: mountpoint.into(),
        };
        assert_eq!(
            mounts,
            [mount("tank/a b", "/mnt/a b"), mount("tank/c", "/mnt/c")]
        );
    }

    #[test]
    fn a_command_inherits_no_descriptor_no_ignored_signal_and_no_mask() {
        // SAFETY: the descriptors are this test's own; nobody else here cares for SIGUSR2.
        let inheritable = unsafe {
            libc::signal(libc::SIGUSR2, libc::SIG_IGN);
            libc::dup(2)
        };
        let look = |prepare: fn(&mut Command)| {
            let mut command = Command::new("/bin/sh");
            command.args([
                "-c",
                "ls /proc/self/fd | wc -l; umask; trap - USR2; kill -USR2 $$; echo deaf",
            ]);
            prepare(&mut command);
            String::from_utf8(command.output().unwrap().stdout).unwrap()
        };
        // 0, 1, 2 and what ls itself opens; and the shell is not deaf to the signal.
        assert_eq!(look(inherit_nothing), "4\n0022\n");
        assert!(
            look(|_| ()).ends_with("deaf\n"),
            "the test looks at nothing"
        );
        // SAFETY: as above.
        unsafe {
            libc::close(inheritable);
            libc::signal(libc::SIGUSR2, libc::SIG_DFL);
        }
    }

    #[test]
    fn local_time_has_the_form_of_qt() {
        let time = local_time();
        assert_eq!(time.len(), 19, "{time}");
        assert_eq!(&time[10..11], "T");
    }
}
