//! Plugin indexes: git clones, each with a file INDEX, which is one JSON object, and a manifest for
//! each plugin.
//!
//! iocage has its clones below its root; ours, which are refreshed without it, lie in the plugin's
//! state directory. Of two clones of one repository the one with the newer index counts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use crate::configuration::Configuration;
use crate::limits;
use crate::system::read_regular;

/// The repository that iocage clones where nobody names another.
pub const REPOSITORY: &str = "https://github.com/freenas/iocage-ix-plugins.git";

/// A plugin that can be fetched.
#[derive(Clone, Debug, PartialEq)]
pub struct Plugin {
    pub name: String,
    pub description: String,
    pub repository: String,
    /// What its index says of it.
    entry: Value,
    /// Its manifest's file.
    manifest: Option<PathBuf>,
}

/// What is known of the plugins of all repositories.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// By id.
    pub plugins: BTreeMap<String, Plugin>,
    /// The age of the oldest index, where there is any.
    pub age: Option<Duration>,
    /// What could not be read.
    pub errors: Vec<String>,
    /// The repositories whose index is missing or older than the configuration allows.
    pub outdated: Vec<String>,
}

/// Reads the indexes of all configured repositories; `root` is iocage's root on disk, where that
/// is mounted.
pub fn catalogue(config: &Configuration, root: Option<&Path>) -> Catalogue {
    let mut catalogue = Catalogue::default();
    for repository in &config.plugin_repositories {
        let index = newest_clone(config, root, repository);
        let age = index.as_ref().map(|(_, age)| *age);
        if age.is_none_or(|age| age >= config.catalogue_max_age) {
            catalogue.outdated.push(repository.clone());
        }
        catalogue.age = catalogue.age.max(age);
        let read = match &index {
            Some((clone, _)) => read_index(clone),
            None => Err("there is no clone of it yet".into()),
        };
        match read {
            Ok(entries) => {
                let clone = index.map(|(clone, _)| clone).unwrap_or_default();
                for (id, entry) in entries {
                    let plugin = Plugin::new(&id, entry, repository, &clone);
                    catalogue.plugins.entry(id).or_insert(plugin);
                }
            }
            Err(why) => catalogue
                .errors
                .push(format!("plugin index {repository}: {why}")),
        }
    }
    catalogue
}

/// The clone with the newest index, and how old that is.
fn newest_clone(
    config: &Configuration,
    root: Option<&Path>,
    repository: &str,
) -> Option<(PathBuf, Duration)> {
    let mut clones = vec![own_clone(config, repository)];
    if let Some(root) = root {
        clones.push(root.join(".plugins").join(clone_name(repository)));
        if repository == REPOSITORY {
            // Up to iocage 1.1 there was one repository, and its clone had a name of its own.
            clones.push(root.join(".plugin_index"));
        }
    }
    let refreshed = |clone: &PathBuf| {
        let time = |file: &str| {
            clone
                .join(file)
                .metadata()
                .and_then(|data| data.modified())
                .ok()
        };
        // A pull that finds nothing new leaves the index alone, and its mark here.
        Some(time("INDEX")?.max(time(".git/FETCH_HEAD").unwrap_or(SystemTime::UNIX_EPOCH)))
    };
    let known = clones
        .into_iter()
        .filter_map(|clone| Some((refreshed(&clone)?, clone)));
    let (time, clone) = known.max_by_key(|(time, _)| *time)?;
    Some((clone, time.elapsed().unwrap_or_default()))
}

/// Our own clone of a repository.
fn own_clone(config: &Configuration, repository: &str) -> PathBuf {
    config
        .state_directory
        .join("plugins")
        .join(clone_name(repository))
}

/// The folder of a clone, as iocage names it: the URL without its scheme, `/` and `.` as `_`.
fn clone_name(repository: &str) -> String {
    let name = repository
        .split_once("://")
        .map_or(repository, |(_, rest)| rest);
    name.replace(['/', '.'], "_")
}

/// The id of the job that refreshes our clone of a repository, and the arguments of its git.
pub fn refresh(config: &Configuration, repository: &str) -> (String, Vec<String>) {
    let clone = own_clone(config, repository);
    let folder = clone.display().to_string();
    let arguments = if clone.join("INDEX").exists() {
        ["-C", &folder, "pull", "--quiet", "--ff-only"]
            .map(String::from)
            .to_vec()
    } else {
        ["clone", "--quiet", "--depth", "1", repository, &folder]
            .map(String::from)
            .to_vec()
    };
    (
        format!("sysadm_iocage_refresh_plugins_{}", clone_name(repository)),
        arguments,
    )
}

fn read_index(clone: &Path) -> std::result::Result<Map<String, Value>, String> {
    let text = read_regular(&clone.join("INDEX"), limits::INDEX_FILE_BYTES)
        .ok_or("INDEX is not readable or too large")?;
    parse(&text)
}

fn parse(index: &[u8]) -> std::result::Result<Map<String, Value>, String> {
    match serde_json::from_slice(index) {
        Ok(Value::Object(entries)) => Ok(entries),
        Ok(_) => Err("INDEX is not a JSON object".into()),
        Err(error) => Err(format!("INDEX: {error}")),
    }
}

impl Plugin {
    fn new(id: &str, entry: Value, repository: &str, clone: &Path) -> Self {
        let text = |key: &str| entry.get(key).and_then(Value::as_str);
        // A file of the clone, not any file of the host.
        let manifest = text("MANIFEST").filter(|file| crate::names::jail(file).is_ok());
        Plugin {
            name: text("name").unwrap_or(id).into(),
            description: text("description").unwrap_or_default().into(),
            repository: repository.into(),
            manifest: manifest.map(|file| clone.join(file)),
            entry,
        }
    }

    /// What more its index and its manifest say: `official`, `category`, `icon`, `license`,
    /// `homepage`, `primary_pkg` and `release`, those of them that are there.
    pub fn details(&self) -> Vec<(&'static str, String)> {
        let manifest = self.manifest();
        let keys = [
            "official",
            "category",
            "icon",
            "license",
            "homepage",
            "primary_pkg",
            "release",
        ];
        keys.into_iter()
            .filter_map(|key| Some((key, self.text(&manifest, key)?)))
            .collect()
    }

    /// Where the license is to be read that iocage wants accepted, if there is one.
    pub fn license(&self) -> Option<String> {
        self.text(&self.manifest(), "license")
    }

    fn manifest(&self) -> Map<String, Value> {
        let file = self.manifest.as_deref();
        let text = file.and_then(|file| read_regular(file, limits::CONFIG_FILE_BYTES));
        text.and_then(|text| parse(&text).ok()).unwrap_or_default()
    }

    fn text(&self, manifest: &Map<String, Value>, key: &str) -> Option<String> {
        match self.entry.get(key).or_else(|| manifest.get(key))? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Bool(truth) if key == "official" => Some(truth.to_string()),
            _ => None,
        }
    }
}

impl Catalogue {
    /// The ids most like `id`, best first, where any is like it at all.
    pub fn nearest(&self, id: &str) -> Vec<&str> {
        const SOME: usize = 3;
        let mut near: Vec<(usize, &str)> = self
            .plugins
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

/// How many letters have to be put in, left out or changed to make one word of the other
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

    #[test]
    fn a_clone_lies_where_iocage_puts_it() {
        assert_eq!(
            clone_name(REPOSITORY),
            "github_com_freenas_iocage-ix-plugins_git"
        );
    }

    #[test]
    fn an_entry_without_texts_is_still_a_plugin() {
        let index = br#"{"plex": {"name": "Plex", "description": "Media"}, "bare": {}, "odd": 1}"#;
        let entries = parse(index).unwrap();
        let plugin = |id: &str| Plugin::new(id, entries[id].clone(), REPOSITORY, Path::new("/x"));
        assert_eq!(plugin("plex").name, "Plex");
        assert_eq!(
            (plugin("bare").name, plugin("odd").name),
            ("bare".into(), "odd".into())
        );
        assert!(parse(b"[]").is_err());
        assert!(parse(b"{").is_err());
    }

    #[test]
    fn a_manifest_is_a_file_of_the_clone() {
        let plugin = |file: &str| {
            let entry = serde_json::json!({ "MANIFEST": file });
            Plugin::new("x", entry, REPOSITORY, Path::new("/x")).manifest
        };
        assert_eq!(plugin("plex.json"), Some("/x/plex.json".into()));
        assert_eq!(
            (plugin("../plex.json"), plugin("/etc/passwd")),
            (None, None)
        );
    }

    #[test]
    fn the_nearest_are_those_that_could_be_meant() {
        let mut catalogue = Catalogue::default();
        for id in [
            "gitlab",
            "gitea",
            "jenkins",
            "jenkins-lts",
            "plexmediaserver",
        ] {
            let plugin = Plugin::new(id, Value::Null, REPOSITORY, Path::new("/x"));
            catalogue.plugins.insert(id.into(), plugin);
        }
        assert_eq!(catalogue.nearest("gitlib"), ["gitlab"]);
        assert_eq!(catalogue.nearest("jenkin"), ["jenkins", "jenkins-lts"]);
        assert_eq!(catalogue.nearest("plex"), ["plexmediaserver"]);
        assert!(catalogue.nearest("zoneminder").is_empty());
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
