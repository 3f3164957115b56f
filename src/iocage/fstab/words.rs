//! What may stand in a line that is added to an fstab, and what of it nobody may see.
//!
//! iocage hands the file to jail(8) as it is (`ioc_start.py`, `mount.fstab`), which runs mount(8) for
//! each line. So any type will do that the host can mount, with the source that this type takes.

use std::net::Ipv6Addr;
use std::path::Path;

use crate::limits;
use crate::names::Wrong;

/// The type of a file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind(String);

impl Kind {
    /// # Errors
    /// What is wrong with `text`.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        // MFSNAMELEN of FreeBSD's sys/mount.h, without the NUL.
        const LONGEST: usize = 15;
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        match (1..=LONGEST).contains(&text.len()) && text.chars().all(fits) {
            true => Ok(Kind(text.into())),
            false => Err(format!("must be 1 to {LONGEST} of a-z, 0-9 and \"_\"")),
        }
    }

    /// What is taken if none is given.
    pub fn usual() -> Self {
        Kind("nullfs".into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it shows a folder of the host.
    pub fn takes_folder(&self) -> bool {
        ["nullfs", "unionfs"].contains(&self.as_str())
    }
}

/// What is mounted: a path of the host, or what the type takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source(String);

impl Source {
    /// One that some type takes.
    ///
    /// # Errors
    /// What is wrong with `text`.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        match is_share(text) || is_export(text) || is_word(text) {
            true => Ok(Source(text.into())),
            false if text.starts_with('/') => path(text).map(Source),
            false => Err("must be an absolute path, or a word that the type takes".into()),
        }
    }

    /// Whether this type takes it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn suits(&self, kind: &Kind) -> Result<(), Wrong> {
        let (is_right, form) = match kind.as_str() {
            _ if kind.takes_folder() => (path(&self.0).is_ok(), "an absolute path"),
            "nfs" => (is_export(&self.0), "host:/path"),
            "smbfs" => (is_share(&self.0), "//user@host/share"),
            _ => (!is_network(&self.0), "a file of the host, or a word"),
        };
        match is_right {
            true => Ok(()),
            false => Err(format!("must be {form} for the type {}", kind.as_str())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The file or folder of the host that it is, if it is one for this type.
    pub fn on_host(&self, kind: &Kind) -> Option<&Path> {
        let is_path = self.0.starts_with('/') && kind.as_str() != "smbfs";
        is_path.then(|| Path::new(&self.0))
    }
}

/// A source for messages and logs: without a user's name and password.
pub fn shown(source: &str) -> String {
    let is_path = source.starts_with('/') && !is_network(source);
    match source.rsplit_once('@') {
        Some((user, host)) if !is_path => {
            let slashes = if is_network(user) { "//" } else { "" };
            format!("{slashes}...@{host}")
        }
        _ => source.into(),
    }
}

/// An absolute path without `.` and `..`.
///
/// # Errors
/// What is wrong with `text`.
pub fn path(text: &str) -> Result<String, Wrong> {
    let is_step = |part: &str| part == "." || part == "..";
    match text {
        _ if !text.starts_with('/') => Err("must be an absolute path".into()),
        _ if text.len() > limits::PATH_BYTES => {
            Err(format!("must be at most {} bytes long", limits::PATH_BYTES))
        }
        _ if text
            .split('/')
            .any(|part| part.len() > limits::FILE_NAME_BYTES) =>
        {
            Err(format!(
                "must have at most {} bytes between two slashes",
                limits::FILE_NAME_BYTES
            ))
        }
        _ if text.chars().any(char::is_control) => {
            Err("must not contain control characters".into())
        }
        _ if text.split('/').any(is_step) => Err("must not contain \".\" or \"..\"".into()),
        _ => Ok(text.into()),
    }
}

/// The options of a mount.
///
/// # Errors
/// What is wrong with `text`.
pub fn options(text: &str) -> Result<String, Wrong> {
    if !is_plain(text) {
        return Err("must be letters, digits and \"=,._/:-\"".into());
    }
    let words = || text.split(',');
    if words().any(str::is_empty) {
        return Err("must be words with commas between them".into());
    }
    // fstab(5): without one of these the line counts for nothing.
    if words().filter(|word| ["ro", "rw"].contains(word)).count() != 1 {
        return Err("must say \"ro\" or \"rw\", and not both".into());
    }
    // mount(8): it runs that program of the host, or takes it for an argument of the one that mounts.
    if words().any(|word| word.starts_with("mountprog") || word.starts_with('-')) {
        return Err("must not have \"mountprog\", or a word that begins with \"-\"".into());
    }
    // nmount(2) has the other fields of the line under these names.
    const FIELDS: [&str; 4] = ["from", "fspath", "fstype", "target"];
    let name = |word: &'static str| move |other: &str| other.split('=').next() == Some(word);
    match FIELDS.into_iter().find(|field| words().any(name(field))) {
        Some(field) => Err(format!("must not have \"{field}\"")),
        None => Ok(text.into()),
    }
}

/// A word: `tmpfs`, a dataset, an export.
fn is_word(text: &str) -> bool {
    let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    starts && !text.contains("..") && is_plain(text)
}

/// Whether it needs no escapes, whoever reads it.
fn is_plain(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "=,._/:-".contains(c);
    !text.is_empty() && text.len() <= limits::ARGUMENT_BYTES && text.chars().all(fits)
}

fn is_host(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(fits)
}

/// What a server exports: `host:/path`, or `[2001:db8::1]:/path` (mount_nfs(8)).
fn is_export(text: &str) -> bool {
    let Some((host, export)) = text.rsplit_once(":/") else {
        return false;
    };
    let address = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let is_server = match address {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => is_host(host),
    };
    is_server && path(&format!("/{export}")).is_ok()
}

/// Whether it begins as a share does, whatever comes then.
fn is_network(text: &str) -> bool {
    text.starts_with("//")
}

/// A share: `//user:password@host:port/share/folder` (mount_smbfs(8)).
fn is_share(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"\\#\"".contains(&byte);
    let Some(rest) = text
        .strip_prefix("//")
        .filter(|rest| rest.bytes().all(fits))
    else {
        return false;
    };
    // A password may have any of these, slashes too.
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, rest),
    };
    let Some((server, share)) = place.split_once('/') else {
        return false;
    };
    let (host, ports) = server.split_once(':').unwrap_or((server, "0"));
    let are_ports = ports.split(':').all(|port| port.parse::<u16>().is_ok());
    let is_user = user.is_none_or(|user| !user.is_empty() && !user.starts_with(':'));
    let is_folder =
        !share.starts_with('/') && !share.is_empty() && path(&format!("/{share}")).is_ok();
    is_user && is_host(host) && are_ports && is_folder && text.len() <= limits::PATH_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_a_short_word() {
        for right in ["nullfs", "p9fs", "linux_fs", "x", "abcdefghijklmno"] {
            assert!(Kind::parse(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "Nullfs",
            "null fs",
            "nullfs#",
            "a.b",
            "-t",
            "a\n",
            "abcdefghijklmnop",
        ] {
            assert!(Kind::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn options_are_words_with_commas_between_them() {
        for right in [
            "ro",
            "rw,noatime",
            "size=1g,rw,mode=1777",
            "ro,nfsv4,gssname=a-b",
        ] {
            assert!(options(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "noatime",
            "ro,rw",
            "ro rw",
            "ro,",
            ",ro",
            "ro,,noatime",
            "ro,#",
            "ro\n",
            "ro,a\\b",
            "ro,mountprog=/x",
            "ro,-x",
            "ro,fspath=/etc",
            "ro,target",
            "from=/,ro",
            "fstype=tmpfs,ro",
        ] {
            assert!(options(wrong).is_err(), "{wrong:?}");
        }
        assert!(options("ro,fspathx=1").is_ok());
    }

    #[test]
    fn each_type_takes_its_own_sources() {
        let suits = |kind: &str, text: &str| {
            let kind = Kind::parse(kind).unwrap();
            Source::parse(text).is_ok_and(|source| source.suits(&kind).is_ok())
        };
        for (kind, right, wrong) in [
            ("nullfs", "/my data", "data"),
            ("unionfs", "//data", "host:/data"),
            ("nullfs", "/", "/a/../b"),
            ("nfs", "host:/", "/export"),
            ("nfs", "10.0.0.1:/a b", "host:export"),
            ("nfs", "[2001:db8::1]:/a", "[x]:/a"),
            ("nfs", "a.example:/a", "//host/share"),
            ("smbfs", "//host/share", "//host"),
            ("smbfs", "//user@host/share", "/host/share"),
            ("smbfs", "//D;u:p@ss/w@host:139/s/f", "//u@host:x/s"),
            ("smbfs", "//u:p@10.0.0.1/share", "//:p@host/share"),
            ("smbfs", "//h/a/b", "//u@host//share"),
            ("smbfs", "//h/a", "//u@host/a/../b"),
            ("smbfs", "//h/a", "//u:a b@host/share"),
            ("tmpfs", "tmpfs", "//host/share"),
            ("zfs", "tank/data", "-o"),
            ("ufs", "/dev/ada0p2", "../ada0p2"),
            ("msdosfs", "/dev/da0s1", ""),
        ] {
            assert!(suits(kind, right), "{kind} {right}");
            assert!(!suits(kind, wrong), "{kind} {wrong}");
        }
    }

    #[test]
    fn nobody_sees_who_mounts_a_share() {
        for (source, expected) in [
            ("//user:hunter2@host/share", "//...@host/share"),
            ("//user:hun@ter2@host/share", "//...@host/share"),
            ("user:hunter2@host:/x", "...@host:/x"),
            ("//host/share", "//host/share"),
            ("/data/a@b", "/data/a@b"),
            ("tmpfs", "tmpfs"),
        ] {
            assert_eq!(shown(source), expected);
        }
    }
}
