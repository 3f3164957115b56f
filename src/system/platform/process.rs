//! Processes that were started here: whether they have ended, and how they are ended.

use std::io;

/// How a process group is asked to end.
#[derive(Clone, Copy, Debug)]
pub enum Signal {
    Terminate,
    Kill,
}

/// Signals the process group that `leader` leads. A group that is gone is no error.
///
/// The leader must not have been reaped: until then its id is its own.
pub fn signal_group(leader: u32, signal: Signal) {
    let number = match signal {
        Signal::Terminate => libc::SIGTERM,
        Signal::Kill => libc::SIGKILL,
    };
    // 0 would mean this process's own group, and 1 all processes.
    if let Some(group) = number_of(leader) {
        // SAFETY: kill takes no pointers.
        unsafe { libc::kill(-group, number) };
    }
}

/// Whether a process lives in the group that `leader` has led.
pub fn group_lives(leader: u32) -> bool {
    number_of(leader).is_some_and(|group| {
        // SAFETY: kill takes no pointers, and signal 0 only asks.
        let found = unsafe { libc::kill(-group, 0) } == 0;
        (found || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM))
            && !is_of_the_dead(leader)
    })
}

/// Whether all processes of a group are dead and only not reaped. The first process of a container
/// may be late to reap those that it inherits, or may never do it.
#[cfg(target_os = "linux")]
fn is_of_the_dead(group: u32) -> bool {
    let group = group.to_string();
    let lives = |stat: String| {
        // `pid (name) state parent group`, and the name may have anything in it.
        let mut fields = stat.rsplit(')').next()?.split_whitespace();
        let (state, of) = (fields.next()?, fields.nth(1)?);
        (of == group && !["Z", "X"].contains(&state)).then_some(())
    };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut stats = processes.map(|process| std::fs::read_to_string(process.path().join("stat")));
    !stats.any(|stat| stat.ok().and_then(lives).is_some())
}

/// Whether all processes of a group are dead and only not reaped: init reaps them at once.
#[cfg(not(target_os = "linux"))]
fn is_of_the_dead(_: u32) -> bool {
    false
}

/// How a child has exited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    ByItself,
    /// A signal has ended it.
    Killed,
}

/// Whether a child has exited, and how. It stays there to be reaped, so its id stays its own.
///
/// # Errors
/// If there is no such child: the host reaps every child, or ignores SIGCHLD.
pub fn exit(child: u32) -> io::Result<Option<Exit>> {
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    loop {
        // SAFETY: all of siginfo_t may be zero, and the call gets a pointer to it. Its pid is
        // there in what waitid writes, and stays zero where it writes nothing.
        let (done, pid, how) = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let done = libc::waitid(libc::P_PID, child as libc::id_t, &raw mut info, options);
            (done, info.si_pid(), info.si_code)
        };
        if done == 0 {
            let exit = match how {
                libc::CLD_EXITED => Exit::ByItself,
                _ => Exit::Killed,
            };
            return Ok((pid != 0).then_some(exit));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Reaps a child that has exited, and returns its exit code as in a shell: 128 plus the signal that
/// ended it. `None` if it has not exited.
///
/// # Errors
/// As [`exit`].
pub fn reap(child: u32) -> io::Result<Option<i32>> {
    let number = number_of(child).ok_or(io::ErrorKind::InvalidInput)?;
    loop {
        let mut status = 0;
        // SAFETY: the pointer is that of `status`.
        let pid = unsafe { libc::waitpid(number, &raw mut status, libc::WNOHANG) };
        match pid {
            0 => return Ok(None),
            -1 => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            _ if libc::WIFEXITED(status) => return Ok(Some(libc::WEXITSTATUS(status))),
            _ => return Ok(Some(128 + libc::WTERMSIG(status))),
        }
    }
}

fn number_of(process: u32) -> Option<libc::pid_t> {
    libc::pid_t::try_from(process).ok().filter(|pid| *pid > 1)
}
