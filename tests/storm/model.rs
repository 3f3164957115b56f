//! What the storm knows of every action without looking into the library: what it may change, when it must
//! refuse and when it must work, and what is so after it has said that it worked.
//!
//! The state of the model is a picture of the host; what iocage writes into a new jail is taken over from
//! the world, all else has to be as it was.

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

    /// What it may change.
    pub fn footprint(&self) -> Vec<Rule> {
        let mut rules = Vec::new();
        if self.is_dry() || LOOKS.contains(&self.action) {
            return rules;
        }
        let pool = self.pool();
        let iocage = format!("{pool}/iocage");
        for jail in self.jails() {
            self.of_jail(&jail, &mut rules);
        }
        for jail in self.taken_for_it() {
            self.of_jail(&jail, &mut rules);
        }
        match self.action {
            "activatepool" | "deactivatepool" if self.args["pool"].is_string() => {
                rules.push(may("mark", "*"))
            }
            "setjailsettings" if self.labels() == ["default"] => {
                rules.push(may("file", format!("{iocage}:defaults.json")))
            }
            "cleanjails" => self.of_doom(
                &self.whole(&["jails"]),
                self.flag("force"),
                false,
                &mut rules,
            ),
            "cleanreleases" => self.of_doom(
                &self.whole(&["releases", "download"]),
                self.flag("force"),
                true,
                &mut rules,
            ),
            "cleantemplates" => self.of_doom(
                &self.whole(&["templates"]),
                self.flag("force"),
                true,
                &mut rules,
            ),
            "cleanall" => {
                let all = self.whole(&["jails", "templates", "releases", "download"]);
                self.of_doom(&all, self.flag("force"), false, &mut rules);
                if self.flag("force") {
                    rules.push(may("file", format!("{iocage}/images")));
                    rules.push(may("file", format!("{iocage}/log")));
                }
            }
            "destroyjail" => {
                if let Some(release) = self.text("release") {
                    let units = ["releases", "download"]
                        .map(|family| format!("{}/{release}", self.family(family)));
                    self.of_doom(&units, false, self.flag("recursive"), &mut rules);
                }
            }
            _ => {}
        }
        rules
    }

    /// The members of families.
    fn whole(&self, families: &[&str]) -> Vec<String> {
        let all = families.iter().flat_map(|family| {
            let parent = self.family(family);
            self.before
                .members(family)
                .into_iter()
                .map(move |name| format!("{parent}/{name}"))
        });
        all.collect()
    }

    fn of_doom(&self, meant: &[String], stops: bool, clones: bool, rules: &mut Vec<Rule>) {
        let doomed = doomed(self.before, meant);
        for unit in &doomed.units {
            if !clones && !meant.contains(unit) {
                continue;
            }
            rules.push(may("dataset- snapshot- property", unit));
            let name = unit.rsplit('/').next().unwrap_or(unit);
            // The snapshots that it was made from, if they are called like it.
            for dataset in self.before.below(unit) {
                if let Some((source, snapshot)) = self.before.datasets[dataset]
                    .origin
                    .as_deref()
                    .and_then(|origin| origin.split_once('@'))
                {
                    if snapshot == name {
                        let parent = source.strip_suffix("/root").unwrap_or(source);
                        rules.push(may("snapshot-", format!("{source}@{name}")));
                        if unit_of(self.pool(), source) == parent && !parent.contains("/releases/")
                        {
                            rules.push(may("snapshot-", format!("{parent}@{name}")));
                        }
                    }
                }
            }
            if let Some(noted) = self
                .before
                .datasets
                .get(unit)
                .and_then(|one| one.properties.get("sysadm-iocage:origin"))
            {
                rules.push(may("snapshot-", noted));
                rules.push(may("snapshot-", noted.replacen("/root@", "@", 1)));
            }
            let log = format!("{}/iocage/log", self.pool());
            for stem in [
                name.to_string(),
                in_kernel(name),
                format!("ioc-{}", in_kernel(name)),
                format!("ioc-{name}"),
            ] {
                rules.push(may("file", format!("{log}:{stem}-console.log")));
            }
            let places = [format!("{unit}/root"), unit.clone()];
            for place in places
                .iter()
                .filter_map(|one| self.before.datasets.get(one)?.mountpoint.as_ref())
            {
                rules.push(may("mount", place));
            }
            if stops {
                rules.push(may("down", format!("ioc-{}", in_kernel(name))));
                rules.push(may("rctl", format!("jail:ioc-{}", in_kernel(name))));
            }
        }
    }

    fn of_jail(&self, jail: &Jail, rules: &mut Vec<Rule>) {
        let dataset = &jail.dataset;
        let pool = self.pool();
        match self.action {
            "addmount" | "removemount" => rules.push(may("file", format!("{dataset}:fstab"))),
            "capjail" => rules.push(may("rctl", format!("jail:{}", jail.in_kernel()))),
            "startjail" | "restartjail" | "stopjail" => {
                for one in self.with_dependencies(jail) {
                    if !one.is_anothers_name() {
                        rules.push(may("up down", one.in_kernel()));
                    }
                    rules.push(may("file", format!("{}:config.json", one.dataset)));
                    rules.push(may("file", format!("{pool}/iocage/log")));
                    rules.push(may("rctl", format!("jail:{}", one.in_kernel())));
                    if let Some(folder) = &one.folder {
                        rules.push(may("mount", format!("{folder}/root")));
                        rules.push(may("mount", format!("{folder}/root/*")));
                    }
                    // Its fstab may say that it mounts in another's root.
                    rules.push(may("mount", "*"));
                }
            }
            "setjailsettings" => {
                rules.push(may("file", format!("{dataset}:config.json")));
                rules.push(may("property", dataset));
                rules.push(may("rctl", format!("jail:{}", jail.in_kernel())));
            }
            "snapshotjail" => {
                let name = self.text("snapshot").unwrap_or("2*");
                for one in self.before.below(dataset) {
                    rules.push(may("snapshot+", format!("{one}@{name}")));
                }
            }
            "removesnapshot" => {
                for one in self.before.below(dataset) {
                    rules.push(may(
                        "snapshot-",
                        format!("{one}@{}", self.text("snapshot").unwrap_or_default()),
                    ));
                }
            }
            "rollbackjail" => {
                let name = self.text("snapshot").unwrap_or_default();
                for one in self.before.below(dataset) {
                    rules.push(may("file", format!("{one}:*")));
                    if let Some(to) = self.before.snapshots.get(&format!("{one}@{name}")) {
                        let all = self.before.snapshots.iter();
                        let later = all.filter(|(other, of)| {
                            other.split('@').next() == Some(one) && of.made > to.made
                        });
                        rules.extend(
                            later
                                .filter(|_| self.flag("force"))
                                .map(|(other, _)| may("snapshot-", other)),
                        );
                    }
                }
            }
            "renamejail" => {
                let new = self.text("name").unwrap_or_default();
                let to = format!("{}/{new}", self.family(jail.family));
                rules.push(may("dataset- snapshot-", dataset));
                rules.push(may("dataset+ snapshot+ file", &to));
                let name = &jail.name;
                let mut sources: Vec<String> = self
                    .before
                    .below(&self.family("releases"))
                    .cloned()
                    .collect();
                if let Some((root, _)) = jail
                    .origin
                    .as_deref()
                    .and_then(|origin| origin.split_once('@'))
                {
                    sources.push(root.into());
                    sources.extend(root.strip_suffix("/root").map(String::from));
                }
                for source in sources {
                    rules.push(may("snapshot+", format!("{source}@{new}")));
                    // One that was cut short has its old name in its settings alone.
                    for old in [name, &jail.uuid] {
                        let snapshot = format!("{source}@{old}");
                        // What was cloned from it says so.
                        let clones = self.before.clones_of(&snapshot);
                        rules.extend(clones.map(|clone| may("origin", clone)));
                        rules.push(may("snapshot-", snapshot));
                    }
                }
                for one in self.before.below(dataset) {
                    for (other, of) in &self.before.datasets {
                        if of
                            .origin
                            .as_deref()
                            .is_some_and(|origin| is_below(origin, one))
                        {
                            rules.push(may("origin", other));
                        }
                    }
                }
                if jail.family == "templates" {
                    let made_from_it = self.before.jails();
                    let made_from_it = made_from_it
                        .iter()
                        .filter(|one| one.get("source_template").as_ref() == Some(&jail.name));
                    rules.extend(
                        made_from_it.map(|one| may("file", format!("{}:config.json", one.dataset))),
                    );
                }
            }
            "destroyjail" => self.of_doom(
                std::slice::from_ref(dataset),
                self.flag("force"),
                self.flag("recursive"),
                rules,
            ),
            _ => {}
        }
    }

    fn with_dependencies(&self, jail: &Jail) -> Vec<Jail<'a>> {
        let mut names = vec![jail.place()];
        let mut at = 0;
        while at < names.len() {
            if let Found::One(one) = find(self.before, &names[at].clone()) {
                let depends = one.get("depends").unwrap_or_default();
                for name in depends.split_whitespace().filter(|name| *name != "none") {
                    for other in self.before.jails() {
                        if other.name.starts_with(name) && !names.contains(&other.place()) {
                            names.push(other.place());
                        }
                    }
                }
            }
            at += 1;
        }
        names
            .iter()
            .filter_map(|name| match find(self.before, name) {
                Found::One(one) => Some(*one),
                _ => None,
            })
            .collect()
    }

    /// Whether it must be refused or must work. Only what is sure is said.
    pub fn must(&self) -> Must {
        let no_pool = [
            "activatepool",
            "activatestatus",
            "deactivatepool",
            "listjobs",
            "jobstatus",
            "stopjob",
        ];
        if !no_pool.contains(&self.action) && self.before.active.len() != 1 {
            return refuse(format!("{} pools are active", self.before.active.len()));
        }
        match self.action {
            "activatepool" => self.must_activate(),
            "deactivatepool" => self.must_deactivate(),
            "destroyjail" if self.args["release"].is_string() => self.must_destroy_release(),
            "cleanreleases" => self.must_clean(&["releases", "download"], true),
            "cleantemplates" => self.must_clean(&["templates"], true),
            "cleanjails" => self.must_clean(&["jails"], false),
            "cleanall" => self.must_clean(&["jails", "templates", "releases", "download"], false),
            "createjail" => self.must_create(),
            "fetchreleases" | "createplugin" | "importjail" => Either,
            _ if self.labels().len() == 1 && self.args["jails"].is_null() => {
                let label = &self.labels()[0];
                match find(self.before, label) {
                    // Those that look may say it of each.
                    Found::None if label == "default" && self.action == "setjailsettings" => Either,
                    Found::None
                        if self.args["jail_uuid"].is_null() || self.args["jail"].is_null() =>
                    {
                        match LOOKS.contains(&self.action) {
                            true => Either,
                            false => refuse(format!("there is no jail {label}")),
                        }
                    }
                    Found::One(jail) => self.must_with(&jail),
                    _ => Either,
                }
            }
            _ => Either,
        }
    }

    fn must_activate(&self) -> Must {
        let Some(wanted) = self.text("pool") else {
            return match (
                self.before.active.len(),
                self.before.pools.values().all(|health| health == "ONLINE"),
            ) {
                (1, true) => Work("one pool is active".into()),
                (0, true) => refuse("no pool is active"),
                _ => Either,
            };
        };
        let health = |pool: &str| self.before.pools.get(pool).map(String::as_str);
        match health(wanted) {
            None => return refuse("there is no such pool"),
            Some("ONLINE") => {}
            Some(health) => return refuse(format!("the pool is {health}")),
        }
        let silent = self
            .before
            .pools
            .values()
            .any(|health| health == "SUSPENDED");
        if silent && self.before.active.is_empty() {
            return refuse("a pool does not answer, and may be the active one");
        }
        let root = self.before.datasets.get(&format!("{wanted}/iocage"));
        if root.is_some_and(|root| root.mountpoint.is_none()) {
            return refuse("iocage's root is not mounted there");
        }
        match self.jobs_run || silent {
            true => Either,
            false => Work("the pool is online and ready".into()),
        }
    }

    fn must_deactivate(&self) -> Must {
        let Some(wanted) = self.text("pool") else {
            return refuse("no pool is named");
        };
        if !self.before.active.contains(wanted) {
            return refuse("the pool is not active");
        }
        match self.jobs_run
            || self
                .before
                .pools
                .values()
                .any(|health| health == "SUSPENDED")
        {
            true => Either,
            false => Work("the pool is active".into()),
        }
    }

    /// Why these may not be destroyed; none if nothing is in the way.
    fn in_the_way(
        &self,
        meant: &[String],
        clones: bool,
        force: bool,
        sweeps: bool,
    ) -> Option<String> {
        let doomed = doomed(self.before, meant);
        let is_jail =
            |unit: &&String| unit.contains("/iocage/jails/") || unit.contains("/iocage/templates/");
        let strangers = doomed.others.iter().find(|unit| !is_jail(unit));
        if let Some(stranger) = strangers.filter(|_| !sweeps || !clones) {
            return Some(format!("{stranger} was cloned from there"));
        }
        if let Some(other) = doomed.others.iter().find(is_jail).filter(|_| !clones) {
            return Some(format!("{other} was cloned from there"));
        }
        for unit in &doomed.units {
            if let Some(held) = self
                .before
                .snapshots_below(unit)
                .find(|name| self.before.snapshots[*name].holds > 0)
            {
                return Some(format!("{held} is held"));
            }
        }
        let goes = |jail: &Jail| doomed.units.contains(&jail.dataset);
        let folders: Vec<String> = doomed
            .units
            .iter()
            .filter(|unit| !unit.contains("/download/"))
            .filter_map(|unit| self.before.datasets.get(unit)?.mountpoint.clone())
            .collect();
        for jail in self.before.jails() {
            if goes(&jail) {
                if jail.is_up() && (!force || (clones && sweeps)) {
                    return Some(format!("{} is running", jail.place()));
                }
                continue;
            }
            let sources = jail.sources().unwrap_or_default();
            let mounts = sources.iter().any(|source| {
                folders.iter().any(|folder| {
                    source
                        .strip_prefix(&**folder)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                })
            });
            if mounts && jail.is_up() {
                return Some(format!("{} runs and mounts files of it", jail.place()));
            }
            if mounts && !force {
                return Some(format!("{} mounts files of it", jail.place()));
            }
        }
        let all = !doomed.units.is_empty();
        if sweeps && clones && !force && !doomed.others.is_empty() {
            return Some("something was made from them".into());
        }
        (sweeps && !clones && !force && all).then(|| "all of it goes without force".into())
    }

    fn must_clean(&self, families: &[&str], clones: bool) -> Must {
        if self.is_dry() {
            return Either;
        }
        let meant = self.whole(families);
        if let Some(why) = self.in_the_way(&meant, clones, self.flag("force"), true) {
            return refuse(why);
        }
        match self.is_calm() && self.are_all_sound() && !self.jobs_run && self.is_tame(&meant) {
            true if families.len() < 4 => Work("nothing is in the way".into()),
            _ => Either,
        }
    }

    /// Whether nothing odd is to be destroyed: clones of a part of a jail, what is not iocage's, jails that
    /// run under another name.
    fn is_tame(&self, meant: &[String]) -> bool {
        let doomed = doomed(self.before, meant);
        let pool = self.pool();
        let odd = self.before.datasets.iter().any(|(name, one)| {
            let Some(origin) = &one.origin else {
                return false;
            };
            let unit = unit_of(pool, name);
            let is_root = *name == format!("{unit}/root") || *name == unit;
            doomed.units.contains(&unit_of(pool, origin))
                && unit_of(pool, origin) != unit
                && !is_root
        });
        // A mount of a folder above may be of it or not.
        let folders: Vec<&String> = doomed
            .units
            .iter()
            .filter_map(|unit| self.before.datasets.get(unit)?.mountpoint.as_ref())
            .collect();
        let is_around = |source: &String| {
            let above = source.trim_end_matches('/');
            folders.iter().any(|folder| {
                folder
                    .strip_prefix(above)
                    .is_some_and(|rest| rest.starts_with('/'))
            })
        };
        let around = self
            .before
            .jails()
            .iter()
            .any(|jail| jail.sources().unwrap_or_default().iter().any(is_around));
        let odd = odd || around;
        let names =
            |jail: &Jail| jail.is_up() == self.before.running.contains_key(&jail.in_kernel());
        let twins = self.before.jails();
        let is_alone = |jail: &Jail| {
            twins
                .iter()
                .filter(|other| other.in_kernel() == jail.in_kernel())
                .count()
                == 1
        };
        !odd && twins.iter().all(|jail| names(jail) && is_alone(jail))
    }

    fn must_destroy_release(&self) -> Must {
        if self.is_dry() || !self.labels().is_empty() {
            return Either;
        }
        let release = self.text("release").unwrap_or_default();
        let units =
            ["releases", "download"].map(|family| format!("{}/{release}", self.family(family)));
        let there: Vec<String> = units
            .into_iter()
            .filter(|unit| self.before.datasets.contains_key(unit))
            .collect();
        if there.is_empty() {
            return refuse("there is no such release");
        }
        match self.in_the_way(&there, self.flag("recursive"), self.flag("force"), false) {
            Some(why) => refuse(why),
            None if self.is_calm()
                && self.are_all_sound()
                && !self.jobs_run
                && self.is_tame(&there)
                && self.args["template"].is_null() =>
            {
                Work("nothing uses the release".into())
            }
            None => Either,
        }
    }

    /// Whether a name cannot be given to a new jail.
    fn is_taken(&self, name: &str, except: Option<&str>) -> bool {
        let wanted = in_kernel(name);
        let others = self.before.jails();
        let mut others = others.iter().filter(|jail| Some(&*jail.place()) != except);
        others.any(|jail| in_kernel(&jail.name) == wanted || in_kernel(&jail.uuid) == wanted)
    }

    /// Whether a folder of that name is left where iocage looks for jails.
    fn is_folder_left(&self, name: &str) -> bool {
        let wanted = in_kernel(name);
        ["jails", "templates"].iter().any(|family| {
            let dataset = self.before.datasets.get(&self.family(family));
            let tree = dataset.map(|dataset| &dataset.tree);
            let mut paths = tree.into_iter().flat_map(|tree| tree.keys());
            paths.any(|path| in_kernel(path.split('/').next().unwrap_or(path)) == wanted)
        })
    }

    fn must_create(&self) -> Must {
        let Some(name) = self.text("name") else {
            return refuse("the jail has no name");
        };
        let bases = ["release", "template", "empty"];
        let given = bases
            .iter()
            .filter(|key| self.text(key).is_some() || self.flag(key))
            .count();
        if given != 1 {
            return refuse("it is made from nothing, or from two things");
        }
        if self.is_taken(name, None) {
            return refuse(format!("the name {name} is taken"));
        }
        let source = match (self.text("release"), self.text("template")) {
            (Some(release), _) => format!("{}/{release}", self.family("releases")),
            (_, Some(template)) => format!("{}/{template}", self.family("templates")),
            _ => String::new(),
        };
        if !source.is_empty() {
            if !self.before.datasets.contains_key(&source) {
                return refuse(format!("{source} is not there"));
            }
            let mut snapshots = self.before.snapshots_below(&source);
            if let Some(there) = snapshots.find(|one| one.ends_with(&format!("@{name}"))) {
                return refuse(format!("{there} is there already"));
            }
        }
        let plain = [
            "properties",
            "packages",
            "net_device",
            "ip4",
            "ip6",
            "dhcp",
            "thick",
            "basejail",
            "boot",
            "template",
        ];
        let is_plain = plain.iter().all(|key| self.args[*key].is_null());
        let runs = self
            .before
            .running
            .contains_key(&format!("ioc-{}", in_kernel(name)));
        let root = format!("{source}/root");
        let runs = runs || self.is_folder_left(name);
        let has_root = source.is_empty() || self.before.file(&root, "etc/hosts").is_some();
        match is_plain
            && has_root
            && !runs
            && self.is_calm()
            && self.are_all_sound()
            && !self.jobs_run
        {
            true => Work("the name is free and the release is there".into()),
            false => Either,
        }
    }

    fn must_with(&self, jail: &Jail) -> Must {
        let calm = self.is_calm() && jail.is_sound() && !self.jobs_run;
        let alone = self
            .before
            .jails()
            .iter()
            .filter(|other| other.in_kernel() == jail.in_kernel())
            .count()
            == 1;
        let calm = calm && alone && jail.is_up() != jail.is_down();
        let work = |is_sure: bool, why: &str| match is_sure {
            true => Work(why.into()),
            false => Either,
        };
        let of_snapshot = |name: &str| -> Vec<&String> {
            self.before
                .below(&jail.dataset)
                .filter(|one| self.before.snapshots.contains_key(&format!("{one}@{name}")))
                .collect()
        };
        match self.action {
            "startjail" => match jail.family {
                "templates" => refuse("it is a template"),
                _ => Either,
            },
            "stopjail" => match jail.family {
                "templates" => refuse("it is a template"),
                _ => work(
                    calm && (jail.is_down() || self.flag("force")),
                    "it can be stopped",
                ),
            },
            "execjail" | "capjail" if jail.is_down() => refuse("it is down"),
            "snapshotjail" => {
                let Some(name) = self.text("snapshot") else {
                    return Either;
                };
                match of_snapshot(name).first() {
                    Some(there) => refuse(format!("{there}@{name} is there")),
                    None => work(
                        !self.jobs_run && self.is_calm(),
                        "there is no such snapshot",
                    ),
                }
            }
            "removesnapshot" => {
                let name = self.text("snapshot").unwrap_or_default();
                let there = of_snapshot(name);
                if there.is_empty() {
                    return refuse("there is no such snapshot");
                }
                for one in &there {
                    let snapshot = format!("{one}@{name}");
                    if let Some(clone) = self.before.clones_of(&snapshot).next() {
                        return refuse(format!("{clone} was cloned from {snapshot}"));
                    }
                    if self.before.snapshots[&snapshot].holds > 0 {
                        return refuse(format!("{snapshot} is held"));
                    }
                }
                work(
                    !self.jobs_run && self.is_calm(),
                    "nothing uses the snapshot",
                )
            }
            "rollbackjail" => self.must_roll_back(jail),
            "renamejail" => self.must_rename(jail, calm),
            "destroyjail" => self.must_destroy(jail, calm),
            "clonejail" => {
                let Some(name) = self.text("name") else {
                    return refuse("the copy has no name");
                };
                if jail.family == "templates" {
                    return refuse("it is a template");
                }
                if jail.is_up() {
                    return refuse("it is running");
                }
                if self.is_taken(name, None) {
                    return refuse(format!("the name {name} is taken"));
                }
                let mut snapshots = self.before.snapshots_below(&jail.dataset);
                match snapshots.find(|one| one.ends_with(&format!("@{name}"))) {
                    Some(there) => refuse(format!("{there} is there already")),
                    None => Either,
                }
            }
            "exportjail" if jail.is_up() => refuse("it is running"),
            "exportjail" if jail.family == "templates" => refuse("it is a template"),
            "addmount" | "removemount" if jail.family == "templates" => refuse("it is a template"),
            "updatejail" | "upgradejail" if jail.family == "templates" => {
                refuse("it is a template")
            }
            _ => Either,
        }
    }

    fn must_roll_back(&self, jail: &Jail) -> Must {
        if self.is_dry() {
            return Either;
        }
        let name = self.text("snapshot").unwrap_or_default();
        if jail.is_up() {
            return refuse("it is running");
        }
        let mut later: Vec<&String> = Vec::new();
        for one in self.before.below(&jail.dataset) {
            let Some(to) = self.before.snapshots.get(&format!("{one}@{name}")) else {
                return refuse(format!("{one} has no such snapshot"));
            };
            let all = self.before.snapshots.iter();
            let of_it =
                all.filter(|(other, of)| other.split('@').next() == Some(one) && of.made > to.made);
            later.extend(of_it.map(|(other, _)| other));
        }
        for snapshot in &later {
            if let Some(clone) = self.before.clones_of(snapshot).next() {
                return refuse(format!("{clone} was cloned from the later {snapshot}"));
            }
            if self.before.snapshots[*snapshot].holds > 0 {
                return refuse(format!("the later {snapshot} is held"));
            }
        }
        if !later.is_empty() && !self.flag("force") {
            return refuse("there are later snapshots");
        }
        match self.jobs_run || !self.is_calm() || !jail.is_down() {
            true => Either,
            false => Work("nothing is in the way".into()),
        }
    }

    fn must_rename(&self, jail: &Jail, calm: bool) -> Must {
        let Some(new) = self.text("name") else {
            return refuse("there is no new name");
        };
        if jail.is_up() {
            return refuse("it is running");
        }
        if new == jail.name {
            return Either;
        }
        if self.is_taken(new, Some(&jail.place())) {
            return refuse(format!("the name {new} is taken"));
        }
        if jail.config.is_none() {
            return refuse("it cannot be read");
        }
        let names = [&jail.name, new].map(|name| format!("ioc-{}", in_kernel(name)));
        let running = &self.before.running;
        if let Some(name) = names.iter().find(|name| running.contains_key(*name)) {
            return refuse(format!("another jail runs as {name}"));
        }
        // On a release, where iocage renames all that are called like the jail; and where it is from.
        let releases = self.family("releases");
        for dataset in self.before.below(&releases) {
            let has = |name: &str| {
                self.before
                    .snapshots
                    .contains_key(&format!("{dataset}@{name}"))
            };
            if has(&jail.name) && has(new) {
                return refuse(format!("{dataset}@{new} is there already"));
            }
        }
        let folder = jail.folder.clone().unwrap_or_default();
        for other in self
            .before
            .jails()
            .iter()
            .filter(|other| other.place() != jail.place())
        {
            let mounts = |source: &String| {
                source
                    .strip_prefix(&*folder)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            if !folder.is_empty() && other.sources().unwrap_or_default().iter().any(mounts) {
                return refuse(format!("{} mounts something of it", other.place()));
            }
        }
        let origin = jail
            .origin
            .as_deref()
            .and_then(|origin| origin.split_once('@'));
        let free = origin.is_none_or(|(root, _)| {
            let parent = root.strip_suffix("/root").unwrap_or(root);
            let mut snapshots = self.before.snapshots_below(parent);
            !snapshots.any(|one| one.ends_with(&format!("@{new}")))
        });
        let at_releases = self
            .before
            .snapshots_below(&releases)
            .any(|one| one.ends_with(&format!("@{new}")));
        match calm
            && free
            && !at_releases
            && !self.is_folder_left(new)
            && self.are_all_sound()
            && jail.family == "jails"
        {
            true => Work("the new name is free".into()),
            false => Either,
        }
    }

    fn must_destroy(&self, jail: &Jail, calm: bool) -> Must {
        let others = ["jail", "jail_uuid", "jails"];
        let is_given = |key: &str| !self.args[key].is_null();
        if self.is_dry() || (is_given("template") && others.into_iter().any(is_given)) {
            return Either;
        }
        let meant = [jail.dataset.clone()];
        if let Some(why) =
            self.in_the_way(&meant, self.flag("recursive"), self.flag("force"), false)
        {
            return refuse(why);
        }
        match calm && self.are_all_sound() && self.is_tame(&meant) {
            true => Work("nothing is in the way".into()),
            false => Either,
        }
    }

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
            let now = super::iocage::text(config, key);
            let is_truth = value.is_boolean();
            let same = match (&now, is_truth) {
                (Some(now), true) => super::iocage::is_true(now) == super::iocage::is_true(&wanted),
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
                    if to.tree.as_ref().is_some_and(|tree| {
                        without_folders(tree) != without_folders(&after.datasets[one].tree)
                    }) {
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

use super::zfs::{Node, Tree};

/// Without the folders, which no snapshot of this world keeps apart.
fn without_folders(tree: &Tree) -> Vec<(&String, &Node)> {
    tree.iter()
        .filter(|(_, node)| **node != Node::Folder)
        .collect()
}
