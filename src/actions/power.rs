//! Starting and stopping: `startjail`, `stopjail`, `restartjail`, `capjail`.

use super::Chosen;
use crate::configuration::Program;
use crate::context::Context;
use crate::error::Result;
use crate::reply::Object;
use crate::request::Arguments;
use crate::system::CommandLine;

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

/// Stops a jail that is to be destroyed: in order if it can be, since what it has mounted may stay;
/// else by force. Whether it is down is for the caller to ask.
pub fn stop_now(context: &Context, chosen: &Chosen) -> Result<()> {
    let name = chosen.member.iocage_name()?;
    let jid = chosen.member.jail.jid.as_deref();
    let stop = CommandLine::new(Program::Iocage).word("stop");
    for line in [stop.clone(), stop.word("-f")] {
        context.system.run(&line.word("--").value(&name))?;
        let running = context.system.running_jails()?;
        if !running.iter().any(|jail| Some(&*jail.jid) == jid) {
            break;
        }
    }
    Ok(())
}
