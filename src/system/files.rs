//! Reading files that somebody else keeps.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::platform::OPEN_REGULAR;

/// Reads a regular file of at most `limit` bytes, without ever waiting for a writer.
pub fn read_regular(path: &Path, limit: u64) -> Option<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OPEN_REGULAR)
        .open(path)
        .ok()?;
    let data = file.metadata().ok()?;
    if !data.is_file() || data.len() > limit {
        return None;
    }
    let mut bytes = Vec::with_capacity(data.len() as usize + 1);
    // It may have grown since it was looked at.
    file.take(limit + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= limit).then_some(bytes)
}
