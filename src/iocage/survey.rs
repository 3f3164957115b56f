//! Looking at the jails or templates of a pool: what ZFS, the files and the kernel say about them,
//! and what of that is known already.
//!
//! What can change without a trace is asked each time: which jails run, what is mounted where, and
//! which file each `config.json` is. From that follows whether what was learned before still holds:
//!
//! - The content of a file, while it is the same file in the same state ([`crate::system::Identity`]).
//! - The datasets with their origins, while iocage's datasets in the pool are mounted at the same
//!   places (an origin may be a template's) and the library has changed none itself; and those of one
//!   jail, while the folder of all jails, or the jail's `config.json`, is the same in the same state.
//!   (A jail that is destroyed loses its folder, and one that is made in its place gets another:
//!   remove_mountpoint() of libzfs. Starting a jail writes its `config.json`, and not that folder.) An
//!   origin can change without a trace (`zfs promote`), and so can a dataset that was never mounted, so
//!   this holds for [`limits::DATASETS_AGE`] at most.

mod files;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

pub use files::{ConfigFile, Files};

use super::datasets::{self, value, Dataset, Family};
use crate::configuration::Program;
use crate::error::Result;
use crate::limits;
use crate::names::PoolName;
use crate::sync::lock;
use crate::system::{CommandLine, Identity, Mounts, RunningJail, System};

/// What is known of the jails or templates of a pool at one moment.
pub struct Survey {
    pub datasets: Arc<Datasets>,
    pub files: Arc<Files>,
    pub mounts: Arc<Mounts>,
    pub running: Arc<Vec<RunningJail>>,
}

/// A jail or template, by its datasets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub name: Box<str>,
    /// The snapshot that its root is a clone of.
    pub origin: Option<Box<str>>,
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
    /// The folder of the family before ZFS was asked, if any change after that can be seen.
    folder: Option<Identity>,
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

/// Surveys the members of each of `families` in `pool` at one moment; `None` where the pool has no
/// such family.
pub fn survey(
    system: &System,
    memory: &Memory,
    pool: &PoolName,
    families: &[Family],
) -> Result<Vec<Option<Survey>>> {
    let (running, known) = system.side_by_side(
        || system.running_jails(),
        || {
            // Before ZFS is asked: if something changes after that, the next survey asks again.
            let changes = memory.changes.load(Ordering::SeqCst);
            let mounts = system.mounts()?;
            let looker = Looker {
                system,
                memory,
                pool,
                changes,
                mounted: mounts.fingerprint(&Dataset::root(pool)),
                mounts,
            };
            let known = looker.learn_all(families)?;
            Result::Ok((known, looker.mounts))
        },
    );
    let (known, mounts) = known?;
    let running = Arc::new(running?);
    let survey = |known: Option<Arc<Known>>| {
        known.map(|known| Survey {
            datasets: Arc::clone(&known.datasets),
            files: Arc::clone(&known.files),
            mounts: Arc::clone(&mounts),
            running: Arc::clone(&running),
        })
    };
    Ok(known.into_iter().map(survey).collect())
}

/// Looks at a pool, whose state was this when it began.
struct Looker<'a> {
    system: &'a System,
    memory: &'a Memory,
    pool: &'a PoolName,
    mounts: Arc<Mounts>,
    changes: u64,
    mounted: u64,
}

impl Looker<'_> {
    fn learn_all(&self, families: &[Family]) -> Result<Vec<Option<Arc<Known>>>> {
        let [first, others @ ..] = families else {
            return Ok(Vec::new());
        };
        if others.is_empty() {
            return Ok(vec![self.learn(*first)?]);
        }
        let (first, others) = self
            .system
            .side_by_side(|| self.learn(*first), || self.learn_all(others));
        let mut all = vec![first?];
        all.extend(others?);
        Ok(all)
    }

    /// Learns what is not known or no longer holds, and remembers it.
    fn learn(&self, family: Family) -> Result<Option<Arc<Known>>> {
        let began = SystemTime::now();
        let before = self.memory.recall(self.pool, family);
        let parent = family.dataset(self.pool);
        let ask_zfs = || Datasets::ask(self, &parent);
        let read_files = || self.read_files(family, before.as_ref());
        let still_holds = |known: &&Arc<Known>| known.datasets.still_hold(self);
        let (datasets, files) = match before.as_ref().filter(still_holds) {
            Some(known) => {
                let files = read_files()?;
                let datasets = match self.doubtful(family, known, &files) {
                    Some(changed) if changed.is_empty() => Ok(Some(Arc::clone(&known.datasets))),
                    Some(changed) if changed.len() <= limits::ASKED_BY_NAME => {
                        match known.datasets.ask_again(self, family, &changed)? {
                            Some(datasets) => Ok(Some(Arc::new(datasets))),
                            None => ask_zfs(),
                        }
                    }
                    _ => ask_zfs(),
                };
                (datasets, files)
            }
            // ZFS takes the longest by far, so everything else is done meanwhile.
            None => {
                let (datasets, files) = self.system.side_by_side(ask_zfs, read_files);
                (datasets, files?)
            }
        };
        let Some(datasets) = datasets? else {
            return Ok(None);
        };
        let same = before.filter(|known| Arc::ptr_eq(&known.datasets, &datasets));
        let folder = match same {
            Some(known) => known.folder,
            None => files.folder().filter(|folder| folder.was_settled(began)),
        };
        let known = Arc::new(Known {
            pool: self.pool.clone(),
            files: Arc::new(files),
            datasets,
            folder,
        });
        self.memory.keep(family, &known);
        Ok(Some(known))
    }

    /// The members that may have become others since they were known; `None` where nobody knows
    /// which.
    fn doubtful<'a>(
        &self,
        family: Family,
        known: &Known,
        files: &'a Files,
    ) -> Option<Vec<&'a str>> {
        let changed = files.changed_since(&known.files)?.into_iter();
        let same_folders = known.folder.is_some() && known.folder == files.folder();
        let parent = family.dataset(self.pool);
        let folder = self.mounts.mountpoint(&parent);
        let doubtful = changed.filter(|(name, same_file_system)| {
            // One that is mounted elsewhere has no folder there.
            let place = self.mounts.mountpoint(&format!("{parent}/{name}"));
            let is_at_home = place == folder.map(|folder| folder.join(name)).as_deref();
            !(same_folders && is_at_home && *same_file_system)
        });
        Some(doubtful.map(|(name, _)| name).collect())
    }

    fn read_files(&self, family: Family, before: Option<&Arc<Known>>) -> Result<Files> {
        let (mounts, pool) = (Arc::clone(&self.mounts), self.pool.clone());
        let known = before.map(|known| Arc::clone(&known.files));
        self.system.on_files(self.pool, move || {
            Files::read(&mounts, &pool, family, known.as_deref())
        })
    }
}

impl Datasets {
    /// Asks ZFS for the members below `parent`; `None` where that does not exist.
    fn ask(looker: &Looker, parent: &Dataset) -> Result<Option<Arc<Self>>> {
        let asked = Instant::now();
        // Depth 2 has the jails and the root of each.
        let rows = datasets::list(looker.system, parent, "filesystem", Some(2), "name,origin")?;
        if rows.is_empty() {
            return Ok(None);
        }
        Ok(Some(Arc::new(Datasets {
            members: members(&rows, parent),
            asked,
            changes: looker.changes,
            mounted: looker.mounted,
        })))
    }

    /// What is known, with these few members asked for anew: a jail that was just started has
    /// another `config.json`, and that is no reason to ask for all the others. `None` where ZFS
    /// does not know one of them.
    fn ask_again(
        &self,
        looker: &Looker,
        family: Family,
        names: &[&str],
    ) -> Result<Option<Datasets>> {
        let mut line = CommandLine::new(Program::Zfs);
        line = line.words(&["list", "-H", "-r", "-d", "1", "-t", "filesystem"]);
        line = line.words(&["-o", "name,origin"]);
        for name in names {
            match family.member_dataset(looker.pool, name) {
                Some(dataset) => line = line.value(&dataset),
                None => return Ok(None),
            }
        }
        let output = looker.system.run(&line)?;
        let rows = datasets::rows(&output.stdout);
        let found = members(&rows, &family.dataset(looker.pool));
        if output.exit_code != 0 || found.len() != names.len() {
            return Ok(None);
        }
        let mut members = self.members.clone();
        for one in found {
            match members.binary_search_by(|other| other.name.cmp(&one.name)) {
                Ok(index) => members[index] = one,
                Err(_) => return Ok(None),
            }
        }
        Ok(Some(Datasets { members, ..*self }))
    }

    /// By name.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    fn are_young(&self) -> bool {
        self.asked.elapsed() < limits::DATASETS_AGE
    }

    fn still_hold(&self, looker: &Looker) -> bool {
        let same = (self.changes, self.mounted) == (looker.changes, looker.mounted);
        same && self.are_young()
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
