//! A plugin that can be fetched: what its index and its manifest say of it.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::limits;
use crate::names::{PluginId, Url};
use crate::system::read_regular;

/// A plugin that can be fetched.
#[derive(Clone, Debug, PartialEq)]
pub struct Plugin {
    pub name: String,
    pub description: String,
    pub repository: Url,
    /// What its index says about it.
    entry: Value,
    /// Its manifest's file.
    manifest: Option<PathBuf>,
}

impl Plugin {
    pub fn new(id: &str, entry: Value, repository: &Url, clone: &Path) -> Self {
        let text = |key: &str| entry.get(key).and_then(Value::as_str);
        // A file of the clone, not any file of the host.
        let manifest = text("MANIFEST").filter(|file| PluginId::parse(file).is_ok());
        Plugin {
            name: text("name").unwrap_or(id).into(),
            description: text("description").unwrap_or_default().into(),
            repository: repository.clone(),
            manifest: manifest.map(|file| clone.join(file)),
            entry,
        }
    }

    /// What else its index and its manifest say: `official`, `category`, `icon`, `license`,
    /// `homepage`, `primary_pkg` and `release`, those of them that are there.
    pub fn details(&self) -> Vec<(&'static str, String)> {
        let manifest = self.manifest();
        let keys = [
            "official",
            "category",
            "icon",
            "license",
            "homepage",
            "primary_pkg",
            "release",
        ];
        keys.into_iter()
            .filter_map(|key| Some((key, self.text(&manifest, key)?)))
            .collect()
    }

    /// Where to read the license that iocage wants accepted, if there is one.
    pub fn license(&self) -> Option<String> {
        self.text(&self.manifest(), "license")
    }

    /// The name by which iocage knows the plugin: it opens `<name>.json`.
    pub fn manifest_stem(&self) -> Option<PluginId> {
        let stem = self.manifest.as_ref()?.file_stem()?.to_str()?;
        PluginId::parse(stem).ok()
    }

    fn manifest(&self) -> Map<String, Value> {
        let file = self.manifest.as_deref();
        let text = file.and_then(|file| read_regular(file, limits::CONFIG_FILE_BYTES));
        text.and_then(|text| parse(&text).ok()).unwrap_or_default()
    }

    fn text(&self, manifest: &Map<String, Value>, key: &str) -> Option<String> {
        match self.entry.get(key).or_else(|| manifest.get(key))? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Bool(truth) if key == "official" => Some(truth.to_string()),
            _ => None,
        }
    }
}

/// Reads the text of an index or a manifest: one JSON object.
///
/// # Errors
/// What is wrong with it.
pub fn parse(index: &[u8]) -> std::result::Result<Map<String, Value>, String> {
    match serde_json::from_slice(index) {
        Ok(Value::Object(entries)) => Ok(entries),
        Ok(_) => Err("INDEX is not a JSON object".into()),
        Err(error) => Err(format!("INDEX: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::PLUGIN_REPOSITORY;

    fn repository() -> Url {
        Url::parse(PLUGIN_REPOSITORY).unwrap()
    }

    #[test]
    fn an_entry_without_texts_is_still_a_plugin() {
        let index = br#"{"plex": {"name": "Plex", "description": "Media"}, "bare": {}, "odd": 1}"#;
        let entries = parse(index).unwrap();
        let plugin =
            |id: &str| Plugin::new(id, entries[id].clone(), &repository(), Path::new("/x"));
        assert_eq!(plugin("plex").name, "Plex");
        assert_eq!(
            (plugin("bare").name, plugin("odd").name),
            ("bare".into(), "odd".into())
        );
        assert!(parse(b"[]").is_err());
        assert!(parse(b"{").is_err());
    }

    #[test]
    fn a_manifest_is_a_file_of_the_clone() {
        let plugin = |file: &str| {
            let entry = serde_json::json!({ "MANIFEST": file });
            Plugin::new("x", entry, &repository(), Path::new("/x")).manifest
        };
        assert_eq!(plugin("plex.json"), Some("/x/plex.json".into()));
        assert_eq!(
            (plugin("../plex.json"), plugin("/etc/passwd")),
            (None, None)
        );
    }
}
