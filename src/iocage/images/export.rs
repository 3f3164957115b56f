//! What `iocage export` makes of a jail: a snapshot of all its datasets, a file of each of them, the
//! image of all these files, and its checksum. The names of all have the day in them (UTC).
//!
//! Source: `ioc_image.py`, export_jail, the same from 1.0 to 1.13 but for `-c`.

use std::fs;
use std::path::Path;

use super::{folder, Format};
use crate::configuration::Program;
use crate::error::{Code, Error, Result};
use crate::iocage::datasets::{self, rows, value, Dataset, Family};
use crate::names::{PoolName, SnapshotName};
use crate::system::{CommandLine, System};

/// The datasets of a jail, its own first.
///
/// # Errors
/// If ZFS does not say.
pub fn datasets_of(system: &System, pool: &PoolName, jail: &str) -> Result<Vec<Dataset>> {
    let Some(own) = Family::Jails.member_dataset(pool, jail) else {
        return Ok(Vec::new());
    };
    let rows = datasets::list(system, &own, "filesystem,volume", None, "name")?;
    let printed = rows.iter().filter_map(|row| Dataset::printed(&row[0]));
    Ok(printed.collect())
}

/// The name of the snapshot.
pub fn snapshot(day: &str) -> Option<SnapshotName> {
    SnapshotName::parse(&format!("ioc-export-{day}")).ok()
}

/// The names of the files of the datasets.
pub fn parts(stem: &str, datasets: &[Dataset]) -> Vec<String> {
    let own = datasets.first().map_or("", |own| own);
    let below = datasets
        .iter()
        .filter_map(|dataset| dataset.strip_prefix(own));
    below
        .map(|below| format!("{stem}{}", below.replace('/', "_")))
        .collect()
}

/// The names of all files that an export of that day makes or has made, of either form.
pub fn files(stem: &str, datasets: &[Dataset]) -> Vec<String> {
    let endings = Format::ALL.map(Format::ending).into_iter();
    let ended = endings.chain([".sha256"]);
    let ended = ended.map(|ending| format!("{stem}{ending}"));
    ended.chain(parts(stem, datasets)).collect()
}

/// Those of `files` that are there, whatever they are.
pub fn there(root: &Path, files: Vec<String>) -> Vec<String> {
    let folder = folder(root);
    let is_there = |file: &String| fs::symlink_metadata(folder.join(file)).is_ok();
    files.into_iter().filter(is_there).collect()
}

/// Makes sure that iocage can make an image of these datasets from which it can make the jail
/// again. It knows them by the names of the files, in which it takes each `_` for a `/`, and cuts off
/// all up to the jail's name and a `_`; and it takes one that is called like the jail for the jail's.
///
/// # Errors
/// `Unavailable`, naming the dataset.
pub fn require_importable(root: &Path, jail: &str, all: &[Dataset]) -> Result<()> {
    let refuse = |what: String| {
        let why = "iocage could not import the image";
        Err(Error::new(Code::Unavailable, format!("{why}: {what}")))
    };
    let own = all.first().map_or("", |own| own);
    for dataset in all.iter().skip(1) {
        let below = dataset.strip_prefix(own).unwrap_or(dataset);
        if below.contains(['_', ' ']) {
            return refuse(format!(
                "the dataset {dataset} has a \"_\" or a space in its name"
            ));
        }
        if below.rsplit('/').next() == Some(jail) {
            return refuse(format!("the dataset {dataset} is called like the jail"));
        }
    }
    match folder(root).to_string_lossy().contains(&format!("{jail}_")) {
        true => refuse(format!(
            "the folder {} has the jail's name and a \"_\" in it",
            folder(root).display()
        )),
        false => Ok(()),
    }
}

/// Makes sure that there is room for the files of the datasets: they take about as much again as the
/// datasets do, before the image is made of them.
///
/// # Errors
/// `Unavailable`, with the numbers.
pub fn require_room(system: &System, pool: &PoolName, own: &Dataset) -> Result<()> {
    // `zfs list -p` came later than `zfs get -p`, and so did `zfs get -t`.
    let line = CommandLine::new(Program::Zfs).words(&["get", "-H", "-p"]);
    let sizes = line
        .clone()
        .words(&["-r", "-o", "name,value", "referenced"]);
    let sizes = rows(&system.run(&sizes.value(own))?.success()?);
    let sizes = sizes.iter().filter(|row| !row[0].contains('@'));
    let sizes = sizes.filter_map(|row| value(row, 1)?.parse().ok());
    let needed: u64 = sizes.fold(0, u64::saturating_add);
    let line = line.words(&["-o", "name,value", "available"]);
    let of_images = system.run(&line.clone().value(&datasets::images(pool)))?;
    // iocage makes the dataset of the images if there is none.
    let said = match of_images.exit_code {
        0 => of_images,
        _ => system.run(&line.value(&Dataset::root(pool)))?,
    };
    let said = rows(&said.success()?);
    let available = said
        .first()
        .and_then(|row| value(row, 1)?.parse::<u64>().ok());
    match available.filter(|available| *available < needed) {
        None => Ok(()),
        Some(available) => {
            let message = format!(
                "there is no room: the jail has {needed} bytes, and {} has {available} available",
                said[0][0]
            );
            Err(Error::new(Code::Unavailable, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web(below: &[&str]) -> Vec<Dataset> {
        let own = "tank/iocage/jails/web";
        let all = [""].iter().chain(below);
        let all = all.map(|below| Dataset::printed(&format!("{own}{below}")).unwrap());
        all.collect()
    }

    #[test]
    fn the_files_of_an_export_are_known_by_their_names() {
        let files = files("web_2026-11-26", &web(&["/root", "/root/data"]));
        let endings = [".zip", ".tar.xz", ".sha256", "", "_root", "_root_data"];
        assert_eq!(
            files,
            endings.map(|ending| format!("web_2026-11-26{ending}"))
        );
    }

    #[test]
    fn what_iocage_could_not_import_is_known_beforehand() {
        let root = Path::new("/iocage");
        let refused = |root: &Path, below: &[&str]| {
            let error = require_importable(root, "web", &web(below)).err();
            error.map(|error| error.message).unwrap_or_default()
        };
        assert_eq!(refused(root, &["/root", "/data", "/root/a.b-c"]), "");
        for below in ["/my_data", "/root/a b", "/root/web"] {
            let error = refused(root, &["/root", below]);
            assert!(error.contains(&format!("jails/web{below}")), "{error}");
        }
        let error = refused(Path::new("/mnt/web_x/iocage"), &["/root"]);
        assert!(error.contains("/mnt/web_x/iocage/images"), "{error}");
    }
}
