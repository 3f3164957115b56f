//! Starting a program by fork(2) and execve(2), if posix_spawn(3) cannot do what is needed.

use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Mutex;

use super::program::{duplicate, Prepared, MASK};
use crate::limits;
use crate::sync::lock;

/// Two threads of a process that fork at the same moment can hang for ever (FreeBSD 13.2, libthr
/// loaded by dlopen).
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Starts a program; see [`super::spawn::start`].
pub fn spawn(prepared: &Prepared) -> io::Result<u32> {
    let (mut errors, writer) = super::pipe()?;
    // Out of the way of the descriptors that the program gets.
    let higher = duplicate(writer.as_fd(), prepared.count() as usize)?;
    drop(writer);

    let alone = lock(&ONE_AT_A_TIME);
    // SAFETY: the sets live here. The child makes system calls only, then executes or exits. All
    // signals are blocked until then, so that no handler of the host runs in it.
    let (process, error) = unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let process = libc::fork();
        let error = io::Error::last_os_error();
        if process == 0 {
            begin(prepared, higher.as_raw_fd());
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
        (process, error)
    };
    drop(alone);
    drop(higher);
    if process == -1 {
        return Err(error);
    }
    // At its end without a byte when the program is executed.
    let mut number = Vec::new();
    errors.read_to_end(&mut number)?;
    let Ok(number) = <[u8; 4]>::try_from(number) else {
        return Ok(process as u32);
    };
    // SAFETY: waitpid may be given no status to fill in. It is exiting this moment.
    while unsafe { libc::waitpid(process, std::ptr::null_mut(), 0) } == -1
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
    Err(io::Error::from_raw_os_error(i32::from_ne_bytes(number)))
}

/// What the child does. It allocates nothing and takes no lock.
///
/// SAFETY: only to be called between fork and exec.
unsafe fn begin(prepared: &Prepared, errors: libc::c_int) -> ! {
    become_the_program(prepared);
    let number = io::Error::last_os_error().raw_os_error().unwrap_or(0);
    let bytes = number.to_ne_bytes();
    libc::write(errors, bytes.as_ptr().cast(), bytes.len());
    libc::_exit(127)
}

/// Returns where that fails, with errno set.
///
/// SAFETY: as [`begin`].
unsafe fn become_the_program(prepared: &Prepared) {
    const MOST_SIGNALS: libc::c_int = 128;
    if libc::setpgid(0, 0) == -1 || libc::chdir(c"/".as_ptr()) == -1 {
        return;
    }
    for (here, there) in prepared.descriptors() {
        if libc::dup2(here, there) == -1 {
            return;
        }
    }
    close_on_exec(prepared.count());
    libc::umask(MASK);
    for signal in 1..=MOST_SIGNALS {
        // It fails for those that there are not, and for KILL and STOP, which cannot be ignored.
        libc::signal(signal, libc::SIG_DFL);
    }
    let mut none: libc::sigset_t = std::mem::zeroed();
    libc::sigemptyset(&raw mut none);
    libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    libc::execve(
        prepared.path(),
        prepared.argv().cast(),
        prepared.environment().cast(),
    );
}

/// Marks all descriptors from `first` on to be closed when another program is executed. They are
/// not closed at once, because one of them tells the parent whether that succeeds.
fn close_on_exec(first: libc::c_int) {
    // SAFETY: close_range takes no pointers.
    #[cfg(target_os = "linux")]
    let done = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    // SAFETY: as above.
    #[cfg(target_os = "freebsd")]
    let done = unsafe {
        libc::close_range(
            first as libc::c_uint,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC as libc::c_int,
        )
    };
    if done == 0 {
        return;
    }
    // A kernel that is older than that option (Linux 5.11, FreeBSD 13.2).
    let mut left = open_descriptors();
    for descriptor in 0.. {
        // SAFETY: fcntl with F_GETFD and F_SETFD takes no pointers.
        let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFD) };
        if flags != -1 {
            left -= 1;
            if descriptor >= first {
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
