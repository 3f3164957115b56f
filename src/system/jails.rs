//! The running jails, as `jls --libxo json -v` prints them.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::error::{Code, Error, Result};

/// A jail that runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunningJail {
    pub jid: String,
    /// The jail's name in the kernel; iocage's are `ioc-<name>`.
    pub name: String,
    /// The jail's root directory.
    pub path: String,
    /// Its addresses; none for a jail with a network stack of its own (vnet).
    pub ip4: Vec<String>,
    pub ip6: Vec<String>,
}

#[derive(Deserialize)]
struct Printed {
    #[serde(rename = "jail-information")]
    information: Information,
}

#[derive(Deserialize)]
struct Information {
    /// libxo leaves out an empty list.
    #[serde(default)]
    jail: Vec<Jail>,
}

#[derive(Deserialize)]
struct Jail {
    #[serde(deserialize_with = "text")]
    jid: String,
    #[serde(default, deserialize_with = "text")]
    name: String,
    #[serde(default, deserialize_with = "text")]
    path: String,
    #[serde(default, deserialize_with = "text")]
    state: String,
    #[serde(default, deserialize_with = "text")]
    dying: String,
    #[serde(default)]
    ipv4_addrs: Vec<String>,
    #[serde(default)]
    ipv6_addrs: Vec<String>,
}

/// `jls -v` prints numbers as numbers, `jls jid name` prints every value as a string.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    })
}

/// Reads the output of `jls`; dying jails have no processes left and do not count.
pub fn parse(output: &str) -> Result<Vec<RunningJail>> {
    // A jail's root may set its hostname, and jls prints most control characters as they are, which
    // is not JSON.
    let safe = output.replace(char::is_control, " ");
    let wrong =
        |why: &str| Error::new(Code::Failed, format!("jls printed no list of jails: {why}"));
    let printed: Printed =
        serde_json::from_str(&safe).map_err(|error| wrong(&error.to_string()))?;
    let list = printed.information.jail;
    if list.iter().any(|jail| jail.jid.is_empty()) {
        return Err(wrong("one has no jid"));
    }
    let running = list.into_iter().filter(|jail| !jail.is_dying());
    Ok(running.map(Jail::into_running).collect())
}

impl Jail {
    fn is_dying(&self) -> bool {
        self.state == "DYING" || self.dying == "1" || self.dying == "true"
    }

    fn into_running(self) -> RunningJail {
        // FreeBSD 11's jls puts those of both families into the first list.
        let addresses = self.ipv4_addrs.into_iter().chain(self.ipv6_addrs);
        let (ip6, ip4) = addresses.partition(|address| address.contains(':'));
        RunningJail {
            jid: self.jid,
            name: self.name,
            path: self.path,
            ip4,
            ip6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(jail: &str) -> RunningJail {
        let output = format!(r#"{{"jail-information": {{"jail": [{jail}]}}}}"#);
        parse(&output).unwrap().remove(0)
    }

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
            ip6: vec![],
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
            r#"{"jail-information": {"jail": [{"jid": null}]}}"#,
        ] {
            assert!(parse(output).is_err(), "{output}");
        }
    }

    #[test]
    fn a_control_character_from_a_guest_hides_no_jail() {
        for control in ['\0', '\u{1}', '\t', '\n', '\u{1b}', '\u{7f}', '\u{85}'] {
            let jail = one(&format!(
                r#"{{"jid": 5, "hostname": "a{control}b", "path": "/jails/c{control}d"}}"#
            ));
            assert_eq!(
                (&*jail.jid, &*jail.path),
                ("5", "/jails/c d"),
                "{control:?}"
            );
        }
    }

    #[test]
    fn addresses_are_listed_by_their_family_wherever_jls_puts_them() {
        let jail = one(
            r#"{"jid": 5, "ipv4_addrs": ["10.0.0.5", "2001:db8::7", "10.0.0.6"],
                "ipv6_addrs": ["fe80::1%em0"]}"#,
        );
        assert_eq!(jail.ip4, ["10.0.0.5", "10.0.0.6"]);
        assert_eq!(jail.ip6, ["2001:db8::7", "fe80::1%em0"]);
    }
}
