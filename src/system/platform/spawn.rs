//! Starting a program, with nothing inherited from the host but its user.
//!
//! By posix_spawn(3): it copies no page tables, so it takes the same time in a large host, and it
//! runs none of the hooks of fork(2), which can hang if two threads fork at once (FreeBSD 13.2,
//! libthr loaded by dlopen). It cannot set the file mode mask. If that is not the usual one, or is
//! not known, or if the C library is older than what is needed here, a fork is used, one at a time
//! ([`super::fork`]).

use std::io;
use std::os::fd::BorrowedFd;

use super::fork;
use super::program::{Prepared, MASK};

/// Starts the program `argv[0]`, an absolute path, in a process group of its own and in the root
/// directory. It gets these descriptors as 0, 1, 2 and so on and no others, every signal as it is
/// by default, none blocked, and the usual file mode mask. Gives the number of the process.
///
/// # Errors
/// If it cannot be started: the program is missing, or is none, or there is no room for it.
pub fn start(
    argv: &[String],
    environment: &[(String, String)],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<u32> {
    let prepared = Prepared::new(argv, environment, descriptors)?;
    match posix::Extensions::get() {
        Some(extensions) if umask() == Some(MASK) => posix::spawn(&prepared, extensions),
        _ => fork::spawn(&prepared),
    }
}

/// This thread's file mode mask, read without changing it, if the system says it.
#[cfg(target_os = "linux")]
fn umask() -> Option<libc::mode_t> {
    // Since Linux 4.7. A thread may have a mask of its own.
    let status = std::fs::read_to_string("/proc/thread-self/status").ok()?;
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("Umask:"))?;
    libc::mode_t::from_str_radix(mask.trim(), 8).ok()
}

/// This process's file mode mask, read without changing it, if the system says it.
#[cfg(target_os = "freebsd")]
fn umask() -> Option<libc::mode_t> {
    // The last part is a process, 0 the one that asks.
    let name = [libc::CTL_KERN, libc::KERN_PROC, libc::KERN_PROC_UMASK, 0];
    let mut mask: libc::c_ushort = 0;
    let mut size = size_of::<libc::c_ushort>();
    // SAFETY: the pointers are those of the name, of the mask and of its size.
    let done = unsafe {
        libc::sysctl(
            name.as_ptr(),
            name.len() as libc::c_uint,
            (&raw mut mask).cast(),
            &raw mut size,
            std::ptr::null(),
            0,
        )
    };
    (done == 0 && size == size_of::<libc::c_ushort>()).then_some(mask)
}

mod posix {
    use std::ffi::CStr;
    use std::mem::{transmute, zeroed};
    use std::sync::LazyLock;

    use libc::{c_char, c_int, c_short, c_void, posix_spawn_file_actions_t, posix_spawnattr_t};

    use super::{io, Prepared};

    type Actions = *mut posix_spawn_file_actions_t;
    type AddChdir = unsafe extern "C" fn(Actions, *const c_char) -> c_int;
    type AddClosefrom = unsafe extern "C" fn(Actions, c_int) -> c_int;

    /// What posix_spawn(3) can do beyond POSIX, where it can: with glibc since 2.34, on FreeBSD
    /// since 13.1. They are looked for at run time, so that the library can be loaded elsewhere
    /// too, and whatever version the C library gives their names.
    pub struct Extensions {
        add_chdir: AddChdir,
        add_closefrom: AddClosefrom,
    }

    impl Extensions {
        pub fn get() -> Option<&'static Self> {
            static EXTENSIONS: LazyLock<Option<Extensions>> = LazyLock::new(|| {
                let add_chdir = find(c"posix_spawn_file_actions_addchdir_np")?;
                let add_closefrom = find(c"posix_spawn_file_actions_addclosefrom_np")?;
                // SAFETY: functions of these names have these types wherever they are.
                unsafe {
                    Some(Extensions {
                        add_chdir: transmute::<*mut c_void, AddChdir>(add_chdir),
                        add_closefrom: transmute::<*mut c_void, AddClosefrom>(add_closefrom),
                    })
                }
            });
            EXTENSIONS.as_ref()
        }
    }

    fn find(name: &CStr) -> Option<*mut c_void> {
        // SAFETY: the name ends in NUL.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
        (!found.is_null()).then_some(found)
    }

    pub fn spawn(prepared: &Prepared, extensions: &Extensions) -> io::Result<u32> {
        // SAFETY: both values may be zero until they are initialized here, are not moved, and are
        // destroyed where they were initialized.
        unsafe {
            let mut actions: posix_spawn_file_actions_t = zeroed();
            let mut attributes: posix_spawnattr_t = zeroed();
            check(libc::posix_spawn_file_actions_init(&raw mut actions))?;
            let mut spawned = check(libc::posix_spawnattr_init(&raw mut attributes)).map(|()| 0);
            if spawned.is_ok() {
                spawned = describe(prepared, extensions, &raw mut actions, &raw mut attributes)
                    .and_then(|()| begin(prepared, &raw const actions, &raw const attributes));
                libc::posix_spawnattr_destroy(&raw mut attributes);
            }
            libc::posix_spawn_file_actions_destroy(&raw mut actions);
            spawned
        }
    }

    /// SAFETY: both pointers are those of initialized values.
    unsafe fn describe(
        prepared: &Prepared,
        extensions: &Extensions,
        actions: Actions,
        attributes: *mut posix_spawnattr_t,
    ) -> io::Result<()> {
        for (here, there) in prepared.descriptors() {
            check(libc::posix_spawn_file_actions_adddup2(actions, here, there))?;
        }
        let others = prepared.count();
        check((extensions.add_closefrom)(actions, others))?;
        let root = c"/".as_ptr();
        check((extensions.add_chdir)(actions, root))?;

        let mut signals: libc::sigset_t = zeroed();
        libc::sigemptyset(&raw mut signals);
        check(libc::posix_spawnattr_setsigmask(
            attributes,
            &raw const signals,
        ))?;
        libc::sigfillset(&raw mut signals);
        // These two are always as they are by default, and must not be set.
        libc::sigdelset(&raw mut signals, libc::SIGKILL);
        libc::sigdelset(&raw mut signals, libc::SIGSTOP);
        check(libc::posix_spawnattr_setsigdefault(
            attributes,
            &raw const signals,
        ))?;
        check(libc::posix_spawnattr_setpgroup(attributes, 0))?;
        let flags = libc::POSIX_SPAWN_SETPGROUP
            | libc::POSIX_SPAWN_SETSIGDEF
            | libc::POSIX_SPAWN_SETSIGMASK;
        check(libc::posix_spawnattr_setflags(attributes, flags as c_short))
    }

    /// SAFETY: as [`describe`].
    unsafe fn begin(
        prepared: &Prepared,
        actions: *const posix_spawn_file_actions_t,
        attributes: *const posix_spawnattr_t,
    ) -> io::Result<u32> {
        let mut process = 0;
        check(libc::posix_spawn(
            &raw mut process,
            prepared.path(),
            actions,
            attributes,
            prepared.argv(),
            prepared.environment(),
        ))?;
        Ok(process as u32)
    }

    /// These functions give the number of an error, and do not set errno.
    fn check(number: c_int) -> io::Result<()> {
        match number {
            0 => Ok(()),
            number => Err(io::Error::from_raw_os_error(number)),
        }
    }
}
