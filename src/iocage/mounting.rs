//! Which files jails mount by their fstab, wherever links lead.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::datasets::Family;
use super::fstab;
use crate::error::Result;
use crate::names::PoolName;
use crate::system::{Mounts, System};

/// Members whose files somebody may mount.
#[derive(Debug, Default)]
pub struct Targets {
    pub members: BTreeSet<(Family, String)>,
    /// Where their datasets are mounted.
    folders: Vec<PathBuf>,
}

/// How a mount comes by the files of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    Not,
    /// It is of a folder above. As nullfs(5) does not go into what is mounted below that, it can do
    /// without them.
    Around,
    Into,
}

impl Targets {
    pub fn of(pool: &PoolName, mounts: &Mounts, members: BTreeSet<(Family, String)>) -> Self {
        let mut folders = Vec::new();
        for (family, name) in &members {
            if let Some(dataset) = family.member_dataset(pool, name) {
                folders.extend(mounts.mountpoint(&dataset).map(PathBuf::from));
                folders.extend(mounts.subtree(&dataset).map(|(_, place)| place.into()));
            }
        }
        Targets { members, folders }
    }

    /// What an fstab mounts of them.
    pub fn reach(&self, sources: &[PathBuf]) -> Reach {
        let reach = |source: &PathBuf| {
            let is_in = |folder: &PathBuf| source.starts_with(folder);
            let is_above = |folder: &PathBuf| folder.starts_with(source);
            if self.has_part(source) || self.folders.iter().any(is_in) {
                return Reach::Into;
            }
            match self.folders.iter().any(is_above) {
                true => Reach::Around,
                false => Reach::Not,
            }
        };
        sources.iter().map(reach).max().unwrap_or(Reach::Not)
    }

    /// Whether a path leads into one of them: there may be more than one path to iocage's root.
    fn has_part(&self, path: &Path) -> bool {
        let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
        parts.windows(2).any(|pair| {
            let family = Family::ALL.iter().find(|family| family.as_str() == pair[0]);
            family.is_some_and(|family| self.members.contains(&(*family, pair[1].to_string())))
        })
    }
}

/// What the fstab in each of these folders mounts, as it says and past all links; none if it cannot
/// be read.
///
/// # Errors
/// If the pool does not answer.
pub fn sources(
    system: &System,
    mounts: &Mounts,
    pool: &PoolName,
    folders: Vec<Option<PathBuf>>,
) -> Result<Vec<Option<Vec<PathBuf>>>> {
    let read = |folder: Option<PathBuf>| {
        let entries = fstab::read(&folder?).ok()?.into_iter();
        Some(entries.map(|entry| entry.source).collect())
    };
    let read = move || folders.into_iter().map(read).collect();
    let mut tables: Vec<Option<Vec<PathBuf>>> = system.on_files(pool, read)?;
    let resolved = resolve(system, mounts, tables.iter().flatten().flatten());
    for table in tables.iter_mut().flatten() {
        let more = table.iter().filter_map(|source| resolved.get(source));
        let more: Vec<PathBuf> = more.cloned().collect();
        table.extend(more);
    }
    Ok(tables)
}

/// Where paths lead past all links. Those of a file system that does not answer are left out.
fn resolve<'a>(
    system: &System,
    mounts: &Mounts,
    paths: impl Iterator<Item = &'a PathBuf>,
) -> BTreeMap<PathBuf, PathBuf> {
    let mut on: BTreeMap<&str, BTreeSet<PathBuf>> = BTreeMap::new();
    for path in paths.filter(|path| path.is_absolute()) {
        let source = mounts.source_of(path).unwrap_or_default();
        on.entry(source).or_default().insert(path.clone());
    }
    let mut resolved = BTreeMap::new();
    for (source, paths) in on {
        let past_links = |path: PathBuf| {
            // What is not there may come.
            let mut above = path.ancestors();
            let found = above.find_map(|above| {
                let rest = path.strip_prefix(above).ok()?;
                Some(above.canonicalize().ok()?.join(rest))
            });
            found.map(|found| (path, found))
        };
        let look = move || paths.into_iter().filter_map(past_links).collect::<Vec<_>>();
        // Not under the name of the pool: a link may lead to what hangs.
        let found = system.on_files(&format!("what jails mount of {source}"), look);
        resolved.extend(found.unwrap_or_default());
    }
    resolved
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Mount;

    #[test]
    fn a_mount_reaches_what_is_in_its_folder_and_what_its_folder_is_in() {
        let mount = |source: &str, mountpoint: &str| Mount {
            source: source.into(),
            mountpoint: mountpoint.into(),
            kind: "zfs".into(),
        };
        let mounts = Mounts::of(vec![
            mount("tank/iocage/jails/web", "/tank/iocage/jails/web"),
            mount("tank/iocage/jails/web/root", "/elsewhere"),
            mount("tank/iocage/jails/web2", "/tank/iocage/jails/web2"),
        ]);
        let pool = PoolName::parse("tank").unwrap();
        let web = BTreeSet::from([(Family::Jails, "web".to_string())]);
        let targets = Targets::of(&pool, &mounts, web);
        for (source, expected) in [
            ("/tank/iocage/jails/web/root/data", Reach::Into),
            ("/tank/iocage/jails/web", Reach::Into),
            ("/other/path/jails/web/x", Reach::Into),
            ("/elsewhere/data", Reach::Into),
            ("/tank/iocage/jails", Reach::Around),
            ("/", Reach::Around),
            ("/tank/iocage/jails/web2", Reach::Not),
            ("/tank/iocage/jails/we", Reach::Not),
            ("/elsewhere2", Reach::Not),
            ("tmpfs", Reach::Not),
        ] {
            let sources = [PathBuf::from("/data"), PathBuf::from(source)];
            assert_eq!(targets.reach(&sources), expected, "{source}");
        }
        assert_eq!(targets.reach(&[]), Reach::Not);
    }
}
