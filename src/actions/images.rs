//! Exported jails: `listimages`.

use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::iocage::datasets;
use crate::iocage::images::{self, Image};
use crate::iocage::pools;
use crate::names::PoolName;
use crate::reply::Object;
use crate::request::{Arguments, VERIFY};
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
