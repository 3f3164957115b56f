//! The checksum of an image: `iocage export` writes it into a file beside the image, and no iocage
//! ever looks at it.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::error::{Code, Error, Result};
use crate::system::{open_regular, read_regular, System};

/// What is known of it.
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

/// Whether the file `sum` has a whole checksum in it: iocage writes it when the image is done.
pub fn is_whole(sum: &Path) -> bool {
    let text = read_regular(sum, SUM_BYTES).unwrap_or_default();
    let text = text.trim_ascii();
    text.len() == 2 * Sha256::output_size() && text.iter().all(u8::is_ascii_hexdigit)
}

const SUM_BYTES: u64 = 4096;

/// Compares an image with its checksum.
///
/// # Errors
/// `Timeout` at `end`; `Failed` if a file cannot be read.
pub fn compare(image: &Path, sum: &Path, end: Instant) -> Result<Checksum> {
    let sum = read_sum(sum)?;
    match Reading::open(image)?.go_on(end)? {
        Step::Done(is) => Ok(judge(&sum, &is)),
        Step::More(_) => Err(no_time(image)),
    }
}

/// The same, which may take `patience`. The disk is touched for a moment at a time, each of which is
/// given up if it takes too long; `of` is the name of what is touched.
///
/// # Errors
/// As [`compare`], and as [`System::on_files`].
pub fn compare_at_leisure(
    system: &System,
    of: &str,
    image: &Path,
    sum: &Path,
    patience: Duration,
) -> Result<Checksum> {
    const MOMENT: Duration = Duration::from_millis(250);
    let end = Instant::now() + patience;
    let (file, of_image) = (image.to_path_buf(), sum.to_path_buf());
    let open = move || -> Result<_> { Ok((read_sum(&of_image)?, Reading::open(&file)?)) };
    let (sum, mut reading) = system.on_files(of, open)??;
    loop {
        let next = move || reading.go_on(Instant::now() + MOMENT);
        reading = match system.on_files(of, next)?? {
            Step::Done(is) => return Ok(judge(&sum, &is)),
            Step::More(_) if Instant::now() >= end => return Err(no_time(image)),
            Step::More(reading) => reading,
        };
    }
}

fn read_sum(path: &Path) -> Result<String> {
    let sum = read_regular(path, SUM_BYTES).ok_or_else(|| {
        let message = format!("{} cannot be read", path.display());
        Error::new(Code::Failed, message)
    })?;
    Ok(String::from_utf8_lossy(&sum).trim().to_ascii_lowercase())
}

fn judge(sum: &str, is: &str) -> Checksum {
    match sum == is {
        true => Checksum::Right,
        false => Checksum::Wrong,
    }
}

fn no_time(image: &Path) -> Error {
    let message = format!("there was no time left to read {}", image.display());
    Error::new(Code::Timeout, message)
}

/// A file that is read piece by piece.
struct Reading {
    file: File,
    hash: Sha256,
    /// For messages.
    name: String,
}

enum Step {
    More(Reading),
    /// The SHA-256 of the file in hexadecimal digits.
    Done(String),
}

impl Reading {
    fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let file = open_regular(path);
        let cannot = |error| Error::new(Code::Failed, format!("{name}: {error}"));
        Ok(Reading {
            file: file.map_err(cannot)?,
            hash: Sha256::new(),
            name,
        })
    }

    /// Reads on until `end`, a piece in any case.
    fn go_on(mut self, end: Instant) -> Result<Step> {
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = self.file.read(&mut buffer);
            let cannot = |error| Error::new(Code::Failed, format!("{}: {error}", self.name));
            match read.map_err(cannot)? {
                0 => {
                    let bytes = self.hash.finalize();
                    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
                    return Ok(Step::Done(digits.collect()));
                }
                read => self.hash.update(&buffer[..read]),
            }
            if Instant::now() >= end {
                return Ok(Step::More(self));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_read_in_pieces_has_the_sum_of_the_whole() {
        let path = std::env::temp_dir().join(format!("checksum{}", std::process::id()));
        std::fs::write(&path, vec![7; 5 << 20]).unwrap();
        let mut reading = Reading::open(&path).unwrap();
        let mut steps = 0;
        let in_pieces = loop {
            steps += 1;
            match reading
                .go_on(Instant::now() + Duration::from_micros(1))
                .unwrap()
            {
                Step::Done(sum) => break sum,
                Step::More(rest) => reading = rest,
            }
        };
        let whole = Sha256::digest(std::fs::read(&path).unwrap());
        let whole: String = whole.iter().map(|byte| format!("{byte:02x}")).collect();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(in_pieces, whole);
        assert!(steps > 1, "{steps}");
    }
}
