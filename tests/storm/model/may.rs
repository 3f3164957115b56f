//! What a request may change.

use super::*;

impl<'a> Model<'a> {
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
                    self.of_doom(
                        &units,
                        self.flag("force"),
                        self.flag("recursive"),
                        &mut rules,
                    );
                }
            }
            _ => {}
        }
        rules
    }

    /// The members of families.
    pub(super) fn whole(&self, families: &[&str]) -> Vec<String> {
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
                    // What is below it was cloned too, and stays one with it.
                    let source = root.strip_suffix("/root").unwrap_or(root);
                    sources.extend(self.before.below(source).cloned());
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
                    // Its own may have the new name already, which is given back if iocage fails.
                    let origin = jail
                        .origin
                        .as_deref()
                        .and_then(|origin| origin.split_once('@'));
                    if origin.is_some_and(|(_, snapshot)| snapshot == new) {
                        let now = format!("{source}@{new}");
                        let clones = self.before.clones_of(&now);
                        rules.extend(clones.map(|clone| may("origin", clone)));
                        rules.push(may("snapshot+", format!("{source}@{name}")));
                        rules.push(may("snapshot-", now));
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
}
