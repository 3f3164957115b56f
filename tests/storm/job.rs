//! A job: in memory it goes as far as the storm lets it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use sysadm_iocage::system::{Child, Order, Process};

use super::eyes::HostKilled;
use super::iocage::{Gate, Iocage};
use super::world::World;

/// A job's process.
pub struct Job {
    pub number: u32,
    pub words: Vec<String>,
    state: Mutex<JobState>,
    changed: Condvar,
    /// The locks that it has inherited, and the numbers that they have in the host program.
    locks: Mutex<Vec<OwnedFd>>,
    theirs: Vec<RawFd>,
    pub is_abandoned: AtomicBool,
    /// What it has printed, for a dispatcher.
    pub output: Mutex<String>,
    /// What a real process waits for.
    gate: Option<PathBuf>,
}

#[derive(Default)]
struct JobState {
    granted: usize,
    waits: bool,
    killed: bool,
    code: Option<i32>,
    /// Whether somebody watches it, with the locks in hand.
    is_watched: bool,
}

/// For commands that are killed after some steps.
pub struct Budget(pub AtomicUsize);

impl Gate for Budget {
    fn pass(&self) -> bool {
        let left = self.0.load(Ordering::SeqCst);
        self.0.store(left.saturating_sub(1), Ordering::SeqCst);
        left > 0
    }
}

impl Gate for Job {
    fn pass(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        while state.granted == 0 && !state.killed {
            state.waits = true;
            self.changed.notify_all();
            state = self.changed.wait(state).unwrap();
        }
        state.waits = false;
        state.granted = state.granted.saturating_sub(1);
        !state.killed
    }
}

impl Job {
    pub fn is_done(&self) -> bool {
        self.state.lock().unwrap().code.is_some()
    }

    pub fn code(&self) -> Option<i32> {
        self.state.lock().unwrap().code
    }

    /// Lets it take some steps, and waits until it has.
    pub fn go(&self, steps: usize) {
        if self.is_done() {
            return;
        }
        if let Some(gate) = &self.gate {
            // To its end, which whoever watches it sees.
            let opened = fs::write(gate, "go\n");
            let mut state = self.state.lock().unwrap();
            while opened.is_ok() && state.code.is_none() {
                state = self.changed.wait(state).unwrap();
            }
            return;
        }
        let mut state = self.state.lock().unwrap();
        state.granted = steps;
        state.waits = false;
        self.changed.notify_all();
        while state.code.is_none() && !(state.waits && state.granted == 0) {
            state = self.changed.wait(state).unwrap();
        }
    }

    pub fn kill(&self) {
        if self.gate.is_some() {
            return self.go(1);
        }
        let mut state = self.state.lock().unwrap();
        state.killed = true;
        self.changed.notify_all();
        while state.code.is_none() {
            state = self.changed.wait(state).unwrap();
        }
    }

    /// Its host program is killed: who watches it is no more.
    pub fn abandon(&self) {
        const SOON: Duration = Duration::from_secs(10);
        self.is_abandoned.store(true, Ordering::SeqCst);
        let state = self.state.lock().unwrap();
        self.changed.notify_all();
        // A killed program lets go of its locks at once.
        let waits = |state: &mut JobState| state.is_watched;
        drop(self.changed.wait_timeout_while(state, SOON, waits).unwrap());
    }
}

/// A job's process as the library sees it.
pub struct Watched(Arc<Job>, Arc<World>);

impl Watched {
    pub fn new(job: Arc<Job>, world: Arc<World>) -> Self {
        job.state.lock().unwrap().is_watched = true;
        Watched(job, world)
    }

    fn let_go(&self) {
        self.0.state.lock().unwrap().is_watched = false;
        self.0.changed.notify_all();
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.let_go();
    }
}

impl Process for Watched {
    fn id(&self) -> u32 {
        1_000_000 + self.0.number
    }

    fn wait(&mut self, patience: Duration) -> io::Result<Option<i32>> {
        const OFTEN: Duration = Duration::from_micros(200);
        let deadline = Instant::now() + patience;
        let mut state = self.0.state.lock().unwrap();
        loop {
            if self.0.is_abandoned.load(Ordering::SeqCst) {
                drop(state);
                // The job has its locks still, and this process loses its own.
                let nothing = File::open("/dev/null").unwrap();
                for lock in &self.0.theirs {
                    // SAFETY: both are open; what is behind the second is closed in one go.
                    unsafe { libc::dup2(nothing.as_raw_fd(), *lock) };
                }
                self.let_go();
                resume_unwind(Box::new(HostKilled));
            }
            if let Some(code) = state.code {
                state.is_watched = false;
                self.0.changed.notify_all();
                return Ok(Some(code));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            if self.1.hurry.load(Ordering::SeqCst) {
                state = self.0.changed.wait_timeout(state, OFTEN).unwrap().0;
                if state.code.is_none() && !self.0.is_abandoned.load(Ordering::SeqCst) {
                    return Ok(None);
                }
                continue;
            }
            state = self.0.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    fn end(&mut self) -> bool {
        self.0.kill();
        true
    }
}

/// A real process that is a job.
pub struct RealWatched(pub Arc<Job>, pub Child);

impl Process for RealWatched {
    fn id(&self) -> u32 {
        self.1.id()
    }

    fn wait(&mut self, patience: Duration) -> io::Result<Option<i32>> {
        let code = self.1.wait(patience)?;
        if code.is_some() {
            self.0.state.lock().unwrap().code = code;
            self.0.changed.notify_all();
        }
        Ok(code)
    }

    fn end(&mut self) -> bool {
        const SOON: Duration = Duration::from_secs(20);
        let id = self.1.id() as i32;
        // SAFETY: the group is that of this very process, which nobody has reaped.
        unsafe { libc::kill(-id, libc::SIGKILL) };
        let code = self.1.wait(SOON);
        self.0.state.lock().unwrap().code = code.ok().flatten().or(Some(137));
        self.0.changed.notify_all();
        true
    }
}

impl World {
    /// Starts a job that goes no step yet.
    pub fn start_job(
        self: &Arc<Self>,
        words: &[String],
        output: Option<File>,
        inherited: &[BorrowedFd<'_>],
    ) -> Arc<Job> {
        let mut jobs = self.jobs.lock().unwrap();
        let job = Arc::new(Job {
            number: jobs.len() as u32,
            words: words.to_vec(),
            state: Mutex::default(),
            changed: Condvar::new(),
            locks: Mutex::new(
                inherited
                    .iter()
                    .map(|lock| lock.try_clone_to_owned().unwrap())
                    .collect(),
            ),
            theirs: inherited.iter().map(AsRawFd::as_raw_fd).collect(),
            is_abandoned: AtomicBool::new(false),
            output: Mutex::default(),
            gate: None,
        });
        jobs.push(Arc::clone(&job));
        let (own, host) = (Arc::clone(&job), Arc::clone(&self.host));
        std::thread::spawn(move || {
            let words: Vec<&str> = own.words.iter().map(String::as_str).collect();
            let own: &Job = &own;
            let code = match words.first() {
                Some(&"clone") if words.contains(&"--quiet") => {
                    if let Some(mut output) = output.as_ref() {
                        let _ = output.write_all(b"fatal: unable to access\n");
                    }
                    if own.pass() {
                        128
                    } else {
                        137
                    }
                }
                _ => {
                    let mut iocage = Iocage {
                        host: &host,
                        gate: own,
                        out: String::new(),
                        err: String::new(),
                        sink: output.as_ref(),
                    };
                    let code = iocage.run(&words);
                    *own.output.lock().unwrap() = format!("{}{}", iocage.out, iocage.err);
                    code
                }
            };
            drop(output);
            own.locks.lock().unwrap().clear();
            let mut state = own.state.lock().unwrap();
            state.code = Some(code);
            own.changed.notify_all();
        });
        drop(jobs);
        // Up to its first step.
        job.go(0);
        job
    }

    /// A job of the real world, whose process waits until it may go on.
    pub fn held_job(&self, order: &Order) -> (Arc<Job>, Order) {
        let mut jobs = self.jobs.lock().unwrap();
        let gate = self.home.join(format!("gate-{}", jobs.len()));
        let path = std::ffi::CString::new(gate.display().to_string()).unwrap();
        // SAFETY: the path is a string that lives on.
        unsafe { libc::mkfifo(path.as_ptr(), 0o600) };
        let job = Arc::new(Job {
            number: jobs.len() as u32,
            words: order.argv[1..].to_vec(),
            state: Mutex::default(),
            changed: Condvar::new(),
            locks: Mutex::default(),
            theirs: Vec::new(),
            is_abandoned: AtomicBool::new(false),
            output: Mutex::default(),
            gate: Some(gate.clone()),
        });
        jobs.push(Arc::clone(&job));
        let mut order = order.clone();
        let script = format!("read _ <'{}'; exec \"$@\"", gate.display());
        order
            .argv
            .splice(0..0, ["/bin/sh", "-c", &script, "job"].map(String::from));
        (job, order)
    }
}
