//! How a host is at one moment, and what has changed from one moment to another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::iocage::text;
use super::zfs::{is_below, Node, Tree};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// The health of each pool.
    pub pools: BTreeMap<String, String>,
    /// The pools that are marked active.
    pub active: BTreeSet<String>,
    pub datasets: BTreeMap<String, Dataset>,
    pub snapshots: BTreeMap<String, Snapshot>,
    /// The jails that run by their names in the kernel: jid and path.
    pub running: BTreeMap<String, (String, String)>,
    /// What is mounted beside datasets.
    pub mounts: BTreeSet<String>,
    pub rctl: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    pub guid: u64,
    pub origin: Option<String>,
    pub mountpoint: Option<String>,
    pub properties: BTreeMap<String, String>,
    pub tree: Arc<Tree>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub guid: u64,
    /// A larger one was made later.
    pub made: u64,
    pub holds: usize,
    pub tree: Option<Arc<Tree>>,
}

/// One thing that is not as it was: what kind of change, and of what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    pub kind: &'static str,
    pub what: String,
}

/// What a change may be: some kinds, of what is at or below a name. A star, of which there are two at
/// most, is for anything.
#[derive(Clone, Debug)]
pub struct Rule {
    pub kinds: &'static str,
    pub below: String,
}

pub fn may(kinds: &'static str, below: impl Into<String>) -> Rule {
    Rule {
        kinds,
        below: below.into(),
    }
}

impl Rule {
    pub fn allows(&self, change: &Change) -> bool {
        if !self.kinds.split(' ').any(|kind| kind == change.kind) {
            return false;
        }
        // What is not mounted gets its files in the folder where it would be.
        let place = |text: &str| match change.kind {
            "file" => text.replace(':', "/"),
            _ => text.to_string(),
        };
        let (below, what) = (place(&self.below), place(&change.what));
        if below == "*" {
            return true;
        }
        if below.contains('*') {
            return is_like(&below, &what);
        }
        let rest = what.strip_prefix(&below);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '@', ':']))
    }
}

/// Whether a text has the parts of a pattern with stars, one after the other.
fn is_like(pattern: &str, text: &str) -> bool {
    let (start, rest) = pattern.split_once('*').unwrap_or((pattern, ""));
    let Some(text) = text.strip_prefix(start) else {
        return false;
    };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    let found = text.find(middle).map(|at| &text[at + middle.len()..]);
    found.is_some_and(|text| text.ends_with(end))
}

impl Picture {
    /// What is other in `after`.
    pub fn changes(&self, after: &Picture) -> Vec<Change> {
        let mut all = Vec::new();
        let mut note = |kind, what: String| all.push(Change { kind, what });
        if self == after {
            return all;
        }
        for (pool, health) in &self.pools {
            if after.pools.get(pool) != Some(health) {
                note("health", pool.clone());
            }
        }
        for pool in self.active.symmetric_difference(&after.active) {
            note("mark", pool.clone());
        }
        for (name, before) in &self.datasets {
            let Some(now) = after
                .datasets
                .get(name)
                .filter(|now| now.guid == before.guid)
            else {
                note("dataset-", name.clone());
                continue;
            };
            if before == now {
                continue;
            }
            if before.origin != now.origin {
                note("origin", name.clone());
            }
            if before.mountpoint != now.mountpoint {
                note("mounted", name.clone());
            }
            if before.properties != now.properties {
                note("property", name.clone());
            }
            // What is not mounted is not seen by all.
            let both = before.mountpoint.is_some() && now.mountpoint.is_some();
            if both && before.tree != now.tree {
                let paths: BTreeSet<&String> = before.tree.keys().chain(now.tree.keys()).collect();
                for path in paths {
                    let (one, other) = (before.tree.get(path), now.tree.get(path));
                    let is_folder =
                        |node: Option<&Node>| node.is_none() || node == Some(&Node::Folder);
                    if one != other && !(is_folder(one) && is_folder(other)) {
                        note("file", format!("{name}:{path}"));
                    }
                }
            }
        }
        for (name, now) in &after.datasets {
            if self
                .datasets
                .get(name)
                .is_none_or(|before| before.guid != now.guid)
            {
                note("dataset+", name.clone());
            }
        }
        for (name, before) in &self.snapshots {
            match after.snapshots.get(name) {
                Some(now) if now.guid == before.guid => {
                    if now.holds != before.holds {
                        note("hold", name.clone());
                    }
                }
                _ => note("snapshot-", name.clone()),
            }
        }
        for (name, now) in &after.snapshots {
            if self
                .snapshots
                .get(name)
                .is_none_or(|before| before.guid != now.guid)
            {
                note("snapshot+", name.clone());
            }
        }
        for (name, run) in &self.running {
            if after.running.get(name) != Some(run) {
                note("down", name.clone());
            }
        }
        for (name, run) in &after.running {
            if self.running.get(name) != Some(run) {
                note("up", name.clone());
            }
        }
        for place in self.mounts.symmetric_difference(&after.mounts) {
            note("mount", place.clone());
        }
        for rule in self.rctl.symmetric_difference(&after.rctl) {
            note("rctl", rule.clone());
        }
        all
    }

    /// The pool that is worked in, if there is exactly one.
    pub fn pool(&self) -> Option<&str> {
        let mut active = self.active.iter();
        match (active.next(), active.next()) {
            (Some(one), None) => Some(one),
            _ => None,
        }
    }

    pub fn below<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a String> {
        let all = self.datasets.range(name.to_string()..);
        let near = all.take_while(move |(other, _)| other.starts_with(name));
        near.map(|(other, _)| other)
            .filter(move |other| is_below(other, name))
    }

    pub fn snapshots_below<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a String> {
        let all = self.snapshots.range(name.to_string()..);
        let near = all.take_while(move |(other, _)| other.starts_with(name));
        near.map(|(other, _)| other)
            .filter(move |other| is_below(other, name))
    }

    /// A text in which `{snapshot:3}` stands for the name of a snapshot of a dataset and what is below it,
    /// and `{taken:3}` for that of any: those that there are, in turn.
    pub fn with_names(&self, text: &str, of: impl Fn() -> String) -> String {
        for kind in ["{snapshot:", "{taken:"] {
            let Some((start, rest)) = text.split_once(kind) else {
                continue;
            };
            let Some((number, end)) = rest.split_once('}') else {
                continue;
            };
            let below = match kind {
                "{snapshot:" => of(),
                _ => String::new(),
            };
            // Those with a time in their names are others in another world.
            let names: BTreeSet<&str> = self
                .snapshots
                .keys()
                .filter(|name| below.is_empty() || is_below(name, &below))
                .filter_map(|name| Some(name.split_once('@')?.1))
                .filter(|name| !name.starts_with("ioc") && !name.starts_with("20"))
                .collect();
            let at = number.parse::<usize>().unwrap_or(0) % names.len().max(1);
            let name = names.into_iter().nth(at).unwrap_or("s1");
            return format!("{start}{name}{end}");
        }
        text.into()
    }

    /// What was cloned from a snapshot.
    pub fn clones_of<'a>(&'a self, snapshot: &'a str) -> impl Iterator<Item = &'a String> {
        let all = self.datasets.iter();
        let clones = all.filter(move |(_, one)| one.origin.as_deref() == Some(snapshot));
        clones.map(|(name, _)| name)
    }

    pub fn file(&self, dataset: &str, path: &str) -> Option<&[u8]> {
        let dataset = self.datasets.get(dataset)?;
        dataset.mountpoint.as_ref()?;
        match dataset.tree.get(path)? {
            Node::File(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The members of a family: `jails`.
    pub fn members(&self, family: &str) -> Vec<String> {
        let Some(pool) = self.pool() else {
            return Vec::new();
        };
        let parent = format!("{pool}/iocage/{family}");
        let below = self
            .below(&parent)
            .filter_map(|name| name[parent.len()..].strip_prefix('/'));
        below
            .filter(|rest| !rest.contains('/'))
            .map(String::from)
            .collect()
    }

    pub fn jail(&self, family: &'static str, name: &str) -> Option<Jail<'_>> {
        let dataset = format!("{}/iocage/{family}/{name}", self.pool()?);
        let own = self.datasets.get(&dataset)?;
        let config = self.file(&dataset, "config.json");
        let config: Option<Map<String, Value>> =
            config.and_then(|bytes| serde_json::from_slice(bytes).ok());
        let uuid = config
            .as_ref()
            .and_then(|config| text(config, "host_hostuuid"));
        let root = self.datasets.get(&format!("{dataset}/root"));
        Some(Jail {
            picture: self,
            uuid: uuid.unwrap_or_else(|| name.into()),
            name: name.into(),
            family,
            config,
            folder: own.mountpoint.clone(),
            root: root.and_then(|root| root.mountpoint.clone()),
            origin: root.and_then(|root| root.origin.clone()),
            dataset,
        })
    }

    pub fn jails(&self) -> Vec<Jail<'_>> {
        let mut all = Vec::new();
        for family in ["jails", "templates"] {
            all.extend(
                self.members(family)
                    .iter()
                    .filter_map(|name| self.jail(family, name)),
            );
        }
        all
    }
}

/// A jail or a template.
pub struct Jail<'a> {
    picture: &'a Picture,
    pub name: String,
    pub uuid: String,
    pub family: &'static str,
    pub dataset: String,
    /// None if it cannot be read.
    pub config: Option<Map<String, Value>>,
    pub folder: Option<String>,
    pub root: Option<String>,
    pub origin: Option<String>,
}

impl Jail<'_> {
    pub fn place(&self) -> String {
        format!("{}/{}", self.family, self.name)
    }

    pub fn in_kernel(&self) -> String {
        format!("ioc-{}", self.name.replace('.', "_"))
    }

    pub fn get(&self, key: &str) -> Option<String> {
        text(self.config.as_ref()?, key)
    }

    /// Whether it runs for sure, by its root.
    pub fn is_up(&self) -> bool {
        let Some(root) = &self.root else {
            return false;
        };
        self.picture.running.values().any(|(_, path)| path == root)
    }

    /// Whether another jail runs under its name in the kernel.
    pub fn is_anothers_name(&self) -> bool {
        let jails = self.picture.jails();
        let is_of = |path: &String| {
            let mut others = jails.iter().filter(|one| one.dataset != self.dataset);
            others.any(|one| one.root.as_ref() == Some(path))
        };
        let run = self.picture.running.get(&self.in_kernel());
        run.is_some_and(|(_, path)| is_of(path))
    }

    /// Whether nobody can say that it runs.
    pub fn is_down(&self) -> bool {
        let uuid = format!("ioc-{}", self.uuid.replace('.', "_"));
        let names = [self.in_kernel(), uuid];
        !self.is_up()
            && !names
                .iter()
                .any(|name| self.picture.running.contains_key(name))
    }

    /// What its fstab mounts; none if that cannot be read.
    pub fn sources(&self) -> Option<Vec<String>> {
        let text = self.picture.file(&self.dataset, "fstab")?;
        let text = String::from_utf8_lossy(text);
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Some(
            lines
                .filter_map(|line| line.split_whitespace().next())
                .map(String::from)
                .collect(),
        )
    }

    /// Whether it is as iocage makes one: everything there, at home, and readable.
    pub fn is_sound(&self) -> bool {
        let pool = self.picture.pool().unwrap_or_default();
        let root = self.picture.datasets.get(&format!("{pool}/iocage"));
        let home = root.and_then(|root| root.mountpoint.as_ref());
        let home = home.map(|home| format!("{home}/{}/{}", self.family, self.name));
        let is_home = home.is_some() && self.folder == home;
        let has_root = self.root == home.map(|home| format!("{home}/root"));
        is_home
            && has_root
            && self.config.is_some()
            && self.uuid == self.name
            && self.sources().is_some()
    }
}
