//! Tests of how programs are started, and what other tests need system calls for.

use std::cell::Cell;
use std::io::Read;
use std::os::fd::AsFd;
use std::sync::Once;

use super::*;
use crate::system::scratch::wait_until;

/// Does `work` with this file mode mask.
#[cfg(target_os = "linux")]
pub fn with_mask<T: Send>(mask: u32, work: impl FnOnce() -> T + Send) -> T {
    let alone = || {
        // SAFETY: no pointers. The mask is this thread's own then.
        unsafe {
            assert_eq!(libc::unshare(libc::CLONE_FS), 0);
            libc::umask(mask);
        }
        work()
    };
    std::thread::scope(|scope| scope.spawn(alone).join().unwrap())
}

/// Does `work` with this file mode mask. Other tests may have it meanwhile.
#[cfg(not(target_os = "linux"))]
pub fn with_mask<T: Send>(mask: u32, work: impl FnOnce() -> T + Send) -> T {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _alone = crate::sync::lock(&ONE_AT_A_TIME);
    // SAFETY: no pointers.
    let before = unsafe { libc::umask(mask as libc::mode_t) };
    let done = work();
    // SAFETY: no pointers.
    unsafe { libc::umask(before) };
    done
}

/// What a shell prints that is started by [`start`].
fn printed(script: &str) -> io::Result<String> {
    let (mut output, writer) = pipe()?;
    let input = File::open("/dev/null")?;
    let argv = ["/bin/sh", "-c", script].map(String::from);
    let environment = [("PATH".into(), "/bin:/usr/bin".into())];
    let descriptors = [input.as_fd(), writer.as_fd(), writer.as_fd()];
    let process = start(&argv, &environment, &descriptors)?;
    drop(writer);
    let mut text = String::new();
    output.read_to_string(&mut text)?;
    wait_until(|| matches!(reap(process), Ok(Some(_))));
    Ok(text)
}

/// How often this thread has forked, as the C library's hooks see it.
fn forks() -> u32 {
    extern "C" {
        fn pthread_atfork(
            before: Option<extern "C" fn()>,
            parent: Option<extern "C" fn()>,
            child: Option<extern "C" fn()>,
        ) -> libc::c_int;
    }
    thread_local! {
        static FORKS: Cell<u32> = const { Cell::new(0) };
    }
    extern "C" fn count() {
        FORKS.with(|forks| forks.set(forks.get() + 1));
    }
    static HOOK: Once = Once::new();
    // SAFETY: `count` is there as long as the process.
    HOOK.call_once(|| assert_eq!(unsafe { pthread_atfork(Some(count), None, None) }, 0));
    FORKS.with(Cell::get)
}

#[test]
fn nothing_is_forked_where_the_mask_is_the_usual_one() {
    for (mask, expected) in [(0o022, 0), (0o077, 1), (0, 1)] {
        let forked = with_mask(mask, || {
            let before = forks();
            assert_eq!(printed("umask").unwrap(), "0022\n", "{mask:o}");
            forks() - before
        });
        assert_eq!(forked, expected, "{mask:o}");
    }
}

#[test]
fn what_cannot_be_started_is_an_error_with_either_mask() {
    for mask in [0o022, 0o077] {
        let error = |program: &str| {
            let argv = [program.to_string()];
            with_mask(mask, || start(&argv, &[], &[]).unwrap_err()).raw_os_error()
        };
        assert_eq!(error("/nonexistent/zfs"), Some(libc::ENOENT));
        assert_eq!(error("/dev/null"), Some(libc::EACCES));
        assert_eq!(error("/dev/null/zfs"), Some(libc::ENOTDIR));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_program_inherits_no_descriptor_and_no_signal_ignored_or_blocked() {
    let script = "ls /proc/self/fd | wc -l; umask; pwd; grep '^Sig' /proc/self/status";
    // Of signals 1 to 31: the two after them are the C library's own, which knows what it does.
    let signals = |status: &str, which: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(which));
        u64::from_str_radix(line.unwrap().trim(), 16).unwrap() & 0x7fff_ffff
    };
    for mask in [0o022, 0o077] {
        let (ours, theirs) = with_mask(mask, || {
            // SAFETY: the descriptor and the mask are this thread's own; nobody else here cares
            // for SIGUSR2.
            let inheritable = unsafe {
                libc::signal(libc::SIGUSR2, libc::SIG_IGN);
                let mut all: libc::sigset_t = std::mem::zeroed();
                libc::sigfillset(&raw mut all);
                libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
                libc::dup(2)
            };
            let theirs = printed(script).unwrap();
            let ours = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            // SAFETY: as above.
            unsafe { libc::close(inheritable) };
            (ours, theirs)
        });
        // 0, 1, 2 and what ls itself opens.
        assert!(theirs.starts_with("4\n0022\n/\n"), "{mask:o}: {theirs}");
        for which in ["SigBlk:", "SigIgn:"] {
            assert_eq!(signals(&theirs, which), 0, "{mask:o}: {theirs}");
            assert_ne!(signals(&ours, which), 0, "the test looks at nothing");
        }
    }
}

/// Whom another process traces is not seen to die before that one is told: it is a process that
/// hangs in the kernel, as far as anybody can tell. This is what is run by the test below.
#[test]
#[cfg(target_os = "linux")]
#[ignore = "it is run by another test, and hangs"]
fn one_that_seems_not_to_die() {
    let Some(ready) = std::env::var_os("READY") else {
        return;
    };
    const ANYBODY: libc::c_ulong = libc::c_ulong::MAX;
    // SAFETY: no pointers are followed; the child makes system calls only.
    unsafe {
        libc::prctl(libc::PR_SET_PTRACER, ANYBODY, 0, 0, 0);
        let traced = libc::getpid();
        let tracer = libc::fork();
        if tracer == 0 {
            libc::setsid();
            if libc::ptrace(libc::PTRACE_SEIZE, traced, 0, 0) == -1 {
                libc::_exit(1);
            }
            libc::sleep(4);
            libc::_exit(0);
        }
    }
    let is_traced = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        !status.contains("TracerPid:\t0\n")
    };
    wait_until(is_traced);
    std::fs::write(ready, "").unwrap();
    loop {
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_command_that_does_not_die_is_said_to_linger() {
    use crate::system::command::run;
    use crate::system::scratch::{sh, Folder};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    let folder = Folder::new("lingers");
    let ready = folder.0.join("ready");
    let mut order = sh("");
    let test = "system::platform::starting::one_that_seems_not_to_die";
    let program = std::env::current_exe().unwrap().display().to_string();
    order.argv = vec![program, "--exact".into(), test.into(), "--ignored".into()];
    order.environment = vec![("READY".into(), ready.display().to_string())];
    let stop = AtomicBool::new(false);
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_until(|| ready.exists());
            stop.store(true, Ordering::Relaxed);
        });
        run(&order, Duration::from_secs(20), &stop).unwrap_err()
    });
    assert!(error.lingers && error.message.contains("later"), "{error}");
}
