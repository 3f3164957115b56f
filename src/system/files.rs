//! Reading files that somebody else keeps.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::platform::OPEN_REGULAR;

/// Which file, in which state: as long as it is the same, so is the content, but for one that was
/// not [`Identity::is_settled`] when it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds of the last change. It cannot be set back, as the time of
    /// modification can.
    changed: (i64, i64),
}

impl Identity {
    /// What is at `path` now, where that is a regular file.
    pub fn of(path: &Path) -> Option<Self> {
        path.symlink_metadata().ok().and_then(Self::new)
    }

    fn new(data: Metadata) -> Option<Self> {
        data.is_file().then(|| Identity {
            device: data.dev(),
            inode: data.ino(),
            size: data.size(),
            changed: (data.ctime(), data.ctime_nsec()),
        })
    }

    /// Whether the last change is so long ago that another one would have another time. File
    /// systems have clocks of a second, of a tick, or of a nanosecond; git takes the same care with
    /// its index ("racy git").
    pub fn is_settled(&self) -> bool {
        const COARSEST: Duration = Duration::from_secs(2);
        let (Ok(seconds), Ok(nanoseconds)) =
            (u64::try_from(self.changed.0), u32::try_from(self.changed.1))
        else {
            return false;
        };
        let changed = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
        // A time to come is that of a clock that was set back.
        changed.elapsed().is_ok_and(|elapsed| elapsed >= COARSEST)
    }
}

/// Reads a regular file of at most `limit` bytes, without ever waiting for a writer.
pub fn read_regular(path: &Path, limit: u64) -> Option<Vec<u8>> {
    read_identified(path, limit).map(|(_, bytes)| bytes)
}

/// Reads a file as [`read_regular`] does, and tells what it was before it was read.
pub fn read_identified(path: &Path, limit: u64) -> Option<(Identity, Vec<u8>)> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OPEN_REGULAR)
        .open(path)
        .ok()?;
    let identity = Identity::new(file.metadata().ok()?)?;
    if identity.size > limit {
        return None;
    }
    let mut bytes = Vec::with_capacity(identity.size as usize + 1);
    // It may have grown since it was looked at.
    file.take(limit + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= limit).then_some((identity, bytes))
}

/// A lock that processes share, as a file. It ends with the file's descriptor, however the
/// process ends.
#[derive(Debug)]
pub enum Lock {
    Taken(File),
    HeldElsewhere,
}

/// Takes the lock at `path`, for whoever may write there; the file and its folder are made where
/// they are missing.
pub fn take_lock(path: &Path) -> io::Result<Lock> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    loop {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OPEN_REGULAR)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Lock::HeldElsewhere),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Whoever had it before may have removed it meanwhile: then it is nobody's lock any more.
        let number = |data: Metadata| (data.dev(), data.ino());
        let there = fs::symlink_metadata(path).map(number).ok();
        if there == file.metadata().map(number).ok() {
            return Ok(Lock::Taken(file));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_taken_once_and_free_again_when_it_is_dropped_or_its_file_removed() {
        let path = std::env::temp_dir().join(format!("locks{}/a.lock", std::process::id()));
        let take = || take_lock(&path).unwrap();
        let Lock::Taken(first) = take() else {
            panic!("it is new")
        };
        assert!(matches!(take(), Lock::HeldElsewhere));
        drop(first);
        let Lock::Taken(second) = take() else {
            panic!("it is free again")
        };
        fs::remove_file(&path).unwrap();
        assert!(matches!(take(), Lock::Taken(_)), "that of another file");
        drop(second);
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_file_settles_some_time_after_its_last_change() {
        let path = std::env::temp_dir().join(format!("settling{}", std::process::id()));
        std::fs::write(&path, "new").unwrap();
        let (young, text) = read_identified(&path, 100).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(text, b"new");
        assert!(!young.is_settled());
        let aged = |seconds: i64| Identity {
            changed: (young.changed.0 - seconds, young.changed.1),
            ..young
        };
        assert!(aged(10).is_settled());
        assert!(!aged(-3600).is_settled(), "a change to come");
        assert_eq!(Identity::of(&path), None);
        assert_eq!(Identity::of(Path::new("/")), None, "no regular file");
    }
}
