//! The running jails, as `jls --libxo json -v` prints them.

use serde_json::Value;

use crate::error::{Code, Error, Result};

/// A jail that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningJail {
    pub jid: String,
    /// The jail's name in the kernel; iocage's are `ioc-<name>`.
    pub name: String,
    /// The jail's root directory.
    pub path: String,
    /// Its addresses; none for a jail with a network stack of its own (vnet).
    pub ip4: Vec<String>,
}

/// Reads the output of `jls`; jails that are dying have no processes left and do not count.
pub fn parse(output: &str) -> Result<Vec<RunningJail>> {
    let wrong = |what: &str| Error::new(Code::Failed, format!("jls printed {what}"));
    let value: Value =
        serde_json::from_str(output).map_err(|error| wrong(&format!("no JSON: {error}")))?;
    let list = match value.pointer("/jail-information/jail") {
        Some(Value::Array(list)) => list.as_slice(),
        // libxo leaves an empty list out.
        None if value.get("jail-information").is_some() => &[],
        _ => return Err(wrong("JSON without a list of jails")),
    };
    list.iter()
        .filter(|jail| !is_dying(jail))
        .map(|jail| {
            let jid = text(jail, "jid").ok_or_else(|| wrong("a jail without a jid"))?;
            Ok(RunningJail {
                jid,
                name: text(jail, "name").unwrap_or_default(),
                path: text(jail, "path").unwrap_or_default(),
                ip4: addresses(jail, "ipv4_addrs"),
            })
        })
        .collect()
}

fn is_dying(jail: &Value) -> bool {
    jail.get("state").and_then(Value::as_str) == Some("DYING")
        || text(jail, "dying").is_some_and(|dying| dying == "1" || dying == "true")
}

/// `jls -v` prints numbers as numbers, `jls jid name` prints every value as a string.
fn text(jail: &Value, key: &str) -> Option<String> {
    match jail.get(key)? {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

fn addresses(jail: &Value, key: &str) -> Vec<String> {
    let list = jail
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    list.iter()
        .filter_map(Value::as_str)
        .map(String::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_forms_and_leaves_the_dying_out() {
        let verbose = r#"{"__version": "2", "jail-information": {"jail": [
            {"jid": 5, "hostname": "web", "path": "/iocage/jails/web/root", "name": "ioc-web",
             "state": "ACTIVE", "cpusetid": 3, "ipv4_addrs": ["10.0.0.5"], "ipv6_addrs": []},
            {"jid": 6, "name": "ioc-gone", "state": "DYING"}]}}"#;
        let web = RunningJail {
            jid: "5".into(),
            name: "ioc-web".into(),
            path: "/iocage/jails/web/root".into(),
            ip4: vec!["10.0.0.5".into()],
        };
        assert_eq!(parse(verbose), Ok(vec![web]));

        let short = r#"{"jail-information": {"jail": [
            {"jid": "7", "name": "ioc-a", "dying": "false"},
            {"jid": "8", "name": "ioc-b", "dying": "true"}]}}"#;
        assert_eq!(parse(short).unwrap().len(), 1);
    }

    #[test]
    fn no_jails_is_an_empty_list_and_anything_else_an_error() {
        assert_eq!(
            parse(r#"{"__version": "2", "jail-information": {"jail": []}}"#),
            Ok(vec![])
        );
        assert_eq!(
            parse(r#"{"__version": "2", "jail-information": {}}"#),
            Ok(vec![])
        );
        for output in [
            "",
            "{",
            "[]",
            "{}",
            r#"{"jail-information": {"jail": [{}]}}"#,
        ] {
            assert!(parse(output).is_err(), "{output}");
        }
    }
}
