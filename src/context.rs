//! What an instance has for its actions to work with.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};
use std::time::{Duration, Instant, SystemTime};

use crate::catalogue::Catalogue;
use crate::configuration::Configuration;
use crate::error::{Code, Error, Result};
use crate::iocage::command::Version;
use crate::iocage::datasets;
use crate::iocage::datasets::Family;
use crate::iocage::jails::{self, Listing};
use crate::iocage::survey::Memory;
use crate::iocage::{plugins, pools};
use crate::jobs::{Jobs, Start};
use crate::limits;
use crate::sync::lock;
use crate::system::platform::log_to_system;
use crate::system::{side_by_side, take_lock, Lock, System};

/// How serious a message to the host's log is; the numbers are syslog's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Error = 3,
    Info = 6,
}

/// The host program's side: a dispatcher for long jobs, and a log.
pub trait Host: Send + Sync {
    /// Queues a job. `None` where the host has no dispatcher, `Some(false)` where it refuses.
    fn queue_process(&self, job_id: &str, command: &[String]) -> Option<bool>;
    /// Whether a job that was queued waits or runs.
    fn is_job_active(&self, job_id: &str) -> bool;
    /// Takes a message for the host's log; false where it has none.
    fn log(&self, level: Level, message: &str) -> bool;
}

/// A host that offers nothing: the plugin runs its jobs itself and logs nowhere.
pub struct NoHost;

impl Host for NoHost {
    fn queue_process(&self, _: &str, _: &[String]) -> Option<bool> {
        None
    }

    fn is_job_active(&self, _: &str) -> bool {
        false
    }

    fn log(&self, _: Level, _: &str) -> bool {
        false
    }
}

/// One instance's configuration, host and memory.
pub struct Context {
    pub config: Configuration,
    pub system: Arc<System>,
    pub catalogue: Catalogue,
    pub host: Box<dyn Host>,
    pub jobs: Jobs,
    /// What is remembered of jails and templates.
    pub memory: Memory,
    /// Held while pools are switched or datasets destroyed, so that what was checked still holds.
    changes: Mutex<()>,
    /// Written to while the active pool is switched, so that nobody sees two in the middle.
    active: RwLock<()>,
    /// Held from asking whether a job runs until it is started, so that none starts twice.
    starts: Mutex<()>,
    iocage_version: Mutex<Option<(Identity, Version)>>,
    /// When each plugin repository was last refreshed.
    plugins_refreshed: Mutex<HashMap<String, Instant>>,
}

/// As long as this lives, nobody else changes pools or datasets.
pub struct Changing<'a> {
    _here: MutexGuard<'a, ()>,
    _everywhere: Option<File>,
}

/// Which file a command was: its size and time of change.
type Identity = (u64, Option<SystemTime>);

impl Context {
    pub fn new(config: Configuration, host: Box<dyn Host>) -> Self {
        let system = Arc::new(System::new(&config));
        Context {
            catalogue: Catalogue::new(&config, Arc::clone(&system)),
            system,
            jobs: Jobs::new(&config.run_directory()),
            config,
            host,
            memory: Memory::default(),
            changes: Mutex::default(),
            active: RwLock::default(),
            starts: Mutex::default(),
            iocage_version: Mutex::default(),
            plugins_refreshed: Mutex::default(),
        }
    }

    /// Waits until nobody else changes pools or datasets: not through this instance, and not
    /// through another, in another process too, that has the same state directory and iocage.
    ///
    /// # Errors
    /// `Conflict` where another process still does when a command would have had to end.
    pub fn lock_changes(&self) -> Result<Changing<'_>> {
        const LOOK: Duration = Duration::from_millis(20);
        let here = lock(&self.changes);
        let path = self.config.run_directory().join("changes.lock");
        let deadline = Instant::now() + self.config.command_timeout;
        let everywhere = loop {
            match take_lock(&path) {
                Ok(Lock::Taken(file)) => break Some(file),
                Ok(Lock::HeldElsewhere) if Instant::now() < deadline => std::thread::sleep(LOOK),
                Ok(Lock::HeldElsewhere) => {
                    let path = path.display();
                    let message = format!("another process changes pools or datasets ({path})");
                    return Err(Error::new(Code::Conflict, message));
                }
                // Where no lock can be had, there is nobody to share it with either.
                Err(_) => break None,
            }
        };
        Ok(Changing {
            _here: here,
            _everywhere: everywhere,
        })
    }

    /// Waits until nobody looks which pool is active, and lets nobody look meanwhile.
    pub fn lock_active(&self) -> RwLockWriteGuard<'_, ()> {
        self.active.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs something about a change: to the host, or to the system where the host has no log.
    pub fn note(&self, level: Level, message: &str) {
        if !self.host.log(level, message) {
            log_to_system(level as i32, &format!("sysadm_iocage: {message}"));
        }
    }

    /// The active pool, if there is one.
    ///
    /// # Errors
    /// As [`pools::active`].
    pub fn active_pool(&self) -> Result<Option<String>> {
        let _looking = self.active.read().unwrap_or_else(PoisonError::into_inner);
        pools::active(&self.system, &self.config)
    }

    /// The active pool.
    ///
    /// # Errors
    /// `NotActive` where there is none, and as [`pools::active`].
    pub fn require_active_pool(&self) -> Result<String> {
        self.active_pool()?
            .ok_or_else(|| Error::new(Code::NotActive, "no pool is active"))
    }

    /// The jails or templates of the active pool.
    ///
    /// # Errors
    /// As [`Context::require_active_pool`], and where the jails cannot be listed.
    pub fn jails(&self, family: Family) -> Result<Listing> {
        let list = |pool: &str| jails::list(&self.system, &self.memory, pool, family);
        // Most likely the active pool is that of the last time, so both are asked at once.
        let likely = self.memory.last_pool(family);
        let (active, listed) = side_by_side(
            || self.require_active_pool(),
            || likely.as_deref().map(list),
        );
        let active = active?;
        let listing = match listed.filter(|_| likely.as_ref() == Some(&active)) {
            Some(listing) => listing?,
            None => list(&active)?,
        };
        match listing {
            Some(listing) => Ok(listing),
            // It has none, or the pool has gone meanwhile, which is another thing.
            None => Ok(Listing {
                jails: Vec::new(),
                root: datasets::folder(&self.system, &self.require_active_pool()?)?,
            }),
        }
    }

    /// Starts `iocage` with these arguments as a job: in the host's dispatcher, or here where the
    /// host has none.
    pub fn start_iocage(&self, job_id: &str, arguments: &[String]) -> Result<Start> {
        let start = self.start_job(job_id, self.system.iocage_path(), arguments)?;
        if start == Start::Started {
            self.note(Level::Info, &format!("job {job_id} started"));
        }
        Ok(start)
    }

    fn start_job(&self, job_id: &str, program: &Path, arguments: &[String]) -> Result<Start> {
        let _starting = lock(&self.starts);
        if self.host.is_job_active(job_id) || self.jobs.is_active(job_id) {
            return Ok(Start::AlreadyRunning);
        }
        let mut command = vec![program.display().to_string()];
        command.extend_from_slice(arguments);
        match self.host.queue_process(job_id, &command) {
            Some(true) => Ok(Start::Started),
            Some(false) => {
                let message = format!("the host's dispatcher refused the job {job_id}");
                Err(Error::new(Code::Failed, message))
            }
            None => self.jobs.start(job_id, program, arguments),
        }
    }

    /// Starts a job that refreshes our clone of a plugin repository, and gives the job's id. By
    /// itself (`asked` is false) only once in a while, and only where there is a git.
    pub fn refresh_plugins(&self, repository: &str, asked: bool) -> Result<Option<String>> {
        let git = self.system.git_path();
        let mut refreshed = lock(&self.plugins_refreshed);
        let recently = refreshed
            .get(repository)
            .is_some_and(|at| at.elapsed() < limits::PLUGINS_RETRY);
        if !asked && (recently || !git.exists()) {
            return Ok(None);
        }
        refreshed.insert(repository.into(), Instant::now());
        drop(refreshed);
        let parent = self.config.state_directory.join("plugins");
        std::fs::create_dir_all(&parent).map_err(|error| {
            Error::new(Code::Unavailable, format!("{}: {error}", parent.display()))
        })?;
        let (job_id, arguments) = plugins::refresh(&self.config, repository);
        self.start_job(&job_id, git, &arguments)?;
        Ok(Some(job_id))
    }

    /// The installed iocage's version; asked once for each iocage that is installed.
    pub fn iocage_version(&self) -> Result<Version> {
        let path = self.system.iocage_path();
        let identity = std::fs::metadata(path)
            .map(|data| (data.len(), data.modified().ok()))
            .map_err(|error| {
                Error::new(Code::Unavailable, format!("{}: {error}", path.display()))
            })?;
        let mut known = lock(&self.iocage_version);
        match &*known {
            Some((of, version)) if *of == identity => Ok(*version),
            _ => {
                let version = Version::of_host(&self.system)?;
                *known = Some((identity, version));
                Ok(version)
            }
        }
    }
}
