//! Whether a request was answered as it should be.

use serde_json::Value;

use super::bench::{count, Outcome, Started};
use super::model::{Model, Must};
use super::picture::{may, Change, Picture, Rule};

/// A request that was answered.
pub struct Judged<'a> {
    pub model: &'a Model<'a>,
    pub own: &'a [Change],
    /// Its commands that were to change something.
    pub attempts: &'a [String],
    pub rules: &'a [Rule],
    pub after: &'a Picture,
    pub reply: Option<&'a Value>,
    pub is_troubled: bool,
    pub is_shared: bool,
    /// Whether a job of one that was killed had ended before.
    pub are_orphans: bool,
    pub stale: bool,
    pub jobs: &'a [Started],
}

impl Judged<'_> {
    pub fn judge(&self) -> Outcome {
        let action = self.model.action;
        for change in self.own {
            if !self.rules.iter().any(|rule| rule.allows(change)) {
                return Err(format!("nobody asked for {change:?}"));
            }
            let is_jobs = self.model.busy.iter().any(|name| {
                let mut families = ["jails", "templates"].iter();
                families.any(|family| {
                    let dataset = format!(
                        "{}/iocage/{family}/{name}",
                        self.model.before.pool().unwrap_or_default()
                    );
                    may("dataset- dataset+ file snapshot- snapshot+", dataset).allows(change)
                })
            });
            if is_jobs && action != "stopjob" && !self.is_shared {
                return Err(format!("a job uses what has changed: {change:?}"));
            }
        }
        let Some(reply) = self.reply else {
            count(action, "killed");
            return Ok(());
        };
        let Some(answer) = reply.get(action) else {
            return Err(format!("no answer of the action: {reply}"));
        };
        let code = answer["code"].as_str();
        let text = answer["error"].as_str();
        let trouble = if self.is_troubled { " in trouble" } else { "" };
        let is_dry = if self.model.is_dry() { " dry" } else { "" };
        count(
            action,
            &format!("{}{is_dry}{trouble}", code.unwrap_or("done")),
        );
        match (code, text) {
            // A job's error is not the answer's.
            (None, _) if action == "jobstatus" => Ok(()),
            (None, None) => self.judge_success(answer),
            (Some(code), Some(text)) => self.judge_error(code, text),
            _ => Err(format!("an odd error: {answer}")),
        }
    }

    fn judge_success(&self, answer: &Value) -> Outcome {
        let each = answer["jails"]
            .as_object()
            .filter(|_| !self.model.args["jails"].is_null());
        let worked = each.is_none_or(|each| each.values().any(|one| one["error"].is_null()));
        if !self.is_shared && worked {
            // What would be done may be what would have been done before.
            let is_known = !(self.model.is_dry() && self.stale);
            if let (Must::Refuse(why), true, false) =
                (self.model.must(), is_known, self.model.is_dry())
            {
                return Err(format!("it should have been refused, for {why}: {answer}"));
            }
            if self.model.is_dry() && is_known && !self.is_troubled {
                self.judge_dry(answer)?;
            }
            if let Some(lie) = self.model.lie(self.after, answer) {
                return Err(format!("it is a lie, for {lie}: {answer}"));
            }
            self.judge_listing(answer)?;
        }
        if let Some(each) = answer["jails"].as_object() {
            for (name, one) in each {
                let text = one["error"].as_str().unwrap_or_default();
                self.judge_words(text, Some(name))?;
            }
        }
        Ok(())
    }

    /// Whether what is asked for would be refused, or would work, as a dry run says.
    fn judge_dry(&self, answer: &Value) -> Outcome {
        let Some(refused) = answer["would_refuse"].as_array() else {
            return Ok(());
        };
        match (self.model.must(), refused.is_empty()) {
            (Must::Refuse(why), true) => Err(format!(
                "it would be refused, for {why}, and says: {answer}"
            )),
            (Must::Work(why), false) => {
                Err(format!("it would work, for {why}, and says: {answer}"))
            }
            _ => Ok(()),
        }
    }

    fn judge_error(&self, code: &str, text: &str) -> Outcome {
        const REFUSALS: [&str; 5] = [
            "invalid_argument",
            "not_found",
            "not_active",
            "conflict",
            "in_use",
        ];
        const OTHERS: [&str; 3] = ["timeout", "unavailable", "failed"];
        let is_known = REFUSALS.contains(&code) || OTHERS.contains(&code);
        if !is_known || text.is_empty() || text.chars().any(char::is_control) {
            return Err(format!("an odd error: {code}: {text}"));
        }
        let is_refusal = REFUSALS.contains(&code);
        if is_refusal && !self.is_troubled && !self.are_orphans {
            if let Some(change) = self.own.first() {
                return Err(format!(
                    "it was refused, and yet {change:?}: {code}: {text}"
                ));
            }
        }
        // A switch that fails is undone, or it says that this could not be.
        let marks = self.own.iter().find(|change| change.kind == "mark");
        let is_said = ["nothing was undone", "undoing it failed"];
        let is_said = is_said.iter().any(|claim| text.contains(claim));
        let is_switch = self.model.action == "activatepool" && !self.is_shared && !is_said;
        if let Some(mark) = marks.filter(|_| is_switch) {
            if self.model.before.active != self.after.active {
                return Err(format!(
                    "a switch has failed, and yet {mark:?}: {code}: {text}"
                ));
            }
        }
        let is_alone = !self.is_troubled && !self.is_shared && !self.are_orphans;
        if let (Must::Refuse(why), true) = (self.model.must(), is_alone) {
            if let Some(change) = self.own.first() {
                return Err(format!(
                    "it should have been refused, for {why}, and yet {change:?}: {text}"
                ));
            }
            // That ZFS or iocage refuses it is luck.
            if let Some(attempt) = self.attempts.first() {
                return Err(format!(
                    "it should have been refused, for {why}, and yet was tried: {attempt}: {text}"
                ));
            }
        }
        if let (Must::Work(why), false) = (self.model.must(), self.is_troubled) {
            // The rules of arguments are the library's own. And a list that is fetched beside it may hold the
            // pools for longer than it waits, milliseconds here.
            let is_late = text.contains("the pools in use by another request or process");
            if code != "invalid_argument" && !is_late {
                return Err(format!("it should have worked, for {why}: {code}: {text}"));
            }
        }
        if let Some((_, rest)) = text.split_once(" in use by job") {
            let rest = rest.trim_start_matches('s').trim();
            let names: Vec<&str> = rest
                .split([',', ';', ' '])
                .filter(|name| !name.is_empty())
                .collect();
            let first = names.first().copied().unwrap_or_default();
            let is_known = self
                .jobs
                .iter()
                .any(|one| one.id == first || one.id.starts_with("unnamed"));
            if !is_known {
                return Err(format!("there is no such job: {text}"));
            }
        }
        self.judge_words(text, None)
    }

    /// Whether what the words of an error claim is so.
    /// Whether what an error says was done is so; `name` is that of the jail that it is about, if others
    /// were meant too.
    fn judge_words(&self, text: &str, name: Option<&str>) -> Outcome {
        if self.is_shared || self.are_orphans {
            return Ok(());
        }
        // What has the name of another that was meant too went with that one.
        let all = self.model.args["jails"].as_array().into_iter().flatten();
        let others: Vec<&str> = all
            .filter_map(Value::as_str)
            .filter(|one| name.is_some_and(|name| name != *one))
            .collect();
        let is_of_it = |change: &&Change| {
            let parts: Vec<&str> = change.what.split(['/', '@', ':']).collect();
            let is_named = name.is_none_or(|name| parts.contains(&name));
            is_named && !others.iter().any(|other| parts.contains(other))
        };
        let mut own = self.own.iter().filter(is_of_it);
        let gone = own
            .clone()
            .find(|change| change.kind == "dataset-" || change.kind == "snapshot-");
        let says_nothing = [
            "nothing was destroyed",
            "nothing was:",
            "no snapshot was destroyed",
        ];
        if let Some(gone) = gone.filter(|_| says_nothing.iter().any(|claim| text.contains(claim))) {
            return Err(format!("{gone:?}, but it says: {text}"));
        }
        let unchanged = [
            "nothing has changed",
            "all is as it was",
            "nothing was rolled back",
        ];
        let is_said = unchanged.iter().any(|claim| text.contains(claim));
        if let Some(change) = own.next().filter(|_| is_said) {
            return Err(format!("{change:?}, but it says: {text}"));
        }
        for claim in ["destroyed ", "rolled back "] {
            let Some((_, rest)) = text.split_once(claim).filter(|_| claim == "destroyed ") else {
                continue;
            };
            let list = rest.split([':', ';']).next().unwrap_or_default();
            for name in list.split(", ").filter(|name| name.contains('/')) {
                let is_there = self.after.datasets.contains_key(name)
                    || self.after.snapshots.contains_key(name);
                if is_there {
                    return Err(format!("{name} is there, but it says: {text}"));
                }
            }
        }
        Ok(())
    }

    /// Whether what is listed is all that is there, and each once.
    fn judge_listing(&self, answer: &Value) -> Outcome {
        let (model, after) = (self.model, self.after);
        let choosing = ["jail", "jail_uuid", "jails", "state", "type", "release"];
        if choosing.iter().any(|key| !model.args[*key].is_null()) || self.stale || self.is_troubled
        {
            return Ok(());
        }
        let listed = match model.action {
            "listjails" | "df" | "listsnapshots" | "listmounts" | "getjailsettings" => {
                &answer["jails"]
            }
            "listtemplates" => &answer["templates"],
            _ => return Ok(()),
        };
        let families: &[&str] = match model.action {
            "listjails" => &["jails"],
            "listtemplates" => &["templates"],
            _ => &["jails", "templates"],
        };
        let expected: usize = families
            .iter()
            .map(|family| after.members(family).len())
            .sum();
        let count = listed.as_object().map_or(0, |listed| listed.len());
        if count != expected {
            return Err(format!(
                "there are {expected} and {count} are listed: {answer}"
            ));
        }
        if model.action == "listjails" {
            let up = listed
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(_, jail)| jail["state"] == "up")
                .count();
            let jails = after.jails();
            let jails = jails.iter().filter(|jail| jail.family == "jails");
            let sure = jails
                .clone()
                .filter(|jail| jail.is_up() && jail.config.is_some())
                .count();
            let most = jails.filter(|jail| !jail.is_down()).count();
            if up < sure || up > most {
                return Err(format!(
                    "{sure} to {most} run, and {up} are said to: {answer}"
                ));
            }
        }
        Ok(())
    }
}
