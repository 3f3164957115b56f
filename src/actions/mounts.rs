//! What is mounted in jails: `listmounts`, `addmount`, `removemount`.

use std::path::{Path, PathBuf};

use super::{each, Chosen};
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::iocage::fstab::{self, Entry};
use crate::reply::Object;
use crate::request::Arguments;

pub fn list(context: &Context, arguments: &Arguments) -> Result<Object> {
    let selection = arguments.selection()?;
    let members = context.members()?;
    let folders = members.meant(&selection).into_iter().filter_map(|member| {
        let folder = member.listing.folder(member.jail)?;
        Some((member.place(), PathBuf::from(folder)))
    });
    let folders: Vec<(String, PathBuf)> = folders.collect();
    let read = move || {
        let read = folders.into_iter();
        read.map(|(place, folder)| (place, fstab::read(&folder)))
            .collect::<std::collections::HashMap<_, _>>()
    };
    let tables = context.system.on_files(&members.jails.pool, read)?;
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
