//! Jobs in processes of the library's own: they are started, watched and ended here.

use std::fmt;
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{cannot_start, Jobs, Shared, Task};
use crate::error::Result;
use crate::limits;
use crate::records::{End, Record};
use crate::resources::Held;
use crate::sync::lock;
use crate::system::{local_time, Child};

/// The thread that watches a job, and how the job is ended.
pub struct Watcher {
    pub thread: JoinHandle<()>,
    pub ending: Arc<Ending>,
}

/// How a job is ended before it ends by itself.
#[derive(Default)]
pub struct Ending {
    is_asked_for: AtomicBool,
    outcome: Mutex<Option<Outcome>>,
    came: Condvar,
}

/// How a job that ran here came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    ByItself,
    Ended,
    /// Its process has not died, and keeps what it holds until it does.
    Hangs,
}

impl Ending {
    /// Asks that the job is ended, and waits for that; none if it takes longer than `patience`, and
    /// than ending a process may take.
    pub fn ask(&self, patience: Duration) -> Option<Outcome> {
        self.is_asked_for.store(true, Ordering::SeqCst);
        let patience = patience + limits::TERMINATION_GRACE + 2 * limits::REAP_PATIENCE;
        let is_missing = |outcome: &mut Option<Outcome>| outcome.is_none();
        let waited = self
            .came
            .wait_timeout_while(lock(&self.outcome), patience, is_missing);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn is_asked_for(&self) -> bool {
        self.is_asked_for.load(Ordering::SeqCst)
    }

    fn tell(&self, outcome: Outcome) {
        *lock(&self.outcome) = Some(outcome);
        self.came.notify_all();
    }
}

impl Jobs {
    /// Starts a process for a job, and a thread that watches it.
    pub(super) fn run_here(
        &self,
        task: &Task,
        record: Record,
        output: &File,
        held: Held,
    ) -> Result<()> {
        let id = task.id.as_str();
        let cannot = |why: &dyn fmt::Display| cannot_start(id, why);
        let mut watchers = lock(&self.watchers);
        watchers.retain(|_, watcher| !watcher.thread.is_finished());
        if watchers.len() >= limits::JOBS_AT_ONCE {
            let why = format!(
                "{} jobs are running; try again when one has ended",
                watchers.len()
            );
            return Err(cannot(&why));
        }
        if self.shared.closing.load(Ordering::SeqCst) {
            return Err(cannot(&"the instance is being closed"));
        }
        self.shared
            .records
            .write(&record)
            .map_err(|why| cannot(&why))?;
        let child = self
            .shared
            .system
            .spawn(&task.line, output, &held.descriptors())?;
        // Shared, so that it can be ended where there is no thread to watch it.
        let child = Arc::new(Mutex::new(Some(child)));
        let watched = Arc::clone(&child);
        let shared = Arc::clone(&self.shared);
        let ending = Arc::default();
        let asked = Arc::clone(&ending);
        let thread = std::thread::Builder::new().spawn(move || {
            let child = lock(&watched).take();
            if let Some(child) = child {
                shared.watch(child, record, held, &asked);
            }
        });
        match thread {
            Ok(thread) => {
                watchers.insert(task.id.clone(), Watcher { thread, ending });
                Ok(())
            }
            Err(error) => {
                if let Some(child) = lock(&child).take() {
                    child.end();
                }
                Err(cannot(&error))
            }
        }
    }
}

impl Shared {
    /// Waits for the end of a job's process, and reports it.
    pub(super) fn watch(&self, mut child: Child, mut record: Record, held: Held, ending: &Ending) {
        const LOOK: Duration = Duration::from_millis(100);
        let began = Instant::now();
        let mut has_died = true;
        let code = loop {
            match child.wait(LOOK) {
                Ok(Some(code)) => break Some(code),
                Ok(None) if self.closing.load(Ordering::SeqCst) => {
                    has_died = child.end();
                    self.records
                        .append(&record.id, "\nended: the host has closed the instance\n");
                    break None;
                }
                Ok(None) if ending.is_asked_for() => {
                    has_died = child.end();
                    self.records.append(&record.id, "\nended by stopjob\n");
                    break None;
                }
                Ok(None) => self.records.shorten(&record.id),
                Err(error) => {
                    has_died = child.end();
                    self.records.append(&record.id, &format!("\n{error}\n"));
                    break None;
                }
            }
        };
        if !has_died {
            // It waits for a disk, and goes on when that is back.
            held.leave();
            ending.tell(Outcome::Hangs);
            return;
        }
        record.ended = Some(End {
            time: local_time(),
            code,
        });
        let id = record.id.clone();
        let event = self.finish(record, held, None);
        ending.tell(match code {
            Some(_) => Outcome::ByItself,
            None => Outcome::Ended,
        });
        self.note_end(&id, &event, Some(began.elapsed()));
        let event = Value::Object(event).to_string();
        self.callbacks.job_ended(&id, &event);
    }
}
