//! Checked names: of pools, jails, releases, interfaces, addresses and URLs.
//!
//! Each is a type that only its own parser makes, so a value of such a type has been checked. The
//! parser takes what a client sent, and says in a few words what is wrong with it. Only these types
//! and the program's own words reach a command line ([`Checked`]).

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Deref;
use std::str::FromStr;

use crate::limits;

/// What is wrong with a name, to stand after "argument ...:".
pub type Wrong = String;

/// A text that may stand on a command line: it is checked, and begins with no dash.
pub trait Checked {
    fn as_str(&self) -> &str;
}

/// A checked name. Its parser is the only way to one.
macro_rules! checked {
    ($(#[$doc:meta])* $name:ident, $rule:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// # Errors
            /// What is wrong with `text`.
            pub fn parse(text: &str) -> Result<Self, Wrong> {
                $rule(text).map(|name| $name(name.into()))
            }
        }

        impl Checked for $name {
            fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked! {
    /// The name of a ZFS pool.
    PoolName, pool
}
checked! {
    /// The name of a jail or a template to be made: letters, digits, `.`, `_` and `-`, beginning
    /// with a letter or a digit.
    JailName, jail
}
checked! {
    /// The id of a plugin in an index, by the rule of jails that are to be made.
    PluginId, plugin
}
checked! {
    /// The name of a FreeBSD release, such as `10.3-RELEASE`.
    ///
    /// Of what a client sends only the first word counts, so that a line of `listreleases`
    /// (`9.3-RELEASE (EOL)`) can be sent back as it is. It is in capital letters, as iocage itself
    /// makes them, so that one release has one job.
    Release, release
}
checked! {
    /// The name of a package, as pkg-install(8) takes it: with an origin (`www/nginx`) or a version
    /// (`nginx-1.24,2`), without a pattern.
    PackageName, package
}
checked! {
    /// The name of a network interface, such as `re0` or `em0.100`; at most 15 characters, which
    /// is FreeBSD's IFNAMSIZ without the NUL.
    Interface, interface
}
checked! {
    /// An IPv4 address with an optional prefix length, such as `10.20.0.130/24`.
    Ip4, ip4
}
checked! {
    /// An IPv6 address with an optional prefix length, such as `2001:db8::7/64`.
    Ip6, ip6
}
checked! {
    /// The name of a snapshot to be made or found, by ZFS's own rule, without the `@` in front
    /// of it; at most 128 bytes, so that it fits behind the names of datasets.
    SnapshotName, snapshot
}
checked! {
    /// The name of a user, as passwd(5) has it.
    UserName, user
}
checked! {
    /// A URL of http, https or file.
    Url, url
}

impl PoolName {
    /// The name of a pool that exists, perhaps since before a word was reserved.
    ///
    /// # Errors
    /// As [`PoolName::parse`], but no name is reserved.
    pub fn existing(name: &str) -> Result<Self, Wrong> {
        existing_pool(name).map(|name| PoolName(name.into()))
    }
}

impl JailName {
    /// The name of a jail that is to be made.
    ///
    /// # Errors
    /// As [`JailName::parse`], and if it is longer than names of files allow.
    pub fn of_new(text: &str) -> Result<Self, Wrong> {
        let name = JailName::parse(text)?;
        at_most(text, limits::NEW_NAME_BYTES).map(|()| name)
    }

    /// The name as the kernel has it: jail(8) turns a dot into an underscore, so `a.b` and `a_b`
    /// are one name.
    pub fn in_kernel(&self) -> String {
        self.0.replace('.', "_")
    }
}

impl Url {
    /// The URL without a user's name and password in it, which everybody may see.
    pub fn without_credentials(&self) -> String {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return self.0.to_string();
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let host = authority.rsplit('@').next().unwrap_or(authority);
        format!("{scheme}://{host}{path}")
    }
}

/// ZFS's rule for the name of a pool: it begins with a letter and goes on with letters, digits,
/// `_`, `-`, `.`, `:` and space; some words are reserved.
///
/// Source: zpoolconcepts(7) and zpool-create(8) of OpenZFS.
fn pool(name: &str) -> Result<&str, Wrong> {
    existing_pool(name)?;
    let reserved = ["mirror", "raidz", "draid", "spare"];
    if name == "log" || reserved.iter().any(|word| name.starts_with(word)) {
        return Err(format!("{name:?} is reserved by ZFS"));
    }
    Ok(name)
}

fn existing_pool(name: &str) -> Result<&str, Wrong> {
    bounded(name)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.: ".contains(c);
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err(format!("{name:?} does not begin with a letter"));
    }
    match name.chars().find(|c| !allowed(*c)) {
        None => Ok(name),
        Some(c) => Err(format!(
            "{name:?} has the character {c:?}, which no pool name may have"
        )),
    }
}

fn release(text: &str) -> Result<String, Wrong> {
    bounded(text)?;
    at_most(text, limits::NEW_NAME_BYTES)?;
    let name = text
        .split(' ')
        .find(|word| !word.is_empty())
        .unwrap_or("")
        .to_ascii_uppercase();
    let number = |text: &str| {
        !text.is_empty() && text.len() <= 3 && text.bytes().all(|b| b.is_ascii_digit())
    };
    let is_release = || {
        let (version, kind) = name.split_once('-')?;
        let (major, minor) = version.split_once('.')?;
        let word = kind
            .split('-')
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let letter = kind.starts_with(|c: char| c.is_ascii_alphabetic());
        Some(number(major) && number(minor) && word && letter)
    };
    if is_release() == Some(true) {
        Ok(name)
    } else {
        Err(format!(
            "{text:?} is not the name of a release such as \"10.3-RELEASE\""
        ))
    }
}

fn jail(name: &str) -> Result<&str, Wrong> {
    bounded(name)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !name.as_bytes()[0].is_ascii_alphanumeric() {
        return Err(format!("{name:?} does not begin with a letter or a digit"));
    }
    if !name.bytes().all(allowed) {
        return Err(format!(
            "{name:?} may have only letters, digits, '.', '_' and '-'"
        ));
    }
    // iocage takes these for something else than a jail (1.13; `"ALL" in name`).
    if ["default", "help"].contains(&name) || name.contains("ALL") {
        return Err(format!("{name:?} means something else to iocage"));
    }
    Ok(name)
}

fn plugin(name: &str) -> Result<&str, Wrong> {
    at_most(jail(name)?, limits::NEW_NAME_BYTES).map(|()| name)
}

fn snapshot(name: &str) -> Result<&str, Wrong> {
    const LONGEST: usize = 128;
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-: ".contains(c);
    match name.chars().all(fits) {
        _ if name.is_empty() || name.len() > LONGEST => {
            Err(format!("must be 1 to {LONGEST} bytes long"))
        }
        true => Ok(name),
        false => Err("must be letters, digits, \".\", \"_\", \"-\", \":\" and \" \"".into()),
    }
}

fn package(name: &str) -> Result<&str, Wrong> {
    const LONGEST: usize = 128;
    let fits = |c: char| c.is_ascii_alphanumeric() || "._+-/@,".contains(c);
    let starts = |c: char| c.is_ascii_alphanumeric();
    let is_path = name.contains("..") || name.contains("//");
    match name.starts_with(starts) && name.len() <= LONGEST && name.chars().all(fits) {
        true if !is_path => Ok(name),
        _ => Err(format!(
            "a package's name has at most {LONGEST} letters, digits and \"._+-/@,\", and begins with \
             a letter or a digit"
        )),
    }
}

fn user(name: &str) -> Result<&str, Wrong> {
    // MAXLOGNAME of FreeBSD, without the NUL.
    const LONGEST: usize = 32;
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let starts = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match name.starts_with(starts) && name.len() <= LONGEST && name.chars().all(fits) {
        true => Ok(name),
        false => Err(format!(
            "must be at most {LONGEST} letters, digits, \".\", \"_\" and \"-\""
        )),
    }
}

fn interface(name: &str) -> Result<&str, Wrong> {
    bounded(name)?;
    if name.len() > 15 {
        return Err(format!("{name:?} is longer than 15 characters"));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !name.as_bytes()[0].is_ascii_alphabetic() || !name.bytes().all(allowed) {
        return Err(format!("{name:?} is not the name of a network interface"));
    }
    Ok(name)
}

fn ip4(text: &str) -> Result<&str, Wrong> {
    address::<Ipv4Addr>(text, 32, "an IPv4 address")
}

fn ip6(text: &str) -> Result<&str, Wrong> {
    address::<Ipv6Addr>(text, 128, "an IPv6 address")
}

fn address<'a, A: FromStr>(
    text: &'a str,
    longest_prefix: u8,
    what: &str,
) -> Result<&'a str, Wrong> {
    bounded(text)?;
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    if address.parse::<A>().is_err() {
        return Err(format!("{text:?} is not {what}"));
    }
    let in_range = |prefix: &str| {
        prefix.bytes().all(|byte| byte.is_ascii_digit())
            && prefix
                .parse::<u8>()
                .is_ok_and(|length| length <= longest_prefix)
    };
    match prefix {
        Some(prefix) if !in_range(prefix) => Err(format!(
            "the prefix length of {text:?} must be 0 to {longest_prefix}"
        )),
        _ => Ok(text),
    }
}

fn url(text: &str) -> Result<&str, Wrong> {
    let schemes = ["https://", "http://", "file://"];
    let is_url = schemes.iter().any(|scheme| text.starts_with(scheme))
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    match is_url {
        true => Ok(text),
        false => Err("not a URL (https, http or file)".into()),
    }
}

fn bounded(text: &str) -> Result<(), Wrong> {
    if text.is_empty() {
        return Err("empty".into());
    }
    at_most(text, limits::ARGUMENT_BYTES)
}

fn at_most(text: &str, bytes: usize) -> Result<(), Wrong> {
    match text.len() > bytes {
        true => Err(format!("longer than {bytes} bytes")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
