//! The jobs that run, as files: whoever starts after this process has died can tell of them, and
//! no other process starts one of them again meanwhile.
//!
//! A record is locked as long as its job runs. The lock ends with the process however that ends,
//! so a record without one is of a job that has lost its process.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{json, Map, Value};

use crate::limits;
use crate::system::{read_regular, take_lock, Lock};

/// The records of a run directory.
#[derive(Debug)]
pub struct Records {
    directory: PathBuf,
}

/// The record of a job that runs here. Dropping it says that the job has ended.
#[derive(Debug)]
pub struct Record {
    path: PathBuf,
    _lock: File,
}

/// That another process runs the job.
#[derive(Debug)]
pub struct RunsElsewhere;

impl Records {
    pub fn new(run_directory: &Path) -> Self {
        Records {
            directory: run_directory.join("jobs"),
        }
    }

    /// Notes that a job runs here now, with its log as it begins. No record where none can be
    /// written: a job is worth more than the memory of it.
    pub fn begin(
        &self,
        id: &str,
        log: &Map<String, Value>,
    ) -> Result<Option<Record>, RunsElsewhere> {
        let Some(path) = self.path(id) else {
            return Ok(None);
        };
        let mut file = match take_lock(&path) {
            Ok(Lock::Taken(file)) => file,
            Ok(Lock::HeldElsewhere) => return Err(RunsElsewhere),
            Err(_) => return Ok(None),
        };
        let text = Value::Object(log.clone()).to_string();
        let written = file
            .set_len(0)
            .and_then(|()| file.write_all(text.as_bytes()));
        let record = Record { path, _lock: file };
        Ok(written.is_ok().then_some(record))
    }

    /// The log of a job that another process runs, or has run until it died.
    pub fn log(&self, id: &str) -> Option<Map<String, Value>> {
        let path = self.path(id)?;
        let text = read_regular(&path, limits::JOB_RECORD_BYTES)?;
        let runs = File::open(path).ok()?.try_lock_shared().is_err();
        let Ok(Value::Object(mut log)) = serde_json::from_slice(&text) else {
            return None;
        };
        if !runs {
            let command = log.remove("current_cmd")?;
            let why = json!("the process that ran this job has died");
            log.insert(command.as_str()?.into(), why);
            log.insert("state".into(), json!("finished"));
        }
        Some(log)
    }

    /// Whether another process runs a job of this id.
    pub fn runs_elsewhere(&self, id: &str) -> bool {
        let file = self.path(id).and_then(|path| File::open(path).ok());
        file.is_some_and(|file| file.try_lock_shared().is_err())
    }

    /// Where the record of a job is; none for an id that is no plain file name.
    fn path(&self, id: &str) -> Option<PathBuf> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_name = id.len() <= limits::ARGUMENT_BYTES && id.bytes().all(plain);
        (is_name && id.starts_with(|c: char| c.is_ascii_alphanumeric()))
            .then(|| self.directory.join(id))
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // Before the lock goes with the file: nobody is to find it without one.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_runs_as_long_as_its_record_is_locked_and_has_died_where_it_is_not() {
        let folder = std::env::temp_dir().join(format!("records{}", std::process::id()));
        let records = Records::new(&folder);
        let log = json!({"state": "running", "current_cmd": "iocage", "iocage": "", "cmd_list": ["iocage"]});
        let log = log.as_object().unwrap();

        let record = records.begin("job_1", log).unwrap().unwrap();
        assert!(records.begin("job_1", log).is_err());
        assert!(records.runs_elsewhere("job_1"));
        assert_eq!(records.log("job_1").unwrap()["state"], "running");
        drop(record);
        assert!(!records.runs_elsewhere("job_1"));
        assert_eq!(records.log("job_1"), None);

        // As it is left by a process that was killed.
        fs::write(folder.join("jobs/job_1"), json!(log).to_string()).unwrap();
        let died = records.log("job_1").unwrap();
        assert_eq!(died["state"], "finished");
        assert!(died["iocage"].as_str().unwrap().contains("died"));
        assert!(
            records.begin("job_1", log).unwrap().is_some(),
            "it can be started again"
        );
        for id in ["../job_1", "..", "", "a/b", "a\0", &"x".repeat(300)] {
            assert!(records.path(id).is_none(), "{id:?}");
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
