//! The versions of iocage, and what each can do.
//!
//! Source: the tags of github.com/freebsd/iocage; each fact names the file and the tag where it
//! begins. The first version of a property is in its row ([`super::properties`]).

use std::fmt;

use crate::error::{Code, Error, Result};

/// A version of iocage by its first three numbers; 0.9.9.2 is 0.9.9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

pub const V0_9: Version = Version(0, 9, 0);
pub const V0_9_10: Version = Version(0, 9, 10);
pub const V1_0: Version = Version(1, 0, 0);
pub const V1_1: Version = Version(1, 1, 0);
pub const V1_2: Version = Version(1, 2, 0);
pub const V1_2_1: Version = Version(1, 2, 1);
pub const V1_3: Version = Version(1, 3, 0);
pub const V1_5: Version = Version(1, 5, 0);
pub const V1_7: Version = Version(1, 7, 0);
pub const V1_13: Version = Version(1, 13, 0);

/// What not every version can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// `fetch -P` takes a plugin of the index, and `--accept` its license.
    FetchPlugins,
    /// `fetch -P PLUGIN -n NAME`; before, `-P` is a flag, `--name` is the plugin, and the jail has
    /// the name that the plugin's manifest says.
    NamePluginJails,
    /// `fetch -g URL`.
    ChooseRepository,
    /// A plugin's jail can be made with `boot=off`; before, `boot=on` is put behind what is asked.
    LeaveBootOff,
    /// Every truth value is 0 or 1 (on, yes and true work too). Before, each property takes only
    /// one pair of words: 0 and 1, off and on, or no and yes.
    TruthAsNumbers,
    /// `ip4` and `ip6` say `disable`; before, they say `none`.
    DisableProtocols,
    /// Plugins come from the branch of the host's release, or else from master; before, from the
    /// repository's default branch.
    BranchOfRelease,
    /// `create -n NAME` and `clone -n NAME`; before, a jail has a uuid and a tag.
    NameJails,
    /// `create -T` and `clone -T`.
    CopyJails,
    /// `create -b -B`, and a base jail is a copy without `-B`.
    CloneBaseJails,
    /// `fetch -P` makes or refreshes iocage's clone of the index first; before, it takes the clone
    /// as it is, and fails without one.
    RefreshIndex,
    /// `update -P`.
    UpdatePackages,
    /// `update -V` and `-NV`: which freebsd-update is run.
    ChooseFreebsdUpdate,
    /// `update` and `upgrade` know a base jail by every word for true; before, only by `yes`, and take
    /// it for another kind of jail.
    PatchBaseJails,
    /// `export -c lzma`.
    CompressImages,
    /// `import -p FILE`; before, the image is the one whose name begins with what is given.
    ChooseImage,
}

/// Since which version, and what stands after "the installed iocage is older than ... and cannot".
#[rustfmt::skip]
const ABILITIES: &[(Ability, Version, &str)] = &[
    // iocage/cli/fetch.py: 0.9.9 has --name and --accept, 0.9.8 has neither.
    (Ability::FetchPlugins, Version(0, 9, 9), "fetch a plugin of an index"),
    // iocage_cli/fetch.py: --plugin-name in 1.2, --plugin-file (a flag) in 1.1.
    (Ability::NamePluginJails, V1_2, "name a plugin's jail"),
    // iocage_cli/fetch.py: --git_repository in 1.2.
    (Ability::ChooseRepository, V1_2, "take a plugin from another repository than its own"),
    // iocage_lib/ioc_plugin.py, __fetch_plugin_props__: DEFAULT_PROPS, which come first, in 1.2; a
    // last "boot=on" in 1.1, 1.0 and (iocage/lib/ioc_fetch.py) 0.9.x.
    (Ability::LeaveBootOff, V1_2, "make a plugin's jail that does not start with the host"),
    // iocage_lib/ioc_json.py, json_check_prop: truth_variations in 1.2, a pair a property in 1.1.
    (Ability::TruthAsNumbers, V1_2, "take 0 and 1 for every property"),
    // The same: ("new", "inherit", "disable") in 1.1, ("new", "inherit", "none") in 1.0.
    (Ability::DisableProtocols, V1_1, "disable a protocol"),
    // iocage_lib/ioc_plugin.py: `self.branch` of freebsd-version in 1.0; iocage/lib/ioc_fetch.py,
    // fetch_plugin_index, clones and pulls without a branch in 0.9.10.
    (Ability::BranchOfRelease, V1_0, "take the branch of a release"),
    // iocage/cli/create.py and clone.py: --name in 0.9.9.
    (Ability::NameJails, Version(0, 9, 9), "make a jail with a name"),
    // iocage_cli/create.py and clone.py: --thickjail in 1.0.
    (Ability::CopyJails, V1_0, "copy a jail"),
    // iocage_cli/create.py: --clone_basejail in 1.2.
    (Ability::CloneBaseJails, V1_2, "clone a base jail"),
    // iocage_lib/ioc_plugin.py, fetch_plugin: pull_clone_git_repo in 1.2, only `open(INDEX)` in 1.1
    // (1.1 and 1.0 clone where there is none, and then ask on the terminal which plugin is meant).
    (Ability::RefreshIndex, V1_2, "make a plugin's jail before it has an index"),
    // iocage_cli/update.py: --pkgs in 1.2.
    (Ability::UpdatePackages, V1_2, "update a jail's packages"),
    // iocage_cli/update.py: --verify/--noverify in 1.9.
    (Ability::ChooseFreebsdUpdate, Version(1, 9, 0), "choose whose freebsd-update is run"),
    // iocage_lib/iocage.py, update and upgrade: check_truthy in 1.2, `== "yes"` in 1.1.
    (Ability::PatchBaseJails, V1_2, "update or upgrade a base jail safely"),
    // iocage_cli/export.py and import.py: --compression and --path in 1.2, neither in 1.1.
    (Ability::CompressImages, V1_2, "make or read an image other than zip"),
    (Ability::ChooseImage, V1_2, "be told which image is meant"),
];

impl Version {
    /// Reads what `iocage --version` prints: `Version<TAB>1.13`, or with a date behind it, with
    /// whatever text around.
    pub fn parse(text: &str) -> Option<Self> {
        let number = text
            .split_whitespace()
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'))?;
        let mut parts = number.split('.');
        let version = Version(
            parts.next()?.parse().ok()?,
            parts.next()?.parse().ok()?,
            // The third is not in every version, and not always a number (`1.14.dev0`).
            parts.next().and_then(|part| part.parse().ok()).unwrap_or(0),
        );
        match version {
            // What 1.13 and later say where they are run from their sources (iocage_cli/__init__.py
            // of 1.13).
            Version(0, 0, _) => Some(V1_13),
            version => Some(version),
        }
    }

    /// Whether this is `other` or a later version, as far as it can be told: 1.2.1 and 1.3 say that
    /// they are 1.2 (iocage_cli/__init__.py of both).
    pub fn may_be(self, other: Version) -> bool {
        self >= other || (self == V1_2 && other <= V1_3)
    }

    /// Whether this version can do it.
    pub fn can(self, ability: Ability) -> bool {
        self >= since(ability).0
    }

    /// Makes sure that this version can do it.
    ///
    /// # Errors
    /// `Unavailable`, saying since which version.
    pub fn require(self, ability: Ability) -> Result<()> {
        let (since, what) = since(ability);
        match self >= since {
            true => Ok(()),
            false => Err(older_than(since, &format!("cannot {what}"))),
        }
    }
}

fn since(ability: Ability) -> (Version, &'static str) {
    let row = ABILITIES.iter().find(|(of, ..)| *of == ability);
    let (_, since, what) = row.expect("every ability has its row");
    (*since, what)
}

/// The refusal of what the installed iocage lacks.
pub fn older_than(since: Version, so: &str) -> Error {
    let message = format!("the installed iocage is older than {since} and {so}");
    Error::new(Code::Unavailable, message)
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Version(one, two, 0) => write!(f, "{one}.{two}"),
            Version(one, two, three) => write!(f, "{one}.{two}.{three}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered() {
        let version = |text| Version::parse(text).unwrap();
        assert_eq!(version("Version\t1.13\n"), Version(1, 13, 0));
        assert_eq!(version("Version\t0.9.9.2 09/30/2017"), Version(0, 9, 9));
        assert_eq!(version("Version\t1.0 RELEASE 2018/12"), Version(1, 0, 0));
        assert_eq!(version("Version\t1.2.1"), V1_2_1);
        assert_eq!(version("Version\t1.14.dev0"), Version(1, 14, 0));
        assert_eq!(version("Version\t0.0"), V1_13, "from its sources");
        let order = [
            "0.9.8", "0.9.9.2", "0.9.10", "1.0", "1.2", "1.2.1", "1.3", "1.13",
        ];
        assert!(order.map(version).is_sorted());
        for wrong in ["no version", "", "1", "1.x", ".1", "4294967296.1"] {
            assert_eq!(Version::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_says_it_is_1_2_may_be_1_3() {
        assert!(V1_2.may_be(V1_2_1) && V1_2.may_be(V1_3) && !V1_2.may_be(V1_5));
        assert!(!V1_1.may_be(V1_2));
    }

    #[test]
    fn what_a_version_lacks_is_refused_with_the_version_that_has_it() {
        let error = V1_1.require(Ability::NamePluginJails).unwrap_err();
        assert_eq!(error.code, Code::Unavailable);
        let message = "the installed iocage is older than 1.2 and cannot name a plugin's jail";
        assert_eq!(error.message, message);
        assert!(V1_2.require(Ability::NamePluginJails).is_ok());
        assert!(!V1_0.can(Ability::DisableProtocols) && V1_1.can(Ability::DisableProtocols));
    }
}
