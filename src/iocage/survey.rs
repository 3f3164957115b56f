//! Looking at the jails or templates of a pool: what ZFS, the files and the kernel say about them,
//! and what of that is known already.
//!
//! What can change without a trace is asked each time: which jails run, what is mounted where, and
//! which file each `config.json` is. From that follows whether what was learned before still holds:
//!
//! - The content of a file, while it is the same file in the same state ([`Identity`]).
//! - The datasets with their origins, while iocage's datasets in the pool are mounted at the same
//!   places (an origin may be a template's), every `config.json` is the same file in the same
//!   state, and the library has changed nothing itself. An origin can change without a trace (`zfs
//!   promote`), and so can a dataset that was never mounted, so this holds for
//!   [`limits::DATASETS_AGE`] at most.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::datasets::{self, value, Dataset, Family};
use super::settings::Settings;
use crate::error::Result;
use crate::limits;
use crate::names::PoolName;
use crate::sync::lock;
use crate::system::{read_identified, Identity, Mounts, RunningJail, System};

/// What is known of the jails or templates of a pool at one moment.
pub struct Survey {
    pub datasets: Arc<Datasets>,
    pub files: Arc<Files>,
    pub mounts: Arc<Mounts>,
    pub running: Vec<RunningJail>,
}

/// A jail or template, by its datasets.
#[derive(Debug, PartialEq, Eq)]
pub struct Member {
    pub name: Box<str>,
    /// The snapshot that its root is a clone of.
    pub origin: Option<Box<str>>,
}

/// What iocage keeps in files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    defaults: File,
    /// The `config.json` of each member that is mounted, in the order of their names.
    configs: Vec<(Arc<str>, File)>,
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

/// What an instance remembers from one survey to the next.
#[derive(Default)]
pub struct Memory {
    known: Mutex<HashMap<Family, Arc<Known>>>,
    /// How often the library has changed something.
    changes: AtomicU64,
}

struct Known {
    pool: PoolName,
    files: Arc<Files>,
    datasets: Arc<Datasets>,
}

/// What ZFS said, and how the host was when it was asked.
pub struct Datasets {
    members: Vec<Member>,
    asked: Instant,
    changes: u64,
    mounted: u64,
}

impl Memory {
    /// Forgets what the library itself may just have changed.
    pub fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// The pool whose `family` was surveyed last, unless that was long ago.
    pub fn last_pool(&self, family: Family) -> Option<PoolName> {
        let known = lock(&self.known).get(&family).cloned()?;
        known.datasets.are_young().then(|| known.pool.clone())
    }

    fn recall(&self, pool: &PoolName, family: Family) -> Option<Arc<Known>> {
        let known = lock(&self.known).get(&family).cloned();
        known.filter(|known| known.pool == *pool)
    }

    fn keep(&self, family: Family, known: &Arc<Known>) {
        let mut all = lock(&self.known);
        if known.files.size() <= limits::REMEMBERED_BYTES {
            all.insert(family, Arc::clone(known));
        } else {
            all.remove(&family);
        }
    }
}

/// Surveys the members of `family` in `pool`; `None` where the pool has no such family.
pub fn survey(
    system: &System,
    memory: &Memory,
    pool: &PoolName,
    family: Family,
) -> Result<Option<Survey>> {
    let before = memory.recall(pool, family);
    let (running, known) = system.side_by_side(
        || system.running_jails(),
        || learn(system, memory, pool, family, before),
    );
    let Some((known, mounts)) = known? else {
        return Ok(None);
    };
    Ok(Some(Survey {
        datasets: Arc::clone(&known.datasets),
        files: Arc::clone(&known.files),
        mounts,
        running: running?,
    }))
}

/// Learns what is not known or no longer holds, and remembers it.
fn learn(
    system: &System,
    memory: &Memory,
    pool: &PoolName,
    family: Family,
    before: Option<Arc<Known>>,
) -> Result<Option<(Arc<Known>, Arc<Mounts>)>> {
    // Both before ZFS is asked: if something changes after that, the next survey asks again.
    let changes = memory.changes.load(Ordering::SeqCst);
    let mounts = Arc::new(system.mounts()?);
    let mounted = mounts.fingerprint(&Dataset::root(pool));

    let ask_zfs = || Datasets::ask(system, &family.dataset(pool), changes, mounted);
    let read_files = || {
        let (mounts, pool_) = (Arc::clone(&mounts), pool.clone());
        let known = before.as_ref().map(|known| Arc::clone(&known.files));
        system.on_files(pool, move || {
            Files::read(&mounts, &pool_, family, known.as_deref())
        })
    };
    let still_holds = |known: &&Arc<Known>| known.datasets.still_hold(changes, mounted);
    let (datasets, files) = match before.as_ref().filter(still_holds) {
        Some(known) => {
            let files = read_files()?;
            let datasets = match files.are_those_of(&known.files) {
                true => Ok(Some(Arc::clone(&known.datasets))),
                false => ask_zfs(),
            };
            (datasets, files)
        }
        // ZFS takes the longest by far, so everything else is done meanwhile.
        None => {
            let (datasets, files) = system.side_by_side(ask_zfs, read_files);
            (datasets, files?)
        }
    };
    let Some(datasets) = datasets? else {
        return Ok(None);
    };
    let known = Arc::new(Known {
        pool: pool.clone(),
        files: Arc::new(files),
        datasets,
    });
    memory.keep(family, &known);
    Ok(Some((known, mounts)))
}

impl Datasets {
    /// Asks ZFS for the members below `parent`; `None` where that does not exist.
    fn ask(
        system: &System,
        parent: &Dataset,
        changes: u64,
        mounted: u64,
    ) -> Result<Option<Arc<Self>>> {
        let asked = Instant::now();
        // Depth 2 has the jails and the root of each.
        let rows = datasets::list(system, parent, "filesystem", Some(2), "name,origin")?;
        if rows.is_empty() {
            return Ok(None);
        }
        Ok(Some(Arc::new(Datasets {
            members: members(&rows, parent),
            asked,
            changes,
            mounted,
        })))
    }

    /// By name.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    fn are_young(&self) -> bool {
        self.asked.elapsed() < limits::DATASETS_AGE
    }

    fn still_hold(&self, changes: u64, mounted: u64) -> bool {
        self.are_young() && (self.changes, self.mounted) == (changes, mounted)
    }
}

/// The members in what ZFS says of `parent` and what is below it, by name.
fn members(rows: &[Vec<String>], parent: &str) -> Vec<Member> {
    let mut origins = HashMap::new();
    let mut names = Vec::new();
    for row in rows {
        let below = row[0]
            .strip_prefix(parent)
            .and_then(|rest| rest.strip_prefix('/'));
        match below.map(|below| (below, below.split_once('/'))) {
            Some((name, None)) => names.push(name),
            Some((_, Some((name, "root")))) => {
                origins.insert(name, value(row, 1));
            }
            _ => {}
        }
    }
    names.sort_unstable();
    let member = |name: &str| Member {
        name: name.into(),
        origin: origins.get(name).copied().flatten().map(Box::from),
    };
    names.into_iter().map(member).collect()
}

impl Files {
    fn read(mounts: &Mounts, pool: &PoolName, family: Family, before: Option<&Files>) -> Self {
        let defaults = datasets::folder(mounts, pool)
            .map(|root| root.join("defaults.json"))
            .map(|path| File::look(&path, before.map(|files| &files.defaults)));
        let mut known = before.map_or(&[][..], |files| &files.configs);
        let config = |(name, mountpoint): (&str, &Path)| {
            // Both are in the same order.
            while known.first().is_some_and(|(other, _)| **other < *name) {
                known = &known[1..];
            }
            let before = known.first().filter(|(other, _)| **other == *name);
            let path = mountpoint.join("config.json");
            let file = File::look(&path, before.map(|(_, file)| file));
            (
                before.map_or_else(|| name.into(), |(name, _)| Arc::clone(name)),
                file,
            )
        };
        Files {
            defaults: defaults.unwrap_or_default(),
            configs: mounts.below(&family.dataset(pool)).map(config).collect(),
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

    /// What is known of the `config.json` of a member.
    pub fn config(&self, member: &str) -> ConfigFile<'_> {
        let index = self
            .configs
            .binary_search_by(|(name, _)| (**name).cmp(member));
        match index.map(|index| &self.configs[index].1.settings) {
            Ok(Some(settings)) => ConfigFile::Read(settings),
            Ok(None) => ConfigFile::Unreadable,
            Err(_) => ConfigFile::NotMounted,
        }
    }

    /// Whether every `config.json` is the file that it was.
    fn are_those_of(&self, before: &Files) -> bool {
        let pairs = self.configs.iter().zip(&before.configs);
        let mut pairs = pairs.map(|((name, file), (other, before))| {
            name == other && file.identity == before.identity
        });
        self.configs.len() == before.configs.len() && pairs.all(|same| same)
    }

    /// The bytes that the settings take in memory.
    fn size(&self) -> usize {
        let configs = self.configs.iter().map(|(_, file)| file);
        let files = configs.chain([&self.defaults]);
        files
            .filter_map(|file| file.settings.as_ref())
            .map(|settings| settings.size())
            .sum()
    }
}

impl File {
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
