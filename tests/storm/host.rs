//! A host in memory: its pools, what runs on it, what is mounted.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;
use sysadm_iocage::system::{utc_time_in, Mount};

use super::zfs::{Health, Zfs};

pub struct Running {
    pub jid: u32,
    pub name: String,
    pub path: PathBuf,
    pub hostname: String,
}

pub struct Host {
    pub zfs: Zfs,
    pub running: Vec<Running>,
    pub rctl: BTreeSet<String>,
    /// The releases that the network has.
    pub remote: Vec<String>,
    /// The jails that only stop by force.
    pub stubborn: BTreeSet<String>,
    /// What is mounted besides datasets, with when.
    pub mounts: Vec<(u64, Mount)>,
    last_jid: u32,
}

impl Host {
    pub fn new(home: &Path, pools: &[&str]) -> Self {
        Host {
            zfs: Zfs::new(home, pools),
            running: Vec::new(),
            rctl: BTreeSet::new(),
            remote: ["12.4-RELEASE", "13.1-RELEASE", "13.2-RELEASE"]
                .map(String::from)
                .to_vec(),
            stubborn: BTreeSet::new(),
            mounts: Vec::new(),
            last_jid: 0,
        }
    }

    /// The pools that are marked active.
    pub fn active(&self) -> Vec<String> {
        let pools = self
            .zfs
            .pools
            .iter()
            .filter(|(_, health)| **health != Health::Suspended);
        let is_marked = |pool: &&String| {
            let mark = self
                .zfs
                .datasets
                .get(*pool)
                .and_then(|one| one.properties.get("org.freebsd.ioc:active"));
            mark.is_some_and(|mark| mark == "yes")
        };
        pools
            .map(|(pool, _)| pool)
            .filter(is_marked)
            .cloned()
            .collect()
    }

    pub fn next_jid(&mut self) -> u32 {
        self.last_jid += 1;
        self.last_jid
    }

    pub fn end(&mut self, name: &str) {
        self.running.retain(|one| one.name != name);
    }

    /// Runs a command of zfs. What something else is mounted in cannot be unmounted.
    pub fn run_zfs(&mut self, words: &[&str]) -> (i32, String, String) {
        let unmounts = ["unmount", "destroy", "rename"].contains(&words[0])
            || words
                .get(1)
                .is_some_and(|word| word.starts_with("mountpoint="));
        let dataset = words[1..]
            .iter()
            .find(|word| !word.starts_with('-') && !word.contains('='));
        let place = dataset.and_then(|dataset| self.zfs.mountpoint(dataset));
        let is_busy = place.is_some_and(|place| {
            let mut mounts = self.mounts.iter();
            mounts.any(|(_, mount)| mount.mountpoint.starts_with(place))
        });
        match unmounts && is_busy {
            true => {
                let place = place
                    .map(|place| place.display().to_string())
                    .unwrap_or_default();
                (
                    1,
                    String::new(),
                    format!("cannot unmount '{place}': Device busy\n"),
                )
            }
            false => self.zfs.run(words),
        }
    }

    pub fn mount(&mut self, source: &str, at: &Path, kind: &str) {
        let _ = std::fs::create_dir_all(at);
        let tick = self.zfs.tick();
        let mount = Mount {
            source: source.into(),
            mountpoint: at.into(),
            kind: kind.into(),
        };
        self.mounts.push((tick, mount));
    }

    pub fn unmount_below(&mut self, root: &Path) {
        self.mounts
            .retain(|(_, mount)| !mount.mountpoint.starts_with(root));
    }

    /// What was mounted last at a place.
    pub fn unmount(&mut self, place: &Path) -> bool {
        let last = self
            .mounts
            .iter()
            .rposition(|(_, mount)| mount.mountpoint == place);
        last.map(|last| self.mounts.remove(last)).is_some()
    }

    pub fn mount_table(&self) -> Vec<Mount> {
        let datasets = self.zfs.datasets.iter().filter_map(|(name, dataset)| {
            let (path, tick) = dataset.mounted.as_ref()?;
            let mount = Mount {
                source: name.clone(),
                mountpoint: path.clone(),
                kind: "zfs".into(),
            };
            Some((*tick, mount))
        });
        let mut all: Vec<(u64, Mount)> = datasets.chain(self.mounts.iter().cloned()).collect();
        all.sort_by_key(|(tick, _)| *tick);
        all.into_iter().map(|(_, mount)| mount).collect()
    }

    /// What `jls --libxo json -v` prints.
    pub fn jls(&self) -> String {
        let jails = self.running.iter().map(|one| {
            json!({
                "jid": one.jid, "name": one.name, "hostname": one.hostname,
                "path": one.path.display().to_string(), "state": "ACTIVE", "cpusetid": 3,
                "ipv4_addrs": [], "ipv6_addrs": [],
            })
        });
        let jails: Vec<_> = jails.collect();
        json!({"__version": "2", "jail-information": {"jail": jails}}).to_string()
    }

    /// The time, in which no second comes twice.
    pub fn clock(&self) -> String {
        let newest = self
            .zfs
            .datasets
            .values()
            .flat_map(|one| &one.snapshots)
            .map(|one| one.guid)
            .max();
        format!(
            "{}-{}",
            utc_time_in(0).unwrap_or_default().replace(':', "-"),
            newest.unwrap_or_default()
        )
    }

    pub fn day(&self) -> String {
        utc_time_in(0)
            .unwrap_or_default()
            .chars()
            .take(10)
            .collect()
    }
}
