//! What the network offers, kept on disk: the remote releases and those at their end of life.
//!
//! A request is answered from what is known, at once. What is older than the configuration allows
//! is refreshed in the background, by one thread at a time; only where nothing is known yet is it
//! waited for, for no longer than a command may take.
//!
//! The file is JSON, readable by hand, in the plugin's own state directory: nothing in a pool
//! changes by looking. It is written whole or not at all; one that cannot be read is replaced.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{json, Value};

use crate::configuration::Configuration;
use crate::error::Result;
use crate::iocage::releases;
use crate::limits;
use crate::sync::lock;
use crate::system::{read_regular, System};

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
    system: Arc<System>,
    directory: PathBuf,
    /// Whose lists these are: another iocage may know of other releases.
    iocage: String,
    end_of_life_url: String,
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
    /// When the last refresh ended.
    tried: Option<Instant>,
    refreshing: bool,
    refreshes: u64,
    /// The time of change of the file that this was read from.
    read: Option<SystemTime>,
}

#[derive(Clone, Debug, PartialEq)]
struct List {
    /// When it was had, in seconds since 1970.
    time: u64,
    names: Vec<String>,
}

/// What is known of the remote releases.
#[derive(Debug, PartialEq)]
pub struct Remote {
    /// Oldest first, with the mark of those at their end of life.
    pub releases: Vec<String>,
    /// How old the list is; none where there is none.
    pub age: Option<Duration>,
    pub error: Option<String>,
}

impl Catalogue {
    pub fn new(config: &Configuration, system: Arc<System>) -> Self {
        Catalogue {
            shared: Arc::new(Shared {
                iocage: config.commands.iocage.display().to_string(),
                system,
                directory: config.state_directory.clone(),
                end_of_life_url: config.end_of_life_url.clone(),
                state: Mutex::default(),
                refreshed: Condvar::new(),
                closing: AtomicBool::new(false),
            }),
            max_age: config.catalogue_max_age,
            // The answer itself takes a few commands, and is to come within that time too.
            patience: config.command_timeout * 9 / 10,
            refresher: Mutex::default(),
        }
    }

    /// The remote releases; `pool` is the active one, and `now` whether to wait for a new list.
    pub fn releases(&self, pool: &str, now: bool) -> Remote {
        let mut state = self.shared.lock();
        self.shared.read(&mut state);
        // Another iocage than the one that was asked may know better, so that is waited for too.
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
            (Some(_), Some(tried))
                if state.error.is_some() && tried.elapsed() < limits::CATALOGUE_RETRY =>
            {
                return self.shared.remote(&state)
            }
            (Some(_), _) => Duration::ZERO,
            (None, None) => self.patience,
            (None, Some(_)) => limits::CATALOGUE_RETRY_PATIENCE.min(self.patience),
        };
        let before = state.refreshes;
        if !state.refreshing {
            match self.start(pool) {
                Ok(()) => state.refreshing = true,
                Err(error) => {
                    let mut remote = self.shared.remote(&state);
                    remote.error = Some(format!("nobody to ask for it: {error}"));
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
                "timeout, nothing new after {seconds} s; still being asked for"
            ));
        }
        remote
    }

    fn start(&self, pool: &str) -> std::io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let pool = pool.to_string();
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
    fn refresh(&self, pool: &str) {
        let releases = releases::remote(&self.system, pool, &self.closing);
        let marked = |names: &Vec<String>| {
            names
                .iter()
                .any(|name| name.ends_with(releases::END_OF_LIFE))
        };
        let ask = matches!(&releases, Ok(names) if !marked(names));
        let end_of_life = ask.then(|| {
            releases::end_of_life(&self.system, &self.end_of_life_url, &self.closing).ok()
        });

        let mut state = self.lock();
        // What another process has found meanwhile stays where we have found nothing.
        self.read(&mut state);
        self.note(&mut state, releases, end_of_life.flatten());
        state.tried = Some(Instant::now());
        state.refreshing = false;
        state.refreshes += 1;
        self.refreshed.notify_all();
    }

    fn note(&self, state: &mut State, releases: Result<Vec<String>>, eol: Option<Vec<String>>) {
        if let Some(names) = eol {
            state.end_of_life = Some(List::now(names));
        }
        match releases {
            Ok(names) => {
                state.releases = Some(List::now(names));
                state.error = None;
            }
            Err(error) => {
                state.error = Some(error.message);
                return;
            }
        }
        // Without the file the next process asks again, and this one remembers.
        let _ = self.write(state);
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
        Remote {
            releases: releases::offered(names, end_of_life, self.system.release()),
            age: state.releases.as_ref().map(List::age),
            error: state.error.clone(),
        }
    }

    /// Reads the file where it has changed. One that is missing or broken says nothing.
    fn read(&self, state: &mut State) {
        let path = self.directory.join(FILE);
        let changed = fs::metadata(&path).and_then(|data| data.modified()).ok();
        if changed.is_none() || changed == state.read {
            return;
        }
        state.read = changed;
        let text = read_regular(&path, limits::CATALOGUE_BYTES);
        let Some(file) = text.and_then(|text| serde_json::from_slice::<Value>(&text).ok()) else {
            return;
        };
        let newer = |ours: &mut Option<List>, theirs: Option<List>| {
            let time = |list: &Option<List>| list.as_ref().map(|list| list.time);
            if time(&theirs) > time(ours) {
                *ours = theirs;
            }
        };
        newer(
            &mut state.releases,
            List::of(&file["releases"][&self.iocage]),
        );
        newer(
            &mut state.end_of_life,
            List::of(&file["end_of_life"][&self.end_of_life_url]),
        );
    }

    fn write(&self, state: &mut State) -> std::io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let path = self.directory.join(FILE);
        // Other instances' lists stay in it.
        let mut file = read_regular(&path, limits::CATALOGUE_BYTES)
            .and_then(|text| serde_json::from_slice(&text).ok())
            .filter(Value::is_object)
            .unwrap_or_else(|| json!({}));
        for (kind, key, list) in [
            ("releases", &self.iocage, &state.releases),
            ("end_of_life", &self.end_of_life_url, &state.end_of_life),
        ] {
            if !file[kind].is_object() {
                file[kind] = json!({});
            }
            if let Some(list) = list {
                file[kind][key] = json!({ "time": list.time, "names": list.names });
            }
        }
        replace(&path, format!("{file:#}\n").as_bytes())?;
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

    fn of(value: &Value) -> Option<Self> {
        let names = value["names"]
            .as_array()?
            .iter()
            .map(|name| name.as_str().map(String::from));
        let list = List {
            time: value["time"].as_u64()?,
            names: names.collect::<Option<_>>()?,
        };
        // Names come from outside, this way too; and a time to come would never be old.
        let right = list.names.iter().all(|name| releases::is_listed(name));
        (right && list.time <= List::now(Vec::new()).time).then_some(list)
    }

    fn age(&self) -> Duration {
        Duration::from_secs(List::now(Vec::new()).time.saturating_sub(self.time))
    }
}

/// Writes a file whole or not at all.
fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    remove_abandoned_drafts(path);
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let written = fs::File::create(&draft)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

/// Removes the drafts of `path` that processes have left which died while they wrote.
fn remove_abandoned_drafts(path: &Path) {
    const LONG_AGO: Duration = Duration::from_secs(3600);
    let drafts = path.parent().and_then(|folder| fs::read_dir(folder).ok());
    for entry in drafts.into_iter().flatten().flatten() {
        let draft = entry.path();
        let is_draft = draft
            .extension()
            .is_some_and(|extension| extension == "new")
            && draft.file_stem().map(Path::new).and_then(Path::file_stem) == path.file_stem();
        let age = entry.metadata().and_then(|data| data.modified());
        let age = age.ok().and_then(|time| time.elapsed().ok());
        if is_draft && age.is_some_and(|age| age > LONG_AGO) {
            let _ = fs::remove_file(draft);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drafts_that_were_abandoned_are_removed_and_no_other_file() {
        let folder = std::env::temp_dir().join(format!("drafts{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let old = SystemTime::now() - Duration::from_secs(7200);
        for (name, time) in [
            ("catalogue.7.new", old),
            ("catalogue.8.new", SystemTime::now()),
            ("other.7.new", old),
            ("catalogue.json", old),
        ] {
            let file = fs::File::create(folder.join(name)).unwrap();
            file.set_modified(time).unwrap();
        }
        remove_abandoned_drafts(&folder.join(FILE));
        let left = fs::read_dir(&folder).unwrap();
        let mut left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["catalogue.8.new", "catalogue.json", "other.7.new"]);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_list_is_taken_only_if_every_name_is_one_and_its_time_has_been() {
        let good = json!({"time": 1, "names": ["9.3-RELEASE (EOL)", "14.1-RELEASE"]});
        assert_eq!(List::of(&good).unwrap().names.len(), 2);
        let now = List::now(Vec::new()).time;
        for bad in [
            json!(null),
            json!({"time": 1, "names": ["$(reboot)"]}),
            json!({"time": 1, "names": [1]}),
            json!({"time": "1", "names": []}),
            json!({"time": now + 1000, "names": []}),
        ] {
            assert_eq!(List::of(&bad), None, "{bad}");
        }
    }
}
