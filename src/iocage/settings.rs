//! A jail's `config.json` over the pool's `defaults.json`.

use std::path::Path;

use serde_json::{Map, Value};

use crate::limits;
use crate::system::read_regular;

/// A JSON object that iocage keeps in a file.
pub type Settings = Map<String, Value>;

/// Reads a settings file. `None` for whatever is not one: missing, empty, not JSON, not an
/// object, too large, or no regular file at all.
pub fn read(path: &Path) -> Option<Settings> {
    let text = read_regular(path, limits::CONFIG_FILE_BYTES)?;
    match serde_json::from_slice(&text) {
        Ok(Value::Object(settings)) => Some(settings),
        _ => None,
    }
}

/// What `config` says under `key`, or else what `defaults` say. iocage writes `none` for "no
/// value" where it has no better word, and so does this understand it.
pub fn text(config: &Settings, defaults: &Settings, key: &str) -> Option<String> {
    let value = config.get(key).or_else(|| defaults.get(key))?;
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        _ => return None,
    };
    (!text.is_empty() && text != "none").then_some(text)
}

/// Whether a setting is on. Files in the field have it as 1, "1", "on", "yes", "true" and true.
pub fn is_on(config: &Settings, defaults: &Settings, key: &str) -> bool {
    text(config, defaults, key).is_some_and(|text| {
        ["1", "on", "yes", "true"]
            .iter()
            .any(|word| text.eq_ignore_ascii_case(word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn settings(value: Value) -> Settings {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn the_config_comes_before_the_defaults() {
        let config = settings(json!({"release": "11.1-RELEASE", "ip4_addr": "none", "count": 1}));
        let defaults = settings(json!({"release": "9", "ip4_addr": "10.0.0.1", "type": "jail"}));
        let text = |key| text(&config, &defaults, key);
        assert_eq!(text("release").as_deref(), Some("11.1-RELEASE"));
        assert_eq!(text("type").as_deref(), Some("jail"));
        assert_eq!(text("count").as_deref(), Some("1"));
        assert_eq!(
            text("ip4_addr"),
            None,
            "none in the config hides the default"
        );
        assert_eq!(text("missing"), None);
    }

    #[test]
    fn every_spelling_of_a_boolean_is_understood() {
        let none = Settings::new();
        for on in [
            json!(1),
            json!("1"),
            json!("on"),
            json!("YES"),
            json!("true"),
            json!(true),
        ] {
            let config = settings(json!({"boot": on}));
            assert!(is_on(&config, &none, "boot"), "{on}");
        }
        for off in [
            json!(0),
            json!("0"),
            json!("off"),
            json!("no"),
            json!(false),
            json!(null),
        ] {
            let config = settings(json!({"boot": off}));
            assert!(!is_on(&config, &none, "boot"), "{off}");
        }
    }
}
