//! What the network offers, kept on disk: the remote releases and those at their end of life.
//!
//! A request is answered at once, from what is known. What is older than the configuration allows
//! is refreshed in the background, by one thread at a time. Only if nothing is known yet does a
//! request wait, no longer than a command may take.
//!
//! The file is JSON, readable by hand, in the state directory: nothing in a pool changes by
//! looking. It is written whole or not at all, by one process at a time; one that cannot be read is
//! replaced.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::configuration::{Configuration, Program};
use crate::error::Result;
use crate::iocage::{pools, releases};
use crate::limits;
use crate::names::PoolName;
use crate::resources::{Held, Resource, Resources};
use crate::sync::lock;
use crate::system::{private_folder, read_regular, replace, System};

const FILE: &str = "catalogue.json";

/// The catalogue of one instance. Dropping it ends a refresh that is under way.
pub struct Catalogue {
    shared: Arc<Shared>,
    max_age: Duration,
    /// How long a request waits where nothing is known.
    patience: Duration,
    refresher: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    configuration: Arc<Configuration>,
    system: Arc<System>,
    resources: Resources,
    of_iocage: Resources,
    /// Whose lists these are: another iocage may know of other releases.
    iocage: String,
    state: Mutex<State>,
    refreshed: Condvar,
    closing: AtomicBool,
}

#[derive(Default)]
struct State {
    releases: Option<List>,
    end_of_life: Option<List>,
    /// Why the last refresh did not bring the releases.
    error: Option<String>,
    /// Why it did not bring those at their end of life.
    end_of_life_error: Option<String>,
    /// When the last refresh ended.
    tried: Option<Instant>,
    refreshing: bool,
    refreshes: u64,
    /// The time of change of the file that this was read from.
    read: Option<SystemTime>,
}

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct File {
    /// By the page's URL.
    end_of_life: BTreeMap<String, List>,
    /// Why it could not be had, by the page's URL.
    end_of_life_errors: BTreeMap<String, String>,
    /// By iocage's path.
    releases: BTreeMap<String, List>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct List {
    names: Vec<String>,
    /// When it was had, in seconds since 1970.
    time: u64,
}

/// What is known of the remote releases.
#[derive(Debug, PartialEq)]
pub struct Remote {
    /// Oldest first, with the mark of those at their end of life.
    pub releases: Vec<String>,
    /// How old the list is, if there is one.
    pub age: Option<Duration>,
    pub error: Option<String>,
    /// Why nobody knows which are at their end of life.
    pub end_of_life_error: Option<String>,
}

impl Catalogue {
    /// `resources` are those of all who have this state directory, `of_iocage` those of all who work
    /// with this iocage.
    pub fn new(
        configuration: &Arc<Configuration>,
        system: Arc<System>,
        resources: Resources,
        of_iocage: Resources,
    ) -> Self {
        Catalogue {
            shared: Arc::new(Shared {
                iocage: system.path(Program::Iocage).display().to_string(),
                configuration: Arc::clone(configuration),
                system,
                resources,
                of_iocage,
                state: Mutex::default(),
                refreshed: Condvar::new(),
                closing: AtomicBool::new(false),
            }),
            max_age: configuration.catalogue_max_age,
            // The answer itself takes a few commands, and must come within that time too.
            patience: configuration.command_timeout * 9 / 10,
            refresher: Mutex::default(),
        }
    }

    /// The remote releases; `pool` is the active one, and `now` says whether to wait for a new
    /// list.
    pub fn releases(&self, pool: &PoolName, now: bool) -> Remote {
        let mut state = self.shared.lock();
        self.shared.read(&mut state);
        // If another iocage has been installed since, it may know better: a request waits for it.
        let installed = self.shared.installed();
        let of_this_iocage = state
            .releases
            .as_ref()
            .filter(|list| list.time >= installed);
        let known = of_this_iocage.map(List::age);
        let wait = match (known, state.tried) {
            _ if now => self.patience,
            (Some(age), _) if age < self.max_age => return self.shared.remote(&state),
            // Another try soon after a failure would most likely fail too.
            (_, Some(tried))
                if state.error.is_some() && tried.elapsed() < limits::CATALOGUE_RETRY =>
            {
                return self.shared.remote(&state)
            }
            (None, None) => self.patience,
            (_, _) => Duration::ZERO,
        };
        let before = state.refreshes;
        if !state.refreshing {
            match self.start(pool) {
                Ok(()) => state.refreshing = true,
                Err(error) => {
                    let mut remote = self.shared.remote(&state);
                    remote.error = Some(format!(
                        "cannot start a thread to ask for a new list: {error}"
                    ));
                    return remote;
                }
            }
        }
        let deadline = Instant::now() + wait;
        while state.refreshes == before {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.shared.refreshed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let mut remote = self.shared.remote(&state);
        if !wait.is_zero() && state.refreshes == before {
            let seconds = wait.as_secs();
            remote.error = Some(format!(
                "timeout, no new list after {seconds} s; still waiting for it"
            ));
        }
        remote
    }

    fn start(&self, pool: &PoolName) -> std::io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let pool = pool.clone();
        let thread = std::thread::Builder::new().spawn(move || shared.refresh(&pool))?;
        let mut refresher = lock(&self.refresher);
        if let Some(ended) = refresher.replace(thread) {
            let _ = ended.join(); // it has said that it is done
        }
        Ok(())
    }
}

impl Drop for Catalogue {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        if let Some(refresher) = lock(&self.refresher).take() {
            let _ = refresher.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Asks iocage, and where that does not say what is at its end of life, FreeBSD.
    fn refresh(&self, pool: &PoolName) {
        let releases = self.ask_iocage(pool);
        let marked = |names: &Vec<String>| {
            names
                .iter()
                .any(|name| name.ends_with(releases::END_OF_LIFE))
        };
        let ask = matches!(&releases, Ok(names) if !marked(names));
        let end_of_life = ask.then(|| {
            releases::end_of_life(
                &self.system,
                &self.configuration.end_of_life_url,
                &self.closing,
            )
        });

        // One writer at a time, or one would write over what the other has found.
        let writing = self
            .resources
            .take(&[Resource::Catalogue.alone()], limits::CATALOGUE_WRITING);
        let mut state = self.lock();
        // What another process has found in the meantime stays if this one has found nothing.
        self.read(&mut state);
        self.note(&mut state, releases, end_of_life);
        if writing.is_ok() && state.error.is_none() {
            // Without the file the next process asks again, and this one remembers.
            let _ = self.write(&mut state);
        }
        state.tried = Some(Instant::now());
        state.refreshing = false;
        state.refreshes += 1;
        self.refreshed.notify_all();
    }

    /// Nobody may switch the pool off meanwhile: without an active one, iocage would activate the
    /// first that it finds.
    fn ask_iocage(&self, pool: &PoolName) -> Result<Vec<String>> {
        let (marks, patience) = ([Resource::Marks.shared()], limits::CATALOGUE_WRITING);
        let held = self.of_iocage.take_if_lockable(&marks, patience)?;
        pools::require_active(&self.system, &self.configuration, pool)?;
        let locks = held.as_ref().map(Held::locks);
        let system = self.system.holding(locks.unwrap_or_default());
        releases::remote(&system, pool, &self.closing)
    }

    fn note(
        &self,
        state: &mut State,
        releases: Result<Vec<String>>,
        end_of_life: Option<Result<Vec<String>>>,
    ) {
        state.end_of_life_error = None;
        match end_of_life {
            Some(Ok(names)) => state.end_of_life = Some(List::now(names)),
            Some(Err(error)) => state.end_of_life_error = Some(error.message),
            None => {}
        }
        state.error = match releases {
            Ok(names) => {
                state.releases = Some(List::now(names));
                None
            }
            Err(error) => Some(error.message),
        };
    }

    /// When iocage was installed, in seconds since 1970.
    fn installed(&self) -> u64 {
        fs::metadata(&self.iocage).map_or(0, |data| data.ctime().max(0) as u64)
    }

    /// What is known, as a client gets it.
    fn remote(&self, state: &State) -> Remote {
        let none = Vec::new();
        let names = state.releases.as_ref().map_or(&none, |list| &list.names);
        let end_of_life = state.end_of_life.as_ref().map_or(&none, |list| &list.names);
        let is_marked = |name: &String| name.ends_with(releases::END_OF_LIFE);
        // No mark must not be taken for "supported".
        let nobody_knows =
            end_of_life.is_empty() && !names.is_empty() && !names.iter().any(is_marked);
        let why = || match &state.end_of_life_error {
            Some(error) => error.clone(),
            None => "the page of unsupported releases has not been read yet".into(),
        };
        Remote {
            releases: releases::offered(names, end_of_life, self.system.release()),
            age: state.releases.as_ref().map(List::age),
            error: state.error.clone(),
            end_of_life_error: nobody_knows.then(why),
        }
    }

    fn load(&self, path: &Path) -> Option<File> {
        serde_json::from_slice(&read_regular(path, limits::CATALOGUE_BYTES)?).ok()
    }

    /// Reads the file where it has changed. One that is missing or broken says nothing.
    fn read(&self, state: &mut State) {
        let path = self.configuration.state_directory.join(FILE);
        let changed = fs::metadata(&path).and_then(|data| data.modified()).ok();
        if changed.is_none() || changed == state.read {
            return;
        }
        state.read = changed;
        let Some(mut file) = self.load(&path) else {
            return;
        };
        let newer = |ours: &mut Option<List>, theirs: Option<List>| {
            let theirs = theirs.filter(List::is_right);
            let time = |list: &Option<List>| list.as_ref().map(|list| list.time);
            if time(&theirs) > time(ours) {
                *ours = theirs;
            }
        };
        newer(&mut state.releases, file.releases.remove(&self.iocage));
        let page = self.configuration.end_of_life_url.without_credentials();
        newer(&mut state.end_of_life, file.end_of_life.remove(&page));
        state.end_of_life_error = file.end_of_life_errors.remove(&page);
    }

    fn write(&self, state: &mut State) -> std::io::Result<()> {
        private_folder(&self.configuration.state_directory)?;
        let path = self.configuration.state_directory.join(FILE);
        // Other instances' lists stay in it.
        let mut file = self.load(&path).unwrap_or_default();
        if let Some(list) = &state.releases {
            file.releases.insert(self.iocage.clone(), list.clone());
        }
        let page = self.configuration.end_of_life_url.without_credentials();
        match &state.end_of_life_error {
            Some(error) => file.end_of_life_errors.insert(page.clone(), error.clone()),
            None => file.end_of_life_errors.remove(&page),
        };
        if let Some(list) = &state.end_of_life {
            file.end_of_life.insert(page, list.clone());
        }
        let mut text = serde_json::to_vec_pretty(&file)?;
        text.push(b'\n');
        replace(&path, &text)?;
        state.read = fs::metadata(&path).and_then(|data| data.modified()).ok();
        Ok(())
    }
}

impl List {
    fn now(names: Vec<String>) -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        List {
            time: now.as_secs(),
            names,
        }
    }

    /// Whether every name is a release (they come from outside here too), and its time is in the
    /// past: with a time in the future it would never be old.
    fn is_right(&self) -> bool {
        let right = self.names.iter().all(|name| releases::is_listed(name));
        right && self.time <= List::now(Vec::new()).time
    }

    fn age(&self) -> Duration {
        Duration::from_secs(List::now(Vec::new()).time.saturating_sub(self.time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_is_taken_only_if_every_name_is_one_and_its_time_has_been() {
        let list = |names: &[&str], time| List {
            names: names.iter().map(|name| name.to_string()).collect(),
            time,
        };
        assert!(list(&["9.3-RELEASE (EOL)", "14.1-RELEASE"], 1).is_right());
        assert!(!list(&["$(reboot)"], 1).is_right());
        let now = List::now(Vec::new()).time;
        assert!(!list(&[], now + 1000).is_right());
        for broken in [
            json!({"releases": 1}),
            json!({"releases": {"x": {"time": "1"}}}),
        ] {
            assert!(serde_json::from_value::<File>(broken).is_err());
        }
    }
}
