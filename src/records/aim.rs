//! What a job is for, and whether it has come to that.

use serde::{Deserialize, Serialize};

/// What is to be there when a job has ended, so that anybody can look whether it is: the process
/// that started the job may have died by then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aim {
    pub pool: String,
    pub work: Work,
}

/// The names are of datasets, without what is above them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// A release.
    Fetch { release: String },
    /// A jail with a plugin; no name where iocage makes one up.
    Plugin { name: Option<String> },
    /// A jail, made from the dataset `origin`, with so many packages in it.
    Create {
        name: String,
        origin: Option<String>,
        packages: usize,
    },
    /// A copy of a jail, with other values of the properties `given`.
    Clone {
        name: String,
        source: String,
        #[serde(default)]
        given: Vec<String>,
    },
    /// The latest patch level of a jail that had `from` and was down, or not.
    Update {
        name: String,
        was_up: bool,
        from: String,
    },
    /// Another release for a jail that had `from` and was down, or not; before that, iocage takes
    /// `snapshot` of it.
    Upgrade {
        name: String,
        release: String,
        was_up: bool,
        from: String,
        snapshot: String,
    },
    /// An image of a jail and its `datasets`: its file's name is `name`, one of the `days` and
    /// `ending`. Neither the image nor what iocage makes on the way to it was there before.
    Export {
        name: String,
        ending: String,
        days: Vec<String>,
        datasets: usize,
    },
    /// A jail from an image that was made on that day of so many datasets, where that is known.
    Import {
        name: String,
        day: String,
        datasets: Option<usize>,
    },
}

/// Whether a job has come to what it was for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub worked: bool,
    /// Why not, and what is left of it; or what went wrong all the same.
    pub error: Option<String>,
}

impl Verdict {
    pub fn worked() -> Self {
        Verdict {
            worked: true,
            error: None,
        }
    }

    /// It has worked, and this is to be said of it all the same.
    pub fn worked_but(remarks: impl Iterator<Item = String>) -> Self {
        let remarks: Vec<String> = remarks.collect();
        Verdict {
            worked: true,
            error: (!remarks.is_empty()).then(|| remarks.join("; ")),
        }
    }

    pub fn failed(why: impl Into<String>) -> Self {
        Verdict {
            worked: false,
            error: Some(why.into()),
        }
    }
}
