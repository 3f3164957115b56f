//! Plugin indexes: git clones, each with a file INDEX, which is one JSON object, and a manifest for
//! each plugin.
//!
//! Of all clones of a repository one counts ([`super::clones`]).

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::branches::Habits;
use super::clones::{Clones, Switch};
use super::plugin::Plugin;
use crate::configuration::Configuration;
use crate::error::Result;
use crate::limits;
use crate::names::{PluginId, Url};
use crate::sync::lock;
use crate::system::System;

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
    /// The clones that have another branch on disk than the one that iocage takes.
    pub switches: Vec<(Url, Switch)>,
    /// Whether there is an index that cannot be read.
    pub is_broken: bool,
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
/// `pool`, if it is mounted, and `habits` are those of the installed iocage.
///
/// # Errors
/// Where the pool's disks do not answer.
pub fn read(
    system: &System,
    configuration: &Configuration,
    pool: &str,
    root: Option<&Path>,
    habits: &Habits,
) -> Result<Plugins> {
    let (configuration, habits) = (configuration.clone(), habits.clone());
    let root = root.map(PathBuf::from);
    system.on_files(pool, move || {
        read_all(&configuration, root.as_deref(), &habits)
    })
}

fn read_all(configuration: &Configuration, root: Option<&Path>, habits: &Habits) -> Plugins {
    let mut plugins = Plugins::default();
    for repository in &configuration.plugin_repositories {
        let clones = Clones::find(configuration, root, repository, habits);
        let switch = clones.switch();
        plugins
            .switches
            .extend(switch.map(|switch| (repository.clone(), switch)));
        let newest = clones.newest();
        let age = newest.as_ref().map(|newest| newest.age).ok();
        if age.is_none_or(|age| age >= configuration.catalogue_max_age) {
            plugins.outdated.push(repository.clone());
        }
        plugins.age = plugins.age.max(age);
        plugins.is_broken |= newest.as_ref().is_ok_and(|newest| newest.entries.is_err());
        match newest.and_then(|newest| Ok((newest.entries?, newest.folder))) {
            Ok((entries, clone)) => {
                // A plugin's id is a word of a command line and of a path.
                let is_id = |id: &String| PluginId::parse(id).is_ok();
                for (id, entry) in entries.into_iter().filter(|(id, _)| is_id(id)) {
                    let plugin = Plugin::new(&id, entry, repository, &clone);
                    plugins.by_id.entry(id).or_insert(plugin);
                }
            }
            Err(why) => {
                plugins.errors.push(error_of(repository, &why));
            }
        }
    }
    plugins
}

/// What is wrong with the index of a repository, in words.
pub fn error_of(repository: &Url, why: &str) -> String {
    format!("plugin index {}: {why}", repository.without_credentials())
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
    use crate::iocage::clones::own_folder;
    use serde_json::Value;
    use std::fs;

    fn repository() -> Url {
        Url::parse(crate::configuration::PLUGIN_REPOSITORY).unwrap()
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
        let plugins = read_all(&configuration, None, &Habits::default());
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
