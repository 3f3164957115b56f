//! Jobs that make an image of a jail, or a jail of an image.

use std::fs;
use std::path::{Path, PathBuf};

use super::{members, nobody_knows};
use crate::error::Result;
use crate::iocage::changes::shared_addresses;
use crate::iocage::datasets::{self, Dataset, Family};
use crate::iocage::destruction;
use crate::iocage::images::{checksum, export, folder, sum_file, Checksum};
use crate::iocage::jails::State;
use crate::iocage::progress::Progress;
use crate::iocage::selection::Member;
use crate::iocage::snapshots::Holders;
use crate::limits;
use crate::names::PoolName;
use crate::records::Verdict;
use crate::system::System;

/// An image to be made: of a jail, with this ending, on one of these days.
pub struct Export<'a> {
    pub name: &'a str,
    pub ending: &'a str,
    pub days: &'a [String],
}

/// How well it is looked whether a checksum is right.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Whether iocage has written it, which it does when the image is done.
    Glance,
    /// The image is read, which takes its time.
    Compare,
}

/// The image is there, and its checksum is right: nothing of either was there before.
pub fn judge_export(
    system: &System,
    pool: &PoolName,
    made: &Export,
    look: Look,
    end: &Progress,
) -> Verdict {
    let words = end.words();
    let root = match root(system, pool) {
        Ok(root) => root,
        Err(why) => return Verdict::failed(beside(words, &why)),
    };
    for day in made.days {
        let stem = format!("{}_{day}", made.name);
        let file = format!("{stem}{}", made.ending);
        let (image, sum) = (folder(&root).join(&file), sum_file(&root, &stem));
        let here = (image.clone(), sum.clone());
        let is_there = move || (here.0.is_file(), checksum::is_whole(&here.1));
        let (is_there, is_whole) = match system.on_files(pool, is_there) {
            Ok(there) => there,
            Err(error) => return nobody_knows(&error, words),
        };
        if !is_there {
            continue;
        }
        if !is_whole {
            let left = format!("the image {file} is left without a checksum");
            return Verdict::failed(beside(words, &left));
        }
        let compared = match look {
            Look::Glance => Ok(Checksum::Right),
            Look::Compare => {
                let (of, patience) = (format!("{pool} ({file})"), limits::IMAGE_READING);
                checksum::compare_at_leisure(system, &of, &image, &sum, patience)
            }
        };
        return match compared {
            Ok(Checksum::Right) => Verdict {
                worked: true,
                error: words,
            },
            Ok(_) => {
                let left = format!("the checksum of the image {file} is wrong");
                Verdict::failed(beside(words, &left))
            }
            Err(error) => nobody_knows(&error, words),
        };
    }
    let none = "iocage is done, but there is no image".to_string();
    Verdict::failed(words.unwrap_or(none))
}

/// Takes away what iocage makes on the way to an image: the files of the datasets and the snapshot,
/// and an image that it has not come to the end of. Nothing of them was there before. It returns what
/// is left.
pub fn tidy_export(system: &System, pool: &PoolName, made: &Export) -> Option<String> {
    let datasets = match export::datasets_of(system, pool, made.name) {
        Ok(datasets) => datasets,
        Err(error) => return Some(error.message),
    };
    let mut left = tidy_files(system, pool, made, &datasets);
    if let Some(own) = datasets.first() {
        match Holders::look(system, pool, own) {
            Err(error) => left.push(error.message),
            Ok(holders) => {
                let names = made.days.iter().filter_map(|day| export::snapshot(day));
                for snapshot in names.flat_map(|name| holders.topmost(&name)) {
                    if let Err(error) = destruction::destroy(system, &snapshot) {
                        left.push(format!("the snapshot {snapshot} is left: {error}"));
                    }
                }
            }
        }
    }
    (!left.is_empty()).then(|| left.join("; "))
}

fn tidy_files(system: &System, pool: &PoolName, made: &Export, all: &[Dataset]) -> Vec<String> {
    let root = match root(system, pool) {
        Ok(root) => root,
        Err(why) => return vec![why],
    };
    let stems = made.days.iter().map(|day| format!("{}_{day}", made.name));
    let mut parts = Vec::new();
    let mut images = Vec::new();
    for stem in stems {
        parts.extend(export::parts(&stem, all));
        images.push((format!("{stem}{}", made.ending), sum_file(&root, &stem)));
    }
    let work = move || {
        let unfinished = images.into_iter();
        let unfinished = unfinished.filter(|(_, sum)| !checksum::is_whole(sum));
        let unfinished = unfinished.flat_map(|(image, sum)| {
            let sum = sum.file_name().map(|name| name.to_string_lossy().into());
            [Some(image), sum].into_iter().flatten()
        });
        let gone: Vec<String> = parts.into_iter().chain(unfinished).collect();
        let left = gone.iter().filter_map(|file| remove(&folder(&root), file));
        left.collect()
    };
    match system.on_files(pool, work) {
        Ok(left) => left,
        Err(error) => vec![error.message],
    }
}

/// Removes a file, and says if that is not possible.
fn remove(folder: &Path, file: &str) -> Option<String> {
    match fs::remove_file(folder.join(file)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Some(format!("the file images/{file} is left: {error}"))
        }
        _ => None,
    }
}

/// Datasets done, of all of them, and of the step after that.
pub fn export_percent(datasets: usize, progress: &Progress) -> Option<u8> {
    let compresses = progress.output.contains("\nPreparing ");
    let begun = lines_of(progress, "Exporting dataset: ").count();
    let done = match compresses {
        true => datasets,
        false => begun.checked_sub(1)?.min(datasets),
    };
    percent(done, datasets + 1)
}

/// Datasets done, of all of them.
pub fn import_percent(datasets: Option<usize>, progress: &Progress) -> Option<u8> {
    let begun = lines_of(progress, "Importing dataset: ").count();
    percent(begun.checked_sub(1)?, datasets?)
}

fn percent(done: usize, all: usize) -> Option<u8> {
    let percent = done.checked_mul(100)?.checked_div(all)?;
    u8::try_from(percent.min(99)).ok()
}

fn lines_of<'a>(progress: &'a Progress, start: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = progress.output.lines().map(str::trim_end);
    lines.filter_map(move |line| line.strip_prefix(start))
}

/// The jail is there, all datasets that iocage has named are, and their snapshot is not: iocage
/// takes that away when all are there. It looks at no exit code of `zfs recv` itself, and there was no
/// such jail before.
pub fn judge_import(
    system: &System,
    pool: &PoolName,
    name: &str,
    day: &str,
    end: &Progress,
) -> Verdict {
    let words = end.words();
    match look_at_import(system, pool, name, day, end) {
        Err(error) => nobody_knows(&error, words),
        Ok(None) => {
            let none = format!("iocage is done, but there is no jail {name}");
            Verdict::failed(words.unwrap_or(none))
        }
        Ok(Some(Imported { lacks, warnings })) if lacks.is_empty() => {
            Verdict::worked_but(words.into_iter().chain(warnings))
        }
        Ok(Some(Imported { lacks, .. })) => {
            let left = format!(
                "a part of the jail {name} is left, which destroyjail destroys: {}",
                lacks.join(", ")
            );
            // iocage goes past what `zfs recv` says, and may end with 0.
            let of_zfs = lines_of(end, "cannot receive").last();
            let of_zfs = of_zfs.map(|why| format!("cannot receive{why}"));
            Verdict::failed(beside(words.or(of_zfs), &left))
        }
    }
}

struct Imported {
    /// Why it is not whole.
    lacks: Vec<String>,
    warnings: Vec<String>,
}

fn look_at_import(
    system: &System,
    pool: &PoolName,
    name: &str,
    day: &str,
    end: &Progress,
) -> Result<Option<Imported>> {
    let Some(own) = Family::Jails.member_dataset(pool, name) else {
        return Ok(None);
    };
    let kinds = "filesystem,volume,snapshot";
    let there = datasets::list(system, &own, kinds, None, "name")?;
    if there.is_empty() {
        return Ok(None);
    }
    let is_there = |dataset: &str| there.iter().any(|row| row[0] == dataset);
    let mut lacks = Vec::new();
    let members = members(system, pool)?;
    let is_it = |one: &Member| one.family() == Family::Jails && one.jail.name == name;
    let member = members.all().find(is_it);
    let state = member.map(|member| member.jail.state);
    if let Some(state @ (State::Corrupt | State::Unmounted)) = state {
        lacks.push(format!("it is {}", state.as_str()));
    }
    if !is_there(&format!("{own}/root")) {
        lacks.push("it has no root".into());
    }
    let all = Family::Jails.dataset(pool);
    let named = lines_of(end, "Importing dataset: ").map(|named| format!("{all}/{named}"));
    let missing = named.filter(|dataset| !is_there(dataset));
    lacks.extend(missing.map(|dataset| format!("{dataset} is missing")));
    if let Some(snapshot) = export::snapshot(day) {
        let kept = there.iter().filter_map(|row| row[0].split_once('@'));
        if kept.clone().any(|(_, kept)| kept == &*snapshot) {
            lacks.push(format!(
                "iocage has not removed its snapshots {}",
                &*snapshot
            ));
        }
    }
    // It cannot be known before: an image has its settings inside.
    Ok(Some(Imported {
        warnings: member.map_or(Vec::new(), |member| shared_addresses(&members, &member)),
        lacks,
    }))
}

fn beside(words: Option<String>, more: &str) -> String {
    match words {
        Some(words) => format!("{words}; {more}"),
        None => more.into(),
    }
}

/// Where iocage's root is on disk.
fn root(system: &System, pool: &PoolName) -> std::result::Result<PathBuf, String> {
    let mounts = system.mounts().map_err(|error| error.message)?;
    let root = datasets::folder(&mounts, pool).map(PathBuf::from);
    root.ok_or_else(|| format!("{} is not mounted", Dataset::root(pool)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(output: &str) -> Progress {
        Progress {
            output: output.into(),
            ..Progress::default()
        }
    }

    #[test]
    fn the_percentage_is_of_datasets_and_never_the_whole() {
        let export = |output: &str| export_percent(2, &says(output));
        assert_eq!(export(""), None);
        let one = "Exporting dataset: tank/iocage/jails/web\n";
        let two = format!("{one}Exporting dataset: tank/iocage/jails/web/root\n");
        assert_eq!(export(one), Some(0));
        assert_eq!(export(&two), Some(33));
        let compresses = format!("{two}\nPreparing compressed file: /x/web.zip.\n");
        assert_eq!(export(&compresses), Some(66));
        assert_eq!(export(&format!("{two}\nPreparing zip file: x")), Some(66));
        let import = |output: &str| import_percent(Some(2), &says(output));
        let one = "Importing dataset: web\n";
        assert_eq!(import(one), Some(0));
        assert_eq!(import(&one.repeat(2)), Some(50));
        assert_eq!(import(&one.repeat(9)), Some(99));
        assert_eq!(import_percent(None, &says(one)), None);
        assert_eq!(import_percent(Some(0), &says(one)), None);
    }
}
