//! The plugin index: a git clone below iocage's root, whose file INDEX is one JSON object.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{datasets, settings};
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::system::System;

/// The repository that iocage clones where nobody names another.
const REPOSITORY: &str = "https://github.com/freenas/iocage-ix-plugins.git";

/// A plugin that can be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugin {
    pub id: String,
    pub name: String,
    pub description: String,
}

/// The plugins in the index clone of `pool`.
pub fn index(system: &System, pool: &str) -> Result<Vec<Plugin>> {
    let mounts = system.mounts()?;
    let root = datasets::root(pool);
    let Some(root) = mounts.mountpoint(&root) else {
        return Err(Error::new(
            Code::Unavailable,
            format!("{root} is not mounted"),
        ));
    };
    // Up to 1.1 there was one repository, and its clone had a name of its own.
    let clones = [clone_of(root, REPOSITORY), root.join(".plugin_index")];
    let path = clones
        .iter()
        .find(|clone| clone.exists())
        .unwrap_or(&clones[0])
        .join("INDEX");
    let wrong = |what: &str| {
        Error::new(
            Code::Unavailable,
            format!("plugin index {}: {what}", path.display()),
        )
    };
    let text = settings::read_regular(&path, limits::INDEX_FILE_BYTES)
        .ok_or_else(|| wrong("not there, not readable or too large"))?;
    parse(&text).map_err(|what| wrong(&what))
}

/// Where iocage clones `repository`: the URL without its scheme, `/` and `.` as `_`.
fn clone_of(root: &Path, repository: &str) -> PathBuf {
    let name = repository
        .split_once("://")
        .map_or(repository, |(_, rest)| rest);
    root.join(".plugins").join(name.replace(['/', '.'], "_"))
}

fn parse(index: &[u8]) -> std::result::Result<Vec<Plugin>, String> {
    let value: Value = serde_json::from_slice(index).map_err(|error| error.to_string())?;
    let object = value.as_object().ok_or("not a JSON object")?;
    let plugins = object.iter().map(|(id, entry)| {
        let text = |key: &str| entry.get(key).and_then(Value::as_str);
        Plugin {
            id: id.clone(),
            name: text("name").unwrap_or(id).into(),
            description: text("description").unwrap_or_default().into(),
        }
    });
    Ok(plugins.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clone_lies_where_iocage_puts_it() {
        assert_eq!(
            clone_of(Path::new("/iocage"), REPOSITORY),
            Path::new("/iocage/.plugins/github_com_freenas_iocage-ix-plugins_git")
        );
    }

    #[test]
    fn an_entry_without_texts_is_still_a_plugin() {
        let index = br#"{"plex": {"name": "Plex", "description": "Media"}, "bare": {}, "odd": 1}"#;
        let plugins = parse(index).unwrap();
        let ids: Vec<_> = plugins.iter().map(|plugin| plugin.id.as_str()).collect();
        assert_eq!(ids, ["bare", "odd", "plex"]);
        assert_eq!(plugins[0].name, "bare");
        assert!(parse(b"[]").is_err());
        assert!(parse(b"{").is_err());
    }
}
