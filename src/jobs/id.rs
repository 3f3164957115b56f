//! The ids of jobs.

use std::fmt;

/// The beginning of every id.
const PREFIX: &str = "sysadm_iocage_";

/// The id of a job. It is a plain file name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JobId(String);

impl JobId {
    /// The job that does `what` to `name`, which may be any text.
    pub fn new(what: &str, name: &str) -> Self {
        let plain = |c: char| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-' => c,
            _ => '_',
        };
        let name: String = name.chars().map(plain).collect();
        JobId(format!("{PREFIX}{what}_{name}"))
    }

    /// Reads an id that a host or a client names; none if it is of no job of the library.
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (is_ours(text) && text.bytes().all(is_plain)).then(|| JobId(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a job is the library's, by its id.
pub fn is_ours(id: &str) -> bool {
    id.starts_with(PREFIX)
}
