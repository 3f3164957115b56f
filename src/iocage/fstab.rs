//! A jail's fstab: what is mounted in it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::system::unescape;

/// The sources of the mounts in the text of an fstab(5), with its escapes undone.
pub fn sources(text: &[u8]) -> Vec<PathBuf> {
    let source = |line: &[u8]| {
        let mut fields = line.split(|byte| byte.is_ascii_whitespace());
        let field = fields.find(|field| !field.is_empty())?;
        (field[0] != b'#').then(|| OsString::from_vec(unescape(field)).into())
    };
    text.split(|byte| *byte == b'\n')
        .filter_map(source)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sources_of_an_fstab_are_read_with_their_escapes() {
        let text =
            b"/iocage/releases/r/root/bin\t/iocage/jails/a/root/bin\tnullfs\tro\t0\t0 # iocage\n\
            # /not/this /x\n\n  /my\\040data /y nullfs rw 0 0\n/odd\\9 /z";
        let sources = sources(text);
        let sources: Vec<_> = sources.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(
            sources,
            ["/iocage/releases/r/root/bin", "/my data", "/odd\\9"]
        );
    }
}
