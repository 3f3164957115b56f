//! The command line of `iocage`, which is not the same in every version.

use crate::error::{Code, Error, Result};
use crate::system::System;

/// A version of iocage; 0.9.9 is (0, 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32, u32);

impl Version {
    /// Asks the installed iocage.
    pub fn of_host(system: &System) -> Result<Self> {
        let output = system.iocage(&["--version"], 1)?;
        let command = output.command.clone();
        let text = output.success()?;
        Version::parse(&text).ok_or_else(|| {
            Error::new(
                Code::Failed,
                format!("{command}: no version in {:?}", text.trim()),
            )
        })
    }

    /// Reads `Version<TAB>1.13`, with whatever text around.
    fn parse(text: &str) -> Option<Self> {
        let number = text
            .split_whitespace()
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'))?;
        let mut parts = number.split('.');
        let mut part = || parts.next()?.parse().ok();
        Some(Version(part()?, part()?))
    }
}

/// Fetches a release; the same in every version.
pub fn fetch_release(release: &str) -> Vec<String> {
    ["fetch", "-r", release].map(String::from).to_vec()
}

/// Where a new jail is to be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The interface of the host that gets the addresses.
    pub interface: String,
    pub ip4: Option<String>,
    pub ip6: Option<String>,
}

/// Fetches a plugin and makes a jail of it.
///
/// Up to 1.1 (tag 1.1, `iocage_cli/fetch.py`) `-P` is a flag and `--name` the plugin; since 1.2
/// `-P` takes the plugin and `-n` is the jail. Since 1.2 the plugin's jail gets a network stack
/// of its own (vnet) unless told otherwise, and cannot share an address of the host then.
pub fn fetch_plugin(version: Version, plugin: &str, addresses: &Addresses) -> Vec<String> {
    let mut arguments: Vec<String> = if version < Version(1, 2) {
        ["fetch", "-P", "--name", plugin].map(String::from).to_vec()
    } else {
        ["fetch", "-P", plugin, "-n", plugin, "vnet=0"]
            .map(String::from)
            .to_vec()
    };
    let interface = &addresses.interface;
    if let Some(ip4) = &addresses.ip4 {
        arguments.push(format!("ip4_addr={interface}|{ip4}"));
    }
    if let Some(ip6) = &addresses.ip6 {
        arguments.push(format!("ip6_addr={interface}|{ip6}"));
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered() {
        let version = |text| Version::parse(text).unwrap();
        assert_eq!(version("Version\t1.13\n"), Version(1, 13));
        assert_eq!(version("Version\t0.9.9.2 2017/09/01"), Version(0, 9));
        assert!(version("Version\t1.2") < version("Version\t1.13"));
        assert_eq!(Version::parse("no version"), None);
    }

    #[test]
    fn a_plugin_is_fetched_as_each_version_wants_it() {
        let addresses = Addresses {
            interface: "re0".into(),
            ip4: Some("10.20.0.130/24".into()),
            ip6: Some("2001:db8::7".into()),
        };
        let line = |version| fetch_plugin(version, "gitlab", &addresses).join(" ");
        let ips = "ip4_addr=re0|10.20.0.130/24 ip6_addr=re0|2001:db8::7";
        assert_eq!(line(Version(1, 1)), format!("fetch -P --name gitlab {ips}"));
        assert_eq!(
            line(Version(1, 13)),
            format!("fetch -P gitlab -n gitlab vnet=0 {ips}")
        );
    }
}
