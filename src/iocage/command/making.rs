//! Making a jail: `create` and `clone`.

use std::path::Path;

use super::iocage;
use crate::error::Result;
use crate::iocage::properties::{PropertyName, PropertyValue};
use crate::iocage::version::{Ability, Version};
use crate::names::{Checked, JailName, Release};
use crate::system::CommandLine;

/// What a new jail is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    Release(Release),
    Template(JailName),
    Nothing,
}

/// A property with its value.
pub type Setting = (PropertyName, PropertyValue);

/// A jail to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJail {
    pub name: JailName,
    pub base: Base,
    /// Whether it mounts the files of its base.
    pub basejail: bool,
    /// Whether it is a copy; none for what iocage makes by itself: a copy of a base jail, else a
    /// clone.
    pub thick: Option<bool>,
    /// What everybody may see: its network, and whether it starts with the host.
    pub shown: Vec<Setting>,
    pub properties: Vec<Setting>,
}

/// A jail to be cloned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewClone {
    pub name: JailName,
    pub source: JailName,
    pub thick: bool,
    /// The MAC addresses that it does not keep.
    pub dropped: Vec<PropertyName>,
    pub properties: Vec<Setting>,
}

/// Makes a jail, with the packages of the list at this path if there is one.
///
/// # Errors
/// `Unavailable` for what the installed iocage cannot do.
pub fn create(version: Version, new: &NewJail, list: Option<&Path>) -> Result<CommandLine> {
    version.require(Ability::NameJails)?;
    let line = iocage().words(&["create", "-n"]).value(&new.name);
    let mut line = match &new.base {
        Base::Release(release) => line.word("-r").value(release),
        Base::Template(template) => line.word("-t").value(template),
        Base::Nothing => line.word("-e"),
    };
    if new.basejail {
        line = line.word("-b");
    }
    match (new.basejail, new.thick) {
        (_, Some(true)) => {
            version.require(Ability::CopyJails)?;
            line = line.word("-T");
        }
        // Since -B is there, -b alone is a copy (`ioc_create.py`).
        (true, Some(false)) if version.can(Ability::CloneBaseJails) => line = line.word("-B"),
        _ => {}
    }
    if let Some(list) = list {
        line = line.word("-p").value(&OwnPath(list.display().to_string()));
    }
    for (name, value) in &new.shown {
        name.property().require(version)?;
        line = line.setting(name, &value.in_words_of(version));
    }
    with_properties(line, version, &new.properties)
}

/// Clones a jail.
///
/// Not by `-N`, which 1.2 brought: it would also drop a MAC address that is given.
///
/// # Errors
/// As [`create`].
pub fn clone(version: Version, new: &NewClone) -> Result<CommandLine> {
    version.require(Ability::NameJails)?;
    let mut line = iocage().word("clone").value(&new.source);
    line = line.word("-n").value(&new.name);
    if new.thick {
        version.require(Ability::CopyJails)?;
        line = line.word("-T");
    }
    for mac in &new.dropped {
        line = line.setting(mac, &"none");
    }
    with_properties(line, version, &new.properties)
}

fn with_properties(
    mut line: CommandLine,
    version: Version,
    properties: &[Setting],
) -> Result<CommandLine> {
    for (name, value) in properties {
        name.property().require(version)?;
        line = line.secret_setting(name, &value.in_words_of(version));
    }
    Ok(line)
}

/// A path that the library has made.
struct OwnPath(String);

impl Checked for OwnPath {
    fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Commands;
    use crate::error::Code;
    use crate::iocage::version::{V1_0, V1_1, V1_13, V1_2};
    use serde_json::{json, Value};

    fn settings(all: Value) -> Vec<Setting> {
        let one = |(name, value): (&String, &Value)| {
            let name = PropertyName::of_new_jail(name).unwrap();
            (name, name.value(value).unwrap())
        };
        all.as_object().unwrap().iter().map(one).collect()
    }

    fn new_jail(base: Base) -> NewJail {
        NewJail {
            name: JailName::parse("www").unwrap(),
            base,
            basejail: false,
            thick: None,
            shown: Vec::new(),
            properties: Vec::new(),
        }
    }

    fn release() -> Base {
        Base::Release(Release::parse("13.2-RELEASE").unwrap())
    }

    fn words(line: Result<CommandLine>) -> String {
        line.unwrap().arguments().join(" ")
    }

    #[test]
    fn a_jail_is_made_as_each_version_wants_it() {
        let template = Base::Template(JailName::parse("base").unwrap());
        for (base, words_of) in [
            (release(), "-r 13.2-RELEASE"),
            (template, "-t base"),
            (Base::Nothing, "-e"),
        ] {
            let new = new_jail(base);
            let line = words(create(V1_13, &new, None));
            assert_eq!(line, format!("create -n www {words_of}"));
        }
        let mut new = new_jail(release());
        for (version, basejail, thick, options) in [
            (V1_13, false, None, ""),
            (V1_13, false, Some(false), ""),
            (V1_13, false, Some(true), " -T"),
            (V1_13, true, None, " -b"),
            (V1_13, true, Some(true), " -b -T"),
            (V1_13, true, Some(false), " -b -B"),
            (V1_2, true, Some(false), " -b -B"),
            (V1_1, true, Some(false), " -b"),
            (V1_0, true, Some(true), " -b -T"),
        ] {
            (new.basejail, new.thick) = (basejail, thick);
            let line = words(create(version, &new, None));
            let expected = format!("create -n www -r 13.2-RELEASE{options}");
            assert_eq!(line, expected, "{version}");
        }
        let error = create(Version(0, 9, 9), &new, None).unwrap_err();
        assert_eq!(error.code, Code::Unavailable);
        assert!(error.message.contains("older than 1.0"), "{error}");
        let error = create(Version(0, 9, 8), &new_jail(release()), None).unwrap_err();
        assert!(error.message.contains("older than 0.9.9"), "{error}");
    }

    #[test]
    fn only_the_command_sees_the_values_of_properties() {
        let new = NewJail {
            shown: settings(json!({"boot": true, "ip4_addr": "re0|10.0.0.5/24"})),
            properties: settings(json!({"notes": "hunter2", "allow_raw_sockets": "yes"})),
            ..new_jail(release())
        };
        let list = Path::new("/var/db/x/jobs/a.list");
        let line = create(V1_1, &new, Some(list)).unwrap();
        let expected =
            "/usr/local/bin/iocage create -n www -r 13.2-RELEASE -p /var/db/x/jobs/a.list \
                        boot=on ip4_addr=re0|10.0.0.5/24 allow_raw_sockets=... notes=...";
        assert_eq!(line.shown(&Commands::default()), expected);
        assert_eq!(line.arguments().last().unwrap(), "notes=hunter2");
        assert!(words(create(V1_13, &new, None)).contains(" boot=1 "));
    }

    #[test]
    fn a_clone_drops_the_addresses_that_it_does_not_keep() {
        let mac = |name| PropertyName::of_new_jail(name).unwrap();
        let mut new = NewClone {
            name: JailName::parse("www").unwrap(),
            source: JailName::parse("web").unwrap(),
            thick: false,
            dropped: vec![mac("vnet0_mac")],
            properties: settings(json!({"vnet1_mac": "02ff60000000 02ff60000001"})),
        };
        for version in [Version(0, 9, 9), V1_1, V1_13] {
            let expected = "clone web -n www vnet0_mac=none vnet1_mac=02ff60000000 02ff60000001";
            assert_eq!(words(clone(version, &new)), expected);
        }
        new.thick = true;
        assert!(words(clone(V1_13, &new)).starts_with("clone web -n www -T vnet0"));
        assert!(clone(Version(0, 9, 9), &new).is_err());
    }
}
