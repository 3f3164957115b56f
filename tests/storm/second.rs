//! A second host program: this very test program, started again. It has its own instance, its own memory
//! and its own locks, and is killed as a program is. What it starts goes on to its end at once.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::process::{self, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{json, Value};
use sysadm_iocage::actions::Access;
use sysadm_iocage::configuration::Configuration;
use sysadm_iocage::error::Result;
use sysadm_iocage::host::{Host, Level};
use sysadm_iocage::instance::Instance;
use sysadm_iocage::system::{Child, Mount, Order, Output, RealHost, Runner};

/// The configuration of the program, if this is that one.
const CONFIGURATION: &str = "STORM_HOST";
const SAYS: &str = "SAYS ";

/// The program, as the storm sees it.
pub struct Second {
    child: process::Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Second {
    pub fn start(configuration: &Value) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "be_the_second_host",
                "--exact",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(CONFIGURATION, configuration.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        Second {
            requests: child.stdin.take(),
            answers: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// Its reply, and the jobs that it has started for that with their ends; none if it was killed, at
    /// one of its commands if that is said.
    pub fn ask(&mut self, args: &Value, access: Access, killed_at: Option<usize>) -> Option<Value> {
        let may_all = access == Access::Full;
        let request = json!({"args": args, "full": may_all, "killed_at": killed_at});
        writeln!(self.requests.as_mut()?, "{request}").ok()?;
        loop {
            let mut line = String::new();
            if self.answers.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some((_, answer)) = line.split_once(SAYS) {
                return serde_json::from_str(answer).ok();
            }
        }
    }

    /// Ends it, in order or by kill -9.
    pub fn end(mut self, in_order: bool) {
        drop(self.requests.take());
        if !in_order {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// What it has started, and what has ended of that.
#[derive(Default)]
struct Jobs {
    started: Vec<Vec<String>>,
    ended: Vec<Value>,
}

#[derive(Default)]
struct Own {
    jobs: Mutex<Jobs>,
    ended: Condvar,
    /// How many commands are left until it is killed.
    left: Mutex<Option<usize>>,
}

struct Program(Arc<Own>);

impl Host for Program {
    fn queue_process(&self, _: &str, _: &[String]) -> Option<bool> {
        None
    }

    fn is_job_active(&self, _: &str) -> Option<bool> {
        None
    }

    fn log(&self, _: Level, _: &str) -> bool {
        true
    }

    fn job_ended(&self, _: &str, event: &str) {
        let event = serde_json::from_str(event).unwrap_or_default();
        self.0.jobs.lock().unwrap().ended.push(event);
        self.0.ended.notify_all();
    }
}

impl Runner for Program {
    fn run(&self, order: &Order, limit: Duration, stop: &AtomicBool) -> Result<Output> {
        let mut left = self.0.left.lock().unwrap();
        match *left {
            Some(0) => {
                // SAFETY: nothing of this process is needed any more.
                unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
            }
            Some(more) => *left = Some(more - 1),
            None => {}
        }
        drop(left);
        RealHost.run(order, limit, stop)
    }

    fn spawn(&self, order: &Order, output: &File, inherited: &[BorrowedFd<'_>]) -> Result<Child> {
        // A job that outlived it would go on while others are judged.
        *self.0.left.lock().unwrap() = None;
        let child = RealHost.spawn(order, output, inherited)?;
        let words = order.argv[1..].to_vec();
        self.0.jobs.lock().unwrap().started.push(words);
        Ok(child)
    }

    fn mount_table(&self) -> io::Result<Vec<Mount>> {
        RealHost.mount_table()
    }

    fn unmount(&self, place: &Path) -> io::Result<()> {
        RealHost.unmount(place)
    }

    fn log(&self, _: i32, _: &str) {}
}

/// Answers what it is asked, if this is that program.
pub fn be_it() {
    const SOON: Duration = Duration::from_secs(120);
    let Ok(configuration) = std::env::var(CONFIGURATION) else {
        return;
    };
    let configuration = Configuration::parse(&configuration).unwrap();
    let own = Arc::new(Own::default());
    let (host, runner) = (Program(Arc::clone(&own)), Program(Arc::clone(&own)));
    let instance = Instance::with_runner(configuration, Box::new(host), Arc::new(runner));
    for line in io::stdin().lines().map_while(io::Result::ok) {
        let request: Value = serde_json::from_str(&line).unwrap();
        let access = match request["full"] == true {
            true => Access::Full,
            false => Access::Read,
        };
        let killed_at = request["killed_at"].as_u64();
        *own.left.lock().unwrap() = killed_at.map(|at| at as usize);
        let reply = instance
            .evaluate(&request["args"].to_string(), access)
            .to_json();
        *own.left.lock().unwrap() = None;
        let jobs = own.jobs.lock().unwrap();
        let runs = |jobs: &mut Jobs| jobs.ended.len() < jobs.started.len();
        let (mut jobs, _) = own.ended.wait_timeout_while(jobs, SOON, runs).unwrap();
        let jobs = std::mem::take(&mut *jobs);
        let reply: Value = serde_json::from_str(&reply).unwrap_or_default();
        let answer = json!({"reply": reply, "started": jobs.started, "ended": jobs.ended});
        println!("{SAYS}{answer}");
    }
    instance.close();
}
