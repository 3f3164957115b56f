//! Starting and stopping: `startjail`, `stopjail`, `restartjail`, `capjail`.

use super::Chosen;
use crate::context::Context;
use crate::error::Result;
use crate::reply::Object;
use crate::request::Arguments;

pub fn start(context: &Context, arguments: &Arguments, chosen: &Chosen) -> Result<Object> {
    let _ = (context, arguments, chosen);
    todo!()
}

pub fn stop(context: &Context, arguments: &Arguments, chosen: &Chosen) -> Result<Object> {
    let _ = (context, arguments, chosen);
    todo!()
}

pub fn restart(context: &Context, arguments: &Arguments, chosen: &Chosen) -> Result<Object> {
    let _ = (context, arguments, chosen);
    todo!()
}

pub fn cap(context: &Context, arguments: &Arguments, chosen: &Chosen) -> Result<Object> {
    let _ = (context, arguments, chosen);
    todo!()
}

pub fn stop_now(context: &Context, chosen: &Chosen) -> Result<()> {
    let name = chosen.member.iocage_name()?;
    let line = crate::system::CommandLine::new(crate::configuration::Program::Iocage);
    let line = line.words(&["stop", "-f", "--"]).value(&name);
    context.system.run(&line)?.success().map(drop)
}
