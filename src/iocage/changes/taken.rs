//! Addresses that a change of settings would give twice.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;

use super::{refuse, Change};
use crate::error::{Code, Error, Result};
use crate::iocage::addresses;
use crate::iocage::properties::{PropertyName, PropertyValue};
use crate::iocage::selection::{Member, Members};
use crate::iocage::settings::{stored, Key};
use crate::names::Checked;
use crate::resources::{Claim, Resource};

/// What may be only once in a network.
#[derive(PartialEq, Eq, Hash)]
enum Address {
    Ip(IpAddr),
    /// In lower case, without what separates its parts.
    Mac(String),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(address) => address.fmt(f),
            Address::Mac(address) => f.write_str(address),
        }
    }
}

/// A property with addresses, and what it says.
pub type Saying<'a> = (&'a str, &'a str);

/// The properties that have addresses.
pub const WITH_ADDRESSES: [&str; 6] = [
    "ip4_addr",
    "ip6_addr",
    "vnet0_mac",
    "vnet1_mac",
    "vnet2_mac",
    "vnet3_mac",
];

/// What these properties would say.
pub fn saying<'a>(
    settings: impl IntoIterator<Item = &'a (PropertyName, PropertyValue)>,
) -> Vec<Saying<'a>> {
    let all = settings.into_iter();
    let all = all.map(|(name, value)| (name.property().name, value.as_str()));
    all.filter(|(name, _)| WITH_ADDRESSES.contains(name))
        .collect()
}

/// The addresses in all that, for one who takes them alone, or shares them.
pub fn claims<'a>(given: impl IntoIterator<Item = Saying<'a>>, alone: bool) -> Vec<Claim> {
    let addresses = given
        .into_iter()
        .flat_map(|(name, text)| addresses_in(name, text));
    let claim = |address: Address| {
        let resource = match address {
            Address::Ip(address) => Resource::Ip(address),
            Address::Mac(address) => Resource::Mac(address),
        };
        match alone {
            true => resource.alone(),
            false => resource.shared(),
        }
    };
    addresses.map(claim).collect()
}

/// Makes sure that no other jail or template of the pool has an address that is given to the one at
/// `place`.
///
/// # Errors
/// `Conflict`, naming it.
pub fn require_free<'a>(
    given: impl IntoIterator<Item = Saying<'a>>,
    members: &Members,
    place: &str,
    argument: &str,
) -> Result<()> {
    for (name, text) in given {
        let given: HashSet<Address> = addresses_in(name, text).collect();
        if given.is_empty() {
            continue;
        }
        let others = members.all().filter(|other| other.place() != place);
        for other in others {
            let has =
                |(key, text): (&str, &str)| addresses_in(key, text).any(|one| given.contains(&one));
            if of(&other).into_iter().any(has) {
                let message = format!(
                    "argument {argument:?}: {} has an address of {name:?} already (\"force\" sets it \
                     nevertheless)",
                    other.place()
                );
                return Err(Error::new(Code::Conflict, message));
            }
        }
    }
    Ok(())
}

/// Makes sure that no address is given to all jails at once.
///
/// # Errors
/// `InvalidArgument`.
pub fn require_none_for_all(changes: &[Change]) -> Result<()> {
    let gives = |change: &&Change| {
        addresses_in(change.name.as_str(), change.value.as_str())
            .next()
            .is_some()
    };
    match changes.iter().find(gives) {
        None => Ok(()),
        Some(change) => {
            let name = change.name.as_str();
            let why = format!(
                "{name:?} would give one address to all jails (\"force\" sets it nevertheless)"
            );
            refuse("settings", why)
        }
    }
}

/// The others that have an address of a jail: `jail web has the address 10.0.0.5 too`.
pub fn shared_addresses(members: &Members, own: &Member) -> Vec<String> {
    let addresses = |member: &Member| {
        let all = of(member).into_iter();
        all.flat_map(|(name, text)| addresses_in(name, text))
            .collect::<Vec<Address>>()
    };
    let given = addresses(own);
    let others = members.all().filter(|other| other.place() != own.place());
    let shared = others.filter_map(|other| {
        let mut all = addresses(&other).into_iter();
        let shared = all.find(|address| given.contains(address))?;
        Some(format!("{} has the address {shared} too", other.in_words()))
    });
    shared.collect()
}

/// The properties of a jail that may have addresses. They need not be of one kind: a jail that has
/// the address in whatever property has it.
fn of<'a>(member: &Member<'a>) -> Vec<(&'static str, &'a str)> {
    let (listing, jail) = (member.listing, member.jail);
    let Some(own) = listing.settings(jail) else {
        return Vec::new();
    };
    let ips = [("ip4_addr", Key::IP4_ADDR), ("ip6_addr", Key::IP6_ADDR)];
    let macs = Key::VNET_MACS.map(|key| ("vnet0_mac", key));
    let all = ips.into_iter().chain(macs);
    all.filter_map(|(name, key)| Some((name, stored(own, listing.defaults(), key)?)))
        .collect()
}

fn addresses_in(name: &str, text: &str) -> Box<dyn Iterator<Item = Address>> {
    match name {
        "ip4_addr" | "ip6_addr" => Box::new(addresses::numbers(text).map(Address::Ip)),
        "vnet0_mac" | "vnet1_mac" | "vnet2_mac" | "vnet3_mac" if text != "none" => {
            let plain = |mac: &str| mac.replace([':', '-'], "").to_ascii_lowercase();
            let macs = text.split([' ', ',']).filter(|mac| !mac.is_empty());
            let macs: Vec<Address> = macs.map(|mac| Address::Mac(plain(mac))).collect();
            Box::new(macs.into_iter())
        }
        _ => Box::new(std::iter::empty()),
    }
}
