//! Work on files that can be given up.
//!
//! A file system whose disk does not answer holds whoever touches it, for ever and in a way that
//! nothing can end. So that is done in a thread that is left behind there: at most one for each
//! file system, since they do their work one after the other, and nobody begins while one hangs.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Code, Error, Result};
use crate::sync::lock;

/// The file systems on which somebody works.
#[derive(Debug, Default)]
pub struct FileSystems {
    busy: Mutex<HashMap<String, Busy>>,
    changed: Condvar,
}

/// What the thread does that works on a file system.
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
    /// Does `work` on the file system `of` in a thread of its own, and gives it up when
    /// `patience` is over. It must not itself ask for work on that file system.
    ///
    /// # Errors
    /// `Timeout` where it is given up, `Unavailable` at once while another one hangs there, and
    /// where no thread can be had.
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
                // Under one lock, so that nobody gives up what has just been done.
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

    /// Waits until nobody works on `of`.
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

type Table = HashMap<String, Busy>;

fn timeout(of: &str, patience: Duration) -> Error {
    let seconds = patience.as_secs_f32();
    let message = format!("{of}: timeout, its file system has not answered within {seconds} s");
    Error::new(Code::Timeout, message)
}
