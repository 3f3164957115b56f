//! Jobs in the host's dispatcher: this process holds what they need until it hears that they have
//! ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::{JobId, Jobs};
use crate::iocage::outcomes;
use crate::limits;
use crate::records::{End, Record, State, NOBODY_SAW};
use crate::resources::{Claim, Held};
use crate::sync::lock;
use crate::system::local_time;

/// A job in the host's dispatcher.
pub struct Queued {
    pub record: Record,
    pub since: Instant,
    pub seen_active: bool,
    pub held: Held,
}

impl Jobs {
    /// Lets go of what ended jobs in the dispatcher hold, and looks after those that nobody has seen
    /// end.
    pub fn settle(&self) {
        self.settle_queued();
        self.settle_orphans();
    }

    /// Lets go of what ended jobs in the dispatcher hold.
    pub fn settle_queued(&self) {
        let ids: Vec<JobId> = lock(&self.queued).keys().cloned().collect();
        for id in ids {
            // Not under the lock: it is a callback.
            let active = self.shared.callbacks.is_job_active(id.as_str());
            let ended = match lock(&self.queued).get_mut(&id) {
                None => false,
                Some(queued) => match active {
                    Some(true) => {
                        queued.seen_active = true;
                        false
                    }
                    // A dispatcher may need a moment until it knows of a new job.
                    Some(false) => {
                        queued.seen_active || queued.since.elapsed() > limits::DISPATCHER_PATIENCE
                    }
                    None => true,
                },
            };
            if ended {
                self.end_queued(&id, None);
            }
        }
    }

    /// Notes that a job in the dispatcher has ended, with its log if that is known.
    pub fn end_queued(&self, id: &JobId, log: Option<&Map<String, Value>>) {
        let queued = lock(&self.queued).remove(id);
        let Some(Queued {
            mut record, held, ..
        }) = queued
        else {
            return;
        };
        record.ended = Some(End {
            time: local_time(),
            code: None,
        });
        self.finish_unwatched(record, held, log.cloned());
    }

    /// Looks after jobs whose end nobody has seen, as their host had died before: what they have
    /// left undone is done, and noted how it came out. Those that still are in the dispatcher are
    /// held again, and who has no dispatcher cannot know, and leaves them to those that have.
    fn settle_orphans(&self) {
        let orphans = self.shared.records.all().unwrap_or_default().into_iter();
        let orphans = orphans.filter(|(record, state)| {
            *state == State::Lost && record.verdict.is_none() && record.aim.is_some()
        });
        for (record, _) in orphans {
            let Some(id) = JobId::parse(&record.id) else {
                continue;
            };
            let is_active = match record.queued {
                true => self.shared.callbacks.is_job_active(id.as_str()),
                false => Some(false),
            };
            let Some(is_active) = is_active else {
                continue;
            };
            let claims = record.claims.iter();
            let claims: Option<Vec<Claim>> = claims
                .map(|(lock, alone)| Claim::recorded_as(lock, *alone))
                .collect();
            // Somebody else does it at this moment, or has begun it anew.
            let Some(Ok(held)) = claims.map(|claims| self.resources.take(&claims, Duration::ZERO))
            else {
                continue;
            };
            let is_same = |(now, state): &(Record, State)| *now == record && *state == State::Runs;
            let again = self.shared.records.find(id.as_str());
            if !again.as_ref().is_some_and(is_same) {
                continue;
            }
            if is_active {
                let queued = Queued {
                    record,
                    since: Instant::now(),
                    seen_active: true,
                    held,
                };
                lock(&self.queued).insert(id, queued);
                continue;
            }
            if !record.queued {
                self.shared.records.append(&record.id, NOBODY_SAW);
            }
            let mut record = record;
            record.ended = Some(End {
                time: local_time(),
                code: None,
            });
            self.finish_unwatched(record, held, None);
        }
    }

    /// It may take minutes, and whoever has only found out that the job has ended does not wait.
    fn finish_unwatched(&self, record: Record, held: Held, log: Option<Map<String, Value>>) {
        let takes_time = record.aim.as_ref().is_some_and(outcomes::needs_tidying);
        let shared = Arc::clone(&self.shared);
        let finish = move || {
            let id = record.id.clone();
            let event = shared.finish(record, held, log);
            shared.note_end(&id, &event, None);
        };
        match takes_time && self.shared.system.has_threads() {
            true => self.in_background(finish),
            false => finish(),
        }
    }
}
