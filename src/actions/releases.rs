//! FreeBSD releases to make jails from: `listreleases`, `fetchreleases`.

use crate::context::Context;
use crate::error::Result;
use crate::iocage::{command, releases};
use crate::jobs::{JobId, Task};
use crate::names::Release;
use crate::records::{Aim, Work};
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

pub fn fetch<'a>(context: &'a Context, arguments: &Arguments) -> Result<Vec<Task<'a>>> {
    let releases = arguments.require(&RELEASES)?;
    // Without an active pool, iocage would activate the first one that it finds.
    let pool = context.require_ready_pool()?;
    let task = |release: Release| {
        let pool = pool.clone();
        let aim = Aim {
            pool: pool.to_string(),
            work: Work::Fetch {
                release: release.to_string(),
            },
        };
        Task {
            id: JobId::new("fetch_release", &release),
            line: command::fetch_release(&release),
            claims: vec![
                Resource::Marks.shared(),
                Resource::Releases.shared(),
                Resource::Release(release).alone(),
            ],
            check: Box::new(move || context.require_active(&pool)),
            aim: Some(aim),
            list: None,
        }
    };
    Ok(releases.into_iter().map(task).collect())
}
