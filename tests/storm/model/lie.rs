//! What is so after a request has worked.

use super::*;
use crate::iocage::{is_true, text};
use crate::zfs::{Node, Tree};

impl<'a> Model<'a> {
    /// What is not so, though it was said that it worked.
    pub fn lie(&self, after: &Picture, answer: &Value) -> Option<String> {
        if self.is_dry() {
            return None;
        }
        let answers: Vec<(String, &Value)> = match (&answer["jails"], self.args["jails"].is_null())
        {
            (Value::Object(each), false) => self
                .labels()
                .into_iter()
                .filter_map(|label| {
                    let Found::One(jail) = find(self.before, &label) else {
                        return None;
                    };
                    let of_it = each.get(&jail.name)?;
                    of_it["error"].is_null().then_some((label, of_it))
                })
                .collect(),
            _ => vec![(self.labels().first().cloned().unwrap_or_default(), answer)],
        };
        for (label, answer) in answers {
            let jail = match find(self.before, &label) {
                Found::One(jail) => Some(*jail),
                _ => None,
            };
            let lie = match jail {
                Some(jail) => self.lie_of_jail(&jail, after, answer),
                None => self.lie_of_all(after, answer),
            };
            if lie.is_some() {
                return lie;
            }
        }
        None
    }

    fn lie_of_all(&self, after: &Picture, answer: &Value) -> Option<String> {
        let is_left = |families: &[&str]| {
            let parents = families.iter().map(|family| self.family(family));
            let there = parents.flat_map(|parent| {
                let all = after
                    .below(&parent)
                    .filter(|name| **name != parent)
                    .cloned();
                all.collect::<Vec<_>>()
            });
            there
                .collect::<Vec<_>>()
                .first()
                .map(|name| format!("{name} is there still"))
        };
        match self.action {
            "activatepool" => {
                let wanted = self.text("pool")?;
                let only = after.active.iter().eq([wanted]);
                (!only).then(|| format!("active are {:?}", after.active))
            }
            "deactivatepool" => {
                let wanted = self.text("pool")?;
                after
                    .active
                    .contains(wanted)
                    .then(|| format!("{wanted} is active still"))
            }
            "activatestatus" => {
                let says = answer["pool"].as_str();
                let suspended = after.pools.values().any(|health| health == "SUSPENDED");
                (says != after.pool() && !suspended)
                    .then(|| format!("active are {:?}", after.active))
            }
            "cleanjails" => is_left(&["jails"]),
            "cleantemplates" => is_left(&["templates"]),
            "cleanreleases" => is_left(&["releases", "download"]),
            "cleanall" => is_left(&["jails", "templates", "releases", "download"]),
            "destroyjail" => {
                let release = self.text("release")?;
                let units = ["releases", "download"]
                    .map(|family| format!("{}/{release}", self.family(family)));
                units
                    .into_iter()
                    .find(|unit| after.datasets.contains_key(unit))
                    .map(|unit| format!("{unit} is there"))
            }
            "setjailsettings" => {
                let file = after.file(&format!("{}/iocage", self.pool()), "defaults.json")?;
                let config: Map<String, Value> = serde_json::from_slice(file).unwrap_or_default();
                let object = self.args["settings"].as_object()?;
                self.is_not_set(object, &config)
            }
            "listreleases" => {
                let local: BTreeSet<&str> = answer["local"]
                    .as_array()?
                    .iter()
                    .filter_map(Value::as_str)
                    .collect();
                let there = after.members("releases");
                let there: BTreeSet<&str> = there.iter().map(String::as_str).collect();
                (local != there).then(|| format!("there are {there:?}"))
            }
            _ => None,
        }
    }

    fn is_not_set(
        &self,
        asked: &Map<String, Value>,
        config: &Map<String, Value>,
    ) -> Option<String> {
        for (key, value) in asked {
            let wanted = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let now = text(config, key);
            let is_truth = value.is_boolean();
            let same = match (&now, is_truth) {
                (Some(now), true) => is_true(now) == is_true(&wanted),
                (Some(now), false) => *now == wanted,
                // What it has by itself is not set.
                (None, _) => true,
            };
            if !same {
                return Some(format!("{key} is {now:?}"));
            }
        }
        None
    }

    fn lie_of_jail(&self, jail: &Jail, after: &Picture, answer: &Value) -> Option<String> {
        let dataset = &jail.dataset;
        let now = after.jail(jail.family, &jail.name);
        let not = |is_so: bool, why: &str| (!is_so).then(|| format!("{}: {why}", jail.place()));
        match self.action {
            "startjail" | "restartjail" => not(!now?.is_down(), "it does not run"),
            "stopjail" => not(!now?.is_up(), "it runs"),
            "destroyjail" => not(after.below(dataset).next().is_none(), "it is there"),
            "snapshotjail" => {
                let name = answer["snapshot"].as_str()?;
                let lacks = after
                    .below(dataset)
                    .find(|one| !after.snapshots.contains_key(&format!("{one}@{name}")));
                lacks.map(|one| format!("{one} has no snapshot {name}"))
            }
            "removesnapshot" => {
                let name = self.text("snapshot")?;
                let has = after
                    .below(dataset)
                    .find(|one| after.snapshots.contains_key(&format!("{one}@{name}")));
                has.map(|one| format!("{one}@{name} is there"))
            }
            "rollbackjail" => {
                let name = self.text("snapshot")?;
                for one in after.below(dataset) {
                    let Some(to) = after.snapshots.get(&format!("{one}@{name}")) else {
                        return Some(format!("{one}@{name} is gone"));
                    };
                    let now = without_folders(&after.datasets[one].tree);
                    let was = to.tree.as_deref().filter(|_| !self.rollback_lied);
                    if was.is_some_and(|was| without_folders(was) != now) {
                        return Some(format!("{one} is not as {name} has it"));
                    }
                    let later = after.snapshots.iter().find(|(other, of)| {
                        other.split('@').next() == Some(one) && of.made > to.made
                    });
                    if let Some((later, _)) = later {
                        return Some(format!("the later {later} is there"));
                    }
                }
                None
            }
            "renamejail" => self.lie_of_rename(jail, after),
            "setjailsettings" => {
                let config = now?.config?;
                self.is_not_set(self.args["settings"].as_object()?, &config)
            }
            "addmount" => {
                let sources = now?.sources()?;
                let source = self.text("source")?;
                not(
                    sources
                        .iter()
                        .any(|one| one == source || one == source.trim_end_matches('/')),
                    "it is not in the fstab",
                )
            }
            _ => None,
        }
    }

    fn lie_of_rename(&self, jail: &Jail, after: &Picture) -> Option<String> {
        let new = self.text("name")?;
        let to = format!("{}/{new}", self.family(jail.family));
        for one in self.before.below(&jail.dataset) {
            let moved = format!("{to}{}", &one[jail.dataset.len()..]);
            let guid = after.datasets.get(&moved).map(|now| now.guid);
            if guid != Some(self.before.datasets[one].guid) {
                return Some(format!("{moved} is not what {one} was"));
            }
        }
        for one in self.before.snapshots_below(&jail.dataset) {
            let moved = format!("{to}{}", &one[jail.dataset.len()..]);
            if !after.snapshots.contains_key(&moved) {
                return Some(format!("{moved} is lost"));
            }
        }
        let now = after.jail(jail.family, new)?;
        let config = now.config.as_ref()?;
        for (key, value) in jail.config.as_ref()? {
            let is_name = [
                "host_hostuuid",
                "host_hostname",
                "jail_zfs_dataset",
                "source_template",
            ]
            .contains(&&**key);
            if !is_name && config.get(key) != Some(value) {
                return Some(format!("{key} was {value} and is {:?}", config.get(key)));
            }
        }
        (now.uuid != *new).then(|| format!("it calls itself {}", now.uuid))
    }
}

/// Without the folders, which no snapshot of this world keeps apart.
fn without_folders(tree: &Tree) -> Vec<(&String, &Node)> {
    tree.iter()
        .filter(|(_, node)| **node != Node::Folder)
        .collect()
}
