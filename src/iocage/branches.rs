//! The branches of a plugin repository: which one the installed iocage takes, and which one a clone
//! has.
//!
//! Of a clone, git's files are read (gitrepository-layout(5)); no git is run for that.

use std::path::Path;

use super::version::{Ability, Version};
use crate::limits;
use crate::names::Release;
use crate::system::read_regular;

/// What iocage takes where the repository has no branch for the host's release.
pub const MASTER: &str = "master";

/// The branch that iocage takes from a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Branch {
    /// The repository's default branch.
    Default,
    /// That of the host's release (`13.2-RELEASE`), or else master.
    OfRelease(Release),
    Master,
}

/// How the installed iocage comes to its plugins, as far as it can be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Habits {
    /// Whether it refreshes its clone before it makes a plugin jail. If not, it takes the clone as it
    /// is.
    pub refreshes: Option<bool>,
    pub branch: Option<Branch>,
}

impl Branch {
    /// The branch that this version of iocage takes on a host whose `freebsd-version` prints
    /// `userland`; `None` if that makes no sense.
    pub fn of(version: Version, userland: &str) -> Option<Self> {
        if !version.can(Ability::BranchOfRelease) {
            return Some(Branch::Default);
        }
        // ioc_plugin.py and iocage.py, fetch, 1.0 to 1.13: what stands before the first dash,
        // perhaps with `.0`. On HardenedBSD it is master.
        if userland.contains("HBSD") {
            return Some(Branch::Master);
        }
        let number = userland.trim().split('-').next()?;
        let dot = if number.contains('.') { "" } else { ".0" };
        let release = Release::parse(&format!("{number}{dot}-RELEASE")).ok()?;
        Some(Branch::OfRelease(release))
    }

    /// The branch that iocage takes if the clone `of` has all branches that it knows of; `None` if
    /// that clone does not say.
    pub fn as_known_to(&self, of: &Path) -> Option<String> {
        match self {
            Branch::Default => default(of),
            Branch::OfRelease(release) if has(of, release) => Some(release.to_string()),
            Branch::OfRelease(_) | Branch::Master => Some(MASTER.into()),
        }
    }

    /// For messages: what iocage takes.
    pub fn in_words(&self) -> String {
        match self {
            Branch::Default => "the default branch".into(),
            Branch::OfRelease(release) => format!("branch {release} or {MASTER}"),
            Branch::Master => format!("branch {MASTER}"),
        }
    }
}

/// The branch whose files a clone has: git writes its name when they are all there.
pub fn head(clone: &Path) -> Option<String> {
    let head = points_to(clone, ".git/HEAD")?;
    let branch = head.strip_prefix("refs/heads/")?;
    // What git leaves here if the references are in files of another kind.
    (branch != ".invalid").then(|| branch.into())
}

/// The repository's default branch, as it was when it was cloned.
fn default(clone: &Path) -> Option<String> {
    let head = points_to(clone, ".git/refs/remotes/origin/HEAD")?;
    let branch = head.strip_prefix("refs/remotes/origin/")?;
    Some(branch.into())
}

/// Whether the repository of a clone has a branch, as far as the clone knows.
pub fn has(clone: &Path, branch: &str) -> bool {
    let name = format!("refs/remotes/origin/{branch}");
    if read(clone, &format!(".git/{name}")).is_some() {
        return true;
    }
    // `<hash> <name>`, a line each.
    let packed = read(clone, ".git/packed-refs").unwrap_or_default();
    packed
        .lines()
        .any(|line| line.split_once(' ').is_some_and(|(_, of)| of == name))
}

/// Whether a clone has every branch of its repository, or at least knows of it.
pub fn has_all(clone: &Path) -> bool {
    let config = read(clone, ".git/config").unwrap_or_default();
    config
        .lines()
        .any(|line| line.trim() == "fetch = +refs/heads/*:refs/remotes/origin/*")
}

fn points_to(clone: &Path, file: &str) -> Option<String> {
    let text = read(clone, file)?;
    Some(text.strip_prefix("ref: ")?.trim().into())
}

fn read(clone: &Path, file: &str) -> Option<String> {
    let bytes = read_regular(&clone.join(file), limits::GIT_FILE_BYTES)?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iocage::version::{V1_0, V1_13, V1_2};

    fn release(name: &str) -> Option<Branch> {
        Some(Branch::OfRelease(Release::parse(name).unwrap()))
    }

    #[test]
    fn every_version_takes_the_branch_that_its_source_says() {
        for (userland, branch) in [
            ("13.2-RELEASE-p9\n", release("13.2-RELEASE")),
            ("11.2-STABLE", release("11.2-RELEASE")),
            ("15-CURRENT", release("15.0-RELEASE")),
            ("14.1-RELEASE-HBSD", Some(Branch::Master)),
            ("13-STABLE-HBSD", Some(Branch::Master)),
            ("sh: freebsd-version: not found", None),
            ("--upload-pack=x", None),
            ("", None),
        ] {
            for version in [V1_0, V1_2, V1_13] {
                assert_eq!(Branch::of(version, userland), branch, "{userland}");
            }
            for version in [Version(0, 9, 9), Version(0, 9, 10)] {
                assert_eq!(Branch::of(version, userland), Some(Branch::Default));
            }
        }
    }

    #[test]
    fn a_clone_says_its_branch_and_those_that_it_knows_of() {
        let name = format!("sysadm-iocage-branches-{}", std::process::id());
        let clone = std::env::temp_dir().join(name);
        let write = |file: &str, text: &str| {
            let path = clone.join(".git").join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        assert_eq!((head(&clone), default(&clone)), (None, None));
        assert!(!has(&clone, "master") && !has_all(&clone));
        write("HEAD", "ref: refs/heads/13.2-RELEASE\n");
        write(
            "refs/remotes/origin/HEAD",
            "ref: refs/remotes/origin/main\n",
        );
        write("refs/remotes/origin/14.1-RELEASE", "abc\n");
        write(
            "packed-refs",
            "# pack-refs with: peeled fully-peeled sorted\nabc refs/remotes/origin/13.2-RELEASE\n",
        );
        assert_eq!(head(&clone).unwrap(), "13.2-RELEASE");
        assert!(has(&clone, "13.2-RELEASE") && has(&clone, "14.1-RELEASE"));
        assert!(!has(&clone, "13.2") && !has(&clone, "master"));
        for (branch, expected) in [
            (Branch::Default, "main"),
            (Branch::Master, "master"),
            (release("14.1-RELEASE").unwrap(), "14.1-RELEASE"),
            (release("14.2-RELEASE").unwrap(), "master"),
        ] {
            assert_eq!(branch.as_known_to(&clone).unwrap(), expected);
        }
        write(
            "config",
            "[remote \"origin\"]\n\tfetch = +refs/heads/master:refs/remotes/origin/master\n",
        );
        assert!(!has_all(&clone));
        write(
            "config",
            "[remote \"origin\"]\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n",
        );
        assert!(has_all(&clone));
        // A commit without a branch; references in files of another kind.
        for other in ["0123abc\n", "ref: refs/heads/.invalid\n"] {
            write("HEAD", other);
            assert_eq!(head(&clone), None);
        }
        std::fs::remove_dir_all(&clone).unwrap();
    }
}
