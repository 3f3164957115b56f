//! The clones of a plugin repository: where they are, which one counts, and how the library makes
//! its own.
//!
//! iocage has its clone below its root; the library has its own, which it refreshes without iocage,
//! in the state directory. Each refresh makes a new clone next to the last one: a repository may
//! rewrite its history, and a clone may be interrupted. A clone counts only if the branch on disk is
//! the one that the installed iocage takes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use super::branches::{self, Branch, Habits};
use super::plugin::parse;
use crate::configuration::{Configuration, Program, PLUGIN_REPOSITORY};
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::names::{Checked, Url};
use crate::system::{private_folder, read_regular, CommandLine};

/// The clones of a repository.
pub struct Clones {
    own: Vec<Candidate>,
    iocages: Vec<Candidate>,
    habits: Habits,
}

/// A clone that has an index.
struct Candidate {
    folder: PathBuf,
    refreshed: SystemTime,
}

/// The clone that counts.
pub struct Newest {
    pub folder: PathBuf,
    pub age: Duration,
    pub entries: std::result::Result<Map<String, Value>, String>,
}

/// One of the library's clones that has to get the right branch on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    folder: Text,
    branch: Text,
    /// Where git has it.
    remote: Text,
}

impl Clones {
    /// The clones of `repository`; `root` is iocage's root on disk, if it is mounted.
    pub fn find(
        configuration: &Configuration,
        root: Option<&Path>,
        repository: &Url,
        habits: &Habits,
    ) -> Self {
        let own = own_folders(configuration, repository).into_iter();
        let named = root.map(|root| root.join(".plugins").join(iocages_name(repository)));
        // Before iocage 1.2 there was one repository, and its clone had a name of its own.
        let only = root
            .filter(|_| **repository == *PLUGIN_REPOSITORY)
            .map(|root| root.join(".plugin_index"));
        let at = |place: Option<PathBuf>| place.and_then(Candidate::of_iocage);
        let (named, only) = (at(named), at(only));
        // The one of another version, where the installed one has none yet.
        let iocages: Vec<Candidate> = match habits.refreshes {
            Some(true) => named.or(only).into_iter().collect(),
            Some(false) => only.or(named).into_iter().collect(),
            None => named.into_iter().chain(only).collect(),
        };
        Clones {
            own: own.filter_map(Candidate::own).collect(),
            iocages,
            habits: habits.clone(),
        }
    }

    /// Whether iocage has a clone from which it makes plugins as it is.
    fn is_as_iocage_has_it(&self) -> bool {
        self.habits.refreshes == Some(false) && !self.iocages.is_empty()
    }

    /// The clone that counts: the newest with the right branch. If its index cannot be read, an
    /// older one that can: a clone may be interrupted.
    ///
    /// # Errors
    /// Why there is none.
    pub fn newest(&self) -> std::result::Result<Newest, String> {
        let mut right: Vec<&Candidate> = match self.is_as_iocage_has_it() {
            true => self.iocages.iter().collect(),
            false => self.all().filter(|clone| self.is_right(clone)).collect(),
        };
        right.sort_unstable_by_key(|clone| (clone.refreshed, &clone.folder));
        let mut read = right.into_iter().rev().map(Newest::of);
        match read.next() {
            Some(first) if first.entries.is_err() => {
                Ok(read.find(|older| older.entries.is_ok()).unwrap_or(first))
            }
            Some(first) => Ok(first),
            None => Err(self.why_none()),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Candidate> {
        self.iocages.iter().chain(&self.own)
    }

    fn why_none(&self) -> String {
        let Some(branch) = self.habits.branch.as_ref() else {
            return "there is no clone of it yet".into();
        };
        let is_there = |branch: &String| {
            let mut all = self.all();
            all.any(|clone| branches::has(&clone.folder, branch))
        };
        let mut wanted = self.all().filter_map(|clone| self.branch_in(clone));
        match (wanted.find(is_there), self.all().next()) {
            (_, None) => "there is no clone of it yet".into(),
            (Some(branch), _) => {
                format!("no clone of it has branch {branch} on disk yet, which this iocage takes")
            }
            (None, _) => {
                let branch = branch.in_words();
                format!("no clone of it has {branch}, which this iocage takes")
            }
        }
    }

    /// What has to be done so that the newest clone counts: one of the library's own has the
    /// default branch on disk at first.
    pub fn switch(&self) -> Option<Switch> {
        if self.is_as_iocage_has_it() {
            return None;
        }
        let clones = self.own.iter();
        let clones = clones.filter(|clone| branches::head(&clone.folder).is_some());
        let newest = clones.max_by_key(|clone| clone.refreshed)?;
        let is_newer =
            |other: &Candidate| other.refreshed > newest.refreshed && self.is_right(other);
        if self.is_right(newest) || self.all().any(is_newer) {
            return None;
        }
        let branch = self.branch_in(newest)?;
        branches::has(&newest.folder, &branch).then(|| Switch {
            folder: Text(newest.folder.display().to_string()),
            remote: Text(format!("refs/remotes/origin/{branch}")),
            branch: Text(branch),
        })
    }

    /// The branch that iocage takes, as far as `clone` can tell. What iocage's own clone knows of
    /// decides where there is one: iocage asks that, too, before it refreshes it.
    fn branch_in(&self, clone: &Candidate) -> Option<String> {
        let branch = self.habits.branch.as_ref()?;
        let iocages = self.iocages.iter();
        let mut iocages = iocages.filter(|clone| branches::head(&clone.folder).is_some());
        match (iocages.next(), branch) {
            (Some(of), Branch::OfRelease(_)) => branch.as_known_to(&of.folder),
            // A clone of one branch does not know of the others.
            (None, Branch::OfRelease(release)) if !branches::has_all(&clone.folder) => {
                Some(release.to_string())
            }
            _ => branch.as_known_to(&clone.folder),
        }
    }

    /// Whether a clone has the branch on disk that iocage takes. If nobody can tell, it has.
    fn is_right(&self, clone: &Candidate) -> bool {
        match (branches::head(&clone.folder), self.branch_in(clone)) {
            (Some(head), Some(branch)) => head == branch,
            _ => true,
        }
    }

    /// Prepares a refresh: removes the library's clones except the newest and the one that counts,
    /// and returns the command that makes a new one.
    ///
    /// # Errors
    /// `Unavailable` if the folder cannot be made.
    pub fn refresh(&self, configuration: &Configuration, repository: &Url) -> Result<CommandLine> {
        let folder = own_folder(configuration, repository);
        private_folder(&folder).map_err(|error| {
            Error::new(Code::Unavailable, format!("{}: {error}", folder.display()))
        })?;
        let counts = self.newest().map(|newest| newest.folder).ok();
        let newest = self.own.iter().max_by_key(|clone| clone.refreshed);
        let newest = newest.map(|clone| clone.folder.clone());
        let mut number = 0;
        for clone in own_folders(configuration, repository) {
            let name = clone.file_name().and_then(|name| name.to_str());
            let own: Option<u64> = name.and_then(|name| name.parse().ok());
            number = number.max(own.unwrap_or(0));
            let stays = [&counts, &newest]
                .into_iter()
                .flatten()
                .any(|kept| *kept == clone);
            if own.is_some() && !stays {
                let _ = fs::remove_dir_all(clone); // tried again next time
            }
        }
        let clone = folder.join((number + 1).to_string());
        let line = CommandLine::new(Program::Git).words(&["clone", "--quiet", "--depth", "1"]);
        // Which branch is the right one can be told only when all of them are known.
        let line = line.word("--no-single-branch");
        let line = match repository.without_credentials() == **repository {
            true => line.value(repository),
            false => line.secret(repository),
        };
        Ok(line.value(&Text(clone.display().to_string())))
    }
}

impl Candidate {
    fn own(folder: PathBuf) -> Option<Self> {
        // git works on it, or was killed when it did.
        let is_half = folder.join(".git/index.lock").exists();
        // Written once: another branch changes the index, but makes it no newer.
        let cloned = modified(&folder, ".git/packed-refs");
        let index = modified(&folder, "INDEX")?;
        (!is_half).then(|| Candidate {
            refreshed: cloned.unwrap_or(index),
            folder,
        })
    }

    fn of_iocage(folder: PathBuf) -> Option<Self> {
        let index = modified(&folder, "INDEX")?;
        // A pull that finds nothing new leaves the index alone, and its mark here.
        let pulled = modified(&folder, ".git/FETCH_HEAD");
        Some(Candidate {
            refreshed: pulled.map_or(index, |pulled| pulled.max(index)),
            folder,
        })
    }
}

fn modified(folder: &Path, file: &str) -> Option<SystemTime> {
    let data = folder.join(file).metadata();
    data.and_then(|data| data.modified()).ok()
}

impl Newest {
    fn of(clone: &Candidate) -> Self {
        let text = read_regular(&clone.folder.join("INDEX"), limits::INDEX_FILE_BYTES);
        let text = text.ok_or_else(|| "INDEX is not readable or too large".to_string());
        Newest {
            entries: text.and_then(|text| parse(&text)),
            age: clone.refreshed.elapsed().unwrap_or_default(),
            folder: clone.folder.clone(),
        }
    }
}

impl Switch {
    /// The command that does it.
    pub fn line(&self) -> CommandLine {
        let line = CommandLine::new(Program::Git)
            .word("-C")
            .value(&self.folder);
        let line = line.words(&["checkout", "--quiet", "--force", "--no-track", "-B"]);
        line.value(&self.branch).value(&self.remote)
    }
}

/// The folder of the library's clones of a repository.
pub fn own_folder(configuration: &Configuration, repository: &Url) -> PathBuf {
    let plugins = configuration.state_directory.join("plugins");
    plugins.join(clone_name(repository))
}

/// The folders of the library's clones of a repository: one for each refresh, and the folder of them
/// all, where an earlier version of the library had the one that it had.
fn own_folders(configuration: &Configuration, repository: &Url) -> Vec<PathBuf> {
    let folder = own_folder(configuration, repository);
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let is_number = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let clones = entries.map(|entry| entry.path()).filter(is_number);
    clones.chain([folder.clone()]).collect()
}

/// The name of a repository for its folder and its job: the URL without its scheme and a user's
/// name and password, `/` and `.` as `_`.
pub fn clone_name(repository: &Url) -> String {
    as_folder(&repository.without_credentials())
}

/// The folder of iocage's own clone: with the user's name and password.
fn iocages_name(repository: &Url) -> String {
    as_folder(repository)
}

fn as_folder(url: &str) -> String {
    let name = url.split_once("://").map_or(url, |(_, rest)| rest);
    name.replace(['/', '.'], "_")
}

/// A word that is made here: a folder, or the name of a branch that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Text(String);

impl Checked for Text {
    fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_lies_where_iocage_puts_it() {
        let repository = Url::parse(PLUGIN_REPOSITORY).unwrap();
        assert_eq!(
            clone_name(&repository),
            "github_com_freenas_iocage-ix-plugins_git"
        );
        let private = Url::parse("https://user:token@example.org/p.git").unwrap();
        assert_eq!(clone_name(&private), "example_org_p_git");
    }
}
