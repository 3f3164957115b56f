//! Long work: in the host's dispatcher, or in a process of the library's own where the host has
//! none.
//!
//! A job holds what it needs until it ends. A process of the library's own inherits the locks; for
//! a job in the dispatcher this process keeps them until it hears that the job has ended.

mod id;
mod queued;
mod watch;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

pub use id::{is_ours, JobId};
use queued::Queued;
use watch::{Outcome, Watcher};

use crate::audit;
use crate::configuration::Configuration;
use crate::error::{Code, Error, Result};
use crate::event;
use crate::host::{Callbacks, Level};
use crate::iocage::outcomes::{self, Look};
use crate::iocage::progress;
use crate::limits;
use crate::records::{about, Aim, Record, Records, State, Verdict};
use crate::resources::{runs_already, Claim, Held, Resource, Resources};
use crate::sync::lock;
use crate::system::{local_time, CommandLine, System};

/// Long work to be started.
pub struct Task<'a> {
    pub id: JobId,
    pub line: CommandLine,
    /// What it uses until it ends.
    pub claims: Vec<Claim>,
    /// What is looked at again when it has all that: it may have changed since the first look.
    pub check: Check<'a>,
    /// What it is for; none where its own words tell whether it has worked.
    pub aim: Option<Aim>,
    /// The file that it reads: at [`Jobs::list_path`] as long as it runs.
    pub list: Option<String>,
}

type Check<'a> = Box<dyn Fn() -> Result<()> + 'a>;

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
    /// The threads that look after jobs which have ended.
    after: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    configuration: Arc<Configuration>,
    system: Arc<System>,
    callbacks: Arc<Callbacks>,
    records: Records,
    closing: AtomicBool,
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
            after: Mutex::default(),
        }
    }

    /// Where the file is that a job reads.
    pub fn list_path(&self, id: &JobId) -> PathBuf {
        self.shared.records.list_path(id.as_str())
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
        (task.check)()?;
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
            aim: task.aim.clone(),
            verdict: None,
        };
        let cannot = |why: &dyn fmt::Display| cannot_start(id, why);
        let output = self
            .shared
            .records
            .begin(&record, task.list.as_deref())
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
                    held,
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
            Some((record, State::Runs)) => {
                let watchers = lock(&self.watchers);
                let Some(watcher) = watchers.get(id) else {
                    let why = "is run by another instance or process, which alone can end it";
                    return wrong(Code::Unavailable, why);
                };
                let ending = Arc::clone(&watcher.ending);
                drop(watchers);
                let takes_time = record.aim.as_ref().is_some_and(outcomes::needs_tidying);
                let patience = match takes_time {
                    true => self.patience + limits::TIDYING_PATIENCE,
                    false => self.patience,
                };
                let hangs = "hangs in the kernel; it is ended when that lets go of it";
                return match ending.ask(patience) {
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

    /// The log of a job that this instance or another runs or has run itself.
    pub fn log(&self, id: &JobId) -> Option<Map<String, Value>> {
        self.shared.records.log(id.as_str())
    }

    /// What is known of a job besides its log.
    pub fn known(&self, id: &JobId) -> event::Known {
        let record = self.shared.records.find(id.as_str());
        record.map_or_else(Default::default, |(record, _)| known(&record))
    }

    /// The arguments of the event of a job that runs, or that ended not long ago.
    pub fn event(&self, id: &JobId) -> Option<Map<String, Value>> {
        let (record, state) = self.shared.records.find(id.as_str())?;
        Some(self.shared.event(&record, state))
    }

    /// The events of all those, by their jobs, each with the end of what the job has printed.
    ///
    /// # Errors
    /// `Unavailable` where the records cannot be read.
    pub fn events(&self) -> Result<Vec<(String, Map<String, Value>)>> {
        let all = self.shared.records.all().map_err(|why| {
            let message = format!("the records of jobs cannot be read: {why}");
            Error::new(Code::Unavailable, message)
        })?;
        let event = |(record, state): (Record, State)| {
            let mut event = self.shared.event(&record, state);
            event::cut_output(&mut event, limits::LISTED_OUTPUT_BYTES);
            (record.id, event)
        };
        Ok(all.into_iter().map(event).collect())
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
        let after: Vec<_> = lock(&self.after).drain(..).collect();
        for thread in after {
            let _ = thread.join();
        }
    }

    /// Does what nobody waits for; here, where no thread is to be had.
    fn in_background(&self, work: impl FnOnce() + Send + 'static) {
        let work = Arc::new(Mutex::new(Some(work)));
        let theirs = Arc::clone(&work);
        let thread = std::thread::Builder::new().spawn(move || {
            let work = lock(&theirs).take();
            if let Some(work) = work {
                work();
            }
        });
        match thread {
            Ok(thread) => {
                let mut after = lock(&self.after);
                after.retain(|thread| !thread.is_finished());
                after.push(thread);
            }
            Err(_) => {
                let work = lock(&work).take();
                if let Some(work) = work {
                    work();
                }
            }
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

fn known(record: &Record) -> event::Known {
    event::Known {
        aim: record.aim.clone(),
        verdict: record.verdict.clone(),
    }
}

impl Shared {
    fn event(&self, record: &Record, state: State) -> Map<String, Value> {
        match self.records.log_of(record, state) {
            Some(log) => {
                let (system, configuration) = (&self.system, &self.configuration);
                event::of(system, configuration, &record.id, &known(record), log)
            }
            None => {
                let verdict = record.verdict.clone();
                event::without_log(&record.id, verdict, about(record, state))
            }
        }
    }

    /// Does what a job that has ended may have left undone, judges it, writes that down, and lets go
    /// of what it has held; and gives its last event. Where the instance is being closed, what takes
    /// time is left to whoever comes next, as after a death. `log` is its dispatcher's, if it was in one.
    fn finish(
        &self,
        mut record: Record,
        held: Held,
        log: Option<Map<String, Value>>,
    ) -> Map<String, Value> {
        let takes_time = record.aim.as_ref().is_some_and(outcomes::needs_tidying);
        if takes_time && self.closing.load(Ordering::SeqCst) {
            return self.event(&record, State::Ended);
        }
        let log = log.or_else(|| self.records.log_of(&record, State::Ended));
        let undone = record
            .aim
            .as_ref()
            .and_then(|aim| outcomes::tidy(&self.system, aim));
        record.verdict = log.map(|log| {
            let verdict = event::judge(
                &self.system,
                record.aim.as_ref(),
                Look::Compare,
                &progress::of_log(&log),
            );
            with(verdict, undone)
        });
        // Written before anybody sees that it has ended and starts it again.
        self.records.end(&record);
        let event = self.event(&record, State::Ended);
        drop(held);
        event
    }

    fn note_end(&self, id: &str, event: &Map<String, Value>, took: Option<Duration>) {
        let (level, line) = audit::job(id, event, took);
        self.callbacks.note(level, &line);
    }
}

/// What could not be done after a job is told with the rest.
fn with(verdict: Verdict, undone: Option<String>) -> Verdict {
    let Some(undone) = undone else {
        return verdict;
    };
    let error = match verdict.error {
        Some(error) => format!("{error}; {undone}"),
        None => undone,
    };
    Verdict {
        error: Some(error),
        ..verdict
    }
}
