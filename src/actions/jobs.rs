//! Jobs, those that run and those that have ended: `listjobs`, `jobstatus`, `stopjob`.

use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::jobs::JobId;
use crate::reply::{Answer, Object};
use crate::request::{Arguments, JOB};

pub fn list(context: &Context, _: &Arguments) -> Result<Object> {
    context.jobs.settle_queued();
    let mut jobs = Object::new();
    for (id, event) in context.jobs.events()? {
        jobs.insert(id, Answer::of_json(event.into()));
    }
    Ok(Object::new().with("jobs", jobs))
}

pub fn status(context: &Context, arguments: &Arguments) -> Result<Object> {
    let job = arguments.require(&JOB)?;
    context.jobs.settle_queued();
    let event = JobId::parse(&job).and_then(|id| context.jobs.event(&id));
    match event.map(|event| Answer::of_json(event.into())) {
        Some(Answer::Object(event)) => Ok(event),
        _ => Err(unknown(&job)),
    }
}

pub fn stop(context: &Context, arguments: &Arguments) -> Result<Object> {
    let job = arguments.require(&JOB)?;
    let Some(id) = JobId::parse(&job) else {
        return Err(unknown(&job));
    };
    context.jobs.stop(&id)?;
    Ok(Object::new().with("success", format!("job {id} ended.")))
}

fn unknown(job: &str) -> Error {
    let message = format!("there is no job {job:?}, or it was forgotten");
    Error::new(Code::NotFound, message)
}
