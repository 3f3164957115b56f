//! What is mounted in jails: `listmounts`, `addmount`, `removemount`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::{each, Chosen};
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::iocage::datasets::Family;
use crate::iocage::fstab::{self, Entry};
use crate::iocage::selection::Selection;
use crate::names::PoolName;
use crate::reply::Object;
use crate::request::Arguments;
use crate::system::System;

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
    let _ = (context, arguments, chosen);
    todo!()
}

pub fn remove(context: &Context, arguments: &Arguments, chosen: &Chosen) -> Result<Object> {
    let _ = (context, arguments, chosen);
    todo!()
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
