//! Events: what a job's log means to clients.

use serde_json::{json, Map, Value};

use crate::configuration::Configuration;
use crate::iocage::progress::{self, Progress};
use crate::iocage::releases;
use crate::names::Release;
use crate::system::System;

/// The beginning of the id of a job that fetches a release.
const FETCHES: &str = "sysadm_iocage_fetch_release_";

/// The arguments of a job's event.
///
/// What is there decides whether a job has worked, if that can be asked; the command's words are in
/// `error`.
pub fn of(
    system: &System,
    configuration: &Configuration,
    id: &str,
    log: Map<String, Value>,
) -> Map<String, Value> {
    let progress = progress::of_log(&log);
    let failed = progress
        .outcome
        .as_ref()
        .and_then(|outcome| outcome.as_ref().err());
    let worked = match (&progress.outcome, failed) {
        (None, _) => None,
        (_, None) => Some(true),
        (_, Some(_)) => Some(is_done(system, configuration, id, &progress)),
    };
    let mut event = Map::new();
    let mut set = |key: &str, value: &str| event.insert(key.into(), json!(value));
    set("event_system", "sysadm/iocage");
    set("job_id", id);
    set("state", &progress.state);
    if let Some(download) = &progress.download {
        set("filename", &download.filename);
        let percent = if worked == Some(true) {
            100
        } else {
            download.percent
        };
        set("percent_done", &percent.to_string());
        if let Some(rate) = &download.rate {
            set("download_rate", rate);
        }
    } else if worked == Some(true) {
        set("percent_done", "100");
    }
    if let Some(worked) = worked {
        set("success", if worked { "true" } else { "false" });
    }
    if let Some(words) = failed {
        set("error", words);
    }
    event.insert("process_details".into(), Value::Object(log));
    event
}

/// The arguments of the event of a job in the host's dispatcher, which has its log: nobody else
/// knows how it ended.
pub fn without_log(id: &str, known: Map<String, Value>) -> Map<String, Value> {
    let mut event = Map::new();
    event.insert("event_system".into(), json!("sysadm/iocage"));
    event.insert("job_id".into(), json!(id));
    event.insert(
        "state".into(),
        known.get("state").cloned().unwrap_or_default(),
    );
    event.insert("process_details".into(), Value::Object(known));
    event
}

/// Leaves of what the job has printed the last `most` bytes.
pub fn cut_output(event: &mut Map<String, Value>, most: usize) {
    let details = event
        .get_mut("process_details")
        .and_then(Value::as_object_mut);
    for value in details.into_iter().flat_map(Map::values_mut) {
        let Value::String(text) = value else { continue };
        let start = text.len().saturating_sub(most);
        let start = (start..=text.len()).find(|at| text.is_char_boundary(*at));
        text.drain(..start.unwrap_or_default());
    }
}

/// Whether a job that ended with an error has still done its work: iocage 1.13 exits with 1 after a
/// good fetch if a jail of another pool cannot be read.
fn is_done(system: &System, configuration: &Configuration, id: &str, progress: &Progress) -> bool {
    let Some(Ok(release)) = id.strip_prefix(FETCHES).map(Release::parse) else {
        return false;
    };
    // The dataset is there before anything is extracted into it.
    progress.is_extracted && releases::is_there(system, configuration, &release)
}
