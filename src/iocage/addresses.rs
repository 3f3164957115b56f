//! The addresses in a jail's `ip4_addr` and `ip6_addr`.

use std::net::{IpAddr, Ipv4Addr};

/// One of the addresses of a jail: `vnet0|10.0.0.5/24`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// None if iocage takes that of the host's default route.
    pub interface: Option<String>,
    /// An address; or what stands in its place, as it is: `DHCP`, `accept_rtadv`, `none`, or a
    /// text that iocage cannot read.
    pub address: String,
    /// The number of its network's bits.
    pub prefix: Option<String>,
}

/// Reads what `ip4_addr` or `ip6_addr` says: `[INTERFACE|]ADDRESS[/PREFIX]`, more than one with
/// commas between them. Nothing is left out.
pub fn parse(text: &str) -> Vec<Address> {
    let parts = text.split(',').map(str::trim);
    parts.filter(|part| !part.is_empty()).map(one).collect()
}

/// Only the addresses of that, and none of the words in their place.
pub fn numbers(text: &str) -> impl Iterator<Item = IpAddr> + use<> {
    parse(text)
        .into_iter()
        .filter_map(|one| one.address.parse().ok())
}

fn one(text: &str) -> Address {
    let (interface, rest) = match text.split_once('|') {
        Some((interface, rest)) => (Some(interface.to_string()), rest),
        None => (None, text),
    };
    let (address, prefix) = match rest.split_once('/') {
        Some((address, mask)) => match (address.parse(), prefix(mask)) {
            (Ok(IpAddr::V4(_)), Some(bits)) if bits <= 32 => (address, Some(bits.to_string())),
            (Ok(IpAddr::V6(_)), Some(bits)) => (address, Some(bits.to_string())),
            _ => (rest, None),
        },
        None => (rest, None),
    };
    Address {
        interface,
        address: address.into(),
        prefix,
    }
}

/// The bits of `24` or `255.255.255.0`; ifconfig(8) takes both.
fn prefix(mask: &str) -> Option<u32> {
    if let Ok(mask) = mask.parse::<Ipv4Addr>() {
        let bits = u32::from(mask);
        return (bits.leading_ones() + bits.trailing_zeros() >= 32).then(|| bits.leading_ones());
    }
    mask.parse().ok().filter(|bits| *bits <= 128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_address_is_read_and_none_is_dropped() {
        let read = |text: &str| {
            let parsed = parse(text).into_iter().map(|one| {
                let or_none = |text: Option<String>| text.unwrap_or("-".into());
                let (interface, prefix) = (or_none(one.interface), or_none(one.prefix));
                format!("{interface} {} {prefix}", one.address)
            });
            parsed.collect::<Vec<_>>()
        };
        for (text, expected) in [
            ("10.0.0.5", &["- 10.0.0.5 -"] as &[&str]),
            ("re0|10.0.0.5/24", &["re0 10.0.0.5 24"]),
            ("re0|10.0.0.5/255.255.255.0", &["re0 10.0.0.5 24"]),
            ("10.0.0.5/0.0.0.0", &["- 10.0.0.5 0"]),
            (
                "vnet0|10.0.0.5/24, vnet1|10.0.1.5",
                &["vnet0 10.0.0.5 24", "vnet1 10.0.1.5 -"],
            ),
            ("re0|2001:db8::7/64", &["re0 2001:db8::7 64"]),
            ("vnet0|DHCP", &["vnet0 DHCP -"]),
            ("vnet0|accept_rtadv", &["vnet0 accept_rtadv -"]),
            ("none", &["- none -"]),
            ("", &[]),
            // Wrong ones.
            ("re0|10.0.0.5/33", &["re0 10.0.0.5/33 -"]),
            ("re0|10.0.0.5/255.0.255.0", &["re0 10.0.0.5/255.0.255.0 -"]),
            ("a|b|c/24", &["a b|c/24 -"]),
            ("string/8", &["- string/8 -"]),
            ("|10.0.0.5", &[" 10.0.0.5 -"]),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
