//! The host program's side: its dispatcher for long jobs, and its log.
//!
//! A callback may call the library again. So none is called while a mutex is held, and what it asks
//! for never waits for the call that it came from ([`in_callback`]).

use std::cell::Cell;
use std::sync::Arc;

use crate::system::System;

/// How serious a message to the host's log is; the numbers are syslog's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Error = 3,
    Info = 6,
}

/// What a host program offers.
pub trait Host: Send + Sync {
    /// Queues a job. `None` if the host has no dispatcher, `Some(false)` if it refuses.
    fn queue_process(&self, job_id: &str, argv: &[String]) -> Option<bool>;
    /// Whether it has a dispatcher.
    fn has_dispatcher(&self) -> bool {
        false
    }
    /// Whether a job that was queued waits or runs; `None` if the host does not say.
    fn is_job_active(&self, job_id: &str) -> Option<bool>;
    /// Takes a message for the host's log; false if it has none.
    fn log(&self, level: Level, message: &str) -> bool;
    /// Is called when a job has ended that the library has run itself.
    fn job_ended(&self, job_id: &str, event: &str);
}

/// A host that offers nothing: the library runs its jobs itself, and logs to syslog.
pub struct NoHost;

impl Host for NoHost {
    fn queue_process(&self, _: &str, _: &[String]) -> Option<bool> {
        None
    }

    fn is_job_active(&self, _: &str) -> Option<bool> {
        None
    }

    fn log(&self, _: Level, _: &str) -> bool {
        false
    }

    fn job_ended(&self, _: &str, _: &str) {}
}

/// The one way to the host's callbacks.
pub struct Callbacks {
    host: Box<dyn Host>,
    system: Arc<System>,
}

impl Callbacks {
    pub fn new(host: Box<dyn Host>, system: Arc<System>) -> Self {
        Callbacks { host, system }
    }

    /// See [`Host::queue_process`].
    pub fn queue_process(&self, job_id: &str, argv: &[String]) -> Option<bool> {
        calling_back(|| self.host.queue_process(job_id, argv))
    }

    /// Whether the library hears of a job's end: from its own processes, or from a dispatcher that
    /// says which of its jobs run.
    pub fn tells_of_end(&self, job_id: &str) -> bool {
        !self.host.has_dispatcher() || self.is_job_active(job_id).is_some()
    }

    /// See [`Host::is_job_active`].
    pub fn is_job_active(&self, job_id: &str) -> Option<bool> {
        calling_back(|| self.host.is_job_active(job_id))
    }

    /// See [`Host::job_ended`].
    pub fn job_ended(&self, job_id: &str, event: &str) {
        calling_back(|| self.host.job_ended(job_id, event));
    }

    /// Logs something to the host, if it has a log.
    pub fn log(&self, level: Level, message: &str) -> bool {
        calling_back(|| self.host.log(level, message))
    }

    /// Logs something about a change: to the host, or to the system if the host has no log.
    pub fn note(&self, level: Level, message: &str) {
        if !self.log(level, message) {
            let line = format!("sysadm_iocage: {message}");
            self.system.log(level as i32, &line);
        }
    }
}

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Whether this thread is inside a callback. Whoever it would wait for may be waiting for it.
pub fn in_callback() -> bool {
    DEPTH.get() > 0
}

/// Counts back when the callback returns.
struct Inside;

impl Drop for Inside {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

fn calling_back<T>(callback: impl FnOnce() -> T) -> T {
    DEPTH.set(DEPTH.get() + 1);
    let _inside = Inside;
    callback()
}
