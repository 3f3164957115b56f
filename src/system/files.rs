//! Files: reading those of others, and keeping the library's own.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{fchown, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::platform::OPEN_REGULAR;

/// Which file, in which state: as long as it is the same, so is the content, unless it was not
/// [`Identity::is_settled`] when it was read.
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
    /// What is at `path` now, if that is a regular file.
    pub fn of(path: &Path) -> Option<Self> {
        path.symlink_metadata().ok().and_then(Self::new)
    }

    /// The folder at `path` now, if that is one: its state is that of the names in it.
    pub fn of_folder(path: &Path) -> Option<Self> {
        let data = path.symlink_metadata().ok()?;
        data.is_dir().then(|| Self::from(&data))
    }

    fn new(data: Metadata) -> Option<Self> {
        data.is_file().then(|| Self::from(&data))
    }

    fn from(data: &Metadata) -> Self {
        Identity {
            device: data.dev(),
            inode: data.ino(),
            size: data.size(),
            changed: (data.ctime(), data.ctime_nsec()),
        }
    }

    /// Whether both are in one file system.
    pub fn is_beside(&self, other: &Self) -> bool {
        self.device == other.device
    }

    /// Whether the last change is so long ago that another one would have another time.
    pub fn is_settled(&self) -> bool {
        self.was_settled(SystemTime::now())
    }

    /// Whether any change after `moment` has another time than this. The clocks of file systems
    /// count seconds, ticks or nanoseconds; git takes the same care with its index ("racy git").
    pub fn was_settled(&self, moment: SystemTime) -> bool {
        const COARSEST: Duration = Duration::from_secs(2);
        let (Ok(seconds), Ok(nanoseconds)) =
            (u64::try_from(self.changed.0), u32::try_from(self.changed.1))
        else {
            return false;
        };
        let changed = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
        // A time in the future means that a clock was set back.
        let since = moment.duration_since(changed);
        since.is_ok_and(|since| since >= COARSEST)
    }
}

/// Reads a regular file of at most `limit` bytes, without ever waiting for a writer.
pub fn read_regular(path: &Path, limit: u64) -> Option<Vec<u8>> {
    read_identified(path, limit).map(|(_, bytes)| bytes)
}

/// Reads a file as [`read_regular`] does, and returns its identity before that.
pub fn read_identified(path: &Path, limit: u64) -> Option<(Identity, Vec<u8>)> {
    let file = open(path).ok()?;
    let identity = Identity::new(file.metadata().ok()?)?;
    if identity.size > limit {
        return None;
    }
    let mut bytes = Vec::with_capacity(identity.size as usize + 1);
    // It may have grown since it was looked at.
    file.take(limit + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= limit).then_some((identity, bytes))
}

/// Opens a regular file to read it, without ever waiting for a writer.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let file = open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("not a regular file")),
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(OPEN_REGULAR).open(path)
}

/// Writes a file as a whole or not at all. Nobody else may read it.
///
/// # Errors
/// If it cannot be written; what was there before is still there.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    write_whole(path, content, |_| Ok(()))
}

/// Writes a file of somebody else as a whole or not at all. It keeps its mode and its owner; a new
/// one can be read by all.
///
/// # Errors
/// As [`replace`], and if there is something that is no regular file.
pub fn rewrite(path: &Path, content: &[u8]) -> io::Result<()> {
    let before = match path.symlink_metadata() {
        Ok(data) if data.is_file() => Some(data),
        Ok(_) => return Err(io::Error::other("not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    write_whole(path, content, |file| {
        if let Some(data) = &before {
            fchown(file, Some(data.uid()), Some(data.gid()))?;
        }
        let mode = before.map_or(0o644, |data| data.mode() & 0o7777);
        file.set_permissions(Permissions::from_mode(mode))
    })
}

fn write_whole(
    path: &Path,
    content: &[u8],
    furnish: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    // No other process has the same, because of the process id, and no other thread because of
    // this.
    static DRAFTS: AtomicU64 = AtomicU64::new(0);
    remove_abandoned_drafts(path);
    let (mut file, draft) = loop {
        let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{}.{number}.new", std::process::id()));
        let draft = path.with_file_name(name);
        let mut options = OpenOptions::new();
        match options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)
        {
            Ok(file) => break (file, draft),
            // Left by a process with the same id that died while it wrote.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    };
    let written = file
        .write_all(content)
        .and_then(|()| furnish(&file))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

/// Removes drafts of `path` left by processes that died while they wrote.
fn remove_abandoned_drafts(path: &Path) {
    const LONG_AGO: Duration = Duration::from_secs(3600);
    let drafts = path.parent().and_then(|folder| fs::read_dir(folder).ok());
    for entry in drafts.into_iter().flatten().flatten() {
        let age = || entry.metadata().and_then(|data| data.modified());
        let age = || age().ok().and_then(|time| time.elapsed().ok());
        if is_draft_of(path, &entry.path()) && age().is_some_and(|age| age > LONG_AGO) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether `draft` is called as the drafts of `path` are: `<name>.<process>.<number>.new`.
fn is_draft_of(path: &Path, draft: &Path) -> bool {
    let name = |path: &Path| {
        path.file_name()
            .and_then(|name| name.to_str())
            .map(String::from)
    };
    let (Some(name), Some(draft)) = (name(path), name(draft)) else {
        return false;
    };
    let numbers = draft.strip_prefix(&name).and_then(|rest| {
        rest.strip_prefix('.')?
            .strip_suffix(".new")?
            .split_once('.')
    });
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    numbers.is_some_and(|(process, number)| is_number(process) && is_number(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::scratch::{mode, Folder};

    #[test]
    fn a_file_is_replaced_whole_by_any_number_of_writers() {
        let folder = Folder::new("replace");
        let path = folder.0.join("catalogue.json");
        let content = |number: u8| vec![number; 300_000];
        replace(&path, &content(0)).unwrap();
        std::thread::scope(|scope| {
            for number in 1..=4 {
                let path = &path;
                scope.spawn(move || (0..20).for_each(|_| replace(path, &content(number)).unwrap()));
            }
            for _ in 0..100 {
                let read = read_regular(&path, 1_000_000).unwrap();
                assert_eq!(read, content(read[0]));
            }
        });
        assert_eq!(folder.names(), ["catalogue.json"]);
        assert_eq!(mode(&path), 0o600);
        assert!(replace(Path::new("/dev/null/x"), b"").is_err());
    }

    #[test]
    fn a_file_of_somebody_else_keeps_its_mode_and_a_link_is_left_alone() {
        let folder = Folder::new("rewrite");
        let path = folder.0.join("fstab");
        rewrite(&path, b"new").unwrap();
        assert_eq!(mode(&path), 0o644);
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        rewrite(&path, b"newer").unwrap();
        assert_eq!(
            (mode(&path), fs::read(&path).unwrap()),
            (0o640, b"newer".to_vec())
        );
        let link = folder.0.join("link");
        std::os::unix::fs::symlink("fstab", &link).unwrap();
        assert!(rewrite(&link, b"other").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"newer");
        assert_eq!(folder.names(), ["fstab", "link"]);
    }

    #[test]
    fn drafts_that_were_abandoned_are_removed_and_no_other_file() {
        let folder = Folder::new("drafts");
        let now = SystemTime::now();
        let old = now - Duration::from_secs(7200);
        for (name, time) in [
            ("catalogue.json.7.1.new", old),
            ("catalogue.json.8.1.new", now),
            ("catalogue.json.7.new", old),
            ("catalogue.json.7.x.new", old),
            ("other.7.1.new", old),
            ("catalogue.json", old),
        ] {
            let file = fs::File::create(folder.0.join(name)).unwrap();
            file.set_modified(time).unwrap();
        }
        remove_abandoned_drafts(&folder.0.join("catalogue.json"));
        let left = [
            "catalogue.json",
            "catalogue.json.7.new",
            "catalogue.json.7.x.new",
            "catalogue.json.8.1.new",
            "other.7.1.new",
        ];
        assert_eq!(folder.names(), left);
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
