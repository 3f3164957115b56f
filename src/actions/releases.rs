//! FreeBSD releases to make jails from: `listreleases`, `fetchreleases`.

use serde_json::{json, Value};

use crate::context::Context;
use crate::error::Result;
use crate::iocage::{command, releases};
use crate::jobs::Start;
use crate::reply;
use crate::request::Arguments;

pub fn list(context: &Context, arguments: Arguments) -> Result<Value> {
    let refresh = arguments.flag("refresh")?;
    let pool = context.require_active_pool()?;
    let local = releases::local(&context.system, &pool)?;
    let remote = context.catalogue.releases(&pool, refresh);
    Ok(reply::catalogue(
        json!(local),
        json!(remote.releases),
        remote.age,
        remote.error,
    ))
}

pub fn fetch(context: &Context, arguments: Arguments) -> Result<Value> {
    let releases = arguments.releases()?;
    // Without one iocage would activate the first pool that it finds.
    context.require_active_pool()?;

    let mut started = Vec::new();
    let mut running = Vec::new();
    for release in releases {
        let id = format!("sysadm_iocage_fetch_release_{release}");
        match context.start_iocage(&id, &command::fetch_release(&release)) {
            Ok(Start::Started) => started.push(id),
            Ok(Start::AlreadyRunning) => running.push(id),
            Err(error) if started.is_empty() => return Err(error),
            Err(error) => {
                let doing = format!("started {}, but not {id}", started.join(", "));
                return Err(error.context(&doing));
            }
        }
    }
    let mut answer = json!({ "started_dispatcher_id": started });
    if !running.is_empty() {
        answer["already_running"] = json!(running);
    }
    Ok(answer)
}
