//! Plugins, which are jails with an application in them: `listplugins`, `createplugin`.

use serde_json::{json, Map, Value};

use crate::context::{Context, Level};
use crate::error::{Code, Error, Result};
use crate::iocage::command;
use crate::iocage::command::NewPlugin;
use crate::iocage::datasets::{self, Family};
use crate::iocage::jails::Jail;
use crate::iocage::plugins::{self, Catalogue, Plugin};
use crate::jobs::Start;
use crate::reply;
use crate::request::Arguments;

pub fn list(context: &Context, arguments: Arguments) -> Result<Value> {
    let refresh = arguments.flag("refresh")?;
    let detail = arguments.flag("detail")?;
    let listing = context.jails(Family::Jails)?;

    let plugin_of = |jail: &Jail| jail.details.as_ref()?.plugin.clone();
    let mut local = listing.jails;
    local.retain(|jail| plugin_of(jail).is_some());
    let local = reply::jails(&local, "jails", |jail| {
        format!(
            "{}_{}",
            plugin_of(jail).unwrap_or_default(),
            reply::jail_key(jail)
        )
    });

    let mut known = plugins::catalogue(&context.config, listing.root.as_deref());
    let jobs = start_refreshing(context, &mut known, refresh);
    let remote: Map<String, Value> = known
        .plugins
        .iter()
        .map(|(id, plugin)| (id.clone(), describe(id, plugin, detail)))
        .collect();
    let error = (!known.errors.is_empty()).then(|| known.errors.join("; "));
    let mut answer = reply::catalogue(local, remote.into(), known.age, error);
    if refresh {
        answer["started_dispatcher_id"] = json!(jobs);
    }
    Ok(answer)
}

/// Starts a job for each index that is out of date, or for all of them where that is asked for;
/// the request does not wait for them. A git that cannot be started is an error to be told, but no
/// reason to list nothing.
fn start_refreshing(context: &Context, known: &mut Catalogue, asked: bool) -> Vec<String> {
    let repositories = if asked {
        &context.config.plugin_repositories
    } else {
        &known.outdated
    };
    let mut jobs = Vec::new();
    for repository in repositories {
        match context.refresh_plugins(repository, asked) {
            Ok(job) => jobs.extend(job),
            Err(error) if asked => known.errors.push(error.message),
            Err(error) => {
                context.host.log(Level::Error, &error.message);
            }
        }
    }
    jobs
}

fn describe(id: &str, plugin: &Plugin, detail: bool) -> Value {
    let mut entry = json!({ "id": id, "name": plugin.name, "description": plugin.description });
    if detail {
        for (key, value) in plugin.details() {
            entry[key] = json!(value);
        }
    }
    entry
}

pub fn create(context: &Context, arguments: Arguments) -> Result<Value> {
    let mut new = arguments.new_plugin()?;
    // Without one iocage would activate the first pool that it finds.
    let pool = context.require_active_pool()?;
    let root = datasets::folder(&context.system, &pool)?;
    let known = plugins::catalogue(&context.config, root.as_deref());
    check_plugin(&known, &mut new)?;
    if let Some(name) = &new.name {
        require_free(context, &pool, name)?;
    }

    let id = format!("sysadm_iocage_fetch_plugin_{}", new.plugin);
    let arguments = command::fetch_plugin(context.iocage_version()?, &new)?;
    match context.start_iocage(&id, &arguments)? {
        Start::Started => Ok(json!({ "started_dispatcher_id": id })),
        Start::AlreadyRunning => Err(Error::new(
            Code::Conflict,
            format!("the job {id} runs already"),
        )),
    }
}

/// Makes sure that the plugin exists and its license, if it has one, is accepted; and completes
/// where it is from. Where no index is known, iocage has to find out.
fn check_plugin(known: &Catalogue, new: &mut NewPlugin) -> Result<()> {
    if known.plugins.is_empty() {
        return Ok(());
    }
    let Some(plugin) = known.plugins.get(&new.plugin) else {
        let nearest = known.nearest(&new.plugin).join(", ");
        let hint = if nearest.is_empty() {
            String::new()
        } else {
            format!("; there is {nearest}")
        };
        let message = format!("there is no plugin {:?} in the index{hint}", new.plugin);
        return Err(Error::new(Code::NotFound, message));
    };
    if let Some(license) = plugin.license().filter(|_| !new.accept_license) {
        return Err(Error::invalid(format!(
            "argument \"accept_license\": plugin {} has a license that is to be accepted, read it \
             at {license}",
            new.plugin
        )));
    }
    new.repository = Some(plugin.repository.clone()).filter(|url| url != plugins::REPOSITORY);
    Ok(())
}

fn require_free(context: &Context, pool: &str, name: &str) -> Result<()> {
    for (family, what) in [(Family::Jails, "jail"), (Family::Templates, "template")] {
        let members = datasets::members(&context.system, pool, family)?;
        if members.iter().any(|member| member == name) {
            let message = format!("argument \"name\": there is a {what} {name} already");
            return Err(Error::new(Code::Conflict, message));
        }
    }
    Ok(())
}
