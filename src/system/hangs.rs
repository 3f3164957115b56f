//! Work on files that can be given up.
//!
//! If a disk does not answer, whoever touches its file system hangs for ever, and nothing can end
//! that. So files are touched in a thread that can be left behind: at most one for each file
//! system, since they work one after the other, and none begins while one hangs.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Code, Error, Result};
use crate::sync::lock;

/// The file systems on which a thread works.
#[derive(Debug, Default)]
pub struct FileSystems {
    busy: Mutex<BTreeMap<String, Busy>>,
    changed: Condvar,
}

/// What that thread does.
#[derive(Clone, Copy, Debug)]
enum Busy {
    Works,
    /// It was given up, and has not come back.
    Hangs {
        since: Instant,
    },
}

type Done<T> = std::result::Result<T, Box<dyn Any + Send>>;

impl FileSystems {
    /// Does `work` on the file system `of` in a thread of its own, and gives it up when `patience`
    /// is over. `work` must not ask for work on that file system itself.
    ///
    /// # Errors
    /// `Timeout` if it is given up, `Unavailable` at once while another one hangs there, and if no
    /// thread can be started.
    pub fn work<T: Send + 'static>(
        self: &Arc<Self>,
        of: &str,
        patience: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let began = Instant::now();
        let deadline = began + patience;
        let mut busy = self.wait_for_turn(of, deadline)?;
        let done: Arc<Mutex<Option<Done<T>>>> = Arc::default();
        let thread = {
            let (here, of, done) = (Arc::clone(self), of.to_string(), Arc::clone(&done));
            std::thread::Builder::new().spawn(move || {
                let result = catch_unwind(AssertUnwindSafe(work));
                // Under one mutex, so that nothing is given up that has just been done.
                let mut busy = lock(&here.busy);
                *lock(&done) = Some(result);
                busy.remove(&of);
                here.changed.notify_all();
            })
        };
        if let Err(error) = thread {
            let message = format!("{of}: cannot start a thread to read its files: {error}");
            return Err(Error::new(Code::Unavailable, message));
        }
        busy.insert(of.into(), Busy::Works);
        loop {
            if let Some(done) = lock(&done).take() {
                drop(busy);
                return done.map_err(|panic| resume_unwind(panic));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                busy.insert(of.into(), Busy::Hangs { since: began });
                self.changed.notify_all();
                return Err(timeout(of, patience));
            }
            busy = self.wait(busy, left);
        }
    }

    /// Waits until no thread works on `of`.
    fn wait_for_turn(&self, of: &str, deadline: Instant) -> Result<MutexGuard<'_, Table>> {
        let began = Instant::now();
        let mut busy = lock(&self.busy);
        loop {
            match busy.get(of) {
                None => return Ok(busy),
                Some(Busy::Hangs { since }) => {
                    let seconds = since.elapsed().as_secs();
                    let message = format!(
                        "{of}: its file system does not answer; a read of its files has been \
                         waiting for {seconds} s"
                    );
                    return Err(Error::new(Code::Unavailable, message));
                }
                Some(Busy::Works) => {}
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(timeout(of, began.elapsed()));
            }
            busy = self.wait(busy, left);
        }
    }

    fn wait<'a>(&self, busy: MutexGuard<'a, Table>, patience: Duration) -> MutexGuard<'a, Table> {
        let waited = self.changed.wait_timeout(busy, patience);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

type Table = BTreeMap<String, Busy>;

fn timeout(of: &str, patience: Duration) -> Error {
    let seconds = patience.as_secs_f32();
    let message = format!("{of}: timeout, its file system did not answer within {seconds} s");
    Error::new(Code::Timeout, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::scratch::{wait_until, Folder};
    use std::sync::atomic::{AtomicU32, Ordering};

    const PATIENCE: Duration = Duration::from_millis(200);
    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn a_file_system_that_hangs_is_given_up_and_is_well_when_it_answers() {
        let folder = Folder::new("hangs");
        let file = folder.0.join("config.json");
        // Who reads a FIFO waits for one who writes.
        let made = std::process::Command::new("mkfifo").arg(&file).status();
        assert!(made.unwrap().success());
        let systems = Arc::new(FileSystems::default());
        let read = |of: &str, patience| {
            let file = file.clone();
            systems.work(of, patience, move || std::fs::read(file).unwrap())
        };
        let error = read("tank", PATIENCE).unwrap_err();
        assert_eq!(error.code, Code::Timeout);
        assert!(error.message.starts_with("tank: "), "{error}");

        let started = Instant::now();
        for _ in 0..10 {
            let error = systems.work("tank", SOON, || ()).unwrap_err();
            assert_eq!(error.code, Code::Unavailable);
            assert!(error.message.starts_with("tank: "), "{error}");
        }
        assert_eq!(systems.work("other", SOON, || 1), Ok(1));
        assert!(started.elapsed() < SOON / 4, "somebody has waited");

        std::fs::write(&file, "now").unwrap();
        wait_until(|| systems.work("tank", SOON, || 2) == Ok(2));
        assert!(lock(&systems.busy).is_empty());
    }

    #[test]
    fn one_thread_is_left_behind_and_nobody_waits_for_longer_than_one() {
        let systems = Arc::new(FileSystems::default());
        let begun = Arc::new(AtomicU32::new(0));
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let ended = Arc::new(Mutex::new(ended));
        let started = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let (begun, ended) = (Arc::clone(&begun), Arc::clone(&ended));
                    let hang = move || {
                        begun.fetch_add(1, Ordering::SeqCst);
                        let _ = lock(&ended).recv();
                    };
                    let error = systems.work("tank", PATIENCE, hang).unwrap_err();
                    assert!([Code::Timeout, Code::Unavailable].contains(&error.code));
                });
            }
        });
        assert!(started.elapsed() < PATIENCE * 6, "they waited one by one");
        assert_eq!(begun.load(Ordering::SeqCst), 1);
        drop(end);
        wait_until(|| lock(&systems.busy).is_empty());
    }

    #[test]
    fn work_on_one_file_system_is_done_one_after_the_other() {
        let systems = Arc::new(FileSystems::default());
        let at_once = Arc::new(AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let at_once = Arc::clone(&at_once);
                        let work = move || {
                            let others = at_once.fetch_add(1, Ordering::SeqCst);
                            at_once.fetch_sub(1, Ordering::SeqCst);
                            others
                        };
                        assert_eq!(systems.work("tank", SOON, work), Ok(0));
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_is_the_askers_and_the_next_is_served() {
        let systems = Arc::new(FileSystems::default());
        let panics = || systems.work("tank", SOON, || panic!("on purpose"));
        let panic = catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"on purpose"));
        assert_eq!(systems.work("tank", SOON, || 1), Ok(1));
    }
}
