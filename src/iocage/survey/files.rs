//! The files in which iocage keeps the settings of jails, as far as they are known.

use std::path::Path;
use std::sync::Arc;

use crate::iocage::datasets::{self, Family};
use crate::iocage::settings::Settings;
use crate::limits;
use crate::names::PoolName;
use crate::system::{read_identified, Identity, Mounts};

/// What iocage keeps in files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    defaults: File,
    /// The `config.json` of each member that is mounted, in the order of their names.
    configs: Vec<(Arc<str>, File)>,
    /// The folder of the family.
    folder: Option<Identity>,
}

/// A settings file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct File {
    identity: Option<Identity>,
    /// Whether the content is known as long as the identity is the same.
    settled: bool,
    /// What it says; none where it cannot be read.
    settings: Option<Arc<Settings>>,
    /// Whether there is anything at its path.
    is_there: bool,
}

/// What is known of a member's `config.json`.
pub enum ConfigFile<'a> {
    NotMounted,
    Unreadable,
    Read(&'a Settings),
}

impl<'a> ConfigFile<'a> {
    fn of(file: &'a File) -> Self {
        match &file.settings {
            Some(settings) => ConfigFile::Read(settings),
            None => ConfigFile::Unreadable,
        }
    }
}

impl Files {
    pub fn read(mounts: &Mounts, pool: &PoolName, family: Family, before: Option<&Files>) -> Self {
        let defaults = datasets::folder(mounts, pool)
            .map(|root| root.join("defaults.json"))
            .map(|path| File::look(&path, before.map(|files| &files.defaults)));
        let parent = family.dataset(pool);
        let places: Vec<(&str, &Path)> = mounts.below(&parent).collect();
        Files {
            defaults: defaults.unwrap_or_default(),
            configs: look_at(&places, before.map_or(&[], |files| &files.configs)),
            folder: mounts.mountpoint(&parent).and_then(Identity::of_folder),
        }
    }

    /// What `defaults.json` says; nothing if it cannot be read.
    pub fn defaults(&self) -> &Settings {
        let settings = self.defaults.settings.as_deref();
        settings.unwrap_or(Settings::none())
    }

    /// Whether there is a `defaults.json` that cannot be read.
    pub fn has_broken_defaults(&self) -> bool {
        self.defaults.is_there && self.defaults.settings.is_none()
    }

    /// What is known of the `config.json` of each of `members`, which are in the order of their
    /// names.
    pub fn configs<'a>(
        &'a self,
        members: impl Iterator<Item = &'a str>,
    ) -> impl Iterator<Item = ConfigFile<'a>> {
        let mut configs = self.configs.iter().peekable();
        members.map(move |member| {
            while configs.next_if(|(name, _)| **name < *member).is_some() {}
            match configs.next_if(|(name, _)| **name == *member) {
                Some((_, file)) => ConfigFile::of(file),
                None => ConfigFile::NotMounted,
            }
        })
    }

    /// What is known of the `config.json` of a member.
    pub fn config(&self, member: &str) -> ConfigFile<'_> {
        let index = self
            .configs
            .binary_search_by(|(name, _)| (**name).cmp(member));
        match index {
            Ok(index) => ConfigFile::of(&self.configs[index].1),
            Err(_) => ConfigFile::NotMounted,
        }
    }

    /// Whose `config.json` is another file, or in another state, and whether it is in the same file
    /// system as before; `None` where members have come or gone.
    pub fn changed_since(&self, before: &Files) -> Option<Vec<(&str, bool)>> {
        let pairs = || self.configs.iter().zip(&before.configs);
        let same_names = pairs().all(|((name, _), (other, _))| name == other);
        let changed = pairs().filter(|((_, file), (_, before))| file.identity != before.identity);
        let changed = changed.map(|((name, file), (_, before))| (&**name, file.is_beside(before)));
        let changed = changed.collect();
        (same_names && self.configs.len() == before.configs.len()).then_some(changed)
    }

    /// The folder in which the members' own are. While it is the same in the same state, none of
    /// those was made or removed, and so no member destroyed and made anew.
    pub fn folder(&self) -> Option<Identity> {
        self.folder
    }

    /// The bytes that the settings take in memory.
    pub fn size(&self) -> usize {
        let configs = self.configs.iter().map(|(_, file)| file);
        let files = configs.chain([&self.defaults]);
        files
            .filter_map(|file| file.settings.as_ref())
            .map(|settings| settings.size())
            .sum()
    }
}

/// The `config.json` at each of the places, which are in the order of their names, as those that
/// were known `before` are.
fn look_at(places: &[(&str, &Path)], before: &[(Arc<str>, File)]) -> Vec<(Arc<str>, File)> {
    if places.len() > limits::FILES_PER_THREAD {
        // The kernel looks at one after the other, but for each thread.
        let (some, others) = places.split_at(places.len() / 2);
        return std::thread::scope(|scope| {
            let look = || look_at(others, before);
            let aside = std::thread::Builder::new().spawn_scoped(scope, look);
            let mut all = look_at(some, before);
            let aside = aside.ok().and_then(|thread| thread.join().ok());
            all.extend(aside.unwrap_or_else(look));
            all
        });
    }
    let first = places.first().map_or("", |(name, _)| name);
    let mut known = &before[before.partition_point(|(name, _)| **name < *first)..];
    let config = |(name, mountpoint): &(&str, &Path)| {
        // Both are in the same order.
        while known.first().is_some_and(|(other, _)| **other < **name) {
            known = &known[1..];
        }
        let before = known.first().filter(|(other, _)| **other == **name);
        let file = File::look(
            &mountpoint.join("config.json"),
            before.map(|(_, file)| file),
        );
        let name = before.map_or_else(|| (*name).into(), |(name, _)| Arc::clone(name));
        (name, file)
    };
    places.iter().map(config).collect()
}

impl File {
    /// Whether both are in one file system.
    fn is_beside(&self, other: &File) -> bool {
        let both = self.identity.zip(other.identity);
        both.is_some_and(|(this, other)| this.is_beside(&other))
    }

    /// Reads the file at `path`, unless it is as it was before.
    fn look(path: &Path, before: Option<&File>) -> Self {
        let identity = Identity::of(path);
        match before {
            Some(before) if before.settled && before.identity == identity => before.clone(),
            _ => Self::read(path),
        }
    }

    fn read(path: &Path) -> Self {
        let Some((identity, text)) = read_identified(path, limits::CONFIG_FILE_BYTES) else {
            return File {
                is_there: path.symlink_metadata().is_ok(),
                ..File::default()
            };
        };
        File {
            is_there: true,
            identity: Some(identity),
            settled: identity.is_settled(),
            settings: Settings::parse(&text).map(Arc::new),
        }
    }
}
