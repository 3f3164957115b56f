//! FreeBSD releases to make jails from: `listreleases`, `fetchreleases`.

use crate::context::Context;
use crate::error::Result;
use crate::iocage::{command, pools, releases};
use crate::jobs::{JobId, Task};
use crate::names::Release;
use crate::reply::{self, Object};
use crate::request::{Arguments, REFRESH, RELEASES};
use crate::resources::Resource;

pub fn list(context: &Context, arguments: &Arguments) -> Result<Object> {
    let refresh = arguments.flag(&REFRESH)?;
    let pool = context.require_active_pool()?;
    let local = releases::local(&context.system, &pool)?;
    let remote = context.known.catalogue.releases(&pool, refresh);
    let answer = reply::beside_remote(local, remote.releases, remote.age, remote.error);
    Ok(answer.with_some("eol_error", remote.end_of_life_error))
}

pub fn fetch(context: &Context, arguments: &Arguments) -> Result<Vec<Task>> {
    let releases = arguments.require(&RELEASES)?;
    // Without an active pool, iocage would activate the first one that it finds.
    let pool = context.require_ready_pool()?;
    let task = |release: Release| {
        let pool = pool.clone();
        Task {
            id: JobId::new("fetch_release", &release),
            line: command::fetch_release(&release),
            claims: vec![
                Resource::Marks.shared(),
                Resource::Releases.shared(),
                Resource::Release(release).alone(),
            ],
            check: Box::new(move |system, configuration| {
                pools::require_active(system, configuration, &pool)
            }),
        }
    };
    Ok(releases.into_iter().map(task).collect())
}
