//! Exported jails: `listimages`.

use crate::context::Context;
use crate::error::Result;
use crate::iocage::datasets;
use crate::iocage::images::{self, Image};
use crate::iocage::pools;
use crate::reply::Object;
use crate::request::{Arguments, VERIFY};

pub fn list(context: &Context, arguments: &Arguments) -> Result<Object> {
    let verify = arguments.flag(&VERIFY)?;
    let pool = context.require_active_pool()?;
    let system = &context.system;
    let mut images = Vec::new();
    match datasets::folder(&system.mounts()?, &pool) {
        Some(root) => {
            let root = root.to_path_buf();
            let folder = root.clone();
            images = system.on_files(&pool, move || images::list(&folder))??;
            if verify {
                // Not in the way of listings: an image may be large.
                let apart = format!("{pool} (images)");
                // A little less than what counts as a disk that hangs.
                let limit = system.timeout() * 9 / 10;
                images = system.on_files(&apart, move || {
                    images::verify(&root, &mut images, limit).map(|()| images)
                })??;
            }
        }
        // There may be images, unless iocage has never run there.
        None => pools::require_ready(system, &pool)?,
    }
    let mut answer = Object::new();
    for image in images {
        answer.insert(image.file.clone(), describe(image));
    }
    Ok(Object::new().with("images", answer))
}

fn describe(image: Image) -> Object {
    Object::new()
        .with("jail", image.jail)
        .with("date", image.date.unwrap_or_else(|| "-".into()))
        .with("format", image.format)
        .with("size", image.bytes.to_string())
        .with("checksum", image.checksum.as_str())
}
