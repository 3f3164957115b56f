//! What iocage's clone does to texts, and how that is put right.
//!
//! It replaces the source's name wherever it is part of a text: in every value of config.json, in the
//! fstab and in etc/hosts (`ioc_create.py`, `v.replace(clone_uuid, jail_uuid)`). A clone of `a` called
//! `b` has the host name `b.exbmple`. What does not mean the jail gets back what the source has.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::fstab;
use super::renaming::{as_iocage_writes, Moved};
use crate::limits;
use crate::system::{folder_inside, read_regular, rewrite, Inside};

/// Where a jail is.
#[derive(Clone, Debug)]
pub struct Place {
    pub name: String,
    /// Where its dataset is mounted.
    pub folder: PathBuf,
    /// Where its root is.
    pub root: PathBuf,
}

impl Place {
    /// Whether there are settings.
    pub fn is_begun(&self) -> bool {
        self.folder.join("config.json").exists()
    }
}

/// A jail and the copy that iocage makes of it.
#[derive(Clone, Debug)]
pub struct Cloned {
    pub source: Place,
    pub copy: Place,
    /// The properties that the copy was given.
    pub given: Vec<String>,
}

/// A file that iocage changes, as it makes it and as it should be.
struct Texts {
    iocages: Vec<u8>,
    right: Vec<u8>,
}

impl Cloned {
    /// Whether iocage would change what does not mean the jail.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn is_to_be_put_right(&self) -> Result<bool, String> {
        let settings = settings(&self.source.folder)?;
        let right = self.right_settings(&settings);
        let differs = |(key, value): (&String, &Value)| {
            !self.given.contains(key) && right.get(key) != Some(&self.by_iocage(value))
        };
        let files = [Some(self.fstab()?), self.hosts()?];
        let mut files = files.into_iter().flatten();
        Ok(settings.iter().any(differs) || files.any(|file| file.iocages != file.right))
    }

    /// Puts right what iocage has changed and should not have. All else stays.
    ///
    /// # Errors
    /// What cannot be read or written.
    pub fn put_right(&self) -> Result<(), String> {
        self.put_settings_right()?;
        let fstab = self.copy.folder.join("fstab");
        put_file_right(&fstab, self.fstab()?)?;
        match self.hosts()? {
            Some(texts) if hosts_file(&self.copy.root).is_ok() => {
                put_file_right(&self.copy.root.join("etc/hosts"), texts)
            }
            _ => Ok(()),
        }
    }

    fn put_settings_right(&self) -> Result<(), String> {
        let (source, before) = (settings(&self.source.folder)?, settings(&self.copy.folder)?);
        let right = self.right_settings(&source);
        let mut after = before.clone();
        for (key, value) in &source {
            let is_iocages = before.get(key) == Some(&self.by_iocage(value));
            if let (Some(right), true) = (right.get(key), is_iocages) {
                if !self.given.contains(key) {
                    after.insert(key.clone(), right.clone());
                }
            }
        }
        if after == before {
            return Ok(());
        }
        let path = self.copy.folder.join("config.json");
        let wrong = |why: String| format!("{} cannot be written: {why}", path.display());
        let text = as_iocage_writes(&after).map_err(|error| wrong(error.to_string()))?;
        rewrite(&path, &text).map_err(|error| wrong(error.to_string()))
    }

    /// The settings of the source as the copy should have them.
    fn right_settings(&self, source: &Map<String, Value>) -> Map<String, Value> {
        let copy = Moved {
            folder: self.copy.folder.clone(),
            name: self.copy.name.clone(),
            before: Some(self.source.name.clone()),
        };
        copy.renamed(source)
    }

    fn by_iocage(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => text.replace(&self.source.name, &self.copy.name).into(),
            other => other.clone(),
        }
    }

    fn fstab(&self) -> Result<Texts, String> {
        let text = fstab::text(&self.source.folder)?;
        Ok(Texts {
            iocages: self.replaced(&text),
            right: fstab::moved(&text, &self.source.folder, &self.copy.folder),
        })
    }

    /// None where the source has none.
    fn hosts(&self) -> Result<Option<Texts>, String> {
        if hosts_file(&self.source.root).is_err() {
            return Ok(None);
        }
        let path = self.source.root.join("etc/hosts");
        let text = read_regular(&path, limits::CONFIG_FILE_BYTES);
        let text = text.ok_or_else(|| format!("{} cannot be read", path.display()))?;
        Ok(Some(Texts {
            iocages: self.replaced(&text),
            right: with_host(&text, &self.source.name, &self.copy.name),
        }))
    }

    fn replaced(&self, text: &[u8]) -> Vec<u8> {
        let (from, to) = (self.source.name.as_bytes(), self.copy.name.as_bytes());
        let (mut replaced, mut rest) = (Vec::with_capacity(text.len()), text);
        while let Some(first) = rest.first() {
            match rest.strip_prefix(from) {
                Some(after) if !from.is_empty() => {
                    replaced.extend(to);
                    rest = after;
                }
                _ => {
                    replaced.push(*first);
                    rest = &rest[1..];
                }
            }
        }
        replaced
    }
}

/// A hosts(5) in which the host `from` is called `to`.
fn with_host(text: &[u8], from: &str, to: &str) -> Vec<u8> {
    let line = |line: &[u8]| {
        let end = line.iter().position(|byte| *byte == b'#');
        let (names, comment) = line.split_at(end.unwrap_or(line.len()));
        let words = names.split_inclusive(u8::is_ascii_whitespace).map(|word| {
            let bare = word.strip_suffix(b" ").or(word.strip_suffix(b"\t"));
            let bare = bare.or(word.strip_suffix(b"\n")).unwrap_or(word);
            match bare == from.as_bytes() {
                true => [to.as_bytes(), &word[bare.len()..]].concat(),
                false => word.to_vec(),
            }
        });
        [words.collect::<Vec<_>>().concat(), comment.to_vec()].concat()
    };
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    lines.map(line).collect::<Vec<_>>().concat()
}

/// Makes sure that iocage finds `etc/hosts` in a jail's root, for it cannot do without, and that no
/// link of a jail's own root leads it elsewhere: it writes there as root of the host.
///
/// # Errors
/// What is wrong.
pub fn hosts_file(root: &Path) -> Result<(), String> {
    match folder_inside(root, Path::new("/etc"), false) {
        Ok(_) => {}
        Err(Inside::Missing(_)) => return Err("it has no /etc/hosts".into()),
        Err(Inside::Link(_)) => return Err("its /etc is a link".into()),
        Err(Inside::Failed(_, error)) => return Err(format!("its /etc: {error}")),
    }
    for (name, is_needed) in [("hosts", true), ("rc.conf", false)] {
        let path = root.join("etc").join(name);
        match path.symlink_metadata() {
            Ok(data) if data.is_file() => {}
            Ok(_) => return Err(format!("its /etc/{name} is not a regular file")),
            Err(error) if error.kind() == ErrorKind::NotFound && !is_needed => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(format!("it has no /etc/{name}"));
            }
            Err(error) => return Err(format!("its /etc/{name}: {error}")),
        }
    }
    Ok(())
}

fn settings(folder: &Path) -> Result<Map<String, Value>, String> {
    let path = folder.join("config.json");
    let text = read_regular(&path, limits::CONFIG_FILE_BYTES);
    let text = text.ok_or_else(|| format!("{} cannot be read", path.display()))?;
    match serde_json::from_slice(&text) {
        Ok(Value::Object(settings)) => Ok(settings),
        _ => Err(format!("{} is no JSON object", path.display())),
    }
}

/// Writes the right text where iocage's is.
fn put_file_right(path: &Path, texts: Texts) -> Result<(), String> {
    let now = read_regular(path, limits::CONFIG_FILE_BYTES);
    if texts.iocages == texts.right || now.as_ref() != Some(&texts.iocages) {
        return Ok(());
    }
    let written = rewrite(path, &texts.right);
    written.map_err(|error| format!("{} cannot be written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::fs;
    use std::os::unix::fs::symlink;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("{name}{}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            Folder(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn place(top: &Path, name: &str) -> Place {
        let folder = top.join(name);
        fs::create_dir_all(folder.join("root/etc")).unwrap();
        Place {
            name: name.into(),
            root: folder.join("root"),
            folder,
        }
    }

    fn write(place: &Place, config: &Value, fstab: &str, hosts: &str) {
        fs::write(place.folder.join("config.json"), config.to_string()).unwrap();
        fs::write(place.folder.join("fstab"), fstab).unwrap();
        fs::write(place.root.join("etc/hosts"), hosts).unwrap();
    }

    fn read(place: &Place) -> (Value, String, String) {
        let text = |path: PathBuf| fs::read_to_string(path).unwrap();
        (
            serde_json::from_str(&text(place.folder.join("config.json"))).unwrap(),
            text(place.folder.join("fstab")),
            text(place.root.join("etc/hosts")),
        )
    }

    #[test]
    fn only_what_means_the_jail_gets_the_new_name() {
        let top = Folder::new("cloning");
        let (source, copy) = (place(&top.0, "a"), place(&top.0, "b"));
        let config = json!({
            "host_hostuuid": "a", "host_hostname": "a.example", "notes": "banana", "boot": 1,
            "jail_zfs_dataset": "iocage/jails/a/data", "comment": "a", "release": "13.2-a",
        });
        let [folder, away] = [&source, &copy].map(|place| place.folder.display().to_string());
        let fstab = format!("/data\t{folder}/root/data\tnullfs\tro\t0\t0\n");
        let hosts = "127.0.0.1 localhost a\n10.0.0.5\ta.example a # a\n";
        write(&source, &config, &fstab, hosts);
        let by_iocage = json!({
            "host_hostuuid": "b", "host_hostname": "b.exbmple", "notes": "bbnbnb", "boot": 1,
            "jail_zfs_dataset": "iocbge/jbils/b/dbtb", "comment": "b", "release": "13.2-b",
        });
        write(
            &copy,
            &by_iocage,
            &fstab.replace('a', "b"),
            &hosts.replace('a', "b"),
        );
        let cloned = Cloned {
            source,
            copy,
            given: vec!["comment".into()],
        };
        assert_eq!(cloned.is_to_be_put_right(), Ok(true));
        cloned.put_right().unwrap();
        let expected = json!({
            "host_hostuuid": "b", "host_hostname": "a.example", "notes": "banana", "boot": 1,
            "jail_zfs_dataset": "iocage/jails/b/data", "comment": "b", "release": "13.2-a",
        });
        let fstab = format!("/data\t{away}/root/data\tnullfs\tro\t0\t0\n");
        let hosts = "127.0.0.1 localhost b\n10.0.0.5\ta.example b # a\n";
        assert_eq!(read(&cloned.copy), (expected, fstab, hosts.into()));
        let before = read(&cloned.copy);
        cloned.put_right().unwrap();
        assert_eq!(read(&cloned.copy), before, "a second time");
    }

    #[test]
    fn what_iocage_has_not_changed_stays() {
        let top = Folder::new("uncloned");
        let (source, copy) = (place(&top.0, "web"), place(&top.0, "www"));
        let config = json!({"host_hostuuid": "web", "host_hostname": "web", "notes": "mine"});
        write(&source, &config, "", "127.0.0.1 localhost\n");
        let cloned = Cloned {
            source,
            copy,
            given: Vec::new(),
        };
        assert_eq!(cloned.is_to_be_put_right(), Ok(false));
        // One that was cut short has the source's files; another hand may have written these.
        for config in [config, json!({"host_hostname": "other", "notes": "yours"})] {
            write(&cloned.copy, &config, "# theirs\n", "::1 x\n");
            let before = read(&cloned.copy);
            cloned.put_right().unwrap();
            assert_eq!(read(&cloned.copy), before);
        }
    }

    #[test]
    fn no_link_of_a_jails_root_leads_iocage_out_of_it() {
        let top = Folder::new("hosts");
        let root = place(&top.0, "web").root;
        assert_eq!(hosts_file(&root), Err("it has no /etc/hosts".into()));
        symlink("/etc/hosts", root.join("etc/hosts")).unwrap();
        assert!(hosts_file(&root).unwrap_err().contains("/etc/hosts is not"));
        fs::remove_file(root.join("etc/hosts")).unwrap();
        fs::write(root.join("etc/hosts"), "").unwrap();
        assert_eq!(hosts_file(&root), Ok(()));
        symlink("/nonexistent", root.join("etc/rc.conf")).unwrap();
        assert!(hosts_file(&root).unwrap_err().contains("rc.conf"));
        fs::rename(root.join("etc"), root.join("real")).unwrap();
        symlink("real", root.join("etc")).unwrap();
        assert_eq!(hosts_file(&root), Err("its /etc is a link".into()));
    }
}
