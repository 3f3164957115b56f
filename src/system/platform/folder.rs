//! Folders in folders: one step at a time, and never through a symbolic link.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;

/// Opens the folder `name` in `folder`; fails if that is a symbolic link or anything else.
pub fn open_folder_in(folder: BorrowedFd<'_>, name: &OsStr) -> io::Result<File> {
    const FLAGS: i32 = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    let name = CString::new(name.as_bytes())?;
    // SAFETY: `name` ends in NUL and lives through the call.
    let opened = unsafe { libc::openat(folder.as_raw_fd(), name.as_ptr(), FLAGS) };
    match opened {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: it is new, and nobody else's.
        opened => Ok(unsafe { File::from_raw_fd(opened) }),
    }
}

/// Makes the folder `name` in `folder`, with whatever mode the file mode mask leaves of 0755.
pub fn make_folder_in(folder: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    let name = CString::new(name.as_bytes())?;
    // SAFETY: `name` ends in NUL and lives through the call.
    match unsafe { libc::mkdirat(folder.as_raw_fd(), name.as_ptr(), 0o755) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether [`open_folder_in`] has met a symbolic link, or something else that is no folder.
pub fn is_no_folder(error: &io::Error) -> bool {
    // ENOTDIR or ELOOP on Linux, and EMLINK for a link on FreeBSD.
    let numbers = [libc::ENOTDIR, libc::ELOOP, libc::EMLINK];
    error
        .raw_os_error()
        .is_some_and(|number| numbers.contains(&number))
}
