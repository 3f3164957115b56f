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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// At addresses of the host's own interface.
    Shared {
        interface: String,
        ip4: Option<String>,
        ip6: Option<String>,
    },
    /// With a network stack of its own, behind an interface of the host, asking by DHCP.
    Dhcp { interface: String },
}

/// A plugin jail to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPlugin {
    pub plugin: String,
    /// The jail's name; the plugin's where none is given.
    pub name: Option<String>,
    pub network: Network,
    pub boot: Option<bool>,
    pub properties: Vec<(String, String)>,
    pub accept_license: bool,
    /// The repository of the plugin, where it is not iocage's own.
    pub repository: Option<String>,
}

/// The first version in which `-P` takes the plugin and `-n` is the jail (tag 1.2,
/// `iocage_cli/fetch.py`); before, `-P` is a flag and `--name` the plugin.
const NAMES_JAILS: Version = Version(1, 2);

/// Fetches a plugin and makes a jail of it.
///
/// Since 1.2 the plugin's jail gets a network stack of its own (vnet) unless told otherwise, and
/// cannot share an address of the host then.
///
/// # Errors
/// `Unavailable` for what the installed iocage cannot do.
pub fn fetch_plugin(version: Version, new: &NewPlugin) -> Result<Vec<String>> {
    let modern = version >= NAMES_JAILS;
    let mut arguments: Vec<String> = ["fetch", "-P"].map(String::from).to_vec();
    if modern {
        let name = new.name.as_ref().unwrap_or(&new.plugin);
        arguments.extend([new.plugin.clone(), "-n".into(), name.clone()]);
    } else {
        arguments.extend(["--name".into(), new.plugin.clone()]);
    }
    for (asked, what) in [
        (&new.name, "name a plugin's jail"),
        (&new.repository, "use that repository"),
    ] {
        if asked.is_some() && !modern {
            let message = format!("the installed iocage is older than 1.2 and cannot {what}");
            return Err(Error::new(Code::Unavailable, message));
        }
    }
    if let Some(repository) = &new.repository {
        arguments.extend(["-g".into(), repository.clone()]);
    }
    if new.accept_license {
        arguments.push("--accept".into());
    }
    match &new.network {
        Network::Shared {
            interface,
            ip4,
            ip6,
        } => {
            arguments.extend(modern.then(|| "vnet=0".into()));
            if modern && ip4.is_none() {
                // With an IPv4 address iocage drops what the plugin's manifest says of these; of
                // an IPv6 address it takes no notice there (1.13, `ioc_plugin.py`).
                arguments.extend(["nat=0", "dhcp=0"].map(String::from));
            }
            arguments.extend(ip4.iter().map(|ip4| format!("ip4_addr={interface}|{ip4}")));
            arguments.extend(ip6.iter().map(|ip6| format!("ip6_addr={interface}|{ip6}")));
        }
        Network::Dhcp { interface } => {
            arguments.extend(["vnet=1", "bpf=1", "dhcp=1"].map(String::from));
            arguments.push(format!("vnet_default_interface={interface}"));
        }
    }
    arguments.extend(new.boot.map(|boot| format!("boot={}", u8::from(boot))));
    arguments.extend(
        new.properties
            .iter()
            .map(|(key, value)| format!("{key}={value}")),
    );
    Ok(arguments)
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

    fn new_plugin(network: Network) -> NewPlugin {
        NewPlugin {
            plugin: "gitlab".into(),
            name: None,
            network,
            boot: None,
            properties: Vec::new(),
            accept_license: false,
            repository: None,
        }
    }

    fn line(version: Version, new: &NewPlugin) -> String {
        fetch_plugin(version, new).unwrap().join(" ")
    }

    #[test]
    fn a_plugin_is_fetched_as_each_version_wants_it() {
        let new = new_plugin(Network::Shared {
            interface: "re0".into(),
            ip4: Some("10.20.0.130/24".into()),
            ip6: Some("2001:db8::7".into()),
        });
        let ips = "ip4_addr=re0|10.20.0.130/24 ip6_addr=re0|2001:db8::7";
        assert_eq!(
            line(Version(1, 1), &new),
            format!("fetch -P --name gitlab {ips}")
        );
        let modern = format!("fetch -P gitlab -n gitlab vnet=0 {ips}");
        assert_eq!(line(Version(1, 13), &new), modern);
    }

    #[test]
    fn with_an_ip6_address_alone_the_manifests_network_is_switched_off_by_name() {
        let new = new_plugin(Network::Shared {
            interface: "re0".into(),
            ip4: None,
            ip6: Some("2001:db8::7".into()),
        });
        let expected = "fetch -P gitlab -n gitlab vnet=0 nat=0 dhcp=0 ip6_addr=re0|2001:db8::7";
        assert_eq!(line(Version(1, 13), &new), expected);
        let old = "fetch -P --name gitlab ip6_addr=re0|2001:db8::7";
        assert_eq!(line(Version(1, 1), &new), old);
    }

    #[test]
    fn everything_that_a_request_can_say_reaches_the_command_line() {
        let mut new = new_plugin(Network::Dhcp {
            interface: "re0".into(),
        });
        new.name = Some("lab".into());
        new.boot = Some(false);
        new.properties = vec![("notes".into(), "my lab".into())];
        new.accept_license = true;
        new.repository = Some("https://example.org/p.git".into());
        let expected = "fetch -P gitlab -n lab -g https://example.org/p.git --accept vnet=1 bpf=1 \
                        dhcp=1 vnet_default_interface=re0 boot=0 notes=my lab";
        assert_eq!(line(Version(1, 13), &new), expected);
        let error = fetch_plugin(Version(1, 1), &new).unwrap_err();
        assert_eq!(error.code, Code::Unavailable);
    }
}
