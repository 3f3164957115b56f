//! Changing an fstab: what is not changed stays as it is, byte by byte.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{entry, Entry};
use crate::system::rewrite;

/// A line to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry<'a> {
    /// A path of the host, or a word.
    pub source: &'a str,
    pub destination: &'a Path,
    pub kind: &'a str,
    pub options: &'a str,
}

/// The text with one more line at its end, with all six fields: iocage takes no fewer
/// (`ioc_fstab.py`, __validate_fstab__).
pub fn with_entry(text: &[u8], new: &NewEntry) -> Vec<u8> {
    let mut text = text.to_vec();
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
    let fields = [
        new.source.as_bytes(),
        new.destination.as_os_str().as_bytes(),
        new.kind.as_bytes(),
        new.options.as_bytes(),
        b"0",
        b"0",
    ];
    text.extend(fields.map(escape).join(&b'\t'));
    text.push(b'\n');
    text
}

/// The text without the lines of the entries that are `unwanted`, and how many those are.
pub fn without(text: &[u8], unwanted: impl Fn(&Entry) -> bool) -> (Vec<u8>, usize) {
    let mut gone = 0;
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let kept = lines.filter(|line| {
        let is_unwanted = entry(line).is_some_and(|entry| unwanted(&entry));
        gone += usize::from(is_unwanted);
        !is_unwanted
    });
    let kept = kept.collect::<Vec<_>>().concat();
    (kept, gone)
}

/// The text with the paths at and below `from` moved to `to`.
pub fn moved(text: &[u8], from: &Path, to: &Path) -> Vec<u8> {
    let [from, to] = [from, to].map(|path| escape(path.as_os_str().as_bytes()));
    let mut moved = Vec::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let is_start = moved.last().is_none_or(u8::is_ascii_whitespace);
        let after = rest.strip_prefix(&*from).filter(|after| {
            let next = after.first();
            is_start && next.is_none_or(|next| *next == b'/' || next.is_ascii_whitespace())
        });
        match after {
            Some(after) => {
                moved.extend(&to);
                rest = after;
            }
            None => {
                moved.push(rest[0]);
                rest = &rest[1..];
            }
        }
    }
    moved
}

/// Writes the fstab in the folder of a jail, as a whole or not at all.
///
/// # Errors
/// If it cannot be written; then it is as it was.
pub fn write(folder: &Path, text: &[u8]) -> io::Result<()> {
    rewrite(&folder.join("fstab"), text)
}

/// A field as fstab(5) wants it.
fn escape(field: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(field.len());
    for byte in field {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' | b'#' => escaped.extend(format!("\\{byte:03o}").bytes()),
            _ => escaped.push(*byte),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::entries;
    use super::*;

    const TEXT: &[u8] = b"# mine\n\n/a\t/j/web/root/mnt\tnullfs ro 0 0 # why\nodd\n\xff /x\n\
        /j/web/root/a  /j/web2/root/b nullfs ro 0 0\n/a /j/web/root/mnt/ nullfs rw 0 0";

    #[test]
    fn a_line_is_added_with_all_six_fields_and_its_escapes() {
        let destination = Path::new("/j/web/root/my data");
        let new = NewEntry {
            source: "/data/a\\b#c",
            destination,
            kind: "nullfs",
            options: "ro",
        };
        let text = with_entry(TEXT, &new);
        let line = b"\n/data/a\\134b\\043c\t/j/web/root/my\\040data\tnullfs\tro\t0\t0\n";
        assert_eq!(text, [TEXT, line].concat());
        let read = entries(&text).pop().unwrap();
        assert_eq!(read.source, Path::new("/data/a\\b#c"));
        assert!(read.is_at(destination));
        assert_eq!(with_entry(b"", &new), line[1..]);
        assert_eq!(with_entry(b"#\n", &new), [b"#" as &[u8], line].concat());
    }

    #[test]
    fn lines_are_taken_out_and_all_others_stay() {
        let at = |path: &'static str| without(TEXT, move |entry| entry.is_at(Path::new(path)));
        let (text, gone) = at("/j/web/root/mnt");
        assert_eq!(gone, 2);
        let rest = b"# mine\n\nodd\n\xff /x\n/j/web/root/a  /j/web2/root/b nullfs ro 0 0\n";
        assert_eq!(text, rest);
        assert_eq!(at("/j/web/root"), (TEXT.to_vec(), 0));
    }

    #[test]
    fn paths_of_one_jail_are_moved_and_no_others() {
        let text = moved(TEXT, Path::new("/j/web"), Path::new("/j/a b"));
        let expected = b"# mine\n\n/a\t/j/a\\040b/root/mnt\tnullfs ro 0 0 # why\nodd\n\xff /x\n\
            /j/a\\040b/root/a  /j/web2/root/b nullfs ro 0 0\n/a /j/a\\040b/root/mnt/ nullfs rw 0 0";
        assert_eq!(text, expected);
        let back = moved(&text, Path::new("/j/a b"), Path::new("/j/web"));
        assert_eq!(back, TEXT);
    }
}
