//! Folders inside another one that somebody else may write to, such as a jail's root: no symbolic
//! link leads out of it, not even one that is put there meanwhile.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use super::platform::{is_no_folder, make_folder_in, open_folder_in, OPEN_FOLDER};

/// What is wrong with a path inside a folder.
#[derive(Debug)]
pub enum Inside {
    /// There is nothing at this path.
    Missing(PathBuf),
    /// This is a symbolic link, or no folder.
    Link(PathBuf),
    Failed(PathBuf, io::Error),
}

/// Makes sure that `path`, which begins at `root`, is a folder, and that no part of it is a symbolic
/// link. Folders that are missing are made if `make` says so, for everybody to read; they are
/// returned, as paths inside.
///
/// # Errors
/// What is in the way.
pub fn folder_inside(root: &Path, path: &Path, make: bool) -> Result<Vec<PathBuf>, Inside> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(OPEN_FOLDER);
    let opened = options.open(root);
    let mut folder = opened.map_err(|error| Inside::of(Path::new("/"), error))?;
    let (mut here, mut made) = (PathBuf::from("/"), Vec::new());
    for part in path.components() {
        let Component::Normal(name) = part else {
            continue;
        };
        here.push(name);
        let next = match open_folder_in(folder.as_fd(), name) {
            Err(error) if error.kind() == ErrorKind::NotFound && make => {
                let next = make_one(&folder, name).map_err(|error| Inside::of(&here, error))?;
                made.push(here.clone());
                next
            }
            next => next.map_err(|error| Inside::of(&here, error))?,
        };
        folder = next;
    }
    Ok(made)
}

fn make_one(folder: &File, name: &OsStr) -> io::Result<File> {
    make_folder_in(folder.as_fd(), name)?;
    let made = open_folder_in(folder.as_fd(), name)?;
    // Whatever the host program's file mode mask is.
    made.set_permissions(Permissions::from_mode(0o755))?;
    Ok(made)
}

impl Inside {
    fn of(path: &Path, error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Inside::Missing(path.into()),
            _ if is_no_folder(&error) => Inside::Link(path.into()),
            _ => Inside::Failed(path.into(), error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::scratch::{mode, Folder};
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn folders_are_found_and_made_and_no_link_is_followed() {
        let folder = Folder::new("inside");
        let root = folder.0.join("root");
        fs::create_dir_all(root.join("mnt")).unwrap();
        fs::create_dir(folder.0.join("outside")).unwrap();
        for (link, to) in [
            ("out", "../outside"),
            ("in", "mnt"),
            ("gone", "/nonexistent"),
        ] {
            symlink(to, root.join(link)).unwrap();
        }
        fs::write(root.join("file"), "").unwrap();
        let inside = |path: &str, make| folder_inside(&root, Path::new(path), make);

        assert!(inside("/mnt/", false).unwrap().is_empty());
        assert!(
            matches!(inside("/mnt/a/b", false), Err(Inside::Missing(path)) if path == Path::new("/mnt/a"))
        );
        let made = inside("/mnt/a/b", true).unwrap();
        assert_eq!(made, ["/mnt/a", "/mnt/a/b"].map(PathBuf::from));
        assert_eq!(mode(&root.join("mnt/a/b")), 0o755);
        assert!(inside("/mnt/a/b", true).unwrap().is_empty());

        for path in ["/out", "/out/x", "/in/x", "/gone", "/file", "/file/x"] {
            assert!(matches!(inside(path, true), Err(Inside::Link(_))), "{path}");
        }
        assert!(fs::read_dir(folder.0.join("outside"))
            .unwrap()
            .next()
            .is_none());
        assert!(matches!(
            folder_inside(&root.join("none"), Path::new("/x"), true),
            Err(Inside::Missing(_))
        ));
    }
}
