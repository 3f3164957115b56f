//! Events: what a job's log means to clients.

use serde_json::{json, Map, Value};

use crate::configuration::Configuration;
use crate::iocage::outcomes::{self, Look};
use crate::iocage::pools;
use crate::iocage::progress::{self, Progress};
use crate::names::Release;
use crate::records::{Aim, Verdict, Work};
use crate::system::System;

/// The beginning of the id of a job that fetches a release.
const FETCHES: &str = "sysadm_iocage_fetch_release_";

/// What is known of a job besides its log.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub aim: Option<Aim>,
    /// Whether it has worked, where somebody has looked already.
    pub verdict: Option<Verdict>,
}

/// The arguments of a job's event.
///
/// What is there decides whether a job has worked, if that can be asked; the command's words are in
/// `error`.
pub fn of(
    system: &System,
    configuration: &Configuration,
    id: &str,
    known: &Known,
    log: Map<String, Value>,
) -> Map<String, Value> {
    let progress = progress::of_log(&log);
    let verdict = match (&progress.outcome, &known.verdict) {
        (None, _) => None,
        (Some(_), Some(verdict)) => Some(verdict.clone()),
        (Some(_), None) => {
            let aim = known.aim.clone();
            let aim = aim.or_else(|| aim_of(system, configuration, id, &progress));
            // Its end may be looked at more closely at this moment, and nobody waits for that here.
            Some(judge(system, aim.as_ref(), Look::Glance, &progress))
        }
    };
    let worked = verdict.as_ref().map(|verdict| verdict.worked);
    let mut event = Map::new();
    let mut set = |key: &str, value: &str| event.insert(key.into(), json!(value));
    set("event_system", "sysadm/iocage");
    set("job_id", id);
    set("state", &progress.state);
    let mut percent = known
        .aim
        .as_ref()
        .and_then(|aim| outcomes::percent(aim, &progress));
    if let Some(download) = &progress.download {
        set("filename", &download.filename);
        percent = percent.or(Some(download.percent));
        if let Some(rate) = &download.rate {
            set("download_rate", rate);
        }
    }
    if worked == Some(true) {
        percent = Some(100);
    }
    if let Some(percent) = percent {
        set("percent_done", &percent.to_string());
    }
    if let Some(worked) = worked {
        set("success", if worked { "true" } else { "false" });
    }
    if let Some(words) = verdict.and_then(|verdict| verdict.error) {
        set("error", &words);
    }
    event.insert("process_details".into(), Value::Object(log));
    event
}

/// Whether a job that has ended has worked.
pub fn judge(system: &System, aim: Option<&Aim>, look: Look, end: &Progress) -> Verdict {
    match aim {
        Some(aim) => outcomes::judge(system, aim, look, end),
        None => outcomes::by_words(end),
    }
}

/// What a job without a record is for, where its id says it and it matters: of a host that does not
/// tell which of its jobs run there is none.
fn aim_of(system: &System, configuration: &Configuration, id: &str, end: &Progress) -> Option<Aim> {
    let release = Release::parse(id.strip_prefix(FETCHES)?).ok()?;
    if end.words().is_none() || !end.is_extracted {
        return None;
    }
    let pool = pools::active(system, configuration).ok().flatten();
    Some(Aim {
        pool: pool?.to_string(),
        work: Work::Fetch {
            release: release.to_string(),
        },
    })
}

/// The arguments of the event of a job in the host's dispatcher, which has its log.
pub fn without_log(
    id: &str,
    verdict: Option<Verdict>,
    about: Map<String, Value>,
) -> Map<String, Value> {
    let mut event = Map::new();
    event.insert("event_system".into(), json!("sysadm/iocage"));
    event.insert("job_id".into(), json!(id));
    let state = about.get("state").cloned().unwrap_or_default();
    event.insert("state".into(), state);
    if let Some(verdict) = verdict {
        let worked = if verdict.worked { "true" } else { "false" };
        event.insert("success".into(), json!(worked));
        if let Some(error) = verdict.error {
            event.insert("error".into(), json!(error));
        }
    }
    event.insert("process_details".into(), Value::Object(about));
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
