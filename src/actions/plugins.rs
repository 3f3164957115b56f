//! Plugins, which are jails with an application in them: `listplugins`, `createplugin`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::making::{self, guards, network};
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::host::Level;
use crate::iocage::branches::Habits;
use crate::iocage::changes;
use crate::iocage::clones::{self, Clones};
use crate::iocage::command::{self, NewPlugin, Setting};
use crate::iocage::datasets::{self, Family};
use crate::iocage::indexes::{self, Plugins};
use crate::iocage::jails::{Jail, Listing};
use crate::iocage::plugin::Plugin;
use crate::iocage::pools;
use crate::iocage::version::Ability;
use crate::jobs::{JobId, Task};
use crate::names::{JailName, PoolName, Url};
use crate::records::{Aim, Work};
use crate::reply::{self, Answer, Object};
use crate::request::{
    self, Arguments, ACCEPT_LICENSE, BOOT, DETAIL, FORCE, NAME, PLUGIN, PROPERTIES, REFRESH,
};
use crate::resources::Resource;

pub fn list(context: &Context, arguments: &Arguments) -> Result<Object> {
    let refresh = arguments.flag(&REFRESH)?;
    let detail = arguments.flag(&DETAIL)?;
    let (habits, listing) = context.system.side_by_side(
        || context.known.installed.habits(&context.system),
        || context.jails(Family::Jails),
    );
    let listing = listing?;

    let plugin_of = |jail: &Jail| jail.details.as_ref()?.plugin.clone();
    let local_error = not_known(context, &listing);
    let local = listing
        .jails
        .iter()
        .filter(|jail| plugin_of(jail).is_some());
    let key = |jail: &Jail| {
        let plugin = plugin_of(jail).unwrap_or_default();
        format!("{plugin}_{}", reply::jails::key(jail)).into()
    };
    let local = reply::jails::keyed(local, "jails", key, reply::jails::jail);

    let place = Place {
        pool: &listing.pool,
        root: listing.root.as_deref(),
        habits,
    };
    let mut known = read_indexes(context, &place)?;
    let jobs = start_refreshing(context, &place, &mut known, refresh);
    let by_id = known.by_id;
    let describe_all = move || {
        let mut remote = Object::new();
        for (id, plugin) in &by_id {
            remote.insert(id.clone(), describe(id, plugin, detail));
        }
        remote
    };
    let remote = match detail {
        // They may be in files of the pool.
        true => context.system.on_files(&listing.pool, describe_all)?,
        false => describe_all(),
    };
    let error = (!known.errors.is_empty()).then(|| known.errors.join("; "));
    let answer = reply::beside_remote(local, remote, known.age, error);
    Ok(answer
        .with_some("local_error", local_error)
        .with_some("started_dispatcher_id", refresh.then_some(jobs)))
}

/// Names the jails of which nobody knows whether they are plugins, and says why.
fn not_known(context: &Context, listing: &Listing) -> Option<String> {
    let unreadable = listing.jails.iter().filter(|jail| jail.details.is_none());
    let names: Vec<&str> = unreadable.map(|jail| jail.name.as_str()).collect();
    if names.is_empty() {
        return None;
    }
    let why = match listing.root {
        None => pools::require_ready(&context.system, &listing.pool).err(),
        Some(_) => None,
    };
    let why = why.map_or("cannot be read".into(), |why| {
        format!("cannot be read ({why})")
    });
    Some(format!(
        "the settings of these jails {why}, so they may be plugins: {}",
        names.join(", ")
    ))
}

/// Where iocage has its clones of indexes, and how it takes them.
struct Place<'a> {
    pool: &'a PoolName,
    root: Option<&'a Path>,
    habits: Habits,
}

/// The indexes, and why those that were refreshed last could not be.
fn read_indexes(context: &Context, place: &Place) -> Result<Plugins> {
    let read = || {
        let Place { pool, root, habits } = place;
        indexes::read(&context.system, &context.configuration, pool, *root, habits)
    };
    let mut known = read()?;
    if !known.switches.is_empty() {
        let errors = switch(context, &read)?;
        known = read()?;
        known.errors.extend(errors);
    }
    for repository in &context.configuration.plugin_repositories {
        if let Some(error) = context.jobs.last_error(&refresh_id(repository)) {
            known.errors.push(indexes::error_of(repository, &error));
        }
    }
    Ok(known)
}

/// Gives new clones the branch that iocage takes, and says what went wrong. It is done when a list
/// is read, because a dispatcher runs one command a job.
fn switch(context: &Context, read: &dyn Fn() -> Result<Plugins>) -> Result<Vec<String>> {
    let claims = [Resource::Branches.alone()];
    let _held = match context.resources.take(&claims, context.system.timeout()) {
        Ok(held) => held,
        Err(busy) => return Ok(vec![Error::from(busy).message]),
    };
    let mut errors = Vec::new();
    // Somebody else may have done it in the meantime.
    for (repository, switch) in read()?.switches {
        let done = context.system.run(&switch.line());
        if let Err(error) = done.and_then(|output| output.success()) {
            errors.push(indexes::error_of(&repository, &error.message));
        }
    }
    Ok(errors)
}

fn refresh_id(repository: &Url) -> JobId {
    JobId::new("refresh_plugins", &clones::clone_name(repository))
}

/// Starts a job for each index that is out of date, or for all of them if that is asked for; the
/// request does not wait for them. If git cannot be started, the answer says so and still lists
/// what is known.
fn start_refreshing(
    context: &Context,
    place: &Place,
    known: &mut Plugins,
    asked: bool,
) -> Vec<String> {
    let repositories = match asked {
        true => &context.configuration.plugin_repositories,
        false => &known.outdated,
    };
    let mut jobs = Vec::new();
    for repository in repositories {
        if !asked && !may_refresh(context, repository) {
            continue;
        }
        let started = refresh(context, place, repository).and_then(|task| {
            context.jobs.start(&task)?;
            Ok(task.id.to_string())
        });
        match started {
            Ok(id) => jobs.push(id),
            Err(error) if asked => known.errors.push(error.message),
            Err(error) => {
                context.callbacks.log(Level::Error, &error.message);
            }
        }
    }
    jobs
}

/// Whether an index is refreshed without anybody asking for it: once in a while, if git is there.
fn may_refresh(context: &Context, repository: &Url) -> bool {
    let git = context.system.path(crate::configuration::Program::Git);
    git.exists() && context.known.indexes.is_due(repository)
}

fn refresh<'a>(context: &'a Context, place: &Place, repository: &Url) -> Result<Task<'a>> {
    let configuration = Arc::clone(&context.configuration);
    let (root, habits) = (place.root.map(PathBuf::from), place.habits.clone());
    let of = repository.clone();
    let line = context.system.on_files(place.pool, move || {
        let clones = Clones::find(&configuration, root.as_deref(), &of, &habits);
        clones.refresh(&configuration, &of)
    })?;
    Ok(Task {
        id: refresh_id(repository),
        line: line?,
        claims: vec![Resource::Index(clones::clone_name(repository)).alone()],
        check: Box::new(|| Ok(())),
        aim: None,
        list: None,
    })
}

fn describe(id: &str, plugin: &Plugin, detail: bool) -> Answer {
    let mut entry = Object::new()
        .with("id", id.to_string())
        .with("name", plugin.name.clone())
        .with("description", plugin.description.clone());
    if detail {
        for (key, value) in plugin.details() {
            entry.insert(key, value);
        }
    }
    entry.into()
}

pub fn create<'a>(context: &'a Context, arguments: &Arguments) -> Result<Vec<Task<'a>>> {
    let mut new = new_plugin(arguments)?;
    // Without an active pool, iocage would activate the first one that it finds.
    let pool = context.require_ready_pool()?;
    let mounts = context.system.mounts()?;
    let version = context.known.installed.version(&context.system)?;
    let place = Place {
        pool: &pool,
        root: datasets::folder(&mounts, &pool),
        habits: context.known.installed.habits(&context.system),
    };
    let known = read_indexes(context, &place)?;
    check_plugin(context, &pool, &known, &mut new)?;
    // The name that iocage gives the jail if the request has none.
    let name = match &new.name {
        Some(name) => name.clone(),
        None => JailName::of_new(&new.plugin).map_err(|why| request::wrong("plugin", &why))?,
    };
    let named = version.can(Ability::NamePluginJails);
    let force = arguments.flag(&FORCE)?;
    // Made by the same rules as for other jails, to look at its addresses.
    let settled = making::of_new_jail(&context.members()?)?;
    let of_network = network::settings(&new.network, &settled)?;
    let settings: Vec<Setting> = of_network
        .into_iter()
        .chain(new.properties.clone())
        .collect();
    let addresses = changes::claims(changes::saying(&settings), !force);
    let check = {
        let (name, pool) = (name.clone(), pool.clone());
        move || {
            context.require_active(&pool)?;
            let members = context.members()?;
            if named {
                guards::require_free_name(context, &members, &name)?;
                // Which release it is made from, the manifest says when it is fetched.
                let releases = Family::Releases.dataset(&pool);
                guards::require_no_snapshot(context, &releases, &name)?;
            }
            if force {
                return Ok(());
            }
            let place = format!("jails/{name}");
            changes::require_free(changes::saying(&settings), &members, &place, "net_device")
        }
    };
    check()?;
    let aim = Aim {
        pool: pool.to_string(),
        work: Work::Plugin {
            name: named.then(|| name.to_string()),
        },
    };
    Ok(vec![Task {
        id: JobId::new("fetch_plugin", &new.plugin),
        line: command::fetch_plugin(version, &new)?,
        claims: [
            Resource::Marks.shared(),
            Resource::Releases.shared(),
            Resource::Jails.shared(),
            Resource::jail(&name).alone(),
        ]
        .into_iter()
        .chain(addresses)
        .collect(),
        check: Box::new(check),
        aim: Some(aim),
        list: None,
    }])
}

fn new_plugin(arguments: &Arguments) -> Result<NewPlugin> {
    Ok(NewPlugin {
        plugin: arguments.require(&PLUGIN)?,
        name: arguments.optional(&NAME)?,
        network: network::required(arguments)?,
        boot: arguments.optional(&BOOT)?,
        properties: arguments.optional(&PROPERTIES)?.unwrap_or_default(),
        accept_license: arguments.flag(&ACCEPT_LICENSE)?,
        repository: None,
        manifest_stem: None,
    })
}

/// Makes sure that the plugin exists and that its license, if it has one, is accepted; and fills in
/// where it comes from. If no index is known, iocage has to find out.
fn check_plugin(
    context: &Context,
    pool: &PoolName,
    known: &Plugins,
    new: &mut NewPlugin,
) -> Result<()> {
    if known.by_id.is_empty() {
        // It may have the plugin, and a license for it.
        return match known.is_broken {
            true => Err(Error::new(Code::Unavailable, known.errors.join("; "))),
            false => Ok(()),
        };
    }
    let Some(plugin) = known.by_id.get(&*new.plugin) else {
        let nearest = known.nearest(&new.plugin).join(", ");
        let hint = match nearest.is_empty() {
            true => String::new(),
            false => format!("; similar: {nearest}"),
        };
        let message = format!("there is no plugin {:?} in the index{hint}", &*new.plugin);
        return Err(Error::new(Code::NotFound, message));
    };
    let manifest_of = plugin.clone();
    let license = context
        .system
        .on_files(pool, move || manifest_of.license())?;
    if let Some(license) = license.filter(|_| !new.accept_license) {
        let why = format!(
            "plugin {} has a license to accept; read it at {license}",
            new.plugin
        );
        return Err(request::wrong("accept_license", &why));
    }
    let own = |url: &Url| **url != *crate::configuration::PLUGIN_REPOSITORY;
    new.repository = Some(plugin.repository.clone()).filter(own);
    new.manifest_stem = plugin.manifest_stem().filter(|stem| *stem != new.plugin);
    Ok(())
}
