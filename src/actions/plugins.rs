//! Plugins, which are jails with an application in them: `listplugins`, `createplugin`.

use serde_json::{json, Map, Value};

use crate::context::{Context, Level, Start};
use crate::error::{Code, Error, Result};
use crate::iocage::datasets::Family;
use crate::iocage::{command, jails, plugins};
use crate::reply;
use crate::request::Arguments;

pub fn list(context: &Context, _: Arguments) -> Result<Value> {
    let pool = context.require_active_pool()?;
    let plugin_of = |jail: &jails::Jail| jail.details.as_ref()?.plugin.clone();
    let mut local = jails::list(&context.system, &pool, Family::Jails)?;
    local.retain(|jail| plugin_of(jail).is_some());
    let local = reply::jails(&local, "jails", |jail| {
        format!(
            "{}_{}",
            plugin_of(jail).unwrap_or_default(),
            reply::jail_key(jail)
        )
    });
    Ok(match plugins::index(&context.system, &pool) {
        Ok(remote) => json!({ "remote": by_id(&remote), "local": local }),
        Err(error) => json!({ "remote": {}, "local": local, "remote_error": error.message }),
    })
}

fn by_id(plugins: &[plugins::Plugin]) -> Value {
    let entry = |plugin: &plugins::Plugin| {
        let value = json!({
            "id": plugin.id, "name": plugin.name, "description": plugin.description,
        });
        (plugin.id.clone(), value)
    };
    Value::Object(plugins.iter().map(entry).collect::<Map<_, _>>())
}

pub fn create(context: &Context, arguments: Arguments) -> Result<Value> {
    let plugin = arguments.plugin()?;
    let addresses = arguments.addresses()?;
    // Without one iocage would activate the first pool that it finds.
    context.require_active_pool()?;

    let id = format!("sysadm_iocage_fetch_plugin_{plugin}");
    let version = context.iocage_version()?;
    match context.start_job(&id, &command::fetch_plugin(version, &plugin, &addresses))? {
        Start::Started => {
            context.host.log(Level::Info, &format!("job {id} started"));
            Ok(json!({ "started_dispatcher_id": id }))
        }
        Start::AlreadyRunning => Err(Error::new(
            Code::Conflict,
            format!("the job {id} runs already"),
        )),
    }
}
