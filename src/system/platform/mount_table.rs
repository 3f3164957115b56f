//! The mount table as the system has it.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// One file system of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted; for ZFS the name of the dataset.
    pub source: String,
    pub mountpoint: PathBuf,
    /// The file system's type, as the system names it.
    pub kind: String,
}

/// The mount table, in the order of mounting.
#[cfg(target_os = "linux")]
pub fn mount_table() -> io::Result<Vec<Mount>> {
    std::fs::read("/proc/self/mountinfo").map(|table| parse_mountinfo(&table))
}

/// Reads what Linux has in /proc/self/mountinfo.
///
/// Source: proc_pid_mountinfo(5). Lines look like
/// `36 35 98:0 / /mnt rw,noatime master:1 - ext3 /dev/root rw,errors=continue`.
pub fn parse_mountinfo(table: &[u8]) -> Vec<Mount> {
    let mount = |line: &[u8]| {
        let mut fields = line.split(|byte| *byte == b' ');
        let root = fields.nth(3)?;
        let mountpoint = fields.next()?;
        let mut after = fields.skip_while(|field| *field != b"-").skip(1);
        let kind = after.next()?;
        let source = after.next()?;
        Some(Mount {
            source: text(unescape(source)),
            mountpoint: OsString::from_vec(unescape(mountpoint)).into(),
            // A bind mount of a part of a file system is not where that file system is mounted.
            kind: match root {
                b"/" => text(unescape(kind)),
                _ => "bind".into(),
            },
        })
    };
    table
        .split(|byte| *byte == b'\n')
        .filter_map(mount)
        .collect()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Undoes the escapes that the kernel's mount table and fstab(5) have for white space and backslash:
/// `\040` and the like.
fn unescape(field: &[u8]) -> Vec<u8> {
    if !field.contains(&b'\\') {
        return field.to_vec();
    }
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let code = (byte == b'\\')
            .then(|| after.get(..3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                plain.push(code);
                rest = &after[3..];
            }
            None => {
                plain.push(byte);
                rest = after;
            }
        }
    }
    plain
}

/// The mount table, in the order of mounting. getfsstat(2) rather than getmntinfo(3), whose
/// buffer is shared by all threads.
#[cfg(target_os = "freebsd")]
pub fn mount_table() -> io::Result<Vec<Mount>> {
    use std::ffi::CStr;

    // What appears between two calls is caught by asking for more than there was.
    const SPARE: usize = 64;
    loop {
        // SAFETY: without a buffer the call only counts.
        let count = unsafe { libc::getfsstat(std::ptr::null_mut(), 0, libc::MNT_NOWAIT) };
        let room = usize::try_from(count).map_err(|_| io::Error::last_os_error())? + SPARE;
        let mut table: Vec<libc::statfs> = Vec::with_capacity(room);
        let bytes = (room * size_of::<libc::statfs>()) as libc::c_long;
        // SAFETY: `table` has room for `bytes` bytes.
        let count = unsafe { libc::getfsstat(table.as_mut_ptr(), bytes, libc::MNT_NOWAIT) };
        let filled = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        if filled >= room {
            continue;
        }
        // SAFETY: the kernel has filled that many entries.
        unsafe { table.set_len(filled) };
        let bytes = |name: &[libc::c_char]| {
            // SAFETY: the kernel ends each name with NUL inside its array.
            unsafe { CStr::from_ptr(name.as_ptr()) }.to_bytes().to_vec()
        };
        return Ok(table
            .iter()
            .map(|entry| Mount {
                source: text(bytes(&entry.f_mntfromname)),
                mountpoint: OsString::from_vec(bytes(&entry.f_mntonname)).into(),
                kind: text(bytes(&entry.f_fstypename)),
            })
            .collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountinfo_is_read_with_its_escapes_and_bind_mounts_of_parts() {
        let table = b"43 27 0:40 / /mnt/a\\040b rw - fuse.zfs tank/a\\040b rw,user_id=0\n\
            44 27 0:40 / /mnt/c rw shared:1 master:2 - zfs tank/c rw\n\
            45 27 0:40 /part /mnt/d rw - zfs tank/c rw\n\
            46 27 0:41 / /mnt/e rw - tmpfs tank/e rw\n\
            broken\n";
        let mount = |source: &str, mountpoint: &str, kind: &str| Mount {
            source: source.into(),
            mountpoint: mountpoint.into(),
            kind: kind.into(),
        };
        assert_eq!(
            parse_mountinfo(table),
            [
                mount("tank/a b", "/mnt/a b", "fuse.zfs"),
                mount("tank/c", "/mnt/c", "zfs"),
                mount("tank/c", "/mnt/d", "bind"),
                mount("tank/e", "/mnt/e", "tmpfs"),
            ]
        );
    }
}
