//! Locks that processes share, as files.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::folders::{make_folders, named};
use super::platform::{self, Flock, OPEN_REGULAR};

/// With whom a lock may be shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// With others that share it.
    Shared,
    Alone,
}

/// Locks an open file, by flock(2); false if another lock is in the way. The lock ends when the
/// last descriptor of this opening is closed, inherited ones included, or by [`unlock`].
///
/// # Errors
/// If the file system cannot lock.
pub fn try_lock(file: &File, share: Share) -> io::Result<bool> {
    let how = match share {
        Share::Shared => Flock::Shared,
        Share::Alone => Flock::Alone,
    };
    platform::flock(file.as_fd(), how)
}

/// Ends a lock at once, for all who have inherited it too. Closing the file is not enough if
/// another process is just being started: until it is executed, it has a descriptor of the file.
///
/// # Errors
/// If the file system cannot lock.
pub fn unlock(file: &File) -> io::Result<()> {
    platform::flock(file.as_fd(), Flock::Not).map(|_| ())
}

/// A lock that processes share, as a file. It ends with the file's descriptor, however the
/// process ends.
#[derive(Debug)]
pub enum Lock {
    Taken(File),
    HeldElsewhere,
}

/// Takes the lock at `path`. The file and its folder are made if they are missing. Who has the lock
/// alone may remove the file before the lock ends.
///
/// # Errors
/// If it cannot be made or locked: then it is not taken.
pub fn take_lock(path: &Path, share: Share) -> io::Result<Lock> {
    make_folders(path.parent().unwrap_or(Path::new("/")))?;
    loop {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OPEN_REGULAR)
            .open(path)
            .map_err(|error| named(path, &error.to_string(), error.kind()))?;
        let data = file.metadata()?;
        if !data.is_file() {
            let kind = io::ErrorKind::InvalidInput;
            return Err(named(
                path,
                "this lock is not a regular file; remove it",
                kind,
            ));
        }
        if !try_lock(&file, share)? {
            return Ok(Lock::HeldElsewhere);
        }
        // Who had it before may have removed it in the meantime: then this is no lock any more.
        let number = |data: Metadata| (data.dev(), data.ino());
        if fs::symlink_metadata(path).map(number).ok() == Some(number(data)) {
            return Ok(Lock::Taken(file));
        }
    }
}

/// Removes the file of a lock, and does `more`, unless somebody holds it: perhaps the process of a
/// job that has inherited it.
pub fn remove_lock(path: &Path, more: impl FnOnce()) {
    if let Ok(Lock::Taken(_held)) = take_lock(path, Share::Alone) {
        more();
        // Who waits for it finds that it is gone, and makes a new one.
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::scratch::{mode, Folder};

    #[test]
    fn a_lock_is_taken_once_and_free_again_when_it_is_dropped_or_its_file_removed() {
        let folder = Folder::new("locks");
        let path = folder.0.join("below/a.lock");
        let take = || take_lock(&path, Share::Alone).unwrap();
        let Lock::Taken(first) = take() else {
            panic!("it is new")
        };
        assert_eq!(mode(&path), 0o600);
        assert!(matches!(take(), Lock::HeldElsewhere));
        drop(first);
        let Lock::Taken(second) = take() else {
            panic!("it is free again")
        };
        fs::remove_file(&path).unwrap();
        assert!(matches!(take(), Lock::Taken(_)), "that of another file");
        drop(second);
    }

    #[test]
    fn a_lock_is_shared_by_those_who_share_and_by_nobody_else() {
        let folder = Folder::new("shared");
        let take = |share| take_lock(&folder.0.join("a.lock"), share).unwrap();
        let Lock::Taken(first) = take(Share::Shared) else {
            panic!("it is new")
        };
        let Lock::Taken(second) = take(Share::Shared) else {
            panic!("it is shared")
        };
        assert!(matches!(take(Share::Alone), Lock::HeldElsewhere));
        drop(first);
        // Whoever has the same opening of it has it no more.
        let copy = second.try_clone().unwrap();
        unlock(&second).unwrap();
        let Lock::Taken(alone) = take(Share::Alone) else {
            panic!("it is free again")
        };
        assert!(!try_lock(&copy, Share::Shared).unwrap());
        drop(alone);
        assert!(try_lock(&copy, Share::Shared).unwrap());
    }

    #[test]
    fn a_lock_that_cannot_be_had_is_an_error_and_not_taken() {
        let folder = Folder::new("nolocks");
        assert!(take_lock(Path::new("/dev/null/a.lock"), Share::Alone).is_err());
        assert!(take_lock(&folder.0, Share::Alone).is_err(), "a folder");
        let link = folder.0.join("link");
        std::os::unix::fs::symlink("elsewhere", &link).unwrap();
        let error = take_lock(&link, Share::Alone).unwrap_err();
        assert!(error.to_string().contains("link: "), "{error}");
        assert_eq!(folder.names(), ["link"], "the link was followed");
        assert!(take_lock(Path::new("/dev/null"), Share::Alone).is_err());
    }
}
