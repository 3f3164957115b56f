//! The command lines of zfs, and what it prints.

use super::*;

impl Zfs {
    /// A column of a dataset or snapshot, as `zfs list` and `zfs get -p` have it.
    fn column(&self, name: &str, column: &str) -> String {
        let (dataset, snapshot) = split(name);
        let of = &self.datasets[dataset];
        let snapshot = snapshot.and_then(|snapshot| self.snapshot_of(dataset, snapshot));
        let or_none = |value: Option<String>| value.unwrap_or_else(|| "-".into());
        match (column, snapshot) {
            ("name", _) => name.into(),
            ("origin", None) => or_none(self.origin(dataset)),
            ("userrefs", Some(snapshot)) => snapshot.holds.len().to_string(),
            ("createtxg", Some(snapshot)) => snapshot.guid.to_string(),
            ("createtxg", None) => of.guid.to_string(),
            ("creation", Some(snapshot)) => (1_700_000_000 + snapshot.guid).to_string(),
            ("creation", None) => (1_700_000_000 + of.guid).to_string(),
            ("used" | "referenced" | "usedbydataset" | "usedbychildren" | "usedbysnapshots", _) => {
                "4096".into()
            }
            ("available", None) => "1000000000".into(),
            ("compressratio", _) => "1.00x".into(),
            ("quota" | "reservation", None) => {
                let value = of.properties.get(column).map_or("0", String::as_str);
                if value == "none" {
                    "0".into()
                } else {
                    value.into()
                }
            }
            ("mounted", None) => if of.mounted.is_some() { "yes" } else { "no" }.into(),
            ("mountpoint", None) => {
                or_none(self.folder(dataset).map(|path| path.display().to_string()))
            }
            ("canmount", None) => "on".into(),
            ("keystatus", None) => "-".into(),
            _ => {
                let mut at = Some(dataset);
                while let Some(name) = at {
                    let here = self
                        .datasets
                        .get(name)
                        .and_then(|one| one.properties.get(column));
                    if let Some(value) = here {
                        return value.clone();
                    }
                    at = name.rsplit_once('/').map(|(parent, _)| parent);
                }
                "-".into()
            }
        }
    }

    /// The dataset itself and what is below it, of these kinds.
    fn rows(&self, name: &str, kinds: &str, depth: usize) -> Vec<String> {
        let (dataset, snapshot) = split(name);
        if snapshot.is_some() {
            return vec![name.into()];
        }
        let level = |one: &String| one[dataset.len()..].matches('/').count();
        let mut rows = Vec::new();
        for one in self.below(dataset) {
            // A snapshot is one level deeper than its dataset.
            let here = level(&one);
            if here <= depth && kinds.contains("filesystem") {
                rows.push(one.clone());
            }
            if here < depth && kinds.contains("snapshot") {
                let of = self.datasets[&one].snapshots.iter();
                rows.extend(of.map(|snapshot| format!("{one}@{}", snapshot.name)));
            }
        }
        rows
    }

    fn list(&self, options: &Options) -> Said {
        let mut names = options.operands.clone();
        let is_of_all = names.is_empty();
        if is_of_all {
            names = self
                .pools
                .keys()
                .filter(|pool| !self.is_silent(pool))
                .cloned()
                .collect();
        }
        let mut printed = String::new();
        let mut wrong = String::new();
        for name in names {
            if let Err(why) = self.require(&name) {
                wrong.push_str(&why);
                continue;
            }
            let depth = match options.recursive {
                true => options.depth.unwrap_or(usize::MAX),
                false if is_of_all => options.depth.unwrap_or(usize::MAX),
                false => options.depth.unwrap_or(0),
            };
            let kinds = options.kinds.as_deref().unwrap_or("filesystem");
            for row in self.rows(&name, kinds, depth) {
                let columns = options
                    .columns
                    .split(',')
                    .map(|column| self.column(&row, column));
                printed.push_str(&columns.collect::<Vec<_>>().join("\t"));
                printed.push('\n');
            }
        }
        match wrong.is_empty() {
            true => Ok(printed),
            false => Err(wrong),
        }
    }

    /// What `zfs get` prints, and its words on standard error.
    fn get(&self, options: &Options) -> (String, String) {
        let mut operands = options.operands.iter();
        let asked = operands.next().cloned().unwrap_or_default();
        let (mut printed, mut wrong) = (String::new(), String::new());
        for name in operands {
            if let Err(why) = self.require(name) {
                wrong.push_str(&why);
                continue;
            }
            let depth = match options.recursive {
                true => options.depth.unwrap_or(usize::MAX),
                false => options.depth.unwrap_or(0),
            };
            let kinds = options.kinds.as_deref().unwrap_or("filesystem,snapshot");
            let kinds = if options.recursive {
                kinds
            } else {
                "filesystem"
            };
            for row in self.rows(name, kinds, depth) {
                let properties: Vec<&str> = match &*asked {
                    "all" => vec!["mounted", "mountpoint", "canmount", "keystatus"],
                    some => some.split(',').collect(),
                };
                for property in properties {
                    let value = self.column(&row, property);
                    let columns = options.columns.split(',').map(|column| match column {
                        "name" => row.clone(),
                        "property" => property.into(),
                        _ => value.clone(),
                    });
                    printed.push_str(&columns.collect::<Vec<_>>().join("\t"));
                    printed.push('\n');
                }
            }
        }
        (printed, wrong)
    }

    /// Whether a command changes something.
    pub fn changes(words: &[&str]) -> bool {
        !matches!(words.first(), Some(&"list" | &"get"))
    }

    /// Runs a command line: exit code, standard output, standard error.
    pub fn run(&mut self, words: &[&str]) -> (i32, String, String) {
        let options = Options::read(&words[1..]);
        if words[0] == "get" {
            let (printed, wrong) = self.get(&options);
            return (i32::from(!wrong.is_empty()), printed, wrong);
        }
        let operands: Vec<&str> = options.operands.iter().map(String::as_str).collect();
        let (r, f) = (options.recursive, &options.flags);
        let said = match (words[0], &operands[..]) {
            ("list", _) => self.list(&options),
            ("create", [name]) => self.create(name, f.contains('p')),
            ("snapshot", [name]) => self.snapshot(name, r),
            ("clone", [of, name]) => self.clone(of, name, f.contains('p')),
            ("destroy", [name]) => self.destroy(name, r || f.contains('R'), f.contains('R')),
            ("rename", [from, to]) => self.rename(from, to, r),
            ("promote", [name]) => self.promote(name),
            ("rollback", [name]) => self.rollback(name, r),
            ("hold", [tag, name]) => self.hold(tag, name, false),
            ("release", [tag, name]) => self.hold(tag, name, true),
            ("set", [setting, name]) => self.set(setting, name),
            ("inherit", [key, name]) => self.inherit(key, name),
            ("mount", [name]) => self.mount(name),
            ("unmount", [name]) => self.unmount(name),
            _ => panic!("the simulated zfs does not know: zfs {}", words.join(" ")),
        };
        match said {
            Ok(printed) => (0, printed, String::new()),
            Err(why) => (1, String::new(), why),
        }
    }

    pub fn health(&self) -> String {
        let rows = self.pools.iter();
        rows.map(|(pool, health)| format!("{pool}\t{}\n", health.as_str()))
            .collect()
    }
}

#[derive(Default)]
struct Options {
    recursive: bool,
    depth: Option<usize>,
    kinds: Option<String>,
    columns: String,
    flags: String,
    operands: Vec<String>,
}

impl Options {
    pub(super) fn read(words: &[&str]) -> Self {
        let mut options = Options {
            columns: "name,property,value".into(),
            ..Options::default()
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "-d" => options.depth = words.next().and_then(|depth| depth.parse().ok()),
                "-t" => options.kinds = words.next().map(|kinds| kinds.to_string()),
                "-o" => options.columns = words.next().unwrap_or(&"name").to_string(),
                flag if flag.starts_with('-') && flag.len() > 1 => {
                    options.recursive |= flag.contains('r');
                    options.flags.push_str(&flag[1..]);
                }
                operand => options.operands.push(operand.into()),
            }
        }
        options
    }
}
