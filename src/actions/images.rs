//! Exported jails: `listimages`, `exportjail`, `importjail`.

use std::path::{Path, PathBuf};

use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::iocage::command;
use crate::iocage::datasets::{self, Dataset, Family};
use crate::iocage::images::{
    self, checksum, export, Checksum, Format, Image, ImageName, ImagePath,
};
use crate::iocage::pools;
use crate::iocage::selection::{Label, Selection};
use crate::iocage::version::{Ability, Version};
use crate::jobs::{JobId, Task};
use crate::limits;
use crate::names::PoolName;
use crate::records::{Aim, Work};
use crate::reply::Object;
use crate::request::{missing, Arguments, COMPRESSION, FORCE, IMAGE, VERIFY};
use crate::resources::{Claim, Resource};
use crate::system::{Mounts, System};

pub fn list(context: &Context, arguments: &Arguments) -> Result<Object> {
    let verify = arguments.flag(&VERIFY)?;
    let pool = context.require_active_pool()?;
    let system = &context.system;
    let mounts = system.mounts()?;
    let Some(root) = datasets::folder(&mounts, &pool) else {
        // There may be images, unless iocage has never run there.
        pools::require_ready(system, &pool)?;
        return Ok(Object::new().with("images", Object::new()));
    };
    let (root, folder) = (root.to_path_buf(), root.to_path_buf());
    let images = system.on_files(&pool, move || images::list(&folder))??;
    if images.is_empty() {
        require_mounted(system, &mounts, &pool)?;
    }
    let images = match verify {
        false => images.into_iter().map(|image| (image, None)).collect(),
        true => {
            // Not in the way of listings: an image may be large.
            let apart = format!("{pool} (images)");
            // A little less than what counts as a disk that hangs.
            let limit = system.timeout() * 9 / 10;
            system.on_files(&apart, move || images::verify(&root, images, limit))?
        }
    };
    let mut answer = Object::new();
    for (image, error) in images {
        let file = image.file.clone();
        let mut described = describe(image);
        if let Some(error) = error {
            described.insert("error", error.message);
            described.insert("code", error.code.as_str());
        }
        answer.insert(file, described);
    }
    Ok(Object::new().with("images", answer))
}

/// An empty folder says nothing if the dataset of the images is not mounted there.
fn require_mounted(system: &System, mounts: &Mounts, pool: &PoolName) -> Result<()> {
    let dataset = datasets::images(pool);
    if mounts.mountpoint(&dataset).is_some()
        || datasets::list(system, &dataset, "filesystem", Some(0), "name")?.is_empty()
    {
        return Ok(());
    }
    let message = format!("{dataset} is not mounted, so it cannot be read");
    Err(Error::new(Code::Unavailable, message))
}

fn describe(image: Image) -> Object {
    Object::new()
        .with("jail", image.jail)
        .with("date", image.date.unwrap_or_else(|| "-".into()))
        .with("format", image.format)
        .with("size", image.bytes.to_string())
        .with("checksum", image.checksum.as_str())
}

pub fn export<'a>(context: &'a Context, arguments: &Arguments) -> Result<Vec<Task<'a>>> {
    let Selection::One(label) = arguments.selection()? else {
        return Err(missing("jail"));
    };
    let format = arguments.optional(&COMPRESSION)?.unwrap_or(Format::Zip);
    // Without an active pool, iocage would activate the first one that it finds.
    let pool = context.require_ready_pool()?;
    let members = context.members()?;
    let member = members.find(&label)?;
    let name = member.iocage_name()?;
    if member.family() == Family::Templates {
        // 1.0 to 1.13, `ioc_image.py`: at the end it looks for the snapshot among the jails.
        let message = format!(
            "iocage cannot export the {}: it makes the image, fails, and leaves all that it made on the way",
            member.in_words()
        );
        return Err(Error::new(Code::Unavailable, message));
    }
    let version = context.known.installed.version(&context.system)?;
    let line = command::export(version, &name, format)?;
    let all = export::datasets_of(&context.system, &pool, &name)?;
    let days = images::days();
    let stems: Vec<String> = days.iter().map(|day| format!("{name}_{day}")).collect();
    let mut claims = marks_and_jails();
    claims.push(Resource::jail(&name).alone());
    claims.extend(
        stems
            .iter()
            .map(|stem| Resource::Image(stem.clone()).alone()),
    );
    let aim = Aim {
        pool: pool.to_string(),
        work: Work::Export {
            name: name.to_string(),
            ending: format.ending().into(),
            days: days.clone(),
            datasets: all.len(),
        },
    };
    Ok(vec![Task {
        id: JobId::new("export_jail", &name),
        line,
        claims,
        check: Box::new(move || check_export(context, &pool, &label, &days, &all)),
        aim: Some(aim),
        list: None,
    }])
}

/// An image has nothing to do with releases and templates.
fn marks_and_jails() -> Vec<Claim> {
    vec![Resource::Marks.shared(), Resource::Jails.shared()]
}

/// Makes sure that a jail can be exported, and that nothing is there of what that makes.
fn check_export(
    context: &Context,
    pool: &PoolName,
    label: &Label,
    days: &[String],
    all: &[Dataset],
) -> Result<()> {
    context.require_active(pool)?;
    let system = &context.system;
    let members = context.members()?;
    let member = members.find(label)?;
    let (name, words) = (&member.jail.name, member.in_words());
    let now = export::datasets_of(system, pool, name)?;
    let Some(own) = now.first().filter(|_| now == all) else {
        let message = format!("{} has become another meanwhile", member.place());
        return Err(Error::new(Code::Conflict, message));
    };
    if let Some(jid) = &member.jail.jid {
        let message = format!("{words} is running (jid {jid}); stop it first");
        return Err(Error::new(Code::InUse, message));
    }
    if member.listing.settings(member.jail).is_none() {
        return Err(member.unreadable());
    }
    let root = images_root(context, pool)?;
    export::require_importable(&root, name, all)?;
    let conflict = |what: &[String]| {
        let message = format!("{words}: there is already {}", what.join(", "));
        Err(Error::new(Code::Conflict, message))
    };
    let stems = days.iter().map(|day| format!("{name}_{day}"));
    let files: Vec<String> = stems.flat_map(|stem| export::files(&stem, all)).collect();
    let there = system.on_files(pool, move || export::there(&root, files))?;
    if !there.is_empty() {
        let there: Vec<String> = there.iter().map(|file| format!("images/{file}")).collect();
        return conflict(&there);
    }
    let taken = datasets::list(system, own, "snapshot", None, "name")?;
    let of_export = |name: &String| {
        let mut snapshots = days.iter().filter_map(|day| export::snapshot(day));
        let name = name.split_once('@').map(|(_, name)| name);
        snapshots.any(|snapshot| name == Some(&*snapshot))
    };
    let taken = taken.into_iter().filter_map(|row| row.into_iter().next());
    let taken: Vec<String> = taken.filter(of_export).collect();
    if !taken.is_empty() {
        return conflict(&taken);
    }
    export::require_room(system, pool, own)
}

pub fn import<'a>(context: &'a Context, arguments: &Arguments) -> Result<Vec<Task<'a>>> {
    let image = arguments.require(&IMAGE)?;
    let force = arguments.flag(&FORCE)?;
    let pool = context.require_ready_pool()?;
    let root = images_root(context, &pool)?;
    let version = context.known.installed.version(&context.system)?;
    let line = command::import(version, &image, &ImagePath::new(&root, &image)?)?;
    let file = images::folder(&root).join(image.as_str());
    let count = move || images::datasets_in_zip(&file);
    let mut claims = marks_and_jails();
    claims.push(Resource::jail(&image.jail).alone());
    claims.push(Resource::Image(image.stem()).shared());
    let aim = Aim {
        pool: pool.to_string(),
        work: Work::Import {
            name: image.jail.to_string(),
            day: image.day.clone(),
            datasets: context.system.on_files(&pool, count)?,
        },
    };
    Ok(vec![Task {
        id: JobId::new("import_jail", &image.jail),
        line,
        claims,
        check: Box::new(move || {
            context.require_active(&pool)?;
            require_new(context, &pool, &image)?;
            let file = images::folder(&root).join(image.as_str());
            let is_there = {
                let file = file.clone();
                move || std::fs::symlink_metadata(file).is_ok_and(|data| data.is_file())
            };
            if !context.system.on_files(&pool, is_there)? {
                let message = format!("there is no image {:?}", image.as_str());
                return Err(Error::new(Code::NotFound, message));
            }
            require_only_image(context, &pool, &root, version, &image)?;
            require_right(context, &pool, &root, &image, force)
        }),
        aim: Some(aim),
        list: None,
    }])
}

/// Makes sure that there is nothing of a jail with the name that an image gives it. iocage writes over
/// what is there.
fn require_new(context: &Context, pool: &PoolName, image: &ImageName) -> Result<()> {
    let free = context.members()?.require_free(&image.jail, None);
    free.map_err(|error| {
        let message = error.message.replacen("\"name\"", "\"image\"", 1);
        Error::new(error.code, message)
    })?;
    let Some(own) = Family::Jails.member_dataset(pool, &image.jail) else {
        return Ok(());
    };
    let kinds = "filesystem,volume,snapshot";
    match datasets::list(&context.system, &own, kinds, None, "name")?.first() {
        None => Ok(()),
        Some(row) => {
            let message = format!("argument \"image\": {} is there already", row[0]);
            Err(Error::new(Code::Conflict, message))
        }
    }
}

/// Makes sure that an iocage which cannot be told which image is meant takes this one: before 1.2 it
/// takes the one whose name is like `NAME*.zip`.
fn require_only_image(
    context: &Context,
    pool: &PoolName,
    root: &Path,
    version: Version,
    image: &ImageName,
) -> Result<()> {
    if version.can(Ability::ChooseImage) {
        return Ok(());
    }
    let root = root.to_path_buf();
    let all = context
        .system
        .on_files(pool, move || images::names(&root))??;
    let mut alike = all.into_iter().filter(|file| {
        let is_like = file.starts_with(&*image.jail) && file.ends_with(Format::Zip.ending());
        is_like && file != image.as_str()
    });
    match alike.next() {
        None => Ok(()),
        Some(other) => {
            let why = version.require(Ability::ChooseImage).err();
            let why = why.map_or(String::new(), |why| why.message);
            let message = format!("{why}, and there is {other} too");
            Err(Error::new(Code::Unavailable, message))
        }
    }
}

/// Makes sure that an image is what was exported: its checksum is right. It takes as long as it takes
/// to read the image.
fn require_right(
    context: &Context,
    pool: &PoolName,
    root: &Path,
    image: &ImageName,
    force: bool,
) -> Result<()> {
    let (file, sum) = (image.as_str(), images::sum_file(root, &image.stem()));
    let twin = images::folder(root).join(image.twin());
    let there = {
        let (sum, twin) = (sum.clone(), twin.clone());
        move || (sum.exists(), twin.exists())
    };
    let (has_sum, has_twin) = context.system.on_files(pool, there)?;
    if !has_sum {
        let message = format!(
            "image {file} has no checksum, so nobody knows whether it is whole; \"force\" imports it \
             nevertheless"
        );
        return match force {
            true => Ok(()),
            false => Err(Error::new(Code::Unavailable, message)),
        };
    }
    // Not in the way of listings, which read files of the pool too.
    let of = format!("{pool} ({file})");
    let path = images::folder(root).join(file);
    let patience = limits::IMAGE_READING;
    match checksum::compare_at_leisure(&context.system, &of, &path, &sum, patience)? {
        Checksum::Right => Ok(()),
        _ => {
            let whose = match has_twin {
                true => format!("; it may be that of {}, they share one", image.twin()),
                false => String::new(),
            };
            let message = format!("the checksum of image {file} is wrong{whose}");
            Err(Error::new(Code::Conflict, message))
        }
    }
}

/// iocage's root on disk, if images can be read and written there.
fn images_root(context: &Context, pool: &PoolName) -> Result<PathBuf> {
    let mounts = context.system.mounts()?;
    require_mounted(&context.system, &mounts, pool)?;
    let root = datasets::folder(&mounts, pool).map(PathBuf::from);
    root.ok_or_else(|| {
        let message = format!("{} is not mounted", Dataset::root(pool));
        Error::new(Code::Unavailable, message)
    })
}
