//! What this process has open and has running: a storm leaves no more of it than there was before.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(5);

/// Descriptors, threads and child processes, and processes of a lab whoever their parent is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    descriptors: usize,
    threads: usize,
    children: usize,
    of_lab: usize,
}

fn entries(folder: &str) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

/// The threads of this test: one without a name has that of the thread that has started it.
pub fn threads() -> usize {
    let name = |task: &str| fs::read(format!("/proc/{task}/comm")).unwrap_or_default();
    let own = name("thread-self");
    let all = fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    let all = all.map(|task| task.file_name().to_string_lossy().into_owned());
    all.filter(|task| name(&format!("self/task/{task}")) == own)
        .count()
}

/// Waits until there are so many again.
pub fn wait_for_threads(before: usize) {
    let began = Instant::now();
    while threads() > before && began.elapsed() < SOON {
        std::thread::sleep(Duration::from_micros(200));
    }
}

impl Counts {
    /// `lab` is the folder of the programs that a lab runs.
    pub fn now(lab: Option<&Path>) -> Self {
        let me = std::process::id().to_string();
        let (mut children, mut of_lab) = (0, 0);
        let processes = lab.and_then(|_| fs::read_dir("/proc").ok());
        for process in processes.into_iter().flatten().flatten() {
            let file = |name| fs::read(process.path().join(name)).unwrap_or_default();
            let stat = String::from_utf8_lossy(&file("stat")).into_owned();
            // "PID (NAME) STATE PARENT ..."
            let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
            children += usize::from(after.split_whitespace().nth(1) == Some(&*me));
            let line = String::from_utf8_lossy(&file("cmdline")).into_owned();
            of_lab += usize::from(lab.is_some_and(|lab| line.contains(&*lab.to_string_lossy())));
        }
        Counts {
            descriptors: entries("/proc/self/fd"),
            threads: threads(),
            children,
            of_lab,
        }
    }

    /// Whether there is no more now, or is not within a moment.
    pub fn require_no_more(&self, lab: Option<&Path>) -> Result<(), String> {
        let began = Instant::now();
        loop {
            let now = Counts::now(lab);
            let pairs = [
                (self.descriptors, now.descriptors),
                (self.threads, now.threads),
                (self.children, now.children),
                (self.of_lab, now.of_lab),
            ];
            if pairs.iter().all(|(before, now)| now <= before) {
                return Ok(());
            }
            if began.elapsed() > SOON {
                return Err(format!("something is left: {self:?} before, {now:?} now"));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
