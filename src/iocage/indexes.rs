//! Plugin indexes: git clones, each with a file INDEX, which is one JSON object, and a manifest for
//! each plugin.
//!
//! iocage has its clones below its root; the library has its own, which it refreshes without
//! iocage, in the state directory. Each refresh makes a new clone next to the last one: a
//! repository may rewrite its history, and a clone may be interrupted. Of all whole clones of a
//! repository the one with the newest index counts.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Map, Value};

use super::plugin::{parse, Plugin};
use crate::configuration::{Configuration, Program, PLUGIN_REPOSITORY};
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::names::{Checked, PluginId, Url};
use crate::sync::lock;
use crate::system::{private_folder, read_regular, CommandLine, System};

/// What is known of the plugins of all repositories.
#[derive(Debug, Default)]
pub struct Plugins {
    /// By id.
    pub by_id: BTreeMap<String, Plugin>,
    /// The age of the oldest index, if there is any.
    pub age: Option<Duration>,
    /// What could not be read.
    pub errors: Vec<String>,
    /// The repositories whose index is missing or older than the configuration allows.
    pub outdated: Vec<Url>,
}

/// When each repository was last refreshed by this instance.
#[derive(Default)]
pub struct Indexes(Mutex<HashMap<Url, Instant>>);

impl Indexes {
    /// Whether it is time to refresh a repository without anybody asking for it. It counts as
    /// refreshed from now on.
    pub fn is_due(&self, repository: &Url) -> bool {
        let mut refreshed = lock(&self.0);
        let recently = |at: &Instant| at.elapsed() < limits::PLUGINS_RETRY;
        if refreshed.get(repository).is_some_and(recently) {
            return false;
        }
        refreshed.insert(repository.clone(), Instant::now());
        true
    }
}

/// Reads the indexes of all configured repositories; `root` is iocage's root on disk in the pool
/// `pool`, if it is mounted.
///
/// # Errors
/// Where the pool's disks do not answer.
pub fn read(
    system: &System,
    configuration: &Configuration,
    pool: &str,
    root: Option<&Path>,
) -> Result<Plugins> {
    let configuration = configuration.clone();
    let root = root.map(PathBuf::from);
    system.on_files(pool, move || read_all(&configuration, root.as_deref()))
}

fn read_all(configuration: &Configuration, root: Option<&Path>) -> Plugins {
    let mut plugins = Plugins::default();
    for repository in &configuration.plugin_repositories {
        let newest = newest(clones(configuration, root, repository));
        let age = newest.as_ref().map(|newest| newest.age);
        if age.is_none_or(|age| age >= configuration.catalogue_max_age) {
            plugins.outdated.push(repository.clone());
        }
        plugins.age = plugins.age.max(age);
        let entries = match newest {
            Some(newest) => newest.entries.map(|entries| (newest.clone, entries)),
            None => Err("there is no clone of it yet".into()),
        };
        match entries {
            Ok((clone, entries)) => {
                // A plugin's id is a word of a command line and of a path.
                let is_id = |id: &String| PluginId::parse(id).is_ok();
                for (id, entry) in entries.into_iter().filter(|(id, _)| is_id(id)) {
                    let plugin = Plugin::new(&id, entry, repository, &clone);
                    plugins.by_id.entry(id).or_insert(plugin);
                }
            }
            Err(why) => {
                let repository = repository.without_credentials();
                plugins
                    .errors
                    .push(format!("plugin index {repository}: {why}"));
            }
        }
    }
    plugins
}

/// Where clones of a repository may be.
fn clones(configuration: &Configuration, root: Option<&Path>, repository: &Url) -> Vec<PathBuf> {
    let mut clones = own_clones(configuration, repository);
    if let Some(root) = root {
        clones.push(root.join(".plugins").join(iocages_name(repository)));
        if **repository == *PLUGIN_REPOSITORY {
            // Up to iocage 1.1 there was one repository, and its clone had a name of its own.
            clones.push(root.join(".plugin_index"));
        }
    }
    clones
}

/// The clone that counts.
struct Newest {
    clone: PathBuf,
    age: Duration,
    entries: std::result::Result<Map<String, Value>, String>,
}

/// The clone with the newest index that can be read, or else with the newest of all: an interrupted
/// clone cannot be read, but the one before it can.
fn newest(clones: Vec<PathBuf>) -> Option<Newest> {
    let refreshed = |clone: &PathBuf| {
        let time = |file: &str| {
            let data = clone.join(file).metadata();
            data.and_then(|data| data.modified()).ok()
        };
        // A pull that finds nothing new leaves the index alone, and its mark here.
        Some(time("INDEX")?.max(time(".git/FETCH_HEAD").unwrap_or(SystemTime::UNIX_EPOCH)))
    };
    let known = clones
        .into_iter()
        .filter_map(|clone| Some((refreshed(&clone)?, clone)));
    let mut known: Vec<(SystemTime, PathBuf)> = known.collect();
    known.sort_unstable();
    let mut read = known.into_iter().rev().map(|(time, clone)| Newest {
        entries: read_index(&clone),
        age: time.elapsed().unwrap_or_default(),
        clone,
    });
    let first = read.next()?;
    match first.entries {
        Ok(_) => Some(first),
        Err(_) => read.find(|older| older.entries.is_ok()).or(Some(first)),
    }
}

/// The folder of the library's clones of a repository.
fn own_folder(configuration: &Configuration, repository: &Url) -> PathBuf {
    let plugins = configuration.state_directory.join("plugins");
    plugins.join(clone_name(repository))
}

/// The library's clones of a repository: one for each refresh, and in the folder itself one of an
/// earlier version of the library.
fn own_clones(configuration: &Configuration, repository: &Url) -> Vec<PathBuf> {
    let folder = own_folder(configuration, repository);
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let is_number = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let clones = entries.map(|entry| entry.path()).filter(is_number);
    clones.chain([folder.clone()]).collect()
}

/// The name of a repository for its folder and its job: the URL without its scheme and a user's
/// name and password, `/` and `.` as `_`.
pub fn clone_name(repository: &Url) -> String {
    as_folder(&repository.without_credentials())
}

/// The folder of iocage's own clone: with the user's name and password.
fn iocages_name(repository: &Url) -> String {
    as_folder(repository)
}

fn as_folder(url: &str) -> String {
    let name = url.split_once("://").map_or(url, |(_, rest)| rest);
    name.replace(['/', '.'], "_")
}

/// A folder for a clone.
struct Folder(String);

impl Checked for Folder {
    fn as_str(&self) -> &str {
        &self.0
    }
}

/// Prepares a refresh: removes the library's clones except the one that counts, and returns the
/// command that makes a new one.
///
/// # Errors
/// `Unavailable` if the folder cannot be made.
pub fn refresh(configuration: &Configuration, repository: &Url) -> Result<CommandLine> {
    let folder = own_folder(configuration, repository);
    private_folder(&folder)
        .map_err(|error| Error::new(Code::Unavailable, format!("{}: {error}", folder.display())))?;
    let own = own_clones(configuration, repository);
    let best = newest(own.clone()).map(|newest| newest.clone);
    let mut number = 0;
    for clone in own {
        let name = clone.file_name().and_then(|name| name.to_str());
        let own: Option<u64> = name.and_then(|name| name.parse().ok());
        number = number.max(own.unwrap_or(0));
        if own.is_some() && Some(&clone) != best.as_ref() {
            let _ = fs::remove_dir_all(clone); // tried again next time
        }
    }
    let clone = folder.join((number + 1).to_string());
    let line = CommandLine::new(Program::Git).words(&["clone", "--quiet", "--depth", "1"]);
    let line = match repository.without_credentials() == **repository {
        true => line.value(repository),
        false => line.secret(repository),
    };
    Ok(line.value(&Folder(clone.display().to_string())))
}

fn read_index(clone: &Path) -> std::result::Result<Map<String, Value>, String> {
    let text = read_regular(&clone.join("INDEX"), limits::INDEX_FILE_BYTES)
        .ok_or("INDEX is not readable or too large")?;
    parse(&text)
}

impl Plugins {
    /// The ids most similar to `id`, best first.
    pub fn nearest(&self, id: &str) -> Vec<&str> {
        const SOME: usize = 3;
        let mut near: Vec<(usize, &str)> = self
            .by_id
            .keys()
            .map(|known| {
                let inside = known.contains(id) || id.contains(known.as_str());
                (if inside { 1 } else { distance(id, known) }, known.as_str())
            })
            .filter(|(distance, known)| *distance <= 1 + known.len().min(id.len()) / 3)
            .collect();
        near.sort_unstable();
        near.into_iter()
            .take(SOME)
            .map(|(_, known)| known)
            .collect()
    }
}

/// How many letters have to be added, removed or changed to turn one word into the other
/// (Levenshtein's distance).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> Url {
        Url::parse(PLUGIN_REPOSITORY).unwrap()
    }

    #[test]
    fn a_clone_lies_where_iocage_puts_it() {
        assert_eq!(
            clone_name(&repository()),
            "github_com_freenas_iocage-ix-plugins_git"
        );
        let private = Url::parse("https://user:token@example.org/p.git").unwrap();
        assert_eq!(clone_name(&private), "example_org_p_git");
    }

    #[test]
    fn an_id_of_megabytes_is_no_plugin_and_costs_no_time() {
        let name = format!("sysadm-iocage-long-id-{}", std::process::id());
        let configuration = Configuration {
            state_directory: std::env::temp_dir().join(name),
            ..Configuration::default()
        };
        let clone = own_folder(&configuration, &repository()).join("1");
        fs::create_dir_all(&clone).unwrap();
        let index = format!("{{\"{}\": {{}}, \"gitlab\": {{}}}}", "x".repeat(15 << 20));
        fs::write(clone.join("INDEX"), index).unwrap();
        let plugins = read_all(&configuration, None);
        fs::remove_dir_all(&configuration.state_directory).unwrap();
        assert_eq!(plugins.by_id.keys().collect::<Vec<_>>(), ["gitlab"]);
        let began = Instant::now();
        assert_eq!(plugins.nearest("gitlib"), ["gitlab"]);
        assert!(plugins
            .nearest(&"x".repeat(limits::ARGUMENT_BYTES))
            .is_empty());
        assert!(began.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn the_nearest_are_those_that_could_be_meant() {
        let mut catalogue = Plugins::default();
        for id in [
            "gitlab",
            "gitea",
            "jenkins",
            "jenkins-lts",
            "plexmediaserver",
        ] {
            let plugin = Plugin::new(id, Value::Null, &repository(), Path::new("/x"));
            catalogue.by_id.insert(id.into(), plugin);
        }
        assert_eq!(catalogue.nearest("gitlib"), ["gitlab"]);
        assert_eq!(catalogue.nearest("jenkin"), ["jenkins", "jenkins-lts"]);
        assert_eq!(catalogue.nearest("plex"), ["plexmediaserver"]);
        assert!(catalogue.nearest("zoneminder").is_empty());
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
