//! The space that jails take, and their snapshots, as ZFS counts both.

use std::collections::{BTreeMap, HashMap};

use super::datasets::{jail_or_template, rows, value, Dataset, Family};
use crate::configuration::Program;
use crate::error::Result;
use crate::names::PoolName;
use crate::system::{CommandLine, System};

/// What ZFS says of a jail's dataset, by the name of the property.
pub type Space = BTreeMap<&'static str, String>;

/// The properties that [`of_members`] asks for.
pub const COLUMNS: [&str; 9] = [
    "available",
    "compressratio",
    "quota",
    "referenced",
    "reservation",
    "used",
    "usedbychildren",
    "usedbydataset",
    "usedbysnapshots",
];

/// The members of these families, with the space that each takes: bytes as whole numbers, `none`
/// where there is none.
pub fn of_members(system: &System, pool: &PoolName) -> Result<HashMap<(Family, String), Space>> {
    let line = CommandLine::new(Program::Zfs);
    // `zfs list -p` came later than `zfs get -p`.
    let line = line.words(&[
        "get",
        "-H",
        "-p",
        "-r",
        "-d",
        "1",
        "-o",
        "name,property,value",
    ]);
    let line = line.list(&COLUMNS);
    let mut space: HashMap<(Family, String), Space> = HashMap::new();
    let mut volumes = Vec::new();
    for row in ask_both(system, line, pool)? {
        let [name, property, value] = &row[..] else {
            continue;
        };
        let Some(column) = COLUMNS.iter().find(|column| *column == property) else {
            continue;
        };
        let member = jail_or_template(pool, name)
            .filter(|(family, member)| *name == format!("{}/{member}", family.dataset(pool)));
        if let Some((family, member)) = member {
            let of = space.entry((family, member.into())).or_default();
            of.insert(column, in_words(column, value));
            if *column == "quota" && value == "-" {
                volumes.push((family, member.to_string()));
            }
        }
    }
    // A volume is no jail.
    for volume in volumes {
        space.remove(&volume);
    }
    Ok(space)
}

fn in_words(column: &str, value: &str) -> String {
    match (column, value) {
        // ZFS has 0 for these with -p.
        ("quota" | "reservation", "0" | "-") => "none".into(),
        // Some versions leave the letter out with -p.
        ("compressratio", ratio) => format!("{}x", ratio.trim_end_matches('x')),
        _ => value.into(),
    }
}

/// Asks for the datasets of jails and of templates; what does not exist has no rows.
fn ask_both(system: &System, line: CommandLine, pool: &PoolName) -> Result<Vec<Vec<String>>> {
    let jails = Family::Jails.dataset(pool);
    let templates = Family::Templates.dataset(pool);
    let output = system.run(&line.value(&jails).value(&templates))?;
    match output.exit_code != 0 && output.stderr.contains("does not exist") {
        true => Ok(rows(&output.stdout)),
        false => Ok(rows(&output.success()?)),
    }
}

/// A snapshot of a jail: on its dataset, and on those below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// When it was made first, in seconds since 1970 (UTC).
    pub created: i64,
    /// The bytes that only this snapshot holds, on all datasets together.
    pub used: u64,
    /// The bytes that it refers to, on all datasets together.
    pub referenced: u64,
    /// The datasets that were cloned from it, anywhere in the pool.
    pub clones: Vec<String>,
    /// On how many of the jail's datasets it is.
    datasets: usize,
    /// Whether it is on all of them.
    pub complete: bool,
}

/// The snapshots of a member, by name.
pub type Snapshots = BTreeMap<String, Snapshot>;

/// The snapshots of all jails and templates, of which some have none.
pub fn snapshots(system: &System, pool: &PoolName) -> Result<HashMap<(Family, String), Snapshots>> {
    let line = CommandLine::new(Program::Zfs);
    let line = line.words(&["get", "-H", "-p", "-r", "-o", "name,property,value"]);
    let line = line.list(&["creation", "used", "referenced"]);
    // A clone may be anywhere in the pool, and there are far fewer datasets than snapshots.
    let everything = CommandLine::new(Program::Zfs);
    let everything = everything.words(&["list", "-H", "-r", "-t", "filesystem,volume"]);
    let everything = everything.words(&["-o", "name,origin"]);
    let everything = everything.value(&Dataset::of_pool(pool));
    let (origins, told) = system.side_by_side(
        || {
            system
                .run(&everything)?
                .success()
                .map(|output| rows(&output))
        },
        || ask_both(system, line, pool),
    );
    let origins = origins?;
    Ok(gather(pool, &origins, &told?))
}

fn gather(
    pool: &PoolName,
    origins: &[Vec<String>],
    told: &[Vec<String>],
) -> HashMap<(Family, String), Snapshots> {
    let member = |dataset: &str| {
        jail_or_template(pool, dataset).map(|(family, name)| (family, name.to_string()))
    };
    let mut datasets: HashMap<(Family, String), usize> = HashMap::new();
    let mut clones: HashMap<&str, Vec<String>> = HashMap::new();
    for row in origins {
        if let Some(member) = member(&row[0]) {
            *datasets.entry(member).or_default() += 1;
        }
        if let Some(origin) = value(row, 1) {
            clones.entry(origin).or_default().push(row[0].clone());
        }
    }
    let every = datasets
        .keys()
        .map(|member| (member.clone(), Snapshots::new()));
    let mut found: HashMap<(Family, String), Snapshots> = every.collect();
    for row in told {
        let [name, property, value] = &row[..] else {
            continue;
        };
        let Some((dataset, snapshot)) = name.split_once('@') else {
            continue;
        };
        let Some(member) = member(dataset) else {
            continue;
        };
        let of = found.entry(member).or_default();
        let of = of.entry(snapshot.into()).or_default();
        match (property.as_str(), value.parse::<u64>()) {
            ("creation", Ok(seconds)) => {
                let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
                of.created = match of.datasets {
                    0 => seconds,
                    _ => of.created.min(seconds),
                };
                of.datasets += 1;
                of.clones
                    .extend(clones.remove(name.as_str()).unwrap_or_default());
            }
            ("used", Ok(bytes)) => of.used = of.used.saturating_add(bytes),
            ("referenced", Ok(bytes)) => of.referenced = of.referenced.saturating_add(bytes),
            _ => {}
        }
    }
    for (member, snapshots) in &mut found {
        let all = datasets.get(member).copied().unwrap_or_default();
        for snapshot in snapshots.values_mut() {
            snapshot.complete = snapshot.datasets >= all;
            snapshot.clones.sort_unstable();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_one_on_all_datasets_and_knows_its_clones() {
        let pool = PoolName::parse("tank").unwrap();
        let table = |text: &str| rows(&text.replace(' ', "\t").replace('+', "tank/iocage/jails"));
        let origins = table(
            "tank -\n+/web -\n+/web/root tank/iocage/releases/r/root@web\n+/web/data -\n\
             +/kid/root +/web/root@s\ntank/else +/web/root@s\n+/kid -",
        );
        let told = table(
            "+/web creation 5\n\
             +/web@s creation 100\n+/web@s used 1\n+/web@s referenced 10\n\
             +/web/root@s creation 99\n+/web/root@s used 2\n+/web/root@s referenced 20\n\
             +@all creation 1\n\
             +/kid@t creation 7\n+/kid@t used 0\n+/kid/root@t creation 7",
        );
        let found = gather(&pool, &origins, &told);
        let web = &found[&(Family::Jails, "web".to_string())]["s"];
        assert_eq!((web.created, web.used, web.referenced), (99, 3, 30));
        assert_eq!(web.clones, ["tank/else", "tank/iocage/jails/kid/root"]);
        assert!(!web.complete, "the dataset data has none");
        let kid = &found[&(Family::Jails, "kid".to_string())]["t"];
        assert!(kid.complete && kid.clones.is_empty());
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn what_zfs_has_no_value_for_is_none() {
        assert_eq!(in_words("quota", "0"), "none");
        assert_eq!(in_words("quota", "1048576"), "1048576");
        assert_eq!(in_words("used", "0"), "0");
        assert_eq!(in_words("compressratio", "1.25"), "1.25x");
        assert_eq!(in_words("compressratio", "1.25x"), "1.25x");
    }
}
