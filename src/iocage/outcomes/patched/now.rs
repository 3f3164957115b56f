//! How the jails are now.

use std::path::Path;

use crate::error::{Code, Error, Result};
use crate::iocage::datasets::{self, Dataset, Family};
use crate::iocage::fstab;
use crate::iocage::jails::{Jail, Listing};
use crate::iocage::outcomes::members;
use crate::iocage::selection::Member;
use crate::limits;
use crate::names::PoolName;
use crate::system::{folder_inside, read_regular, System};

/// The jails at this moment.
pub struct Now {
    listing: Listing,
}

impl Now {
    pub fn look(system: &System, pool: &PoolName) -> Result<Self> {
        let listing = members(system, pool)?.jails;
        Ok(Now { listing })
    }

    pub fn jail(&self, name: &str) -> Option<&Jail> {
        self.listing.jails.iter().find(|jail| jail.name == name)
    }

    pub fn member(&self, name: &str) -> Option<Member<'_>> {
        let listing = &self.listing;
        self.jail(name).map(|jail| Member { listing, jail })
    }

    pub fn jid(&self, name: &str) -> Option<String> {
        self.jail(name)?.jid.clone()
    }

    /// Where the root of a jail is mounted.
    pub fn root_of(&self, name: &str) -> Option<&Path> {
        self.listing.root_of(self.jail(name)?)
    }

    /// Makes sure that iocage stops this jail and no other.
    pub fn require_meant(&self, system: &System, member: Member) -> Result<()> {
        let pool = &self.listing.pool;
        let mark = "org.freebsd.ioc:active";
        let rows = datasets::list(system, &Dataset::of_pool(pool), "filesystem", Some(0), mark)?;
        let wrong = |why: String| Err(Error::new(Code::Unavailable, why));
        if rows.first().and_then(|row| row.first()).map(String::as_str) != Some("yes") {
            return wrong(format!("pool {pool} is no longer active"));
        }
        let expected = self.listing.root.as_ref();
        let expected = expected.map(|root| root.join("jails").join(&member.jail.name));
        if self.listing.folder(member.jail) != expected.as_deref() {
            return wrong("it is not mounted where iocage looks for it".into());
        }
        let running = system.running_jails()?;
        let name = format!("ioc-{}", member.in_kernel());
        let jid = member.jail.jid.as_deref();
        match running.iter().find(|jail| Some(&*jail.jid) == jid) {
            Some(jail) if jail.name != name => wrong(format!("it runs as {:?}", jail.name)),
            _ => Ok(()),
        }
    }

    /// Whether the fstab of a base jail mounts this release, and no other.
    pub fn mounts_release(&self, system: &System, jail: &Jail, release: &str) -> Result<bool> {
        let (Some(root), Some(folder)) = (self.listing.root.clone(), self.listing.folder(jail))
        else {
            return Ok(false);
        };
        let folder = folder.to_path_buf();
        let home = root.join(Family::Releases.as_str()).join(release);
        let read = move || {
            let entries = fstab::read(&folder)?;
            let mut of_iocage = entries
                .iter()
                .filter(|entry| entry.is_iocages(&root))
                .peekable();
            let has_any = of_iocage.peek().is_some();
            Ok(has_any && of_iocage.all(|entry| entry.source.starts_with(&home)))
        };
        let read = system.on_files(&self.listing.pool, read)?;
        read.map_err(|why: String| Error::new(Code::Unavailable, why))
    }

    /// The version that the files of a jail are of; a base jail has none of its own.
    pub fn userland(&self, system: &System, jail: &Jail) -> Option<String> {
        let root = self.listing.root_of(jail)?.to_path_buf();
        let read = move || {
            folder_inside(&root, Path::new("/bin"), false).ok()?;
            read_regular(&root.join("bin/freebsd-version"), limits::CONFIG_FILE_BYTES)
        };
        let text = system.on_files(&self.listing.pool, read).ok()??;
        userland_version(&String::from_utf8_lossy(&text))
    }
}

/// `USERLAND_VERSION="13.2-RELEASE-p9"` of freebsd-version(1), which iocage reads too.
fn userland_version(script: &str) -> Option<String> {
    let mut lines = script.lines();
    let value = lines.find_map(|line| line.strip_prefix("USERLAND_VERSION="))?;
    let version = value.trim().trim_matches('"');
    let fits = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
    let is_one = !version.is_empty() && version.len() <= limits::ARGUMENT_BYTES;
    (is_one && version.chars().all(fits)).then(|| version.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_the_files_is_that_of_the_userland() {
        let script = "#!/bin/sh\nset -e\nUSERLAND_VERSION=\"13.2-RELEASE-p9\"\n: ${ROOT}\n";
        assert_eq!(userland_version(script).as_deref(), Some("13.2-RELEASE-p9"));
        for none in [
            "",
            "USERLAND_VERSION=",
            "USERLAND_VERSION=\"$(reboot)\"",
            "X=1",
        ] {
            assert_eq!(userland_version(none), None, "{none}");
        }
    }
}
