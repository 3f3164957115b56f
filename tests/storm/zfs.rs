//! A ZFS in memory, as far as the library and iocage use it. What is mounted lies as files in a folder,
//! since the library reads it by its path; the rest is here.

mod commands;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{symlink, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// What is in a dataset, by path. A folder is there only if nothing is in it.
pub type Tree = BTreeMap<String, Node>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    File(Vec<u8>),
    Link(String),
    Folder,
}

#[derive(Clone, Debug)]
pub struct Snapshot {
    pub name: String,
    pub guid: u64,
    pub holds: BTreeSet<String>,
    pub tree: Arc<Tree>,
}

#[derive(Clone, Debug, Default)]
pub struct Dataset {
    pub guid: u64,
    /// The snapshot that it is a clone of.
    pub origin: Option<u64>,
    pub properties: BTreeMap<String, String>,
    /// The oldest first; a larger guid is a later one.
    pub snapshots: Vec<Snapshot>,
    pub mounted: Option<(PathBuf, u64)>,
    /// What is in it while it is not mounted.
    stash: Arc<Tree>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    Online,
    Degraded,
    Suspended,
}

impl Health {
    pub fn as_str(&self) -> &'static str {
        match self {
            Health::Online => "ONLINE",
            Health::Degraded => "DEGRADED",
            Health::Suspended => "SUSPENDED",
        }
    }
}

pub struct Zfs {
    home: PathBuf,
    pub pools: BTreeMap<String, Health>,
    pub datasets: BTreeMap<String, Dataset>,
    /// Grows with everything that is made or mounted.
    clock: u64,
    /// How often something was mounted or unmounted.
    mountings: u64,
    /// What was read of each dataset, by its guid.
    seen: RefCell<HashMap<u64, Seen>>,
}

/// What a command prints, or its words on standard error.
pub type Said = Result<String, String>;

fn missing(name: &str) -> String {
    format!("cannot open '{name}': dataset does not exist\n")
}

pub fn is_below(name: &str, of: &str) -> bool {
    let rest = name.strip_prefix(of);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '@']))
}

fn split(name: &str) -> (&str, Option<&str>) {
    match name.split_once('@') {
        Some((dataset, snapshot)) => (dataset, Some(snapshot)),
        None => (name, None),
    }
}

/// Paths, by their bytes: to compare them part by part takes far longer.
pub type Places = HashSet<Vec<u8>>;

/// Something on disk, as it was when it was read: its path, number, size and times.
type Stamp = (PathBuf, u64, u64, i64, i64);

fn stamp(path: &Path) -> Option<Stamp> {
    let data = path.symlink_metadata().ok()?;
    let time = |seconds: i64, nanos: i64| seconds * 1_000_000_000 + nanos;
    let written = time(data.mtime(), data.mtime_nsec());
    let changed = time(data.ctime(), data.ctime_nsec());
    Some((path.into(), data.ino(), data.size(), written, changed))
}

/// What a folder had in it when it was read last.
struct Seen {
    /// At how many mountings: what is mounted in it is none of its own.
    mountings: u64,
    stamps: Vec<Stamp>,
    /// Whether whatever changes it from then on has another time.
    is_settled: bool,
    tree: Arc<Tree>,
}

impl Seen {
    fn read(folder: &Path, except: &Places, mountings: u64) -> Self {
        const TICK: i64 = 20_000_000;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |now| now.as_nanos() as i64);
        let (mut tree, mut stamps) = (Tree::new(), Vec::new());
        read_into(folder, "", except, &mut tree, &mut stamps);
        let is_settled = stamps
            .iter()
            .all(|(.., written, changed)| written.max(changed) + TICK < now);
        Seen {
            mountings,
            stamps,
            is_settled,
            tree: Arc::new(tree),
        }
    }

    fn holds(&self, folder: &Path, mountings: u64) -> bool {
        let is_same = |one: &Stamp| stamp(&one.0).as_ref() == Some(one);
        self.is_settled
            && self.mountings == mountings
            && self.stamps.first().is_some_and(|one| one.0 == folder)
            && self.stamps.iter().all(is_same)
    }
}

/// What is in a folder, without what is mounted in it.
pub fn read_tree(folder: &Path, except: &Places) -> Arc<Tree> {
    Seen::read(folder, except, 0).tree
}

fn read_into(folder: &Path, at: &str, except: &Places, tree: &mut Tree, stamps: &mut Vec<Stamp>) {
    stamps.extend(stamp(folder));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = format!("{at}{}", name.to_string_lossy());
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            if except.contains(path.as_os_str().as_bytes()) {
                continue;
            }
            let before = tree.len();
            read_into(&path, &format!("{name}/"), except, tree, stamps);
            if tree.len() == before {
                tree.insert(name, Node::Folder);
            }
            continue;
        }
        stamps.extend(stamp(&path));
        if kind.is_symlink() {
            let to = fs::read_link(&path).unwrap_or_default();
            tree.insert(name, Node::Link(to.to_string_lossy().into()));
        } else {
            tree.insert(name, Node::File(fs::read(&path).unwrap_or_default()));
        }
    }
}

fn write_tree(folder: &Path, tree: &Tree) {
    let _ = fs::create_dir_all(folder);
    for (name, node) in tree {
        let path = folder.join(name);
        if let Some(parent) = path.parent().filter(|parent| *parent != folder) {
            let _ = fs::create_dir_all(parent);
        }
        let _ = match node {
            Node::File(bytes) => fs::write(&path, bytes),
            Node::Link(to) => symlink(to, &path),
            Node::Folder => fs::create_dir_all(&path),
        };
    }
}

/// Removes what is in a folder, but not what is below `except`.
fn empty(folder: &Path, except: &Places) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if except.contains(path.as_os_str().as_bytes()) {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            empty(&path, except);
            let _ = fs::remove_dir(&path);
        } else {
            let _ = fs::remove_file(&path);
        }
    }
}

impl Zfs {
    pub fn new(home: &Path, pools: &[&str]) -> Self {
        let mut zfs = Zfs {
            home: home.into(),
            pools: BTreeMap::new(),
            datasets: BTreeMap::new(),
            clock: 100,
            mountings: 0,
            seen: RefCell::default(),
        };
        for pool in pools {
            zfs.pools.insert(pool.to_string(), Health::Online);
            let guid = zfs.tick();
            let dataset = Dataset {
                guid,
                ..Dataset::default()
            };
            zfs.datasets.insert(pool.to_string(), dataset);
            zfs.mount(pool).unwrap();
        }
        zfs
    }

    pub fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    pub fn has(&self, name: &str) -> bool {
        match split(name) {
            (dataset, Some(snapshot)) => self.snapshot_of(dataset, snapshot).is_some(),
            (dataset, None) => self.datasets.contains_key(dataset),
        }
    }

    fn snapshot_of(&self, dataset: &str, snapshot: &str) -> Option<&Snapshot> {
        let of = &self.datasets.get(dataset)?.snapshots;
        of.iter().find(|one| one.name == snapshot)
    }

    pub fn below(&self, name: &str) -> Vec<String> {
        let all = self.datasets.range(name.to_string()..);
        let near = all.take_while(|(other, _)| other.starts_with(name));
        let below = near.filter(|(other, _)| is_below(other, name));
        below.map(|(other, _)| other.clone()).collect()
    }

    /// The name of a snapshot.
    pub fn name_of(&self, guid: u64) -> Option<String> {
        self.datasets.iter().find_map(|(dataset, of)| {
            let found = of.snapshots.iter().find(|one| one.guid == guid)?;
            Some(format!("{dataset}@{}", found.name))
        })
    }

    pub fn origin(&self, dataset: &str) -> Option<String> {
        self.name_of(self.datasets.get(dataset)?.origin?)
    }

    fn clones_of(&self, guid: u64) -> Vec<String> {
        let all = self.datasets.iter();
        let clones = all.filter(|(_, of)| of.origin == Some(guid));
        clones.map(|(name, _)| name.clone()).collect()
    }

    fn is_silent(&self, name: &str) -> bool {
        let pool = name.split(['/', '@']).next().unwrap_or(name);
        self.pools.get(pool) == Some(&Health::Suspended)
    }

    fn require(&self, name: &str) -> Result<(), String> {
        if self.is_silent(name) {
            return Err(format!(
                "cannot open '{name}': pool I/O is currently suspended\n"
            ));
        }
        match self.has(name) {
            true => Ok(()),
            false => Err(missing(name)),
        }
    }

    /// Where a dataset is mounted when it is.
    pub fn folder(&self, name: &str) -> Option<PathBuf> {
        let own = self
            .datasets
            .get(name)
            .and_then(|one| one.properties.get("mountpoint"));
        match (own.map(String::as_str), name.rsplit_once('/')) {
            (Some("none" | "legacy"), _) => None,
            (Some(path), _) => Some(path.into()),
            (None, Some((parent, last))) => Some(self.folder(parent)?.join(last)),
            (None, None) => Some(self.home.join("mnt").join(name)),
        }
    }

    pub fn mountpoint(&self, name: &str) -> Option<&Path> {
        let (path, _) = self.datasets.get(name)?.mounted.as_ref()?;
        Some(path)
    }

    fn mounted_places(&self) -> Places {
        let all = self
            .datasets
            .values()
            .filter_map(|one| one.mounted.as_ref());
        all.map(|(path, _)| path.as_os_str().as_bytes().to_vec())
            .collect()
    }

    /// What is in a dataset now.
    pub fn tree(&self, name: &str) -> Arc<Tree> {
        let Some(dataset) = self.datasets.get(name) else {
            return Arc::default();
        };
        let Some((path, _)) = &dataset.mounted else {
            return Arc::clone(&dataset.stash);
        };
        let mut seen = self.seen.borrow_mut();
        if let Some(seen) = seen
            .get(&dataset.guid)
            .filter(|seen| seen.holds(path, self.mountings))
        {
            return Arc::clone(&seen.tree);
        }
        let now = Seen::read(path, &self.mounted_places(), self.mountings);
        let tree = Arc::clone(&now.tree);
        seen.insert(dataset.guid, now);
        tree
    }

    pub fn mount(&mut self, name: &str) -> Said {
        self.require(name)?;
        let Some(path) = self.folder(name) else {
            return Err(format!("cannot mount '{name}': no mountpoint set\n"));
        };
        let tick = self.tick();
        let dataset = self.datasets.get_mut(name).unwrap();
        if dataset.mounted.is_some() {
            return Err(format!(
                "cannot mount '{name}': filesystem already mounted\n"
            ));
        }
        let _ = fs::create_dir_all(&path);
        write_tree(&path, &dataset.stash);
        dataset.stash = Arc::default();
        dataset.mounted = Some((path, tick));
        self.mountings += 1;
        Ok(String::new())
    }

    /// Unmounts a dataset, and those below it first.
    pub fn unmount(&mut self, name: &str) -> Said {
        self.require(name)?;
        if self.mountpoint(name).is_none() {
            return Err(format!("cannot unmount '{name}': not currently mounted\n"));
        }
        for one in self.below(name).into_iter().rev() {
            self.unmount_one(&one);
        }
        Ok(String::new())
    }

    fn unmount_one(&mut self, name: &str) {
        let Some(path) = self.mountpoint(name).map(Path::to_path_buf) else {
            return;
        };
        let tree = self.tree(name);
        empty(&path, &self.mounted_places());
        let dataset = self.datasets.get_mut(name).unwrap();
        dataset.stash = tree;
        dataset.mounted = None;
        self.mountings += 1;
    }

    pub fn create(&mut self, name: &str, parents: bool) -> Said {
        if self.has(name) {
            return match parents {
                true => Ok(String::new()),
                false => Err(format!("cannot create '{name}': dataset already exists\n")),
            };
        }
        self.make_parent(name, parents)?;
        let guid = self.tick();
        let dataset = Dataset {
            guid,
            ..Dataset::default()
        };
        self.datasets.insert(name.into(), dataset);
        let _ = self.mount(name);
        Ok(String::new())
    }

    fn make_parent(&mut self, name: &str, parents: bool) -> Said {
        let Some((parent, _)) = name.rsplit_once('/') else {
            return Err(format!("cannot create '{name}': no such pool\n"));
        };
        match self.has(parent) {
            true => Ok(String::new()),
            false if parents => self.create(parent, true),
            false => Err(format!("cannot create '{name}': parent does not exist\n")),
        }
    }

    pub fn snapshot(&mut self, name: &str, recursive: bool) -> Said {
        let (dataset, Some(snapshot)) = split(name) else {
            return Err(format!("cannot create snapshot '{name}': missing '@'\n"));
        };
        self.require(dataset)?;
        let of = match recursive {
            true => self.below(dataset),
            false => vec![dataset.into()],
        };
        if let Some(there) = of
            .iter()
            .find(|one| self.snapshot_of(one, snapshot).is_some())
        {
            return Err(format!(
                "cannot create snapshot '{there}@{snapshot}': dataset already exists\n"
            ));
        }
        for one in of {
            let tree = self.tree(&one);
            let guid = self.tick();
            let taken = Snapshot {
                name: snapshot.into(),
                guid,
                holds: BTreeSet::new(),
                tree,
            };
            self.datasets.get_mut(&one).unwrap().snapshots.push(taken);
        }
        Ok(String::new())
    }

    pub fn clone(&mut self, snapshot: &str, name: &str, parents: bool) -> Said {
        self.require(snapshot)?;
        if self.has(name) {
            return Err(format!("cannot create '{name}': dataset already exists\n"));
        }
        self.make_parent(name, parents)?;
        let (dataset, of) = split(snapshot);
        let of = self.snapshot_of(dataset, of.unwrap_or_default()).unwrap();
        let (origin, stash) = (of.guid, Arc::clone(&of.tree));
        let guid = self.tick();
        let clone = Dataset {
            guid,
            origin: Some(origin),
            stash,
            ..Dataset::default()
        };
        self.datasets.insert(name.into(), clone);
        let _ = self.mount(name);
        Ok(String::new())
    }

    /// A copy of what a snapshot has, as `zfs send | zfs receive -F` makes it.
    pub fn receive(&mut self, name: &str, tree: Arc<Tree>, snapshot: &str) -> Said {
        if let Some(there) = self.datasets.get(name) {
            if there.origin.is_some() || !there.snapshots.is_empty() {
                return Err(format!(
                    "cannot receive new filesystem stream: destination '{name}' exists\n"
                ));
            }
            let _ = self.destroy(name, true, false);
        }
        self.make_parent(name, false)
            .map_err(|_| format!("cannot receive: '{name}' has no parent\n"))?;
        let (guid, of) = (self.tick(), self.tick());
        let taken = Snapshot {
            name: snapshot.into(),
            guid: of,
            holds: BTreeSet::new(),
            tree: Arc::clone(&tree),
        };
        let dataset = Dataset {
            guid,
            stash: tree,
            snapshots: vec![taken],
            ..Dataset::default()
        };
        self.datasets.insert(name.into(), dataset);
        let _ = self.mount(name);
        Ok(String::new())
    }

    /// What depends on a dataset or snapshot and is not below `within`.
    fn dependents(&self, datasets: &[String], within: &str) -> Vec<String> {
        let snapshots = datasets
            .iter()
            .flat_map(|one| &self.datasets[one].snapshots);
        let clones = snapshots.flat_map(|one| self.clones_of(one.guid));
        clones.filter(|clone| !is_below(clone, within)).collect()
    }

    pub fn destroy(&mut self, name: &str, recursive: bool, clones_too: bool) -> Said {
        if let (dataset, Some(snapshot)) = split(name) {
            return self.destroy_snapshot(dataset, snapshot, recursive, clones_too);
        }
        self.require(name)?;
        let all = self.below(name);
        if all.len() > 1 && !recursive {
            return Err(format!(
                "cannot destroy '{name}': filesystem has children\nuse '-r' to destroy the following datasets:\n{}\n",
                all[1..].join("\n")
            ));
        }
        if !recursive && !self.datasets[name].snapshots.is_empty() {
            return Err(format!(
                "cannot destroy '{name}': filesystem has children\nuse '-r' to destroy the following datasets:\n{name}@\n"
            ));
        }
        let dependents = self.dependents(&all, name);
        if !dependents.is_empty() {
            if !clones_too {
                return Err(format!(
                    "cannot destroy '{name}': filesystem has dependent clones\nuse '-R' to destroy the following datasets:\n{}\n",
                    dependents.join("\n")
                ));
            }
            for clone in dependents {
                if self.has(&clone) {
                    self.destroy(&clone, true, true)?;
                }
            }
        }
        let held = all.iter().find_map(|one| {
            let held = self.datasets[one]
                .snapshots
                .iter()
                .find(|one| !one.holds.is_empty())?;
            Some(format!("{one}@{}", held.name))
        });
        if let Some(held) = held {
            return Err(format!(
                "cannot destroy '{held}': it's being held. Run 'zfs holds -r {held}' to see holders.\n"
            ));
        }
        for one in all.into_iter().rev() {
            let at_home = self.folder(&one);
            let place = self.mountpoint(&one).map(Path::to_path_buf);
            self.unmount_one(&one);
            self.datasets.remove(&one);
            if let Some(place) = place.filter(|place| Some(place) == at_home.as_ref()) {
                let _ = fs::remove_dir(place);
            }
        }
        Ok(String::new())
    }

    fn destroy_snapshot(
        &mut self,
        dataset: &str,
        name: &str,
        recursive: bool,
        clones_too: bool,
    ) -> Said {
        self.require(dataset).map_err(|_| {
            "could not find any snapshots to destroy; check snapshot names.\n".to_string()
        })?;
        let of = match recursive {
            true => self.below(dataset),
            false => vec![dataset.into()],
        };
        let of: Vec<String> = of
            .into_iter()
            .filter(|one| self.snapshot_of(one, name).is_some())
            .collect();
        if of.is_empty() {
            return Err("could not find any snapshots to destroy; check snapshot names.\n".into());
        }
        for one in &of {
            let snapshot = self.snapshot_of(one, name).unwrap();
            let clones = self.clones_of(snapshot.guid);
            if !clones.is_empty() && !clones_too {
                return Err(format!(
                    "cannot destroy '{one}@{name}': snapshot has dependent clones\nuse '-R' to destroy the following datasets:\n{}\n",
                    clones.join("\n")
                ));
            }
            if !snapshot.holds.is_empty() {
                return Err(format!(
                    "cannot destroy snapshot {one}@{name}: it's being held. Run 'zfs holds -r {one}@{name}' to see holders.\n"
                ));
            }
            for clone in clones {
                if self.has(&clone) {
                    self.destroy(&clone, true, true)?;
                }
            }
        }
        for one in &of {
            if let Some(dataset) = self.datasets.get_mut(one) {
                dataset.snapshots.retain(|snapshot| snapshot.name != name);
            }
        }
        Ok(String::new())
    }

    pub fn rename(&mut self, from: &str, to: &str, recursive: bool) -> Said {
        if let ((dataset, Some(old)), (_, Some(new))) = (split(from), split(to)) {
            self.require(from)?;
            let of = match recursive {
                true => self.below(dataset),
                false => vec![dataset.into()],
            };
            if of.iter().any(|one| {
                self.snapshot_of(one, new).is_some() && self.snapshot_of(one, old).is_some()
            }) {
                return Err(format!("cannot rename to '{to}': dataset already exists\n"));
            }
            for one in of {
                for snapshot in &mut self.datasets.get_mut(&one).unwrap().snapshots {
                    if snapshot.name == old {
                        snapshot.name = new.into();
                    }
                }
            }
            return Ok(String::new());
        }
        self.require(from)?;
        if self.has(to) {
            return Err(format!("cannot rename '{from}': dataset already exists\n"));
        }
        if is_below(to, from) || to.split('/').next() != from.split('/').next() {
            return Err(format!("cannot rename '{from}': invalid name\n"));
        }
        match to.rsplit_once('/') {
            Some((parent, _)) if self.has(parent) => {}
            _ => return Err(format!("cannot rename '{from}': parent does not exist\n")),
        }
        let all = self.below(from);
        let mounted: Vec<String> = all
            .iter()
            .filter(|one| self.mountpoint(one).is_some())
            .cloned()
            .collect();
        for one in mounted.iter().rev() {
            let place = self.mountpoint(one).map(Path::to_path_buf);
            self.unmount_one(one);
            if let Some(place) = place {
                let _ = fs::remove_dir(place);
            }
        }
        for one in all {
            let dataset = self.datasets.remove(&one).unwrap();
            self.datasets
                .insert(format!("{to}{}", &one[from.len()..]), dataset);
        }
        for one in mounted {
            let _ = self.mount(&format!("{to}{}", &one[from.len()..]));
        }
        Ok(String::new())
    }

    pub fn promote(&mut self, name: &str) -> Said {
        self.require(name)?;
        let Some(guid) = self.datasets[name].origin else {
            return Err(format!(
                "cannot promote '{name}': not a cloned filesystem\n"
            ));
        };
        let Some(origin) = self.name_of(guid) else {
            return Err(format!("cannot promote '{name}': no origin\n"));
        };
        let (source, _) = split(&origin);
        let moved: Vec<Snapshot> = self.datasets[source]
            .snapshots
            .iter()
            .filter(|one| one.guid <= guid)
            .cloned()
            .collect();
        let own = &self.datasets[name].snapshots;
        if let Some(twin) = moved
            .iter()
            .find(|one| own.iter().any(|other| other.name == one.name))
        {
            return Err(format!(
                "cannot promote '{name}': snapshot name '{}' from origin \nconflicts with '{}' from target\n",
                twin.name, twin.name
            ));
        }
        let of_source = self.datasets.get_mut(source).unwrap();
        of_source.snapshots.retain(|one| one.guid > guid);
        let before = of_source.origin.replace(guid);
        let clone = self.datasets.get_mut(name).unwrap();
        clone.snapshots.splice(0..0, moved);
        clone.origin = before;
        Ok(String::new())
    }

    pub fn rollback(&mut self, name: &str, recursive: bool) -> Said {
        let (dataset, Some(to)) = split(name) else {
            return Err(missing(name));
        };
        self.require(name)?;
        let snapshot = self.snapshot_of(dataset, to).unwrap().clone();
        let later: Vec<Snapshot> = self.datasets[dataset]
            .snapshots
            .iter()
            .filter(|one| one.guid > snapshot.guid)
            .cloned()
            .collect();
        if !later.is_empty() && !recursive {
            return Err(format!(
                "cannot rollback to '{name}': more recent snapshots or bookmarks exist\nuse '-r' to force deletion of the following snapshots and bookmarks:\n{}\n",
                later[0].name
            ));
        }
        if later.iter().any(|one| !self.clones_of(one.guid).is_empty()) {
            return Err(format!(
                "cannot rollback to '{name}': clones of previous snapshots exist\nuse '-R' to force deletion of the following clones and dependents:\n"
            ));
        }
        if let Some(held) = later.iter().find(|one| !one.holds.is_empty()) {
            return Err(format!(
                "cannot destroy snapshot {dataset}@{}: it's being held\n",
                held.name
            ));
        }
        let others = self.mounted_places();
        let of = self.datasets.get_mut(dataset).unwrap();
        of.snapshots.retain(|one| one.guid <= snapshot.guid);
        match &of.mounted {
            Some((path, _)) => {
                empty(path, &others);
                write_tree(path, &snapshot.tree);
            }
            None => of.stash = Arc::clone(&snapshot.tree),
        }
        Ok(String::new())
    }

    pub fn hold(&mut self, tag: &str, name: &str, release: bool) -> Said {
        self.require(name)?;
        let (dataset, snapshot) = split(name);
        let of = &mut self.datasets.get_mut(dataset).unwrap().snapshots;
        let Some(one) = of.iter_mut().find(|one| Some(&*one.name) == snapshot) else {
            return Err(missing(name));
        };
        match release {
            true => one.holds.remove(tag),
            false => one.holds.insert(tag.into()),
        };
        Ok(String::new())
    }

    pub fn set(&mut self, setting: &str, name: &str) -> Said {
        self.require(name)?;
        let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
        if key == "quota" && value != "none" && !value.ends_with(['M', 'G', 'T', 'm', 'g', 't']) {
            return Err(format!(
                "cannot set property for '{name}': bad numeric value '{value}'\n"
            ));
        }
        let remount = key == "mountpoint";
        let below = self.below(name);
        let mounted: Vec<String> = below
            .into_iter()
            .filter(|one| remount && self.mountpoint(one).is_some())
            .collect();
        for one in mounted.iter().rev() {
            self.unmount_one(one);
        }
        let properties = &mut self.datasets.get_mut(name).unwrap().properties;
        properties.insert(key.into(), value.into());
        for one in mounted {
            let _ = self.mount(&one);
        }
        Ok(String::new())
    }

    pub fn inherit(&mut self, key: &str, name: &str) -> Said {
        self.require(name)?;
        self.datasets.get_mut(name).unwrap().properties.remove(key);
        Ok(String::new())
    }
}
