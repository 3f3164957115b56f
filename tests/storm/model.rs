//! What the storm knows of every action without looking into the library: what it may change, when it must
//! refuse and when it must work, and what is so after it has said that it worked.
//!
//! The state of the model is a picture of the host; what iocage writes into a new jail is taken over from
//! the world, all else has to be as it was.

mod lie;
mod may;
mod must;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::picture::{may, Jail, Picture, Rule};
use super::zfs::is_below;

/// What has to become of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Must {
    Refuse(String),
    Work(String),
    /// Either is right.
    Either,
}

use Must::{Either, Refuse, Work};

/// A request, and the host before it.
pub struct Model<'a> {
    pub before: &'a Picture,
    pub action: &'a str,
    pub args: &'a Value,
    /// What jobs that run now use alone: names of jails.
    pub busy: &'a BTreeSet<String>,
    pub jobs_run: bool,
    /// Where this is the host after somebody has done something by hand while it was carried out: the
    /// names of the jails that were meant before.
    pub meant: Vec<String>,
    /// Whether a `zfs rollback` has lied. ZFS has nothing that could be asked then.
    pub rollback_lied: bool,
}

fn refuse(why: impl Into<String>) -> Must {
    Refuse(why.into())
}

pub fn in_kernel(name: &str) -> String {
    name.replace('.', "_")
}

/// Which jail or template a label means.
pub enum Found<'a> {
    One(Box<Jail<'a>>),
    None,
    Many,
}

pub fn find<'a>(picture: &'a Picture, label: &str) -> Found<'a> {
    let all = picture.jails();
    let named = |jail: &Jail| jail.name == label || jail.place() == label;
    let by_name = all.iter().filter(|jail| named(jail)).count();
    let mut found: Vec<Jail> = match by_name {
        0 => all.into_iter().filter(|jail| jail.uuid == label).collect(),
        _ => all.into_iter().filter(named).collect(),
    };
    match found.len() {
        0 => Found::None,
        1 => Found::One(Box::new(found.remove(0))),
        _ => Found::Many,
    }
}

/// What goes with some datasets: what was cloned from them, and from that, and so on.
pub struct Doomed {
    pub units: BTreeSet<String>,
    /// Those that were only cloned from what is meant.
    pub others: BTreeSet<String>,
}

/// The whole that a dataset is a part of.
pub fn unit_of(pool: &str, name: &str) -> String {
    let name = name.split('@').next().unwrap_or(name);
    let iocage = format!("{pool}/iocage/");
    let Some(rest) = name.strip_prefix(&iocage) else {
        return name.into();
    };
    let mut parts = rest.split('/');
    match (parts.next(), parts.next()) {
        (Some(family @ ("jails" | "templates" | "releases" | "download")), Some(member)) => {
            format!("{iocage}{family}/{member}")
        }
        _ => name.into(),
    }
}

pub fn doomed(picture: &Picture, meant: &[String]) -> Doomed {
    let pool = picture.pool().unwrap_or_default();
    let mut units: BTreeSet<String> = BTreeSet::new();
    let mut next: Vec<String> = meant.to_vec();
    while let Some(unit) = next.pop() {
        if !units.insert(unit.clone()) {
            continue;
        }
        for (name, dataset) in &picture.datasets {
            let own = unit_of(pool, name);
            let of = dataset
                .origin
                .as_deref()
                .map(|origin| unit_of(pool, origin));
            let is_in = is_below(name, &unit) && own != unit;
            if (of.as_deref() == Some(&*unit) && own != unit) || is_in {
                next.push(own);
            }
        }
    }
    let others = units
        .iter()
        .filter(|unit| !meant.contains(unit))
        .cloned()
        .collect();
    Doomed { units, others }
}

pub const LOOKS: [&str; 14] = [
    "activatestatus",
    "df",
    "getdefaultsettings",
    "getjailsettings",
    "jobstatus",
    "listimages",
    "listjails",
    "listjobs",
    "listmounts",
    "listplugins",
    "listreleases",
    "listsnapshots",
    "listtemplates",
    "stopjob",
];

impl<'a> Model<'a> {
    fn text(&self, key: &str) -> Option<&'a str> {
        self.args[key].as_str()
    }

    fn flag(&self, key: &str) -> bool {
        self.args[key] == true || self.args[key] == "true"
    }

    pub fn is_dry(&self) -> bool {
        self.flag("dryrun")
    }

    fn pool(&self) -> &'a str {
        self.before.pool().unwrap_or_default()
    }

    fn family(&self, family: &str) -> String {
        format!("{}/iocage/{family}", self.pool())
    }

    /// The labels of the jails that are meant.
    pub fn labels(&self) -> Vec<String> {
        let one = self.text("jail").or(self.text("jail_uuid"));
        if let Some(one) = one {
            return vec![one.into()];
        }
        let template = self.text("template");
        if let (Some(name), "destroyjail", true) =
            (template, self.action, self.args["jails"].is_null())
        {
            return vec![format!("templates/{name}")];
        }
        let many = self.args["jails"].as_array().into_iter().flatten();
        let mut labels: Vec<String> = Vec::new();
        for label in many.filter_map(Value::as_str) {
            if !labels.iter().any(|other| other == label) {
                labels.push(label.into());
            }
        }
        labels
    }

    /// Where a jail is gone in the last moment, iocage takes the one whose name begins like its own.
    fn taken_for_it(&self) -> Vec<Jail<'a>> {
        let by_iocage = [
            "renamejail",
            "restartjail",
            "setjailsettings",
            "startjail",
            "stopjail",
        ];
        if !by_iocage.contains(&self.action) {
            return Vec::new();
        }
        let mut jails = self.before.jails();
        let is_there = |name: &String| jails.iter().any(|jail| jail.name == *name);
        let lost: Vec<&String> = self.meant.iter().filter(|name| !is_there(name)).collect();
        jails.retain(|jail| lost.iter().any(|name| jail.name.starts_with(&***name)));
        jails
    }

    pub fn jails(&self) -> Vec<Jail<'a>> {
        let found = self
            .labels()
            .into_iter()
            .filter_map(|label| match find(self.before, &label) {
                Found::One(jail) => Some(*jail),
                _ => None,
            });
        found.collect()
    }

    /// Whether the library can be sure of the host: one active pool whose datasets are mounted, and no
    /// pool that does not answer.
    fn is_calm(&self) -> bool {
        let root = self.before.datasets.get(&format!("{}/iocage", self.pool()));
        let families = [
            "jails",
            "templates",
            "releases",
            "download",
            "images",
            "log",
        ];
        let has = |family: &&str| {
            let dataset = self.before.datasets.get(&self.family(family));
            dataset.is_some_and(|one| one.mountpoint.is_some())
        };
        root.is_some_and(|root| root.mountpoint.is_some())
            && families.iter().all(has)
            && self.before.pools.values().all(|health| health == "ONLINE")
    }

    fn are_all_sound(&self) -> bool {
        self.before.jails().iter().all(Jail::is_sound)
    }
}
