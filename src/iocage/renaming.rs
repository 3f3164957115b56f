//! What iocage's rename leaves to be done: the snapshot that a jail was made from, and what names the
//! jail in its own files.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};

use super::datasets::{self, Dataset, Family};
use super::fstab;
use crate::configuration::Program;
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::names::PoolName;
use crate::system::{read_regular, rewrite, CommandLine, System};

/// The snapshot that the root of a jail is a clone of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The root of a release, template or jail.
    pub root: Dataset,
    pub snapshot: String,
}

impl Origin {
    /// Reads what ZFS calls it; none for a clone of what is not iocage's.
    pub fn of(pool: &PoolName, origin: &str) -> Option<Self> {
        let (root, snapshot) = origin.split_once('@')?;
        let families = [Family::Releases, Family::Templates, Family::Jails];
        let is_iocages = families
            .iter()
            .any(|family| family.member(pool, root).is_some());
        Some(Origin {
            root: Dataset::printed(root).filter(|_| is_iocages && root.ends_with("/root"))?,
            snapshot: snapshot.into(),
        })
    }

    /// The family that it belongs to, and which one of it.
    pub fn source(&self, pool: &PoolName) -> Option<(Family, &str)> {
        let mut families = [Family::Releases, Family::Templates, Family::Jails].into_iter();
        families.find_map(|family| Some((family, family.member(pool, &self.root)?)))
    }

    /// The dataset above the root. A clone of a template or jail is made of a snapshot of both, one
    /// of a release is not.
    fn parent(&self) -> &str {
        self.root.strip_suffix("/root").unwrap_or(&self.root)
    }

    /// Gives the snapshot another name, on the root and, if it is there too, on the dataset above.
    ///
    /// # Errors
    /// In ZFS's words.
    pub fn rename(&self, system: &System, from: &str, to: &str) -> Result<()> {
        let snapshots = Dataset::printed(self.parent());
        let snapshots = match &snapshots {
            Some(parent) => datasets::list(system, parent, "snapshot", None, "name")?,
            None => Vec::new(),
        };
        let above = format!("{}@{from}", self.parent());
        let of = match snapshots.iter().any(|row| row[0] == above) {
            true => self.parent(),
            false => &*self.root,
        };
        let names = [from, to].map(|name| Dataset::printed(&format!("{of}@{name}")));
        let [Some(from), Some(to)] = names else {
            return Err(Error::new(Code::Failed, format!("{of} has an odd name")));
        };
        let line = CommandLine::new(Program::Zfs).words(&["rename", "-r"]);
        system
            .run(&line.value(&from).value(&to))?
            .success()
            .map(drop)
    }
}

/// The snapshots with the old name of a jail that get its new one when it is renamed: by iocage those of
/// that name on any release (`iocage.py`, rename), by the library the one that the jail was made from.
pub struct Snapshots {
    /// Where they may be.
    places: Vec<Dataset>,
    /// The datasets that have one.
    holders: Vec<Dataset>,
}

impl Snapshots {
    /// Looks for them, and makes sure that they can get the new name.
    ///
    /// # Errors
    /// `Conflict`, naming what is in the way, and where ZFS does not say.
    pub fn look(
        system: &System,
        pool: &PoolName,
        origin: Option<&Origin>,
        from: &str,
        to: &str,
    ) -> Result<Self> {
        let releases = Family::Releases.dataset(pool);
        // If a rename was cut short, the jail's own snapshot has the new name already.
        let other = origin.filter(|origin| origin.snapshot != to);
        let mut places = vec![releases.clone()];
        let parent = other.and_then(|origin| Dataset::printed(origin.parent()));
        places.extend(parent.filter(|parent| !parent.is_in(&releases)));
        let rows = listed(system, &places)?;
        let old = holders(&rows, from);
        let is_origins = |dataset: &Dataset| {
            other.is_some_and(|origin| *dataset == origin.root || **dataset == *origin.parent())
        };
        let gets_it = |dataset: &&Dataset| is_origins(dataset) || old.contains(dataset);
        if let Some(dataset) = holders(&rows, to).iter().find(gets_it) {
            let message = format!("argument \"name\": the snapshot {dataset}@{to} exists already");
            return Err(Error::new(Code::Conflict, message));
        }
        // With the first iocage renames the second too, and then fails at that.
        let of_releases = || old.iter().filter(|one| one.is_in(&releases));
        let within = |above: &&Dataset| of_releases().any(|one| one != *above && one.is_in(above));
        if let Some(above) = of_releases().find(within) {
            let message = format!(
                "the snapshot {above}@{from} is in the way, for iocage cannot rename one below another; \
                 rename or destroy it"
            );
            return Err(Error::new(Code::Conflict, message));
        }
        Ok(Snapshots {
            places,
            holders: old,
        })
    }

    /// Gives each its old name back that has the new one, and makes sure of it.
    ///
    /// # Errors
    /// Which one has it still, and why.
    pub fn give_back(&self, system: &System, from: &str, to: &str) -> Result<()> {
        let mut why = None;
        for dataset in self.renamed(system, to)? {
            let names = [to, from].map(|name| Dataset::printed(&format!("{dataset}@{name}")));
            let [Some(now), Some(before)] = names else {
                continue;
            };
            let line = CommandLine::new(Program::Zfs).word("rename");
            let output = system.run(&line.value(&now).value(&before));
            why = output.and_then(|output| output.success()).err().or(why);
        }
        match (self.renamed(system, to)?.first(), why) {
            (None, _) => Ok(()),
            (Some(dataset), why) => {
                let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
                let message = format!("the snapshot {dataset}@{to} has the new name{why}");
                Err(Error::new(Code::Failed, message))
            }
        }
    }

    /// The datasets that had one of the old name and have one of the new.
    fn renamed(&self, system: &System, to: &str) -> Result<Vec<Dataset>> {
        let mut now = holders(&listed(system, &self.places)?, to);
        now.retain(|dataset| self.holders.contains(dataset));
        Ok(now)
    }
}

/// The snapshots of some datasets and what is below them.
fn listed(system: &System, places: &[Dataset]) -> Result<Vec<Vec<String>>> {
    let mut rows = Vec::new();
    for place in places {
        rows.extend(datasets::list(system, place, "snapshot", None, "name")?);
    }
    Ok(rows)
}

/// The datasets that have a snapshot of this name.
fn holders(rows: &[Vec<String>], name: &str) -> Vec<Dataset> {
    let named = rows.iter().filter_map(|row| row[0].split_once('@'));
    let named = named.filter(|(_, snapshot)| *snapshot == name);
    named
        .filter_map(|(dataset, _)| Dataset::printed(dataset))
        .collect()
}

/// The files of a jail that has another name now.
#[derive(Clone, Debug)]
pub struct Moved {
    /// Where its dataset is mounted.
    pub folder: PathBuf,
    /// Its name.
    pub name: String,
    /// The one that it had; none if nobody knows.
    pub before: Option<String>,
}

impl Moved {
    /// Writes the new name where its files still have the old one: as its own, as its host's if that
    /// was the same, in its data's dataset and in the paths of its fstab. iocage does so too, one
    /// after the other.
    ///
    /// # Errors
    /// What cannot be read or written.
    pub fn finish(&self) -> std::result::Result<(), String> {
        self.finish_settings()?;
        self.finish_fstab()
    }

    fn finish_settings(&self) -> std::result::Result<(), String> {
        let path = self.folder.join("config.json");
        let wrong = |why: &str| format!("{} {why}", path.display());
        let text = read_regular(&path, limits::CONFIG_FILE_BYTES);
        let text = text.ok_or_else(|| wrong("cannot be read"))?;
        let Ok(Value::Object(before)) = serde_json::from_slice(&text) else {
            return Err(wrong("is no JSON object"));
        };
        let after = self.renamed(&before);
        if after == before {
            return Ok(());
        }
        let text = as_iocage_writes(&after).map_err(|error| wrong(&error.to_string()))?;
        rewrite(&path, &text).map_err(|error| wrong(&format!("cannot be written: {error}")))
    }

    /// Its settings with the new name where they have the old one.
    pub fn renamed(&self, before: &Map<String, Value>) -> Map<String, Value> {
        let mut after = before.clone();
        after.insert("host_hostuuid".into(), self.name.as_str().into());
        let Some(old) = &self.before else {
            return after;
        };
        if before.get("host_hostname").and_then(Value::as_str) == Some(old) {
            after.insert("host_hostname".into(), self.name.as_str().into());
        }
        if let Some(text) = before.get("jail_zfs_dataset").and_then(Value::as_str) {
            let old = format!("iocage/jails/{old}");
            let each = text
                .split(' ')
                .map(|dataset| match dataset.strip_prefix(&old) {
                    Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                        format!("iocage/jails/{}{rest}", self.name)
                    }
                    _ => dataset.into(),
                });
            let all = each.collect::<Vec<_>>().join(" ");
            after.insert("jail_zfs_dataset".into(), all.into());
        }
        after
    }

    fn finish_fstab(&self) -> std::result::Result<(), String> {
        let Some(old) = &self.before else {
            return Ok(());
        };
        let before = fstab::text(&self.folder)?;
        let after = fstab::moved(&before, &self.folder.with_file_name(old), &self.folder);
        match after == before {
            true => Ok(()),
            false => fstab::write(&self.folder, &after).map_err(|error| {
                format!(
                    "the fstab in {} cannot be written: {error}",
                    self.folder.display()
                )
            }),
        }
    }
}

/// As `ioc_json.py`, json_write, does: sorted, with four spaces.
pub fn as_iocage_writes(settings: &Map<String, Value>) -> serde_json::Result<Vec<u8>> {
    let mut text = Vec::new();
    let form = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    settings.serialize(&mut serde_json::Serializer::with_formatter(&mut text, form))?;
    Ok(text)
}

/// The name that the fstab of the jail in `folder` has for it, where that is another one.
pub fn name_in_fstab(folder: &Path) -> Option<String> {
    let entries = fstab::read(folder).unwrap_or_default();
    let name = |path: &Path| {
        let mut rest = path.strip_prefix(folder.parent()?).ok()?.components();
        let name = rest.next()?.as_os_str().to_str()?.to_string();
        (rest.next()?.as_os_str() == "root" && folder.file_name()? != &*name).then_some(name)
    };
    let mut destinations = entries
        .iter()
        .filter_map(|entry| entry.destination.as_deref());
    destinations.find_map(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::fs;

    #[test]
    fn an_origin_is_the_root_of_a_release_template_or_jail() {
        let pool = PoolName::parse("tank").unwrap();
        let origin = |text: &str| {
            let origin = Origin::of(&pool, text)?;
            let (family, of) = origin.source(&pool)?;
            Some(format!("{} {of} {}", family.as_str(), origin.snapshot))
        };
        assert_eq!(
            origin("tank/iocage/releases/13.2-RELEASE/root@web").as_deref(),
            Some("releases 13.2-RELEASE web")
        );
        assert_eq!(
            origin("tank/iocage/templates/base/root@web").as_deref(),
            Some("templates base web")
        );
        for other in [
            "tank/data@web",
            "other/iocage/jails/a/root@web",
            "tank/iocage/jails/a@web",
        ] {
            assert_eq!(origin(other), None, "{other}");
        }
    }

    #[test]
    fn files_get_the_new_name_where_they_have_the_old_one_and_only_there() {
        let top = std::env::temp_dir().join(format!("renaming{}", std::process::id()));
        let folder = top.join("www");
        fs::create_dir_all(&folder).unwrap();
        let write = |config: &Value, fstab: &str| {
            fs::write(folder.join("config.json"), config.to_string()).unwrap();
            fs::write(folder.join("fstab"), fstab).unwrap();
        };
        let read = || {
            let config = fs::read(folder.join("config.json")).unwrap();
            let config: Value = serde_json::from_slice(&config).unwrap();
            (config, fs::read_to_string(folder.join("fstab")).unwrap())
        };
        let (old, new) = (top.join("web"), folder.display());
        let fstab = format!("# web\n/web\t{}/root/a nullfs ro 0 0\n", old.display());
        write(
            &json!({
                "host_hostuuid": "web", "host_hostname": "web", "notes": "web", "boot": 1,
                "jail_zfs_dataset": "iocage/jails/web/data iocage/jails/web2/data",
            }),
            &fstab,
        );
        let moved = Moved {
            folder: folder.clone(),
            name: "www".into(),
            before: Some("web".into()),
        };
        moved.finish().unwrap();
        let (config, text) = read();
        assert_eq!(
            config,
            json!({
                "host_hostuuid": "www", "host_hostname": "www", "notes": "web", "boot": 1,
                "jail_zfs_dataset": "iocage/jails/www/data iocage/jails/web2/data",
            })
        );
        assert_eq!(text, format!("# web\n/web\t{new}/root/a nullfs ro 0 0\n"));
        let written = fs::read_to_string(folder.join("config.json")).unwrap();
        assert!(written.starts_with("{\n    \"boot\": 1,\n"), "{written}");

        // Again, and with nothing to do but the name itself.
        moved.finish().unwrap();
        assert_eq!(read(), (config, text));
        write(&json!({"host_hostname": "web"}), &fstab);
        let unknown = Moved {
            before: None,
            ..moved
        };
        unknown.finish().unwrap();
        let expected = json!({"host_hostuuid": "www", "host_hostname": "web"});
        assert_eq!(read(), (expected, fstab));
        fs::write(folder.join("config.json"), "{").unwrap();
        assert!(unknown.finish().unwrap_err().contains("config.json"));
        fs::remove_dir_all(&top).unwrap();
    }
}
