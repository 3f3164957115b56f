//! The library's own folders.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::platform::{self, OPEN_FOLDER};

const PRIVATE: u32 = 0o700;
const OTHERS_WRITE: u32 = 0o022;

/// Makes a folder that belongs to this user alone, whatever the file mode mask, or checks the one
/// that is there. If others may only read it, it is closed to them.
///
/// # Errors
/// If it cannot be made, or belongs to another user, or others may write to it: somebody may have
/// put something there. The message says what to do.
pub fn private_folder(path: &Path) -> io::Result<()> {
    make_folders(path)?;
    // What is checked is what is changed, whatever happens to the name in between.
    let folder = OpenOptions::new()
        .read(true)
        .custom_flags(OPEN_FOLDER)
        .open(path)
        .map_err(|error| named(path, &error.to_string(), error.kind()))?;
    let data = folder.metadata()?;
    let (owner, user, mode) = (data.uid(), platform::user(), data.mode() & 0o7777);
    let refuse = |why: &str| Err(named(path, why, io::ErrorKind::PermissionDenied));
    if owner != user {
        return refuse(&format!(
            "this folder belongs to user {owner}, but must belong to user {user} alone; remove it, \
             or configure another state_directory"
        ));
    }
    if mode & OTHERS_WRITE != 0 {
        return refuse(&format!(
            "others may write to this folder (mode {mode:04o}); remove it, or check what is in it \
             and set mode 0700"
        ));
    }
    match mode {
        PRIVATE => Ok(()),
        _ => folder.set_permissions(Permissions::from_mode(PRIVATE)),
    }
}

/// Makes a folder and the missing ones above it, all closed to others.
pub fn make_folders(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|path| !path.exists()).collect();
    for folder in missing.into_iter().rev() {
        match DirBuilder::new().mode(PRIVATE).create(folder) {
            // Or an odd mask would lock this user out too.
            Ok(()) => fs::set_permissions(folder, Permissions::from_mode(PRIVATE))?,
            // Another process has just made it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(named(folder, &error.to_string(), error.kind())),
        }
    }
    Ok(())
}

/// An error that names its path.
pub fn named(path: &Path, why: &str, kind: io::ErrorKind) -> io::Error {
    io::Error::new(kind, format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::platform::starting::with_mask;
    use crate::system::scratch::{mode, Folder};

    #[test]
    fn a_private_folder_is_closed_to_others_or_refused() {
        let folder = Folder::new("private");
        let path = folder.0.join("a/b");
        private_folder(&path).unwrap();
        assert_eq!((mode(&folder.0.join("a")), mode(&path)), (0o700, 0o700));
        let set = |mode| fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        for readable in [0o755, 0o750, 0o711, 0o500] {
            set(readable);
            private_folder(&path).unwrap();
            assert_eq!(mode(&path), 0o700, "{readable:o}");
        }
        for writable in [0o777, 0o720, 0o702, 0o1777] {
            set(writable);
            let error = private_folder(&path).unwrap_err().to_string();
            assert!(
                error.contains("others may write") && error.contains("a/b"),
                "{error}"
            );
            assert_eq!(mode(&path), writable, "it was changed");
        }
        assert!(private_folder(Path::new("/dev/null")).is_err());
        // Nobody else's folder, where there is somebody else.
        if platform::user() == 0 {
            set(0o700);
            std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
            let error = private_folder(&path).unwrap_err().to_string();
            assert!(error.contains("belongs to user 65534"), "{error}");
        }
    }
    #[test]
    fn a_private_folder_is_so_whatever_the_mask() {
        for mask in [0, 0o022, 0o777] {
            let folder = Folder::new(&format!("mask{mask:o}"));
            let path = folder.0.join("a/b");
            with_mask(mask, || private_folder(&path)).unwrap();
            assert_eq!((mode(&folder.0.join("a")), mode(&path)), (0o700, 0o700));
        }
    }
}
