//! An instance of the plugin: which action, and may this user.

use std::time::Instant;

use serde_json::{json, Map, Value};

use crate::actions::{self, Access, Action};
use crate::audit;
use crate::configuration::Configuration;
use crate::context::{Context, Host, Level};
use crate::error::{Code, Error, Result};
use crate::iocage::progress;
use crate::limits;
use crate::reply::{Reply, Status};
use crate::request::{shorten, Arguments};
use crate::sharing::Sharing;

/// What every job of ours has in front of its id.
const JOB_PREFIX: &str = "sysadm_iocage_";

/// An instance of the plugin. Any number of threads may use it at once; dropping it ends the jobs
/// that it runs itself.
pub struct Instance {
    context: Context,
    sharing: Sharing,
}

impl Instance {
    pub fn new(config: Configuration, host: Box<dyn Host>) -> Self {
        Instance {
            context: Context::new(config, host),
            sharing: Sharing::default(),
        }
    }

    /// Answers a request: the text of its `args`.
    pub fn evaluate(&self, args: &str, access: Access) -> Reply {
        match parse(args) {
            Ok(args) => self.dispatch(&args, access),
            Err(why) => Reply::refusal(Status::BadRequest, &why),
        }
    }

    /// Answers a whole WebSocket message: `id`, `namespace`, `name`, `args`.
    pub fn message(&self, message: &str, access: Access) -> Value {
        let message = match parse(message) {
            Ok(Value::Object(message)) => message,
            Ok(_) => {
                let why = "the message is not a JSON object";
                return Reply::refusal(Status::BadRequest, why).into_message(None);
            }
            Err(why) => return Reply::refusal(Status::BadRequest, &why).into_message(None),
        };
        let is = |key: &str, word: &str| {
            message
                .get(key)
                .and_then(Value::as_str)
                .is_some_and(|t| t.eq_ignore_ascii_case(word))
        };
        let reply = if is("namespace", "sysadm") && is("name", "iocage") {
            self.dispatch(message.get("args").unwrap_or(&Value::Null), access)
        } else {
            Reply::refusal(
                Status::NotFound,
                "this is sysadm/iocage, the message is for another",
            )
        };
        reply.into_message(message.get("id").cloned())
    }

    fn dispatch(&self, args: &Value, access: Access) -> Reply {
        let bad = |why: &str| Reply::refusal(Status::BadRequest, why);
        let Some(args) = args.as_object() else {
            return bad("the request's args are not a JSON object");
        };
        let name = match args.get("action") {
            Some(Value::String(name)) => name,
            Some(_) => return bad("\"action\" is not a string"),
            None => return bad("\"action\" is missing"),
        };
        let Some(action) = actions::find(name) else {
            return bad(&format!("unknown action {:?}", shorten(name)));
        };
        let arguments = Arguments(args);
        if access < action.access {
            let line = audit::refusal(action, arguments);
            self.context.note(Level::Error, &line);
            let why = format!("{name} changes something and takes full access");
            return Reply::refusal(Status::Forbidden, &why);
        }
        let outcome = match action.access {
            Access::Read => self.look(action, arguments),
            Access::Full => self.change(action, arguments),
        };
        Reply::of_action(name, outcome)
    }

    /// Does what only reads. It ignores arguments that it does not know.
    fn look(&self, action: &Action, arguments: Arguments) -> Result<Value> {
        let request = arguments.known(action.arguments, action.name);
        let look = || (action.run)(&self.context, arguments);
        let outcome = self.sharing.answer(&request, look);
        if let Err(error) = &outcome {
            self.log_failure(action, error);
        }
        outcome
    }

    /// Does what changes something. It refuses arguments that it does not know.
    fn change(&self, action: &Action, arguments: Arguments) -> Result<Value> {
        let started = Instant::now();
        let known = arguments.only(action.arguments);
        let outcome = known.and_then(|()| (action.run)(&self.context, arguments));
        match &outcome {
            // That changes nothing, and a client can send many.
            Err(error) if error.code == Code::InvalidArgument => self.log_failure(action, error),
            _ => {
                self.context.memory.note_change();
                let line = audit::line(action, arguments, &outcome, started.elapsed());
                let level = outcome.as_ref().map_or(Level::Error, |_| Level::Info);
                self.context.note(level, &line);
            }
        }
        outcome
    }

    fn log_failure(&self, action: &Action, error: &Error) {
        let message = format!("{}: {}: {error}", action.name, error.code.as_str());
        self.context.host.log(Level::Error, &message);
    }

    /// What a job's log means, as the arguments of an event; `None` for a job that is not ours.
    /// Without a log, that of a job which this instance runs itself.
    pub fn progress(&self, job_id: &str, log: Option<&str>) -> Result<Option<Value>> {
        if !job_id.starts_with(JOB_PREFIX) {
            return Ok(None);
        }
        let log = match log {
            Some(text) => match serde_json::from_str(text) {
                Ok(Value::Object(log)) => log,
                Ok(_) => return Err(Error::invalid("the job's log is not a JSON object")),
                Err(error) => {
                    return Err(Error::invalid(format!(
                        "the job's log is not JSON: {error}"
                    )));
                }
            },
            None => self.context.jobs.log(job_id).ok_or_else(|| {
                Error::invalid(format!(
                    "no log given, and no job {:?} here",
                    shorten(job_id)
                ))
            })?,
        };
        Ok(Some(event(job_id, log)))
    }
}

/// The arguments of the event that tells clients of a job.
fn event(job_id: &str, log: Map<String, Value>) -> Value {
    let progress = progress::of_log(&log);
    let mut event = Map::new();
    let mut set = |key: &str, value: &str| event.insert(key.into(), json!(value));
    set("event_system", "sysadm/iocage");
    set("job_id", job_id);
    set("state", &progress.state);
    let worked = matches!(progress.outcome, Some(Ok(())));
    if let Some(download) = &progress.download {
        set("filename", &download.filename);
        let percent = if worked { 100 } else { download.percent };
        set("percent_done", &percent.to_string());
        if let Some(rate) = &download.rate {
            set("download_rate", rate);
        }
    } else if worked {
        set("percent_done", "100");
    }
    match &progress.outcome {
        Some(Ok(())) => drop(set("success", "true")),
        Some(Err(words)) => {
            set("success", "false");
            set("error", words);
        }
        None => {}
    }
    event.insert("process_details".into(), Value::Object(log));
    Value::Object(event)
}

/// Reads a request; the error says what is wrong with it.
fn parse(text: &str) -> std::result::Result<Value, String> {
    if text.len() > limits::REQUEST_BYTES {
        return Err(format!(
            "the request is longer than {} bytes",
            limits::REQUEST_BYTES
        ));
    }
    // serde_json refuses more than 128 levels of nesting, so no request exhausts the stack.
    serde_json::from_str(text).map_err(|error| format!("the request is not JSON: {error}"))
}
