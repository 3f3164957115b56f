//! Exported jails: what `iocage export` has put into the folder `images`.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::error::{Code, Error, Result};
use crate::system::{open_regular, read_regular};

/// The forms of an image, by the end of its name: `export -c zip` and `-c lzma`.
const FORMATS: [(&str, &str); 2] = [(".zip", "zip"), (".tar.xz", "lzma")];

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

/// What is known of an image's checksum, which iocage writes and never looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    There,
    Missing,
    Right,
    Wrong,
}

impl Checksum {
    pub fn as_str(self) -> &'static str {
        match self {
            Checksum::There => "there",
            Checksum::Missing => "missing",
            Checksum::Right => "right",
            Checksum::Wrong => "wrong",
        }
    }
}

/// The images below iocage's root on disk, in any order.
///
/// # Errors
/// `Failed` if the folder cannot be read.
pub fn list(root: &Path) -> Result<Vec<Image>> {
    let folder = root.join("images");
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
        let format = FORMATS.iter().find(|(end, _)| file.ends_with(end));
        let Some((_, format)) = format.filter(|_| data.is_file()) else {
            continue;
        };
        let stem = stem(&file);
        let sum = folder.join(format!("{stem}.sha256"));
        let (jail, date) = name_and_date(stem);
        images.push(Image {
            jail: jail.into(),
            date: date.map(String::from),
            format,
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
    let folder = root.join("images");
    let end = Instant::now() + limit;
    let verify_one = |mut image: Image| match compare(&folder, &image, end) {
        Ok(checksum) => {
            image.checksum = checksum;
            (image, None)
        }
        Err(error) => (image, Some(error)),
    };
    images.into_iter().map(verify_one).collect()
}

fn compare(folder: &Path, image: &Image, end: Instant) -> Result<Checksum> {
    const SUM_BYTES: u64 = 4096;
    if image.checksum == Checksum::Missing {
        return Ok(Checksum::Missing);
    }
    let path = folder.join(format!("{}.sha256", stem(&image.file)));
    let sum = read_regular(&path, SUM_BYTES).ok_or_else(|| {
        let message = format!("{} cannot be read", path.display());
        Error::new(Code::Failed, message)
    })?;
    let is = digest(&folder.join(&image.file), end)?;
    let sum = String::from_utf8_lossy(&sum);
    Ok(match sum.trim().eq_ignore_ascii_case(&is) {
        true => Checksum::Right,
        false => Checksum::Wrong,
    })
}

fn stem(file: &str) -> &str {
    let mut stems = FORMATS.iter().filter_map(|(end, _)| file.strip_suffix(end));
    stems.next().unwrap_or(file)
}

/// The SHA-256 of a file in hexadecimal digits.
fn digest(path: &Path, end: Instant) -> Result<String> {
    let cannot = |error: std::io::Error| {
        let message = format!("{}: {error}", path.display());
        Error::new(Code::Failed, message)
    };
    let mut file: File = open_regular(path).map_err(cannot)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        if Instant::now() >= end {
            let message = format!("there was no time left to read {}", path.display());
            return Err(Error::new(Code::Timeout, message));
        }
        match file.read(&mut buffer).map_err(cannot)? {
            0 => break,
            read => hash.update(&buffer[..read]),
        }
    }
    let bytes = hash.finalize();
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
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
}
