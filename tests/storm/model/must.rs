//! When a request must be refused, and when it must work.

use super::*;

impl<'a> Model<'a> {
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
        if !self.labels().is_empty() {
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
                // It was one, and has gone back to a snapshot of then.
                _ if jail.get("type").as_deref() == Some("template") => Either,
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
        let has = |dataset: &str, name: &str| {
            let snapshot = format!("{dataset}@{name}");
            self.before.snapshots.contains_key(&snapshot)
        };
        // On a release, where iocage renames all that are called like the jail; and where it is from.
        let releases = self.family("releases");
        for dataset in self.before.below(&releases) {
            if !has(dataset, &jail.name) {
                continue;
            }
            if has(dataset, new) {
                return refuse(format!("{dataset}@{new} is there already"));
            }
            // iocage renames the first with all below it, and then the second.
            let mut others = self.before.below(dataset).filter(|one| *one != dataset);
            if let Some(below) = others.find(|one| has(one, &jail.name)) {
                return refuse(format!(
                    "{below} has a snapshot of its name, as {dataset} has"
                ));
            }
        }
        // That of a template or a jail the library renames, before iocage is run.
        let origin = jail.origin.as_deref();
        if let Some((root, _)) = origin
            .and_then(|origin| origin.split_once('@'))
            .filter(|(_, snapshot)| *snapshot == jail.name)
        {
            let places = [Some(root), root.strip_suffix("/root")]
                .into_iter()
                .flatten();
            for of in places {
                if has(of, &jail.name) && has(of, new) {
                    return refuse(format!("{of}@{new} is there already"));
                }
            }
        }
        let folder = jail.folder.clone().unwrap_or_default();
        let is_of_it = |place: &str| {
            let rest = place.strip_prefix(&*folder);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        for other in self
            .before
            .jails()
            .iter()
            .filter(|other| other.place() != jail.place())
        {
            let mounts = |source: &String| is_of_it(source);
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
            // What is still mounted in it keeps ZFS from unmounting it.
            && !self.before.mounts.iter().any(|place| is_of_it(place))
        {
            true => Work("the new name is free".into()),
            false => Either,
        }
    }

    fn must_destroy(&self, jail: &Jail, calm: bool) -> Must {
        let others = ["jail", "jail_uuid", "jails"];
        let is_given = |key: &str| !self.args[key].is_null();
        if is_given("template") && others.into_iter().any(is_given) {
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
}
