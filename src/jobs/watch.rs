//! Watching the jobs that run in processes of the library's own, and ending them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Shared;
use crate::event;
use crate::limits;
use crate::records::{End, Record, State};
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
        // Written before anybody sees that it has ended and starts it again.
        let _ = self.records.write(&record);
        let log = match self.records.find(&record.id) {
            Some((_, State::Ended)) => self.records.log(&record.id),
            _ => None,
        };
        drop(held);
        ending.tell(match code {
            Some(_) => Outcome::ByItself,
            None => Outcome::Ended,
        });
        let event = event::of(
            &self.system,
            &self.configuration,
            &record.id,
            log.unwrap_or_default(),
        );
        self.note_end(&record.id, &event, Some(began.elapsed()));
        let event = Value::Object(event).to_string();
        self.callbacks.job_ended(&record.id, &event);
    }
}
