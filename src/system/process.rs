//! Processes: each leads a group of its own, and none is left unreaped.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::order::Order;
use super::platform::{self, Exit, Signal};
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::sync::lock;

/// A process that was started here and leads a group. One that is dropped is not ended, and is
/// reaped when it has exited.
#[derive(Debug)]
pub struct Leader {
    id: u32,
    /// Its exit code, once it has been reaped.
    code: Option<i32>,
}

impl Leader {
    /// Starts a command with these descriptors as its 1, 2, 3 and so on; its input is empty.
    ///
    /// # Errors
    /// `Unavailable` if it cannot be started.
    pub fn start(order: &Order, descriptors: &[BorrowedFd<'_>]) -> Result<Self> {
        reap_lingering();
        let start = || {
            let input = std::fs::File::open("/dev/null")?;
            let mut all = vec![std::os::fd::AsFd::as_fd(&input)];
            all.extend_from_slice(descriptors);
            platform::start(&order.argv, &order.whole_environment(), &all)
        };
        match start() {
            Ok(id) => Ok(Leader { id, code: None }),
            Err(error) => {
                let message = format!("{}: {error}", order.shown);
                Err(Error::new(Code::Unavailable, message))
            }
        }
    }

    /// Whether it has exited. That does not reap it, so its id stays its own.
    ///
    /// # Errors
    /// If it cannot be waited for: the host reaps every child, or ignores SIGCHLD.
    pub fn has_exited(&self) -> io::Result<bool> {
        match self.code {
            Some(_) => Ok(true),
            None => platform::exit(self.id).map(|exit| exit.is_some()),
        }
    }

    /// Reaps it if it has exited, and returns its exit code as in a shell.
    ///
    /// # Errors
    /// As [`Leader::has_exited`].
    pub fn reap(&mut self) -> io::Result<Option<i32>> {
        if self.code.is_none() {
            self.code = platform::reap(self.id)?;
        }
        Ok(self.code)
    }

    /// Ends its group: TERM, then KILL. False if a process in it has not died: that one hangs in
    /// the kernel and may still do its work.
    ///
    /// If the leader has exited by itself, what it has left running is meant to run, and is not
    /// ended.
    pub fn end(&mut self) -> bool {
        // If it cannot be waited for, it is gone, and its id may be a stranger's.
        if self.has_exited().unwrap_or(true) {
            let _ = self.reap();
            return true;
        }
        platform::signal_group(self.id, Signal::Terminate);
        self.exits_within(limits::TERMINATION_GRACE);
        // Even if the leader has exited: a child of its own may not have.
        platform::signal_group(self.id, Signal::Kill);
        let exited = self.exits_within(limits::REAP_PATIENCE);
        let _ = self.reap();
        exited && within(limits::REAP_PATIENCE, || !platform::group_lives(self.id))
    }

    fn exits_within(&self, patience: Duration) -> bool {
        within(patience, || self.has_exited().unwrap_or(true))
    }
}

fn within(patience: Duration, is_so: impl Fn() -> bool) -> bool {
    const LOOK: Duration = Duration::from_millis(5);
    let deadline = Instant::now() + patience;
    loop {
        match is_so() {
            false if Instant::now() < deadline => std::thread::sleep(LOOK),
            answer => return answer,
        }
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if let Ok(None) = self.reap() {
            lock(&LINGERING).push(self.id);
        }
    }
}

/// Processes that nothing waits for any more, and that had not exited the last time. Their ids are
/// their own until they are reaped here.
static LINGERING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// Reaps those of them that have exited.
fn reap_lingering() {
    lock(&LINGERING).retain(|process| matches!(platform::reap(*process), Ok(None)));
}

/// A job's process: a real one, or one that a test has made up.
pub trait Process: Send {
    /// Its process id.
    fn id(&self) -> u32;
    /// Waits for its end, at most this long; the exit code as in a shell.
    fn wait(&mut self, patience: Duration) -> io::Result<Option<i32>>;
    /// Ends its process group; false if a process in it has not died.
    fn end(&mut self) -> bool;
}

impl Process for Leader {
    fn id(&self) -> u32 {
        self.id
    }

    fn wait(&mut self, patience: Duration) -> io::Result<Option<i32>> {
        const LONGEST: Duration = Duration::from_millis(50);
        let deadline = Instant::now() + patience;
        let mut pause = Duration::from_millis(1);
        while !self.has_exited()? {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(LONGEST);
        }
        // What it has started would work on, and nobody would know. Its id is its own still.
        let is_killed = |exit| exit == Some(Exit::Killed);
        if self.code.is_none() && platform::exit(self.id).is_ok_and(is_killed) {
            platform::signal_group(self.id, Signal::Kill);
            within(limits::REAP_PATIENCE, || !platform::group_lives(self.id));
        }
        self.reap()
    }

    fn end(&mut self) -> bool {
        Leader::end(self)
    }
}

/// A job's process. One that is dropped is not ended, and is reaped when it has exited.
pub struct Child(Box<dyn Process>);

impl Child {
    pub fn new(process: impl Process + 'static) -> Self {
        Child(Box::new(process))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Waits for its end, at most this long; the exit code as in a shell (128 plus the signal that
    /// ended it).
    ///
    /// # Errors
    /// If it cannot be waited for: the host reaps every child, or ignores SIGCHLD. It has
    /// ended then.
    pub fn wait(&mut self, patience: Duration) -> io::Result<Option<i32>> {
        self.0.wait(patience)
    }

    /// Ends its process group; false if a process in it has not died: that one hangs in the kernel
    /// and may still do its work.
    pub fn end(mut self) -> bool {
        self.0.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::scratch::{sh, wait_until};
    use std::fs::File;
    use std::os::fd::AsFd;

    fn start(script: &str) -> Leader {
        let nowhere = File::options().write(true).open("/dev/null").unwrap();
        Leader::start(&sh(script), &[nowhere.as_fd(), nowhere.as_fd()]).unwrap()
    }

    #[test]
    fn what_a_killed_job_has_started_dies_with_it() {
        let mut leader = start("sleep 1000 & kill -9 $$");
        wait_until(|| leader.has_exited().unwrap());
        assert!(platform::group_lives(leader.id));
        let code = Process::wait(&mut leader, Duration::from_secs(10)).unwrap();
        assert_eq!(code, Some(128 + 9));
        wait_until(|| !platform::group_lives(leader.id));
    }

    #[test]
    fn who_has_exited_keeps_the_number_until_it_is_reaped() {
        let mut leader = start("exit 3");
        wait_until(|| leader.has_exited().unwrap());
        assert!(leader.has_exited().unwrap(), "looking has reaped it");
        assert!(platform::exit(leader.id).unwrap().is_some());
        assert_eq!(leader.reap().unwrap(), Some(3));
        assert!(platform::exit(leader.id).is_err(), "it is not reaped");
        assert_eq!(leader.reap().unwrap(), Some(3), "its number is used again");
        assert!(leader.has_exited().unwrap());
    }

    #[test]
    fn what_one_that_has_exited_left_running_is_not_ended() {
        let mut leader = start("sleep 30 & exit 0");
        wait_until(|| leader.has_exited().unwrap());
        assert!(leader.end());
        assert!(platform::group_lives(leader.id), "it was killed");
        platform::signal_group(leader.id, Signal::Kill);
    }

    #[test]
    fn a_group_whose_leader_somebody_else_has_reaped_is_not_signalled() {
        // As where the host reaps every child: the number may be a stranger's by now.
        let mut leader = start("sleep 30 & exit 0");
        wait_until(|| platform::reap(leader.id).unwrap().is_some());
        assert!(leader.has_exited().is_err());
        assert!(leader.end());
        assert!(platform::group_lives(leader.id), "it was killed");
        platform::signal_group(leader.id, Signal::Kill);
    }

    #[test]
    fn one_that_is_dropped_goes_on_and_is_reaped_when_it_has_exited() {
        let id = {
            let child = Child::new(start("sleep 0.3"));
            child.id()
        };
        assert!(platform::exit(id).unwrap().is_none(), "it was ended");
        // Any start looks for them.
        wait_until(|| start("exit 0").end() && platform::exit(id).is_err());
    }

    #[test]
    fn a_job_is_waited_for_as_long_as_one_has_patience() {
        let mut child = Child::new(start("sleep 0.2; exit 7"));
        assert_eq!(child.wait(Duration::ZERO).unwrap(), None);
        assert_eq!(child.wait(Duration::from_secs(20)).unwrap(), Some(7));
        assert_eq!(child.wait(Duration::ZERO).unwrap(), Some(7));
        let mut killed = Child::new(start("kill -TERM $$; sleep 30"));
        assert_eq!(killed.wait(Duration::from_secs(20)).unwrap(), Some(143));
    }
}
