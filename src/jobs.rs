//! Long work: in the host's dispatcher, or in a process of the library's own where the host has
//! none.
//!
//! A job holds what it needs until it ends. A process of the library's own inherits the locks; for
//! a job in the dispatcher this process keeps them until it hears that the job has ended.

mod id;
mod watch;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

pub use id::{is_ours, JobId};
use watch::{Outcome, Watcher};

use crate::audit;
use crate::configuration::Configuration;
use crate::error::{Code, Error, Result};
use crate::event;
use crate::host::{Callbacks, Level};
use crate::iocage::progress;
use crate::limits;
use crate::records::{End, Record, Records, State};
use crate::resources::{runs_already, Claim, Held, Resource, Resources};
use crate::sync::lock;
use crate::system::{local_time, CommandLine, System};

/// Long work to be started.
pub struct Task {
    pub id: JobId,
    pub line: CommandLine,
    /// What it uses until it ends.
    pub claims: Vec<Claim>,
    /// What is looked at again when it has all that: it may have changed since the first look.
    pub check: Check,
}

type Check = Box<dyn Fn(&System, &Configuration) -> Result<()>>;

/// Whether a job was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Started,
    /// A job with this id runs, and a second one would only get in its way.
    AlreadyRunning,
}

/// The jobs that one instance has started. Dropping it ends those that it runs itself.
pub struct Jobs {
    shared: Arc<Shared>,
    resources: Resources,
    patience: Duration,
    watchers: Mutex<HashMap<JobId, Watcher>>,
    queued: Mutex<HashMap<JobId, Queued>>,
}

struct Shared {
    configuration: Arc<Configuration>,
    system: Arc<System>,
    callbacks: Arc<Callbacks>,
    records: Records,
    closing: AtomicBool,
}

/// A job in the host's dispatcher.
struct Queued {
    record: Record,
    since: Instant,
    seen_active: bool,
    _held: Held,
}

impl Jobs {
    pub fn new(
        configuration: Arc<Configuration>,
        system: Arc<System>,
        callbacks: Arc<Callbacks>,
        records: Records,
        resources: Resources,
    ) -> Self {
        Jobs {
            patience: system.timeout(),
            shared: Arc::new(Shared {
                configuration,
                system,
                callbacks,
                records,
                closing: AtomicBool::new(false),
            }),
            resources,
            watchers: Mutex::default(),
            queued: Mutex::default(),
        }
    }

    /// Starts a task, in the host's dispatcher or here.
    ///
    /// # Errors
    /// `InUse` or `Conflict` where something that it needs is in use; `Unavailable` where it cannot
    /// be started, or where too many run.
    pub fn start(&self, task: &Task) -> Result<Start> {
        let id = task.id.as_str();
        self.settle();
        // One of an earlier life of the host may still be in its dispatcher.
        if self.shared.callbacks.is_job_active(id) == Some(true) {
            return Ok(Start::AlreadyRunning);
        }
        let mut claims = task.claims.clone();
        claims.push(Resource::Job(id.into()).alone());
        let held = match self.resources.take(&claims, self.patience) {
            Err(busy) if runs_already(&busy, id) => return Ok(Start::AlreadyRunning),
            taken => taken?,
        };
        (task.check)(&self.shared.system, &self.shared.configuration)?;
        let mut record = Record {
            id: id.into(),
            command: self.shared.system.shown(&task.line),
            started: local_time(),
            claims: claims.iter().map(Claim::recorded).collect(),
            queued: true,
            ended: None,
            run: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |time| time.as_nanos() as u64),
        };
        let cannot = |why: &dyn fmt::Display| cannot_start(id, why);
        let output = self
            .shared
            .records
            .begin(&record)
            .map_err(|why| cannot(&why))?;
        let argv = self.shared.system.argv(&task.line);
        match self.shared.callbacks.queue_process(id, &argv) {
            // Nobody will ever say that it has ended, so nothing can be held for it.
            Some(true) if self.shared.callbacks.is_job_active(id).is_none() => {
                self.shared.records.discard(id);
            }
            Some(true) => {
                let queued = Queued {
                    record,
                    since: Instant::now(),
                    seen_active: false,
                    _held: held,
                };
                lock(&self.queued).insert(task.id.clone(), queued);
            }
            Some(false) => {
                self.shared.records.discard(id);
                let message = format!("the host's dispatcher refused job {id}");
                return Err(Error::new(Code::Failed, message));
            }
            None => {
                record.queued = false;
                let begun = self.run_here(task, record, &output, held);
                if let Err(error) = begun {
                    self.shared.records.discard(id);
                    return Err(error);
                }
            }
        }
        self.shared
            .callbacks
            .note(Level::Info, &format!("job {id} started"));
        Ok(Start::Started)
    }

    fn run_here(
        &self,
        task: &Task,
        record: Record,
        output: &std::fs::File,
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

    /// Ends a job that runs in a process of this instance, and waits until it has ended and what it
    /// held is free.
    ///
    /// # Errors
    /// `NotFound`; `NotActive` if it has ended already; `Unavailable` if somebody else runs it;
    /// `Timeout` if its process hangs in the kernel.
    pub fn stop(&self, id: &JobId) -> Result<()> {
        self.settle();
        let wrong = |code, why: &str| Err(Error::new(code, format!("job {id} {why}")));
        let known = self.shared.records.find(id.as_str());
        let in_dispatcher = self.shared.callbacks.is_job_active(id.as_str()) == Some(true);
        match known {
            _ if in_dispatcher => {}
            None => {
                let message = format!("there is no job {:?}, or it was forgotten", id.as_str());
                return Err(Error::new(Code::NotFound, message));
            }
            Some((record, State::Runs)) if record.queued => {}
            Some((_, State::Runs)) => {
                let watchers = lock(&self.watchers);
                let Some(watcher) = watchers.get(id) else {
                    let why = "is run by another instance or process, which alone can end it";
                    return wrong(Code::Unavailable, why);
                };
                let ending = Arc::clone(&watcher.ending);
                drop(watchers);
                let hangs = "hangs in the kernel; it is ended when that lets go of it";
                return match ending.ask(self.patience) {
                    Some(Outcome::Ended) => Ok(()),
                    Some(Outcome::ByItself) => wrong(Code::NotActive, "has ended by itself"),
                    Some(Outcome::Hangs) | None => wrong(Code::Timeout, hangs),
                };
            }
            Some(_) => return wrong(Code::NotActive, "has ended"),
        }
        let why = "is run by the host's dispatcher, which alone can end it";
        wrong(Code::Unavailable, why)
    }

    /// Lets go of what ended jobs in the dispatcher hold.
    pub fn settle(&self) {
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
                self.end_queued(&id, &Map::new());
            }
        }
    }

    /// Notes that a job in the dispatcher has ended, with its last event if there is one.
    pub fn end_queued(&self, id: &JobId, event: &Map<String, Value>) {
        let queued = lock(&self.queued).remove(id);
        if let Some(mut queued) = queued {
            queued.record.ended = Some(End {
                time: local_time(),
                code: None,
            });
            let _ = self.shared.records.write(&queued.record);
            drop(queued);
            self.shared.note_end(id.as_str(), event, None);
        }
    }

    /// The log of a job that this instance or another runs or has run itself.
    pub fn log(&self, id: &JobId) -> Option<Map<String, Value>> {
        self.shared.records.log(id.as_str())
    }

    /// The arguments of the event of a job that runs, or that ended not long ago.
    pub fn event(&self, id: &JobId) -> Option<Map<String, Value>> {
        self.shared.event(id.as_str())
    }

    /// The events of all those, by their jobs, each with the end of what the job has printed.
    pub fn events(&self) -> Vec<(String, Map<String, Value>)> {
        let ids = self.shared.records.all().into_iter();
        let ids = ids.map(|(record, _)| record.id);
        let event = |id: String| {
            let mut event = self.shared.event(&id)?;
            event::cut_output(&mut event, limits::LISTED_OUTPUT_BYTES);
            Some((id, event))
        };
        ids.filter_map(event).collect()
    }

    /// Why a job that ran here failed the last time; none if it runs or has worked.
    pub fn last_error(&self, id: &JobId) -> Option<String> {
        let log = self.log(id)?;
        progress::of_log(&log).outcome?.err()
    }

    /// Ends the jobs that run here, and waits for their end.
    pub fn close(&self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        let watchers: Vec<_> = lock(&self.watchers).drain().collect();
        for (_, watcher) in watchers {
            let _ = watcher.thread.join(); // there is nobody to tell of a panic
        }
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.close();
    }
}

fn cannot_start(id: &str, why: &dyn fmt::Display) -> Error {
    let message = format!("job {id} cannot be started: {why}");
    Error::new(Code::Unavailable, message)
}

impl Shared {
    fn event(&self, id: &str) -> Option<Map<String, Value>> {
        match self.records.log(id) {
            Some(log) => Some(event::of(&self.system, &self.configuration, id, log)),
            None => Some(event::without_log(id, self.records.queued(id)?)),
        }
    }

    fn note_end(&self, id: &str, event: &Map<String, Value>, took: Option<Duration>) {
        let (level, line) = audit::job(id, event, took);
        self.callbacks.note(level, &line);
    }
}
