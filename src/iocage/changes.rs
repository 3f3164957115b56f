//! A change of settings before it is made: what would be different, and what speaks against it.

mod depends;
mod taken;

use std::collections::BTreeMap;

use super::addresses;
use super::properties::{truth, Effect, PropertyName, PropertyValue};
use super::selection::Member;
use super::settings::{effective, Settings};
use crate::error::{Code, Error, Result};
use crate::names::Checked;

pub use depends::require_no_circle;
pub use taken::{
    claims, require_free, require_none_for_all, saying, shared_addresses, Saying, WITH_ADDRESSES,
};

/// A property that would get another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub name: PropertyName,
    pub value: PropertyValue,
    /// What holds now; none if iocage makes it from the host or the jail's name.
    pub before: Option<String>,
    /// Whether that stands in the file that would be changed.
    pub is_own: bool,
}

/// The settings that would be changed, and those that hold where they say nothing.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The argument that asks for a change.
    pub argument: &'static str,
    /// None for the settings of all jails.
    pub own: Option<Settings>,
    pub defaults: Settings,
}

impl Settled {
    /// The settings of a jail, for the `argument` that asks for a change.
    ///
    /// # Errors
    /// `Unavailable` if they cannot be read.
    pub fn of(member: &Member, argument: &'static str) -> Result<Self> {
        let own = member.listing.settings(member.jail);
        Ok(Settled {
            argument,
            own: Some(own.ok_or_else(|| member.unreadable())?.clone()),
            defaults: member.listing.defaults().clone(),
        })
    }

    fn file(&self) -> &Settings {
        self.own.as_ref().unwrap_or(&self.defaults)
    }

    fn all(&self) -> BTreeMap<&str, &str> {
        let own = self.own.as_ref().unwrap_or(Settings::none());
        let all = effective(own, &self.defaults).into_iter();
        all.map(|(name, (value, _))| (name, value)).collect()
    }

    /// The value that holds.
    pub fn value(&self, name: PropertyName) -> Option<String> {
        self.all().get(name.as_str()).map(ToString::to_string)
    }

    /// Whether a switch is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.all()
            .get(name)
            .is_some_and(|value| truth(value) == Some(true))
    }

    /// Those of `asked` that are not so already.
    ///
    /// What is switched off comes first: iocage sets one after the other, and refuses bpf as long
    /// as there is nat, and nat as long as there is bpf (`ioc_json.py`, json_check_prop).
    pub fn changes(&self, asked: &[(PropertyName, PropertyValue)]) -> Vec<Change> {
        let all = self.all();
        let change = |(name, value): &(PropertyName, PropertyValue)| {
            let before = all.get(name.as_str()).map(ToString::to_string);
            let change = Change {
                name: *name,
                value: value.clone(),
                before,
                is_own: self.file().has(name.as_str()),
            };
            let is_so = change
                .before
                .as_deref()
                .is_some_and(|now| change.is_done_by(now));
            (!is_so).then_some(change)
        };
        let mut changes: Vec<Change> = asked.iter().filter_map(change).collect();
        changes.sort_by_key(|change| truth(change.value.as_str()) != Some(false));
        changes
    }

    /// Makes sure that the settings go together as they will be. What contradicts itself already and
    /// is not touched is nobody's concern here.
    ///
    /// # Errors
    /// `InvalidArgument`, saying what needs what.
    pub fn check_together(&self, changes: &[Change]) -> Result<()> {
        let mut all = self.all();
        for change in changes {
            all.insert(change.name.as_str(), change.value.as_str());
        }
        // Those that it names would wait for themselves.
        let waits =
            |change: &Change| change.name.as_str() == "depends" && change.value.as_str() != "none";
        if self.own.is_none() && changes.iter().any(waits) {
            let why = "\"depends\" cannot be set for all jails";
            return refuse(self.argument, why.into());
        }
        let after = After {
            all,
            changes,
            argument: self.argument,
        };
        after.check_switches()?;
        after.check_addresses("ip4_addr", "DHCP", &["vnet", "bpf"])?;
        after.check_addresses("ip6_addr", "accept_rtadv", &["vnet"])
    }
}

impl Settled {
    /// The properties with addresses as they will be, with what they say.
    pub fn addresses<'a>(&'a self, changes: &'a [Change]) -> Vec<Saying<'a>> {
        let all = self.all();
        let after = |name: &&'static str| {
            let changed = changes.iter().find(|change| change.name.as_str() == *name);
            let changed = changed.map(|change| change.value.as_str());
            changed.or_else(|| all.get(*name).copied())
        };
        let names = WITH_ADDRESSES.iter();
        names
            .filter_map(|name| Some((*name, after(name)?)))
            .collect()
    }
}

/// Makes sure that a jail gets no dataset of another jail.
///
/// # Errors
/// `InvalidArgument`, naming it.
pub fn require_own_datasets(changes: &[Change], jail: &str, argument: &str) -> Result<()> {
    let own = format!("iocage/jails/{jail}/");
    let is_anothers = |name: &&str| name.starts_with("iocage/") && !name.starts_with(&own);
    for change in changes {
        if change.name.as_str() != "jail_zfs_dataset" {
            continue;
        }
        if let Some(name) = change.value.as_str().split(' ').find(is_anothers) {
            let why = format!("\"jail_zfs_dataset\" has {name:?}, which is not the jail's own");
            return refuse(argument, why);
        }
    }
    Ok(())
}

impl Change {
    /// Whether the property is as it should be if it has the value `now`.
    pub fn is_done_by(&self, now: &str) -> bool {
        let property = self.name.property();
        property.as_kept(now) == property.as_kept(self.value.as_str())
    }

    /// What sets it back; none if nothing can: iocage makes the value, and cannot be told to, or the
    /// file has something else than a text there, as `hostid` is null on a host without one.
    pub fn back(&self) -> Option<PropertyValue> {
        let before = self.before.as_deref()?;
        let is_text = before != "null" && !before.starts_with(['[', '{']);
        PropertyValue::kept(self.name.property(), before).filter(|_| is_text)
    }

    /// Whether a running jail has it at its next start only. `has_vnet` is whether it has a network
    /// stack of its own, whose addresses no jail(8) can change.
    pub fn needs_restart(&self, has_vnet: bool) -> bool {
        match self.name.property().effect {
            Effect::NextStart | Effect::WhileStopped => true,
            Effect::InKernel => {
                let is_address = ["ip4_addr", "ip6_addr"].contains(&self.name.as_str());
                is_address && (has_vnet || self.value.as_str() == "none")
            }
            _ => false,
        }
    }

    /// Whether iocage tells the kernel of it while the jail runs.
    pub fn reaches_kernel(&self) -> bool {
        matches!(
            self.name.property().effect,
            Effect::InKernel | Effect::Limit
        )
    }
}

/// The settings as they will be.
struct After<'a> {
    all: BTreeMap<&'a str, &'a str>,
    changes: &'a [Change],
    argument: &'static str,
}

impl After<'_> {
    fn value(&self, name: &str) -> &str {
        self.all.get(name).copied().unwrap_or_default()
    }

    fn is_on(&self, name: &str) -> bool {
        truth(self.value(name)) == Some(true)
    }

    fn touches(&self, names: &[&str]) -> bool {
        self.changes
            .iter()
            .any(|change| names.contains(&change.name.as_str()))
    }

    fn refuse(&self, why: String) -> Result<()> {
        refuse(self.argument, why)
    }

    fn check_switches(&self) -> Result<()> {
        // `ioc_start.py`, start: it refuses a jail with these.
        for (one, other) in [("dhcp", "vnet"), ("dhcp", "bpf"), ("bpf", "vnet")] {
            if self.touches(&[one, other]) && self.is_on(one) && !self.is_on(other) {
                return self.refuse(format!("{one:?} needs {other:?} to be true"));
            }
        }
        if self.touches(&["bpf", "nat"]) && self.is_on("bpf") && self.is_on("nat") {
            return self.refuse("\"bpf\" and \"nat\" exclude each other".into());
        }
        Ok(())
    }

    /// `asking` is the word that stands for an address and takes the switches `needed`.
    fn check_addresses(&self, name: &str, asking: &str, needed: &[&str]) -> Result<()> {
        let (touched, moved) = (
            self.touches(&[name]),
            self.touches(&[name, "vnet", "interfaces"]),
        );
        let has_vnet = self.is_on("vnet");
        let pairs = self.value("interfaces").split(',');
        let own = pairs.filter_map(|pair| Some(pair.split_once(':')?.0));
        let own: Vec<&str> = own.collect();
        for address in addresses::parse(self.value(name)) {
            let asks = address.address.eq_ignore_ascii_case(asking);
            let is_missing =
                |other: &&&str| asks && (touched || self.touches(&[other])) && !self.is_on(other);
            if let Some(off) = needed.iter().find(is_missing) {
                return self.refuse(format!("{asking} in {name:?} needs {off:?} to be true"));
            }
            // `ioc_start.py`, start_network: an address at an interface that the jail does not have
            // is nobody's.
            let nic = address.interface.as_deref();
            match nic.filter(|nic| moved && *nic != "DEFAULT") {
                Some(nic) if has_vnet && !own.contains(&nic) => {
                    return self.refuse(format!(
                        "with \"vnet\", {name:?} must be at one of the jail's \"interfaces\" \
                         ({}), not at {nic:?}",
                        own.join(", ")
                    ));
                }
                Some(nic) if !has_vnet && nic.starts_with("vnet") && own.contains(&nic) => {
                    return self.refuse(format!(
                        "without \"vnet\", {name:?} must be at an interface of the host, not at \
                         {nic:?}"
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn refuse(argument: &str, why: String) -> Result<()> {
    let message = format!("argument {argument:?}: {why}");
    Err(Error::new(Code::InvalidArgument, message))
}

#[cfg(test)]
mod tests;
