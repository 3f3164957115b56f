//! Exported jails: what `iocage export` has put into the folder `images`.

pub mod checksum;
pub mod export;

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use checksum::Checksum;

use crate::error::{Code, Error, Result};
use crate::names::{Checked, JailName, Wrong};
use crate::system::{open_regular, utc_time_in};

/// The form of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Zip,
    Lzma,
}

impl Format {
    pub const ALL: [Format; 2] = [Format::Zip, Format::Lzma];

    /// As `export -c` calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Zip => "zip",
            Format::Lzma => "lzma",
        }
    }

    /// The end of the file's name.
    pub fn ending(self) -> &'static str {
        match self {
            Format::Zip => ".zip",
            Format::Lzma => ".tar.xz",
        }
    }

    fn of(file: &str) -> Option<(&str, Self)> {
        let mut all = Format::ALL.into_iter();
        all.find_map(|format| Some((file.strip_suffix(format.ending())?, format)))
    }
}

/// An image of a jail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub file: String,
    /// The jail that it was made of, by the name of the file.
    pub jail: String,
    /// The day on which it was made (UTC); none if the name of the file does not end in one.
    pub date: Option<String>,
    pub format: &'static str,
    pub bytes: u64,
    pub checksum: Checksum,
}

/// The name of an image that iocage can import: `web_2026-11-25.zip`. The jail gets its name from
/// it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageName {
    file: String,
    pub jail: JailName,
    pub day: String,
    pub format: Format,
}

impl ImageName {
    pub fn parse(file: &str) -> std::result::Result<Self, Wrong> {
        let form = "must be the name of an image, such as \"web_2026-11-25.zip\"";
        let (stem, format) = Format::of(file).ok_or(form)?;
        let (jail, day) = name_and_date(stem);
        Ok(ImageName {
            day: day.ok_or(form)?.into(),
            jail: JailName::parse(jail).map_err(|why| format!("the jail's name, {why}"))?,
            file: file.into(),
            format,
        })
    }

    pub fn as_str(&self) -> &str {
        &self.file
    }

    /// The name without its ending: what the image shares with its checksum, and with an image of
    /// the same day in the other form.
    pub fn stem(&self) -> String {
        format!("{}_{}", self.jail, self.day)
    }

    /// The image of the same jail and day in the other form.
    pub fn twin(&self) -> String {
        let other = match self.format {
            Format::Zip => Format::Lzma,
            Format::Lzma => Format::Zip,
        };
        format!("{}{}", self.stem(), other.ending())
    }
}

/// An image's whole path.
pub struct ImagePath(String);

impl ImagePath {
    /// # Errors
    /// `Unavailable` if the path of iocage's root is no text.
    pub fn new(root: &Path, image: &ImageName) -> Result<Self> {
        let path = folder(root).join(image.as_str());
        let text = path.to_str().filter(|text| text.starts_with('/'));
        text.map(|text| ImagePath(text.into())).ok_or_else(|| {
            let message = format!("{} cannot be given to iocage", path.display());
            Error::new(Code::Unavailable, message)
        })
    }
}

impl Checked for ImagePath {
    fn as_str(&self) -> &str {
        &self.0
    }
}

/// The folder of the images below iocage's root on disk.
pub fn folder(root: &Path) -> PathBuf {
    root.join("images")
}

/// The file with the checksum of the images of this name without its ending.
pub fn sum_file(root: &Path, stem: &str) -> PathBuf {
    folder(root).join(format!("{stem}.sha256"))
}

/// The name of today, UTC, and of tomorrow: the day of an export is that on which iocage comes to
/// look at the clock.
pub fn days() -> Vec<String> {
    let days = [0, 24 * 60 * 60].into_iter();
    days.filter_map(|later| utc_time_in(later)?.get(..10).map(String::from))
        .collect()
}

/// The names of all files in the folder.
///
/// # Errors
/// `Failed` if it cannot be read.
pub fn names(root: &Path) -> Result<Vec<String>> {
    let folder = folder(root);
    let cannot = |error: std::io::Error| {
        let message = format!("{}: {error}", folder.display());
        Error::new(Code::Failed, message)
    };
    let entries = fs::read_dir(&folder).map_err(cannot)?;
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry.map(|entry| entry.file_name().to_string_lossy().into_owned())
    };
    entries.map(|entry| name(entry).map_err(cannot)).collect()
}

/// How many datasets are in a zip archive; none for another file. Its last 22 bytes say it where it
/// has no comment, and iocage writes none (APPNOTE.TXT, 4.3.16).
pub fn datasets_in_zip(path: &Path) -> Option<usize> {
    const SIZE: usize = 22;
    let mut file: File = open_regular(path).ok()?;
    file.seek(SeekFrom::End(-(SIZE as i64))).ok()?;
    let mut end = [0; SIZE];
    file.read_exact(&mut end).ok()?;
    let number = |at: usize| u16::from_le_bytes([end[at], end[at + 1]]);
    let is_end = end.starts_with(b"PK\x05\x06") && number(20) == 0;
    // 65535 stands for a number that is elsewhere.
    (is_end && number(10) != u16::MAX).then(|| number(10).into())
}

/// The images below iocage's root on disk, in any order.
///
/// # Errors
/// `Failed` if the folder cannot be read.
pub fn list(root: &Path) -> Result<Vec<Image>> {
    let folder = folder(root);
    let cannot = |error: std::io::Error| {
        let message = format!("{}: {error}", folder.display());
        Error::new(Code::Failed, message)
    };
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(cannot)?,
    };
    let mut images = Vec::new();
    for entry in entries {
        let entry = entry.map_err(cannot)?;
        // One that is no file of its own is not iocage's.
        let data = entry.metadata().map_err(cannot)?;
        let Ok(file) = entry.file_name().into_string() else {
            continue;
        };
        let Some((stem, format)) = Format::of(&file).filter(|_| data.is_file()) else {
            continue;
        };
        let sum = sum_file(root, stem);
        let (jail, date) = name_and_date(stem);
        images.push(Image {
            jail: jail.into(),
            date: date.map(String::from),
            format: format.as_str(),
            bytes: data.len(),
            checksum: match sum.is_file() {
                true => Checksum::There,
                false => Checksum::Missing,
            },
            file,
        });
    }
    Ok(images)
}

/// `web_2026-11-25`, as iocage names it. The jail's name may have such parts too.
fn name_and_date(stem: &str) -> (&str, Option<&str>) {
    let form = b"0000-00-00";
    let is_date = |text: &str| {
        text.len() == form.len()
            && text.bytes().zip(form).all(|(byte, form)| match form {
                b'0' => byte.is_ascii_digit(),
                other => byte == *other,
            })
    };
    match stem.rsplit_once('_') {
        Some((name, date)) if is_date(date) && !name.is_empty() => (name, Some(date)),
        _ => (stem, None),
    }
}

/// Compares each image with its checksum, all of them within `limit`. What fails for one is told of
/// that one: `Timeout` when the time is over, `Failed` if a file cannot be read.
///
/// The smallest comes first, so that one large image is not in the way of all others.
pub fn verify(root: &Path, mut images: Vec<Image>, limit: Duration) -> Vec<(Image, Option<Error>)> {
    images.sort_by_key(|image| image.bytes);
    let end = Instant::now() + limit;
    let verify_one = |mut image: Image| match compare(root, &image, end) {
        Ok(checksum) => {
            image.checksum = checksum;
            (image, None)
        }
        Err(error) => (image, Some(error)),
    };
    images.into_iter().map(verify_one).collect()
}

fn compare(root: &Path, image: &Image, end: Instant) -> Result<Checksum> {
    if image.checksum == Checksum::Missing {
        return Ok(Checksum::Missing);
    }
    let stem = Format::of(&image.file).map_or(&*image.file, |(stem, _)| stem);
    let sum = sum_file(root, stem);
    checksum::compare(&folder(root).join(&image.file), &sum, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jail_and_the_day_are_read_from_the_name() {
        assert_eq!(name_and_date("web_2026-11-25"), ("web", Some("2026-11-25")));
        let both = "a_2026-01-01_2026-11-25";
        assert_eq!(name_and_date(both), ("a_2026-01-01", Some("2026-11-25")));
        for other in ["web", "web_2026-11-2x", "_2026-11-25", "web-2026-11-25"] {
            assert_eq!(name_and_date(other), (other, None));
        }
    }

    #[test]
    fn an_image_to_import_is_named_as_iocage_names_it() {
        let name = ImageName::parse("my_own_2026-11-25.tar.xz").unwrap();
        assert_eq!((&*name.jail, &*name.day), ("my_own", "2026-11-25"));
        assert_eq!(name.stem(), "my_own_2026-11-25");
        assert_eq!(name.twin(), "my_own_2026-11-25.zip");
        for wrong in [
            "",
            "web.zip",
            "web_2026-11-25",
            "web_2026-11-25.tar",
            "web_2026-11-25.sha256",
            "_2026-11-25.zip",
            "-x_2026-11-25.zip",
            "../web_2026-11-25.zip",
            "a/b_2026-11-25.zip",
            "SMALL_2026-11-25.zip",
            "default_2026-11-25.zip",
        ] {
            assert!(ImageName::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_archive_says_how_many_parts_it_has() {
        let path = std::env::temp_dir().join(format!("archive{}", std::process::id()));
        let count = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            let count = datasets_in_zip(&path);
            fs::remove_file(&path).unwrap();
            count
        };
        let end = |count: u16, comment: u16| {
            let mut end = [0; 22];
            end[..4].copy_from_slice(b"PK\x05\x06");
            end[10..12].copy_from_slice(&count.to_le_bytes());
            end[20..].copy_from_slice(&comment.to_le_bytes());
            [b"parts".as_slice(), &end].concat()
        };
        assert_eq!(count(&end(3, 0)), Some(3));
        assert_eq!(count(&end(u16::MAX, 0)), None);
        assert_eq!(count(&end(3, 1)), None);
        assert_eq!(count(b"no archive"), None);
        assert_eq!(count(&[0; 100]), None);
    }
}
