//! Who uses what: the marks of the pools, releases, templates, each jail by its name, plugin
//! indexes, jobs.
//!
//! A request that changes something or starts a job first takes what it needs here, shared with
//! others or alone, and holds it until it is done. The locks are on files in the run directory, so
//! that all threads, instances and processes with one state directory know of each other. A job's
//! own process inherits the locks and holds them as long as it lives; so does a command that is run
//! for a change.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Code, Error};
use crate::host;
use crate::limits;
use crate::names::{JailName, Release};
use crate::records::Records;
use crate::system::{private_folder, remove_lock, take_lock, unlock, Lock, Share};

/// What can be in use. They are taken in this order, so that no two requests wait for each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// The job with this id.
    Job(String),
    /// The pools' marks: which is active. All work in the active pool shares it.
    Marks,
    /// The fetched releases as a whole. Using or fetching one shares it.
    Releases,
    /// The templates as a whole, in the same way.
    Templates,
    /// The jails as a whole, in the same way.
    Jails,
    Release(Release),
    /// A jail or a template, by its name in the kernel: one name for `a.b` and `a_b`.
    Jail(String),
    /// An address that only one jail may have.
    Ip(IpAddr),
    /// A MAC address, as twelve digits in lower case.
    Mac(String),
    /// The images of a jail of one day, by their files' name without its ending.
    Image(String),
    /// The clone of a plugin repository, by its folder's name.
    Index(String),
    /// Which branches are on disk in the library's clones.
    Branches,
    /// What is remembered of the network.
    Catalogue,
}

/// What a request or a job needs, and whether it needs it alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    resource: Resource,
    alone: bool,
}

impl Resource {
    pub fn jail(name: &JailName) -> Self {
        Resource::Jail(name.in_kernel())
    }

    /// Needed by one alone.
    pub fn alone(self) -> Claim {
        Claim {
            resource: self,
            alone: true,
        }
    }

    /// Needed, but others may use it too.
    pub fn shared(self) -> Claim {
        Claim {
            resource: self,
            alone: false,
        }
    }

    /// Whether it is one of any number of its kind.
    fn has_a_name(&self) -> bool {
        use Resource::{Image, Index, Ip, Jail, Job, Mac, Release};
        matches!(
            self,
            Job(_) | Release(_) | Jail(_) | Ip(_) | Mac(_) | Image(_) | Index(_)
        )
    }

    /// The name of its lock.
    fn lock(&self) -> String {
        match self {
            Resource::Job(id) => format!("jobs/{id}"),
            Resource::Marks => "marks".into(),
            Resource::Releases => "releases".into(),
            Resource::Templates => "templates".into(),
            Resource::Jails => "jails".into(),
            Resource::Release(name) => format!("release-{name}"),
            Resource::Jail(name) => format!("jail-{name}"),
            Resource::Ip(address) => format!("ip-{address}"),
            Resource::Mac(address) => format!("mac-{address}"),
            Resource::Image(stem) => format!("image-{stem}"),
            Resource::Index(name) => format!("index-{name}"),
            Resource::Branches => "branches".into(),
            Resource::Catalogue => "catalogue".into(),
        }
    }

    /// Its name in messages, to stand after "cannot use".
    fn in_words(&self) -> String {
        match self {
            Resource::Job(id) => format!("job {id}"),
            Resource::Marks => "the pools".into(),
            Resource::Releases => "the releases".into(),
            Resource::Templates => "the templates".into(),
            Resource::Jails => "the jails".into(),
            Resource::Release(name) => format!("release {name}"),
            Resource::Jail(name) => format!("the jail name {name}"),
            Resource::Ip(address) => format!("the address {address}"),
            Resource::Mac(address) => format!("the MAC address {address}"),
            Resource::Image(stem) => format!("the image {stem}"),
            Resource::Index(name) => format!("the plugin index {name}"),
            Resource::Branches => "the plugin indexes' branches".into(),
            Resource::Catalogue => "the catalogue".into(),
        }
    }

    /// The kind of the error if a job uses it: `InUse` if it would be destroyed under the job,
    /// `Conflict` if it would be changed.
    fn code(&self) -> Code {
        match self {
            Resource::Releases | Resource::Templates | Resource::Jails => Code::InUse,
            _ => Code::Conflict,
        }
    }
}

impl Claim {
    /// The name of the lock, and whether it is taken alone: what a job's record has of it.
    pub fn recorded(&self) -> (String, bool) {
        (self.resource.lock(), self.alone)
    }

    /// The claim that a job's record has as this; none for what is no lock.
    pub fn recorded_as(lock: &str, alone: bool) -> Option<Self> {
        let resource = match lock.split_once(['-', '/']) {
            Some(("jobs", id)) => Resource::Job(id.into()),
            Some(("release", name)) => Resource::Release(Release::parse(name).ok()?),
            Some(("jail", name)) => Resource::Jail(name.into()),
            Some(("ip", address)) => Resource::Ip(address.parse().ok()?),
            Some(("mac", address)) => Resource::Mac(address.into()),
            Some(("image", stem)) => Resource::Image(stem.into()),
            Some(("index", name)) => Resource::Index(name.into()),
            _ => {
                use Resource::{Branches, Catalogue, Jails, Marks, Releases, Templates};
                let all = [Marks, Releases, Templates, Jails, Branches, Catalogue];
                all.into_iter().find(|one| one.lock() == lock)?
            }
        };
        Some(Claim { resource, alone })
    }
}

/// What all that works on a jail or template of the active pool, or makes one, shares with others.
pub fn work_in_pool() -> Vec<Claim> {
    use Resource::{Jails, Marks, Releases, Templates};
    [Marks, Releases, Templates, Jails]
        .map(Resource::shared)
        .into()
}

/// As long as this lives, what was claimed is held.
#[derive(Debug)]
pub struct Held(Vec<Hold>);

#[derive(Debug)]
struct Hold {
    lock: Option<Arc<File>>,
    /// Where the lock is, where its file is to go with it: there are as many names as anybody
    /// thinks of.
    named: Option<PathBuf>,
}

impl Held {
    /// The descriptors that hold it, for a process to inherit.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let locks = self.0.iter().filter_map(|hold| hold.lock.as_ref());
        locks.map(|lock| lock.as_fd()).collect()
    }

    /// The locks themselves, for commands to inherit. When this goes, they are free all the same.
    pub fn locks(&self) -> Vec<Arc<File>> {
        self.0.iter().filter_map(|hold| hold.lock.clone()).collect()
    }

    /// Leaves it to a process that has inherited it and cannot be ended.
    pub fn leave(mut self) {
        for hold in &mut self.0 {
            hold.lock = None;
            hold.named = None;
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(lock) = self.lock.take() {
            // Where that fails, closing it does it.
            let _ = unlock(&lock);
        }
        if let Some(path) = &self.named {
            remove_lock(path, || ());
        }
    }
}

/// Why something cannot be held.
#[derive(Debug)]
pub enum Busy {
    /// These jobs use it.
    Jobs(Error, Vec<String>),
    /// Somebody else uses it, or it cannot be locked.
    Other(Error),
}

impl From<Busy> for Error {
    fn from(busy: Busy) -> Self {
        match busy {
            Busy::Jobs(error, _) | Busy::Other(error) => error,
        }
    }
}

/// What all processes with one run directory share.
#[derive(Clone, Debug)]
pub struct Resources {
    /// What has all of this user's own, and must be this user's alone.
    state_directory: PathBuf,
    directory: PathBuf,
    records: Records,
}

impl Resources {
    pub fn new(state_directory: &Path, run_directory: &Path, records: Records) -> Self {
        Resources {
            state_directory: state_directory.into(),
            directory: run_directory.into(),
            records,
        }
    }

    /// Takes all of `claims`, or nothing.
    ///
    /// It waits at most for `patience` where another request uses something, for a moment where this
    /// thread is inside a callback, which may be what the other waits for, and not at all where a job
    /// does, which may take hours.
    ///
    /// # Errors
    /// `InUse` or `Conflict` where it is in use, naming the jobs; `Unavailable` where it cannot be
    /// locked.
    pub fn take(&self, claims: &[Claim], patience: Duration) -> std::result::Result<Held, Busy> {
        let mut claims = claims.to_vec();
        claims.sort_unstable();
        // Of two claims to one thing the one that takes it alone comes last.
        claims.reverse();
        claims.dedup_by(|other, kept| other.resource == kept.resource);
        claims.reverse();
        let patience = match host::in_callback() {
            true => patience.min(limits::CALLBACK_PATIENCE),
            false => patience,
        };
        let deadline = Instant::now() + patience;
        let held = claims.iter().map(|claim| self.take_one(claim, deadline));
        held.collect::<std::result::Result<_, _>>().map(Held)
    }

    /// As `take`, for what only looks: `None` where nothing can be locked, as in a folder that cannot be
    /// written. Nobody changes anything there either.
    pub fn take_if_lockable(
        &self,
        claims: &[Claim],
        patience: Duration,
    ) -> std::result::Result<Option<Held>, Error> {
        match self.take(claims, patience) {
            Ok(held) => Ok(Some(held)),
            Err(Busy::Other(error)) if error.code == Code::Unavailable => Ok(None),
            Err(busy) => Err(busy.into()),
        }
    }

    fn take_one(&self, claim: &Claim, deadline: Instant) -> std::result::Result<Hold, Busy> {
        const LOOK: Duration = Duration::from_millis(10);
        let (name, alone) = claim.recorded();
        let path = self.directory.join(format!("{name}.lock"));
        let share = if alone { Share::Alone } else { Share::Shared };
        let what = claim.resource.in_words();
        let cannot = |why: std::io::Error| {
            let message = format!("cannot use {what}: {}: {why}", path.display());
            Busy::Other(Error::new(Code::Unavailable, message))
        };
        for folder in [
            &*self.state_directory,
            path.parent().unwrap_or(&self.directory),
        ] {
            private_folder(folder).map_err(cannot)?;
        }
        loop {
            match take_lock(&path, share) {
                Ok(Lock::Taken(lock)) => {
                    return Ok(Hold {
                        lock: Some(Arc::new(lock)),
                        named: claim.resource.has_a_name().then_some(path),
                    })
                }
                Ok(Lock::HeldElsewhere) => {}
                Err(error) => return Err(cannot(error)),
            }
            let jobs = self.records.users(&name, alone);
            if !jobs.is_empty() {
                let message = format!("{what} in use by {}", list_jobs(&jobs));
                return Err(Busy::Jobs(Error::new(claim.resource.code(), message), jobs));
            }
            if Instant::now() >= deadline {
                let message = format!("{what} in use by another request or process");
                return Err(Busy::Other(Error::new(Code::Conflict, message)));
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// The jobs in words: `job a`, `jobs a, b`.
fn list_jobs(jobs: &[String]) -> String {
    let plural = if jobs.len() == 1 { "" } else { "s" };
    format!("job{plural} {}", jobs.join(", "))
}

/// Whether the error of [`Resources::take`] says that the job `id` itself runs already.
pub fn runs_already(busy: &Busy, id: &str) -> bool {
    matches!(busy, Busy::Jobs(_, jobs) if jobs.iter().any(|job| job == id))
}

#[cfg(test)]
mod tests;
