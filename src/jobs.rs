//! Jobs that the plugin runs itself, for a host without a dispatcher.
//!
//! Each has a log in the shape of the sysadm server's dispatcher, so that one reader understands
//! both.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use serde_json::{json, Map, Value};

use crate::error::{Code, Error, Result};
use crate::limits;
use crate::records::Records;
use crate::sync::lock;
use crate::system::command::{self, End};
use crate::system::platform::local_time;

/// The jobs of one instance. Dropping it ends those that still run, and waits for their end.
pub struct Jobs {
    jobs: Mutex<HashMap<String, Job>>,
    records: Records,
    closing: Arc<AtomicBool>,
}

/// Whether a job was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Started,
    /// A job of this id runs, and a second one would only get in its way.
    AlreadyRunning,
}

struct Job {
    log: Arc<Mutex<Log>>,
    thread: Option<JoinHandle<()>>,
}

struct Log {
    id: String,
    command: String,
    output: String,
    started: String,
    /// When it ended and with which exit code.
    finished: Option<(String, i32)>,
}

impl Jobs {
    /// Those of all instances with one run directory ([`crate::configuration::Config::run_directory`])
    /// know of each other.
    pub fn new(run_directory: &Path) -> Self {
        Jobs {
            jobs: Mutex::default(),
            records: Records::new(run_directory),
            closing: Arc::default(),
        }
    }

    /// Whether a job of this id runs, here or in another process.
    pub fn is_active(&self, id: &str) -> bool {
        self.runs_here(id) || self.records.runs_elsewhere(id)
    }

    fn runs_here(&self, id: &str) -> bool {
        self.lock()
            .get(id)
            .is_some_and(|job| lock(&job.log).finished.is_none())
    }

    /// Starts a job. One of the same id must not run here.
    pub fn start(&self, id: &str, program: &Path, arguments: &[String]) -> Result<Start> {
        let mut jobs = self.lock();
        self.forget_the_finished(&mut jobs);
        let active = jobs
            .values()
            .filter(|job| lock(&job.log).finished.is_none())
            .count();
        if active >= limits::JOBS_AT_ONCE {
            let message = format!("{active} jobs run already; try again when one has ended");
            return Err(Error::new(Code::Unavailable, message));
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let line = command::line(program, &arguments);
        let cannot = |error: io::Error| Error::new(Code::Unavailable, format!("{line}: {error}"));

        let log = Log {
            id: id.into(),
            command: line.clone(),
            output: String::new(),
            started: local_time(),
            finished: None,
        };
        let Ok(record) = self.records.begin(id, &log.to_json()) else {
            return Ok(Start::AlreadyRunning);
        };
        // One pipe for both, so that the log has them in the order in which they were printed.
        let (output, writer) = io::pipe().map_err(cannot)?;
        let mut command = command::prepare(program, &arguments);
        command
            .stdout(writer.try_clone().map_err(cannot)?)
            .stderr(writer);
        let child = command::spawn(&mut command, &line)?;
        drop(command); // and with it our end of the pipe, or it would never be at its end

        let log = Arc::new(Mutex::new(log));
        let closing = Arc::clone(&self.closing);
        let watched = Arc::clone(&log);
        // Shared, so that it can be ended where there is no thread to watch it.
        let child = Arc::new(Mutex::new(Some(child)));
        let watched_child = Arc::clone(&child);
        let spawned = std::thread::Builder::new().spawn(move || {
            let Some(child) = lock(&watched_child).take() else {
                return;
            };
            let end = command::supervise(child, vec![output.into()], None, |_, bytes| {
                lock(&watched).append(bytes);
                !closing.load(Ordering::Relaxed)
            });
            let mut log = lock(&watched);
            let code = match end {
                End::Exited(status) => command::exit_code(status),
                End::TimedOut | End::Stopped => {
                    log.append(b"\nended: the host has closed the plugin\n");
                    -1
                }
                End::Lost(error) => {
                    log.append(format!("\n{error}\n").as_bytes());
                    -1
                }
            };
            // Before anybody sees that it has ended, and starts it again.
            drop(record);
            log.finished = Some((local_time(), code));
        });
        let thread = spawned.map_err(|error| {
            if let Some(child) = lock(&child).take() {
                command::end_group(child);
            }
            cannot(error)
        })?;
        jobs.insert(
            id.into(),
            Job {
                log,
                thread: Some(thread),
            },
        );
        Ok(Start::Started)
    }

    /// The log of a job that runs or has run here, or that another process runs or has run until
    /// it died.
    pub fn log(&self, id: &str) -> Option<Map<String, Value>> {
        if let Some(job) = self.lock().get(id) {
            let log = lock(&job.log);
            return Some(log.to_json());
        }
        self.records.log(id)
    }

    fn forget_the_finished(&self, jobs: &mut HashMap<String, Job>) {
        let mut finished: Vec<(String, String)> = jobs
            .iter()
            .filter_map(|(id, job)| Some((lock(&job.log).finished.as_ref()?.0.clone(), id.clone())))
            .collect();
        finished.sort_unstable();
        let excess = finished.len().saturating_sub(limits::FINISHED_JOBS_KEPT);
        for (_, id) in finished.drain(..excess) {
            jobs.remove(&id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Job>> {
        lock(&self.jobs)
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        for (_, job) in self.lock().drain() {
            drop(job);
        }
        command::reap_lingering();
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // It has no panic to tell of; and if it had, nobody would be left to hear it.
            let _ = thread.join();
        }
    }
}

impl Log {
    fn append(&mut self, bytes: &[u8]) {
        self.output.push_str(&String::from_utf8_lossy(bytes));
        if self.output.len() > limits::JOB_LOG_BYTES {
            let surplus = self.output.len() - limits::JOB_LOG_BYTES;
            let start = (surplus..).find(|at| self.output.is_char_boundary(*at));
            self.output.drain(..start.unwrap_or(surplus));
        }
    }

    fn to_json(&self) -> Map<String, Value> {
        let mut log = Map::new();
        log.insert("process_id".into(), json!(self.id));
        log.insert("cmd_list".into(), json!([self.command]));
        log.insert("time_started".into(), json!(self.started));
        log.insert(self.command.clone(), json!(self.output));
        match &self.finished {
            None => {
                log.insert("state".into(), json!("running"));
                log.insert("current_cmd".into(), json!(self.command));
            }
            Some((time, code)) => {
                log.insert("state".into(), json!("finished"));
                log.insert("time_finished".into(), json!(time));
                let key = format!("return_codes/{}", self.command);
                log.insert(key, json!(code.to_string()));
            }
        }
        log
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn start(jobs: &Jobs, id: &str, script: &str) {
        let arguments = ["-c", script].map(String::from);
        jobs.start(id, Path::new("/bin/sh"), &arguments).unwrap();
    }

    /// Jobs without records: below that there can be no folder.
    fn unrecorded() -> Jobs {
        Jobs::new(Path::new("/dev/null"))
    }

    fn wait(jobs: &Jobs, id: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while jobs.is_active(id) {
            assert!(Instant::now() < deadline, "{id} does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn the_log_has_the_shape_of_the_servers() {
        let jobs = unrecorded();
        start(&jobs, "a", "echo out; echo err >&2; exit 3");
        wait(&jobs, "a");
        let log = jobs.log("a").unwrap();
        let line = "/bin/sh -c \"echo out; echo err >&2; exit 3\"";
        assert_eq!(log["process_id"], "a");
        assert_eq!(log["cmd_list"], json!([line]));
        assert_eq!(log["state"], "finished");
        assert_eq!(log[line], "out\nerr\n");
        assert_eq!(log[&format!("return_codes/{line}")], "3");
        assert!(log.contains_key("time_started") && log.contains_key("time_finished"));
        assert_eq!(jobs.log("b"), None);
    }

    #[test]
    fn several_run_at_once_up_to_the_limit() {
        let jobs = unrecorded();
        for number in 0..limits::JOBS_AT_ONCE {
            start(&jobs, &number.to_string(), "sleep 30");
        }
        assert_eq!(jobs.log("0").unwrap()["state"], "running");
        let error = jobs.start("more", Path::new("/bin/true"), &[]).unwrap_err();
        assert_eq!(error.code, Code::Unavailable);
    }

    #[test]
    fn dropping_ends_what_runs() {
        let started = Instant::now();
        let jobs = unrecorded();
        start(&jobs, "a", "trap '' TERM; while :; do sleep 1; done");
        let log = Arc::clone(&jobs.lock()["a"].log);
        drop(jobs);
        assert_eq!(lock(&log).finished.as_ref().unwrap().1, -1);
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_log_keeps_its_end_only() {
        let jobs = unrecorded();
        start(
            &jobs,
            "a",
            "i=0; while [ $i -lt 3 ]; do head -c 700000 /dev/zero; i=$((i+1)); done; echo end",
        );
        wait(&jobs, "a");
        let log = lock(&jobs.lock()["a"].log).output.clone();
        assert!(log.len() <= limits::JOB_LOG_BYTES && log.ends_with("end\n"));
    }
}
