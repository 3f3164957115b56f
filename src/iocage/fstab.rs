//! A jail's fstab: what is mounted in it.

mod edit;
mod words;

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::datasets::Family;
use crate::limits;
use crate::system::read_regular;

pub use edit::{moved, with_entry, without, write, NewEntry};
pub use words::{options, path, shown, Kind, Source};

/// A line of an fstab(5), with its escapes undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub source: PathBuf,
    /// None for a line that ends before it.
    pub destination: Option<PathBuf>,
    pub kind: Option<String>,
    pub options: Option<String>,
    /// 0 if the line does not say.
    pub dump: String,
    /// 0 if the line does not say.
    pub pass: String,
}

impl Entry {
    /// Whether it mounts something at `path`.
    pub fn is_at(&self, path: &Path) -> bool {
        // Part by part: a slash more or less is the same.
        self.destination
            .as_deref()
            .is_some_and(|at| at.components().eq(path.components()))
    }

    /// Whether iocage has put it there: a basejail mounts its release's folders. `root` is iocage's
    /// root on disk.
    pub fn is_iocages(&self, root: &Path) -> bool {
        let families = [Family::Releases, Family::Templates].into_iter();
        let mut homes = families.map(|family| root.join(family.as_str()));
        self.kind.as_deref() == Some("nullfs") && homes.any(|home| self.source.starts_with(home))
    }
}

/// The fstab in the folder of a jail. One that is not there is empty, as for mount(8).
///
/// # Errors
/// What is wrong with it.
pub fn read(folder: &Path) -> Result<Vec<Entry>, String> {
    text(folder).map(|text| entries(&text))
}

/// The text of that fstab.
///
/// # Errors
/// As [`read`].
pub fn text(folder: &Path) -> Result<Vec<u8>, String> {
    let path = folder.join("fstab");
    match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        _ => read_regular(&path, limits::CONFIG_FILE_BYTES)
            .ok_or_else(|| format!("{} cannot be read", path.display())),
    }
}

/// The lines of an fstab.
pub fn entries(text: &[u8]) -> Vec<Entry> {
    text.split(|byte| *byte == b'\n')
        .filter_map(entry)
        .collect()
}

fn entry(line: &[u8]) -> Option<Entry> {
    let fields = line.split(|byte| byte.is_ascii_whitespace());
    let fields = fields.filter(|field| !field.is_empty());
    // A comment ends the line; `#` in the middle of a field is a part of it.
    let mut fields = fields.take_while(|field| field[0] != b'#').map(unvis);
    let path = |field| PathBuf::from(OsString::from_vec(field));
    let text = |field: Vec<u8>| String::from_utf8_lossy(&field).into_owned();
    Some(Entry {
        source: fields.next().map(path)?,
        destination: fields.next().map(path),
        kind: fields.next().map(text),
        options: fields.next().map(text),
        dump: fields.next().map_or("0".into(), text),
        pass: fields.next().map_or("0".into(), text),
    })
}

/// Undoes the escapes of vis(3), as jail(8) does by strunvis(3); what is none stays as it is.
fn unvis(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [byte, after @ ..] = rest {
        let escape = if *byte == b'\\' { escape(after) } else { None };
        let (byte, length) = escape.unwrap_or((*byte, 0));
        plain.push(byte);
        rest = &after[length..];
    }
    plain
}

/// What the escape behind a backslash stands for, and how long it is.
fn escape(text: &[u8]) -> Option<(u8, usize)> {
    let control = |byte: u8| if byte == b'?' { 0x7f } else { byte & 0x1f };
    Some(match *text {
        [b'0'..=b'7', ..] => {
            let digits = text
                .iter()
                .take(3)
                .take_while(|digit| matches!(digit, b'0'..=b'7'));
            let byte = |sum: u8, digit: &u8| sum.wrapping_mul(8).wrapping_add(digit - b'0');
            (digits.clone().fold(0, byte), digits.count())
        }
        [b'^', byte, ..] => (control(byte), 2),
        [b'M', b'^', byte, ..] => (0x80 | control(byte), 3),
        [b'M', b'-', byte, ..] => (0x80 | byte, 3),
        [b'\\', ..] => (b'\\', 1),
        [b's', ..] => (b' ', 1),
        [b't', ..] => (b'\t', 1),
        [b'n', ..] => (b'\n', 1),
        [b'r', ..] => (b'\r', 1),
        [b'a', ..] => (0x07, 1),
        [b'b', ..] => (0x08, 1),
        [b'v', ..] => (0x0b, 1),
        [b'f', ..] => (0x0c, 1),
        [b'E', ..] => (0x1b, 1),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_an_fstab_are_read_with_their_escapes() {
        let text =
            b"/iocage/releases/r/root/bin\t/iocage/jails/a/root/bin\tnullfs\tro\t0\t0 # iocage\n\
            # /not/this /x\n\n  /my\\040data /y nullfs rw,noatime 1 2\n/odd\\9 /z\nproc";
        let entries = entries(text);
        let shown: Vec<String> = entries
            .iter()
            .map(|entry| {
                let or_none = |text: &Option<String>| text.clone().unwrap_or("-".into());
                let destination = entry.destination.as_ref();
                let destination = destination.map_or("-".into(), |path| path.display().to_string());
                let (kind, options) = (or_none(&entry.kind), or_none(&entry.options));
                let Entry {
                    source, dump, pass, ..
                } = entry;
                let source = source.display();
                format!("{source}|{destination}|{kind}|{options}|{dump}|{pass}")
            })
            .collect();
        assert_eq!(
            shown,
            [
                "/iocage/releases/r/root/bin|/iocage/jails/a/root/bin|nullfs|ro|0|0",
                "/my data|/y|nullfs|rw,noatime|1|2",
                "/odd\\9|/z|-|-|0|0",
                "proc|-|-|-|0|0",
            ]
        );
        let of_iocage: Vec<bool> = entries
            .iter()
            .map(|entry| entry.is_iocages(Path::new("/iocage")))
            .collect();
        assert_eq!(of_iocage, [true, false, false, false]);
        assert!(!entries[0].is_iocages(Path::new("/elsewhere")));
    }

    #[test]
    fn escapes_are_those_of_vis() {
        for (field, plain) in [
            (r"a\040b\011c", "a b\tc"),
            (r"a\sb\tc\\d", "a b\tc\\d"),
            (r"\40x\7y", " x\u{7}y"),
            (r"\M-C\M-<\^A\^?", "\u{fc}\u{1}\u{7f}"),
            // One only, and none of its own.
            (r"a\134040b", "a\\040b"),
            (r"a\9b\qc\", "a\\9b\\qc\\"),
        ] {
            assert_eq!(unvis(field.as_bytes()), plain.as_bytes(), "{field}");
        }
        assert_eq!(unvis(br"\M^A\377\477"), [0x81, 0xff, 0x3f]);
    }
}
