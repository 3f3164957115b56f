//! The records of jobs, as files: what runs, what it uses, what it has printed and how it ended,
//! for every process that works with the same state directory, even when the one that started it
//! has died.
//!
//! A job has three files: `ID.json`, its record; `ID.log`, what it prints; and `ID.lock`, locked as
//! long as it runs; and perhaps a fourth, `ID.list`, which it reads. Its own process inherits the
//! descriptor of the lock, so the lock lives as long as the job, however the process ends that
//! started it.

mod aim;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::{json, Map, Value};

pub use aim::{Aim, Verdict, Work};

use crate::limits;
use crate::system::{
    open_regular, private_folder, read_regular, remove_lock, replace, try_lock, Share,
};

/// What is written of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub id: String,
    /// The command line, without what is private.
    pub command: String,
    /// When it began, as the server's dispatcher writes it.
    pub started: String,
    /// What it uses, by the names of the locks, and whether alone.
    pub claims: Vec<(String, bool)>,
    /// Whether the host's dispatcher runs it, which has its log.
    #[serde(default)]
    pub queued: bool,
    pub ended: Option<End>,
    /// Of each run another one.
    #[serde(default)]
    pub run: u64,
    /// What it is for; none where only its own words tell how it ended.
    #[serde(default)]
    pub aim: Option<Aim>,
    /// Whether it has come to that; none until somebody has looked after its end.
    #[serde(default)]
    pub verdict: Option<Verdict>,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    pub time: String,
    /// The exit code as a shell has it; none if nobody knows it.
    pub code: Option<i32>,
}

/// How a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Runs,
    Ended,
    /// It no longer runs, and nobody was there to see how it ended.
    Lost,
}

/// What is said of a job that nobody has seen end.
pub const NOBODY_SAW: &str =
    "\nthe process that started this job has died, and nobody saw how the job ended\n";

/// The records of a run directory.
#[derive(Clone, Debug)]
pub struct Records {
    directory: PathBuf,
}

impl Records {
    pub fn new(run_directory: &Path) -> Self {
        Records {
            directory: run_directory.join("jobs"),
        }
    }

    /// Where the lock of a job is.
    pub fn lock_path(&self, id: &str) -> PathBuf {
        self.path(id, "lock")
    }

    fn path(&self, id: &str, kind: &str) -> PathBuf {
        self.directory.join(format!("{id}.{kind}"))
    }

    /// Where what a job reads is: a file that is there as long as it runs.
    pub fn list_path(&self, id: &str) -> PathBuf {
        self.path(id, "list")
    }

    /// Writes that a job begins, with the file that it reads if there is one, and returns the file
    /// for its output. The caller holds the job's lock.
    pub fn begin(&self, record: &Record, list: Option<&str>) -> io::Result<File> {
        private_folder(&self.directory)?;
        self.forget_the_oldest();
        match list {
            Some(list) => replace(&self.list_path(&record.id), list.as_bytes())?,
            None => self.forget_list(&record.id),
        }
        let output = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(self.path(&record.id, "log"))?;
        output.set_len(0)?;
        self.write(record)?;
        Ok(output)
    }

    /// Writes the record of a job.
    pub fn write(&self, record: &Record) -> io::Result<()> {
        let text = serde_json::to_vec(record)?;
        replace(&self.path(&record.id, "json"), &text)
    }

    /// Writes how a job ended. What it has read is not needed again.
    pub fn end(&self, record: &Record) {
        self.forget_list(&record.id);
        let _ = self.write(record);
        self.forget_the_oldest();
    }

    fn forget_list(&self, id: &str) {
        let _ = fs::remove_file(self.list_path(id));
    }

    /// Forgets a job.
    pub fn discard(&self, id: &str) {
        for kind in ["json", "log", "list"] {
            let _ = fs::remove_file(self.path(id, kind));
        }
    }

    /// The record of a job, and how it is.
    pub fn find(&self, id: &str) -> Option<(Record, State)> {
        let mut record = self.read(id)?;
        loop {
            if record.ended.is_some() {
                return Some((record, State::Ended));
            }
            if self.is_locked(id) {
                return Some((record, State::Runs));
            }
            // It may have ended between the two looks, and then it is not lost.
            let again = self.read(id)?;
            if again == record {
                return Some((record, State::Lost));
            }
            record = again;
        }
    }

    fn read(&self, id: &str) -> Option<Record> {
        let text = read_regular(&self.path(id, "json"), limits::JOB_RECORD_BYTES)?;
        let record: Record = serde_json::from_slice(&text).ok()?;
        (record.id == id).then_some(record)
    }

    /// Whether somebody holds the lock of a job. If that cannot be found out, it counts as held.
    fn is_locked(&self, id: &str) -> bool {
        match File::open(self.lock_path(id)) {
            Ok(file) => !try_lock(&file, Share::Shared).unwrap_or(false),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// All jobs that are known.
    ///
    /// # Errors
    /// If the directory is there and cannot be read.
    pub fn all(&self) -> io::Result<Vec<(Record, State)>> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let ids = entries.flatten().filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            name.strip_suffix(".json").map(String::from)
        });
        Ok(ids.filter_map(|id| self.find(&id)).collect())
    }

    /// The running jobs that use what `lock` stands for, and are in the way of somebody who wants
    /// it, `alone` or not.
    pub fn users(&self, lock: &str, alone: bool) -> Vec<String> {
        let in_the_way = |record: &Record| {
            let mut claims = record.claims.iter();
            claims.any(|(claimed, theirs)| claimed == lock && (alone || *theirs))
        };
        // Where it cannot be read, nothing can be locked either.
        let all = self.all().unwrap_or_default().into_iter();
        let mut users: Vec<String> = all
            .filter(|(record, state)| *state == State::Runs && in_the_way(record))
            .map(|(record, _)| record.id)
            .collect();
        users.sort_unstable();
        users
    }

    /// The log of a job in the form of the server's dispatcher; none for an unknown job, or if the
    /// host's dispatcher has the log.
    pub fn log(&self, id: &str) -> Option<Map<String, Value>> {
        let (record, state) = self.find(id)?;
        self.log_of(&record, state)
    }

    /// The same, of a job that is in this state.
    pub fn log_of(&self, record: &Record, state: State) -> Option<Map<String, Value>> {
        if record.queued {
            return None;
        }
        let mut output = self.output(&record.id);
        let mut log = about(record, state);
        let end = record.ended.as_ref().filter(|_| state != State::Runs);
        if let Some(code) = end.and_then(|end| end.code) {
            let key = format!("return_codes/{}", record.command);
            log.insert(key, json!(code.to_string()));
        }
        if state == State::Lost {
            output += NOBODY_SAW;
        }
        log.insert(record.command.clone(), json!(output));
        Some(log)
    }

    /// The end of what a job has printed.
    fn output(&self, id: &str) -> String {
        let read = || {
            // Nothing that waits for a writer, and nothing elsewhere.
            let mut file = open_regular(&self.path(id, "log"))?;
            let length = file.metadata()?.len();
            let keep = limits::JOB_LOG_BYTES as u64;
            file.seek(SeekFrom::Start(length.saturating_sub(keep)))?;
            let mut bytes = Vec::new();
            file.take(keep).read_to_end(&mut bytes)?;
            io::Result::Ok(bytes)
        };
        whole_characters(&read().unwrap_or_default())
    }

    /// Adds a line to what a job has printed.
    pub fn append(&self, id: &str, line: &str) {
        let file = OpenOptions::new().append(true).open(self.path(id, "log"));
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }

    /// Shortens what a job has printed to its end, where it has become long.
    pub fn shorten(&self, id: &str) {
        let path = self.path(id, "log");
        let long = |data: fs::Metadata| data.len() > limits::JOB_LOG_FILE_BYTES;
        if fs::metadata(&path).is_ok_and(long) {
            let end = self.output(id);
            // What it prints at this moment may be lost; the job itself goes on in any case.
            let file = OpenOptions::new().append(true).open(&path);
            let _ = file.and_then(|mut file| {
                file.set_len(0)?;
                file.write_all(end.as_bytes())
            });
        }
    }

    /// Forgets all ended jobs except the latest.
    fn forget_the_oldest(&self) {
        let all = self.all().unwrap_or_default().into_iter();
        let mut ended: Vec<(Option<SystemTime>, String)> = all
            .filter(|(_, state)| *state != State::Runs)
            .map(|(record, _)| {
                let data = fs::metadata(self.path(&record.id, "json"));
                (data.and_then(|data| data.modified()).ok(), record.id)
            })
            .collect();
        ended.sort_unstable();
        let excess = ended.len().saturating_sub(limits::FINISHED_JOBS_KEPT);
        for (_, id) in &ended[..excess] {
            // Unless somebody is starting it again this moment.
            remove_lock(&self.lock_path(id), || self.discard(id));
        }
    }
}

/// What a log says of a job besides its output and its exit code; of a job in the host's dispatcher
/// nothing else is known.
pub fn about(record: &Record, state: State) -> Map<String, Value> {
    let mut log = Map::new();
    log.insert("process_id".into(), json!(record.id));
    log.insert("cmd_list".into(), json!([record.command]));
    log.insert("time_started".into(), json!(record.started));
    if state == State::Runs {
        log.insert("state".into(), json!("running"));
        log.insert("current_cmd".into(), json!(record.command));
    } else {
        log.insert("state".into(), json!("finished"));
        if let Some(end) = &record.ended {
            log.insert("time_finished".into(), json!(end.time));
        }
    }
    log
}

/// A text without the parts of characters that may be at its ends.
fn whole_characters(bytes: &[u8]) -> String {
    let continues = |byte: &&u8| (0x80..0xc0).contains(*byte);
    let start = bytes.iter().take(3).take_while(continues).count();
    let bytes = &bytes[start..];
    let end = match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        // Broken in the middle, where it stays so, but perhaps cut at its end as well.
        _ => bytes.len(),
    };
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests;
