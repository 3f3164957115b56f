//! What is mounted in jails: `listmounts`, `addmount`, `removemount`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::{each, Chosen, Member};
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::iocage::datasets::Family;
use crate::iocage::fstab::{self, Entry, Kind, Source};
use crate::iocage::selection::Selection;
use crate::limits;
use crate::names::PoolName;
use crate::reply::Object;
use crate::request::{wrong, Arguments, DESTINATION, FILE_SYSTEM, OPTIONS, SOURCE};
use crate::system::{folder_inside, Inside, System};

/// The file systems of what is mounted, which may not answer, and are not the pool's.
const OF_THE_HOST: &str = "the source of a mount";

pub fn list(context: &Context, arguments: &Arguments) -> Result<Object> {
    let selection = arguments.selection()?;
    let system = &context.system;
    // Where all are meant, their fstabs are read while ZFS says which there are.
    let (members, all) = context.members_and(|pool| match selection {
        Selection::All => Some(read_all(system, pool)),
        _ => None,
    })?;
    let tables = all.unwrap_or_else(|| {
        let meant = members.meant(&selection).into_iter();
        let folders = meant.filter_map(|member| {
            let folder = member.listing.folder(member.jail)?;
            Some((member.place(), folder.into()))
        });
        read(system, &members.jails.pool, folders.collect())
    })?;
    let root = members.jails.root.clone().unwrap_or_default();
    each::look(&members, &selection, |member| {
        match tables.get(&member.place()) {
            Some(Ok(entries)) => Ok(entries
                .iter()
                .map(|entry| describe(entry, &root))
                .collect::<Vec<Object>>()),
            Some(Err(why)) => Err(Error::new(Code::Failed, why.clone())),
            None => Err(member.unreadable()),
        }
    })
}

/// The fstabs in these folders, by the places of the jails and templates.
type Tables = HashMap<String, std::result::Result<Vec<Entry>, String>>;

fn read_all(system: &System, pool: &PoolName) -> Result<Tables> {
    let mounts = system.mounts()?;
    let mut folders = Vec::new();
    for family in [Family::Jails, Family::Templates] {
        let parent = family.dataset(pool);
        let mounted = mounts.below(&parent);
        folders.extend(mounted.map(|(name, folder)| {
            let place = format!("{}/{name}", family.as_str());
            (place, folder.into())
        }));
    }
    read(system, pool, folders)
}

fn read(system: &System, pool: &PoolName, folders: Vec<(String, PathBuf)>) -> Result<Tables> {
    system.on_files(pool, move || {
        let read = folders.into_iter();
        read.map(|(place, folder)| (place, fstab::read(&folder)))
            .collect()
    })
}

pub fn add(context: &Context, arguments: &Arguments, chosen: &Chosen) -> Result<Object> {
    let member = chosen.member;
    let place = Place::of(&member)?;
    let destination = arguments.require(&DESTINATION)?;
    let inside = place.inside(&destination)?;
    let (source, kind, options) = what(arguments)?;
    for (name, path) in [("source", source.as_str()), ("destination", &destination)] {
        // jail(8) undoes the escapes of an fstab once, and iocage twice (getfsent(3) and itself), so
        // there is no way to write one for both.
        if path.contains('\\') {
            return Err(wrong(name, "must not contain a backslash"));
        }
    }
    require_source(context, &source, &kind)?;
    let success = format!(
        "mount of {} at {} added to {}.",
        fstab::shown(source.as_str()),
        inside.display(),
        member.in_words()
    );
    let pool = &chosen.members.jails.pool;
    let (here, at) = (place.clone(), inside.clone());
    let hidden = context
        .system
        .on_files(pool, move || here.hidden_by(&at))??;
    if let Some((folder, rest)) = &hidden {
        let (folder, rest) = (folder.clone(), rest.clone());
        let found = context.system.on_files(OF_THE_HOST, move || {
            folder_inside(&folder, &rest, false).map_err(|why| in_the_way(&folder, why))
        })?;
        found?;
    }
    context.system.on_files(pool, move || {
        let new = fstab::NewEntry {
            source: source.as_str(),
            destination: &place.on_host(&inside),
            kind: kind.as_str(),
            options: &options,
        };
        place.add(&inside, &new)
    })??;
    let waits = member.jail.jid.is_some().then_some("true");
    Ok(Object::new()
        .with("success", success)
        .with_some("needs_restart", waits))
}

pub fn remove(context: &Context, arguments: &Arguments, chosen: &Chosen) -> Result<Object> {
    let member = chosen.member;
    let place = Place::of(&member)?;
    let given = arguments.require(&DESTINATION)?;
    let inside = place.inside(&given)?;
    let mounts = context.system.mounts()?;
    let iocage_root = chosen.members.jails.root.clone().unwrap_or_default();
    let words = member.in_words();
    let shown = inside.display().to_string();
    let pool = &chosen.members.jails.pool;
    let gone = context.system.on_files(pool, move || {
        let text = place.fstab()?;
        let entries = fstab::entries(&text);
        let is_there = |path: &Path| entries.iter().any(|entry| entry.is_at(path));
        // Or a line that points out of the jail's root, by all of its path.
        let at = match place.on_host(&inside) {
            at if is_there(&at) => at,
            _ if is_there(Path::new(&given)) => given.into(),
            _ => {
                let message = format!("{words} has no mount at {}", inside.display());
                return Err(Error::new(Code::NotFound, message));
            }
        };
        let mut there = entries.iter().filter(|entry| entry.is_at(&at));
        if there.any(|entry| entry.is_iocages(&iocage_root)) {
            let message = format!(
                "the mount at {} is iocage's own, which {words} cannot do without",
                inside.display()
            );
            return Err(Error::new(Code::Conflict, message));
        }
        if mounts.is_mountpoint(&at) {
            let message = format!(
                "{} is mounted in {words} now; stop it first",
                inside.display()
            );
            return Err(Error::new(Code::InUse, message));
        }
        let (text, gone) = fstab::without(&text, |entry| entry.is_at(&at));
        place.write(&text)?;
        Ok(gone)
    })??;
    let what = match gone {
        1 => "mount".into(),
        more => format!("{more} mounts"),
    };
    let success = format!("{what} at {shown} removed from {}.", member.in_words());
    Ok(Object::new().with("success", success))
}

/// The source, type and options of a mount.
fn what(arguments: &Arguments) -> Result<(Source, Kind, String)> {
    let source = arguments.require(&SOURCE)?;
    let kind = arguments
        .optional(&FILE_SYSTEM)?
        .unwrap_or_else(Kind::usual);
    let options = arguments.optional(&OPTIONS)?.unwrap_or_else(|| "ro".into());
    source.suits(&kind).map_err(|why| wrong("source", &why))?;
    Ok((source, kind, options))
}

/// Makes sure that what is on this host is there. Of a server only the mount itself will tell.
fn require_source(context: &Context, source: &Source, kind: &Kind) -> Result<()> {
    let Some(path) = source.on_host(kind) else {
        return Ok(());
    };
    let (path, folder) = (path.to_path_buf(), kind.takes_folder());
    let is_there = context.system.on_files(OF_THE_HOST, move || match folder {
        true => path.is_dir(),
        false => path.exists(),
    })?;
    match is_there {
        true => Ok(()),
        false => {
            let what = if folder { "folder" } else { "file" };
            let source = fstab::shown(source.as_str());
            let message = format!("argument \"source\": there is no {what} {source} on the host");
            Err(Error::new(Code::NotFound, message))
        }
    }
}

/// Where a jail is on the host.
#[derive(Clone)]
struct Place {
    folder: PathBuf,
    root: PathBuf,
}

impl Place {
    fn of(member: &Member) -> Result<Self> {
        let (listing, jail) = (member.listing, member.jail);
        if member.family() != Family::Jails {
            let message = format!("{} is a template, and read-only", member.place());
            return Err(Error::new(Code::Conflict, message));
        }
        let folder = listing.folder(jail).ok_or_else(|| member.unreadable())?;
        let root = listing.root_of(jail).ok_or_else(|| {
            let message = format!("the root of {} is not mounted", member.in_words());
            Error::new(Code::Unavailable, message)
        })?;
        Ok(Place {
            folder: folder.into(),
            root: root.into(),
        })
    }

    /// The path in the jail that a client means: as it is seen there, or as `listmounts` tells it.
    fn inside(&self, given: &str) -> Result<PathBuf> {
        let given = Path::new(given);
        let below = given
            .strip_prefix(&self.root)
            .or_else(|_| given.strip_prefix("/"));
        let inside = Path::new("/").join(below.unwrap_or(given));
        match inside.parent() {
            None => Err(wrong("destination", "must be below the jail's root")),
            Some(_) if self.on_host(&inside).as_os_str().len() >= limits::PATH_BYTES => {
                Err(wrong("destination", "is too long below the jail's root"))
            }
            Some(_) => Ok(inside),
        }
    }

    fn on_host(&self, inside: &Path) -> PathBuf {
        self.root.join(inside.strip_prefix("/").unwrap_or(inside))
    }

    fn fstab(&self) -> Result<Vec<u8>> {
        fstab::text(&self.folder).map_err(|why| Error::new(Code::Failed, why))
    }

    fn write(&self, text: &[u8]) -> Result<()> {
        // Longer ones are not read.
        let written = match text.len() as u64 <= limits::CONFIG_FILE_BYTES {
            true => fstab::write(&self.folder, text).map_err(|error| error.to_string()),
            false => Err("it is too long".into()),
        };
        written.map_err(|why| {
            let message = format!("cannot write the fstab in {}: {why}", self.folder.display());
            Error::new(Code::Failed, message)
        })
    }

    /// The entry that mounts something above a path, or at it, and so hides what is there; and the
    /// path in what it mounts.
    fn above<'a>(&self, inside: &Path, entries: &'a [Entry]) -> Option<(&'a Entry, PathBuf)> {
        let destination = self.on_host(inside);
        let above = entries.iter().filter_map(|entry| {
            let at = entry.destination.as_deref()?;
            let rest = destination.strip_prefix(at).ok()?;
            Some((at.components().count(), entry, rest.to_path_buf()))
        });
        let (_, entry, rest) = above.max_by_key(|(depth, ..)| *depth)?;
        Some((entry, rest))
    }

    /// The folder of the host that another entry mounts above a path, and the path in it.
    fn hidden_by(&self, inside: &Path) -> Result<Option<(PathBuf, PathBuf)>> {
        let entries = fstab::entries(&self.fstab()?);
        let above = self.above(inside, &entries);
        let is_folder = |(entry, _): &(&Entry, _)| entry.kind.as_deref() == Some("nullfs");
        Ok(above
            .filter(is_folder)
            .map(|(entry, rest)| (entry.source.clone(), rest)))
    }

    fn add(&self, inside: &Path, new: &fstab::NewEntry) -> Result<()> {
        let text = self.fstab()?;
        let entries = fstab::entries(&text);
        if entries.iter().any(|entry| entry.is_at(new.destination)) {
            let message = format!("something is mounted at {} already", inside.display());
            return Err(Error::new(Code::Conflict, message));
        }
        // Below what another one mounts nothing can be made now.
        if self.above(inside, &entries).is_none() {
            let made = folder_inside(&self.root, inside, true);
            made.map_err(|why| in_the_way(Path::new(""), why))?;
        }
        self.write(&fstab::with_entry(&text, new))
    }
}

/// Why a folder in `base` cannot be mounted on.
fn in_the_way(base: &Path, why: Inside) -> Error {
    let full = |path: &Path| format!("{}{}", base.display(), path.display());
    match why {
        Inside::Link(path) => {
            let why = format!("{} is a symbolic link, or no folder", full(&path));
            wrong("destination", &why)
        }
        Inside::Missing(path) => {
            let message = format!(
                "argument \"destination\": there is no folder {}",
                full(&path)
            );
            Error::new(Code::NotFound, message)
        }
        Inside::Failed(path, error) => {
            let message = format!("argument \"destination\": {}: {error}", full(&path));
            Error::new(Code::Failed, message)
        }
    }
}

fn describe(entry: &Entry, root: &Path) -> Object {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let path = |path: &PathBuf| path.display().to_string();
    let owner = match entry.is_iocages(root) {
        true => "iocage",
        false => "user",
    };
    Object::new()
        .with("source", path(&entry.source))
        .with("destination", or_none(entry.destination.as_ref().map(path)))
        .with("type", or_none(entry.kind.clone()))
        .with("options", or_none(entry.options.clone()))
        .with("dump", entry.dump.clone())
        .with("pass", entry.pass.clone())
        .with("owner", owner)
}
