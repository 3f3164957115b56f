//! Why a request could not be done: one kind, one line of text.

use std::fmt;

/// The kind of an error, as a client sees it in a reply's `code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// An argument of the request is missing, malformed or not known.
    InvalidArgument,
    /// What the request names does not exist.
    NotFound,
    /// The action needs an active pool, or the named pool is not the active one.
    NotActive,
    /// The request contradicts the state of the host, of another request or of a job.
    Conflict,
    /// Something still depends on what would be destroyed, or a job uses it.
    InUse,
    /// A command did not end within its time limit, or a disk did not answer.
    Timeout,
    /// Something that the action needs (a command, a pool, a mount, a lock) is not usable now.
    Unavailable,
    /// A command was run and failed.
    Failed,
}

impl Code {
    /// The word that stands in a reply.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::InvalidArgument => "invalid_argument",
            Code::NotFound => "not_found",
            Code::NotActive => "not_active",
            Code::Conflict => "conflict",
            Code::InUse => "in_use",
            Code::Timeout => "timeout",
            Code::Unavailable => "unavailable",
            Code::Failed => "failed",
        }
    }
}

/// An error: what kind, and one line that says what could not be done and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub code: Code,
    pub message: String,
    /// A process that was started for it has not died, and may still do its work.
    pub lingers: bool,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Control characters in `message` become spaces, so that it stays one line whatever a
    /// command printed into it.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let message: String = message.into();
        let message = message
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        Error {
            code,
            message,
            lingers: false,
        }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Error::new(Code::InvalidArgument, message)
    }

    /// The same error, with what was being done before it.
    pub fn context(self, doing: &str) -> Self {
        Error {
            lingers: self.lingers,
            ..Error::new(self.code, format!("{doing}: {}", self.message))
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_was_put_into_it() {
        let error = Error::invalid("a\nb").context("still there: x\u{7}y");
        assert_eq!(error.message, "still there: x y: a b");
        assert_eq!(error.code, Code::InvalidArgument);
    }

    #[test]
    fn what_is_put_in_front_does_not_hide_that_a_process_lingers() {
        let lingers = |lingers| Error {
            lingers,
            ..Error::new(Code::Timeout, "zfs set: timeout")
        };
        assert!(lingers(true).context("tank").lingers);
        assert!(!lingers(false).context("tank").lingers);
    }
}
