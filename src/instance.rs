//! An instance of the library: its texts in and out.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::actions::Access;
use crate::catalogue::Catalogue;
use crate::configuration::Configuration;
use crate::context::{Context, Known};
use crate::dispatch::dispatch;
use crate::error::{Error, Result};
use crate::event;
use crate::host::{Callbacks, Host};
use crate::jobs::{self, JobId, Jobs};
use crate::limits;
use crate::records::Records;
use crate::reply::{Object, Reply, Status};
use crate::request::shorten;
use crate::resources::Resources;
use crate::sharing::Sharing;
use crate::system::{Runner, System};

/// An instance of the library. Any number of threads may use it at once; dropping it ends the jobs
/// that it runs itself.
pub struct Instance {
    context: Context,
    sharing: Sharing<Object>,
}

impl Instance {
    /// An instance on the real host.
    pub fn new(configuration: Configuration, host: Box<dyn Host>) -> Self {
        let system = System::new(&configuration);
        Self::on(configuration, host, system)
    }

    /// An instance on a host that `runner` makes up.
    pub fn with_runner(
        configuration: Configuration,
        host: Box<dyn Host>,
        runner: Arc<dyn Runner>,
    ) -> Self {
        let system = System::with(&configuration, runner);
        Self::on(configuration, host, system)
    }

    fn on(configuration: Configuration, host: Box<dyn Host>, system: System) -> Self {
        let (configuration, system) = (Arc::new(configuration), Arc::new(system));
        let callbacks = Arc::new(Callbacks::new(host, Arc::clone(&system)));
        let run_directory = configuration.run_directory();
        let records = Records::new(&run_directory);
        let state = &configuration.state_directory;
        let resources = Resources::new(state, &run_directory, records.clone());
        // All who have one state directory have one catalogue, whichever iocage they work with.
        let of_all = Resources::new(state, state, records.clone());
        let known = Arc::new(Known {
            catalogue: Catalogue::new(
                &configuration,
                Arc::clone(&system),
                of_all,
                resources.clone(),
            ),
            indexes: Default::default(),
            installed: Default::default(),
            memory: Default::default(),
            looking: Default::default(),
        });
        let jobs = Arc::new(Jobs::new(
            Arc::clone(&configuration),
            Arc::clone(&system),
            Arc::clone(&callbacks),
            records,
            resources.clone(),
        ));
        Instance {
            context: Context {
                configuration,
                system,
                resources,
                jobs,
                known,
                callbacks,
            },
            sharing: Sharing::default(),
        }
    }

    /// Ends the jobs that the instance runs itself, and waits for their end. No job starts after
    /// that.
    pub fn close(&self) {
        self.context.jobs.close();
    }

    /// Answers a request: the text of its `args`.
    pub fn evaluate(&self, args: &str, access: Access) -> Reply {
        match parse(args) {
            Ok(args) => dispatch(&self.context, &self.sharing, &args, access),
            Err(why) => Reply::refusal(Status::BadRequest, why),
        }
    }

    /// Answers a whole WebSocket message: `id`, `namespace`, `name`, `args`.
    pub fn message(&self, message: &str, access: Access) -> String {
        let refusal = |why: String| Reply::refusal(Status::BadRequest, why).to_message(None);
        if let Err(why) = parse(message).and_then(|message| match message {
            Value::Object(_) => Ok(()),
            _ => Err("the message is not a JSON object".into()),
        }) {
            return refusal(why);
        }
        // Each member as it was written: an `id` comes back so.
        let members: BTreeMap<String, &RawValue> = match serde_json::from_str(message) {
            Ok(members) => members,
            Err(error) => return refusal(format!("the message is not JSON: {error}")),
        };
        let value = |key: &str| {
            let text = members.get(key)?.get();
            serde_json::from_str::<Value>(text).ok()
        };
        let is = |key: &str, word: &str| match value(key) {
            Some(Value::String(text)) => text.eq_ignore_ascii_case(word),
            _ => false,
        };
        let reply = if is("namespace", "sysadm") && is("name", "iocage") {
            let args = value("args").unwrap_or_default();
            dispatch(&self.context, &self.sharing, &args, access)
        } else {
            Reply::refusal(
                Status::NotFound,
                "the message is not addressed to sysadm/iocage",
            )
        };
        reply.to_message(members.get("id").copied())
    }

    /// What a job's log means, as the arguments of an event; `None` for a job that is not the
    /// library's. Without a log, it is a job that the library runs or has run itself.
    pub fn progress(&self, job_id: &str, log: Option<&str>) -> Result<Option<String>> {
        if !jobs::is_ours(job_id) {
            return Ok(None);
        }
        let id = JobId::parse(job_id);
        let own = log.is_none();
        let log = match log {
            Some(text) => parse_log(text)?,
            None => {
                let log = id.as_ref().and_then(|id| self.context.jobs.log(id));
                log.ok_or_else(|| {
                    let why = format!(
                        "no log given, and the library has none of job {:?}",
                        shorten(job_id)
                    );
                    Error::invalid(why)
                })?
            }
        };
        let Context {
            system,
            configuration,
            jobs,
            ..
        } = &self.context;
        let has_ended = log.get("state").and_then(Value::as_str) == Some("finished");
        if let Some(id) = id.as_ref().filter(|_| has_ended && !own) {
            jobs.end_queued(id, Some(&log));
        }
        // After that, so that what has been judged is not judged again.
        let known = id.map(|id| jobs.known(&id)).unwrap_or_default();
        let event = event::of(system, configuration, job_id, &known, log);
        Ok(Some(Value::Object(event).to_string()))
    }
}

fn parse_log(text: &str) -> Result<Map<String, Value>> {
    match serde_json::from_str(text) {
        Ok(Value::Object(log)) => Ok(log),
        Ok(_) => Err(Error::invalid("the job's log is not a JSON object")),
        Err(error) => Err(Error::invalid(format!(
            "the job's log is not JSON: {error}"
        ))),
    }
}

/// Reads a request; the error says what is wrong with it.
fn parse(text: &str) -> std::result::Result<Value, String> {
    if text.len() > limits::REQUEST_BYTES {
        let most = limits::REQUEST_BYTES;
        return Err(format!("the request is longer than {most} bytes"));
    }
    // serde_json refuses more than 128 levels of nesting, so no request exhausts the stack.
    serde_json::from_str(text).map_err(|error| format!("the request is not JSON: {error}"))
}
