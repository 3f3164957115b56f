//! What has to be as it should before a jail is made: iocage looks at little of it, and destroys what
//! it finds where it fails.

use std::path::{Path, PathBuf};

use crate::configuration::Program;
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::iocage::datasets::{self, Dataset};
use crate::iocage::releases;
use crate::iocage::selection::Members;
use crate::limits;
use crate::names::{JailName, PoolName, Release};
use crate::system::CommandLine;

/// Makes sure that nothing has the name of a new jail: no jail, no template, nothing that runs, and no
/// folder where iocage looks for jails.
///
/// # Errors
/// `Conflict`, naming it.
pub fn require_free_name(context: &Context, members: &Members, name: &JailName) -> Result<()> {
    members.require_free(name, None)?;
    let taken = |what: String| {
        let message = format!("argument \"name\": {what}");
        Err(Error::new(Code::Conflict, message))
    };
    let in_kernel = format!("ioc-{}", name.in_kernel());
    let running = context.system.running_jails()?;
    if let Some(jail) = running.iter().find(|jail| jail.name == in_kernel) {
        let jid = &jail.jid;
        return taken(format!(
            "another jail runs as {in_kernel} (jid {jid}), though none of this pool is called so"
        ));
    }
    let Some(root) = members.jails.root.clone() else {
        return Ok(());
    };
    let wanted = name.in_kernel();
    let look = move || folder_called(&root, &wanted);
    match context.system.on_files(&members.jails.pool, look)? {
        Some(path) => taken(format!("{} is in the way", path.display())),
        None => Ok(()),
    }
}

/// What is called so in the folders of jails and templates (`ioc_common.py`, match_to_dir).
fn folder_called(root: &Path, in_kernel: &str) -> Option<PathBuf> {
    let folders = ["jails", "templates"].map(|family| root.join(family));
    let entries = folders
        .iter()
        .filter_map(|folder| folder.read_dir().ok())
        .flatten()
        .flatten();
    let mut paths = entries.map(|entry| entry.path());
    paths.find(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.replace('.', "_") == in_kernel)
    })
}

/// Makes sure that no snapshot of a new jail's name is on a dataset or on one below it. iocage takes
/// one of its own there, and destroys that if it fails, whosever it is (`iocage.py`, create).
///
/// # Errors
/// `Conflict`, naming it.
pub fn require_no_snapshot(context: &Context, of: &Dataset, name: &JailName) -> Result<()> {
    let rows = datasets::list(&context.system, of, "snapshot", None, "name")?;
    let is_called_so = |row: &&Vec<String>| {
        let snapshot = row[0].split_once('@');
        snapshot.is_some_and(|(_, snapshot)| *snapshot == **name)
    };
    match rows.iter().find(is_called_so) {
        None => Ok(()),
        Some(row) => {
            let message = format!(
                "argument \"name\": the snapshot {} exists already, and iocage would destroy it if it \
                 failed",
                row[0]
            );
            Err(Error::new(Code::Conflict, message))
        }
    }
}

/// Makes sure that a release is not newer than the host, as far as the first number goes: its programs
/// need a newer kernel (`ioc_common.py`, check_release_newer).
///
/// # Errors
/// `Unavailable`, saying which host this is.
pub fn require_no_newer(context: &Context, release: &Release) -> Result<()> {
    let of_kernel = context.system.release().map(String::from);
    let host = match of_kernel {
        Some(host) => host,
        None => context.known.installed.userland(&context.system)?,
    };
    let host = host.trim();
    // One that is under development may have any number.
    let is_release = ["-RELEASE", "-STABLE", "-HBSD"]
        .iter()
        .any(|kind| host.contains(kind));
    match is_release && releases::is_later_major(release, host) {
        true => {
            let message =
                format!("argument \"release\": {release} is newer than the host, which is {host}");
            Err(Error::new(Code::Unavailable, message))
        }
        false => Ok(()),
    }
}

/// Makes sure that the pool has room for a new jail, and for a copy of `copied` if it is one. iocage
/// leaves half of it behind where there is none.
///
/// # Errors
/// `Unavailable`, saying how much is missing.
pub fn require_room(context: &Context, pool: &PoolName, copied: Option<&str>) -> Result<()> {
    let ask = |dataset: Option<Dataset>, property: &'static str| {
        let line = CommandLine::new(Program::Zfs).words(&["get", "-H", "-p", "-o", "value"]);
        let output = context.system.run(&line.word(property).value(&dataset?));
        // What ZFS does not say is no reason to refuse.
        output.ok()?.stdout.trim().parse::<u64>().ok()
    };
    let Some(room) = ask(Some(Dataset::root(pool)), "available") else {
        return Ok(());
    };
    let copied = copied.and_then(Dataset::printed);
    let needed = match copied {
        Some(root) => ask(Some(root), "referenced").unwrap_or_default(),
        None => 0,
    };
    let needed = needed.saturating_add(limits::NEW_JAIL_BYTES);
    match room < needed {
        false => Ok(()),
        true => {
            let message = format!(
                "pool {pool} has {room} bytes left for iocage, and the jail takes about {needed}"
            );
            Err(Error::new(Code::Unavailable, message))
        }
    }
}
