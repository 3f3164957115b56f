//! Making jails: `createjail`, `clonejail`.
//!
//! iocage looks at little before it makes one, and a jail that fails half way stays. So all that can be
//! known is looked at first, and again when the job has what it needs.

mod copy;
pub mod guards;
pub mod network;

use serde_json::json;

pub use copy::clone;

use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::iocage::changes::{self, Settled};
use crate::iocage::cloning;
use crate::iocage::command::{self, Base, NewJail, Setting};
use crate::iocage::datasets::{Dataset, Family};
use crate::iocage::properties::PropertyName;
use crate::iocage::releases;
use crate::iocage::selection::{Label, Members};
use crate::iocage::settings::Settings;
use crate::jobs::{JobId, Task};
use crate::names::{Checked, JailName, PackageName, PoolName};
use crate::records::{Aim, Work};
use crate::request::{
    wrong, Arguments, BASEJAIL, BOOT, EMPTY, FORCE, NAME, NEW_PROPERTIES, OF_RELEASE,
    PACKAGE_NAMES, TEMPLATE, THICK,
};
use crate::resources::{work_in_pool, Claim, Resource};

/// What a request calls properties.
const PROPERTIES: &str = "properties";

pub fn create<'a>(context: &'a Context, arguments: &Arguments) -> Result<Vec<Task<'a>>> {
    let mut new = new_jail(arguments)?;
    let packages = arguments.optional(&PACKAGE_NAMES)?.unwrap_or_default();
    let network = network::optional(arguments)?;
    let force = arguments.flag(&FORCE)?;
    // Without an active pool, iocage would activate the first one that it finds.
    let pool = context.require_ready_pool()?;
    let version = context.known.installed.version(&context.system)?;
    let id = JobId::new("create_jail", &new.name);

    let members = context.members()?;
    let settled = of_new_jail(&members)?;
    let of_network = match &network {
        Some(network) => network::settings(network, &settled)?,
        None => Vec::new(),
    };
    network::check(&of_network, &new.properties)?;
    let boot = arguments.optional(&BOOT)?;
    new.shown = boot.map(boot_setting).transpose()?.into_iter().collect();
    new.shown.extend(of_network);
    check_packages(context, &id, &new, &packages)?;
    let list = context.jobs.list_path(&id);
    let list_path = (!packages.is_empty()).then_some(&*list);
    let line = command::create(version, &new, list_path)?;
    let wish = Wish { new, force };
    let origin = wish.check(context, &pool, &members)?;

    let aim = Aim {
        pool: pool.to_string(),
        work: Work::Create {
            name: wish.new.name.to_string(),
            origin: origin.map(|origin| origin.to_string()),
            packages: packages.len(),
        },
    };
    let names: Vec<&str> = packages.iter().map(|name| &**name).collect();
    Ok(vec![Task {
        id,
        line,
        claims: wish.claims(),
        check: Box::new(move || {
            context.require_active(&pool)?;
            wish.check(context, &pool, &context.members()?).map(drop)
        }),
        aim: Some(aim),
        list: (!names.is_empty()).then(|| json!({ "pkgs": names }).to_string()),
    }])
}

/// The jail that is asked for, without its network.
fn new_jail(arguments: &Arguments) -> Result<NewJail> {
    let name = arguments.require(&NAME)?;
    let release = arguments.optional(&OF_RELEASE)?;
    let template = arguments.optional(&TEMPLATE)?;
    let base = match (release, template, arguments.flag(&EMPTY)?) {
        (Some(release), None, false) => Base::Release(release),
        (None, Some(template), false) => Base::Template(template_name(&template)?),
        (None, None, true) => Base::Nothing,
        _ => {
            let message =
                "arguments \"release\", \"template\" and \"empty\": exactly one of them is \
                           required";
            return Err(Error::invalid(message));
        }
    };
    let basejail = arguments.flag(&BASEJAIL)?;
    let thick = arguments.optional(&THICK)?;
    let properties = arguments.optional(&NEW_PROPERTIES)?.unwrap_or_default();
    if properties
        .iter()
        .any(|(name, _)| name.property().name == "boot")
    {
        return Err(wrong(PROPERTIES, "\"boot\" has an argument of its own"));
    }
    if base == Base::Nothing {
        let given = [
            ("basejail", basejail),
            ("thick", thick == Some(true)),
            ("packages", arguments.has(&PACKAGE_NAMES)),
        ];
        if let Some((name, _)) = given.iter().find(|(_, is_given)| *is_given) {
            return Err(wrong(name, "cannot be combined with \"empty\""));
        }
    }
    if let (Base::Template(template), true) = (&base, basejail) {
        // `ioc_create.py`: it takes one whose name has this in it for a release.
        if ["-RELEASE", "-STABLE"]
            .iter()
            .any(|word| template.contains(word))
        {
            let why = format!("iocage would take the template {template} for a release");
            return Err(wrong("basejail", &why));
        }
    }
    Ok(NewJail {
        name,
        base,
        basejail,
        thick,
        shown: Vec::new(),
        properties,
    })
}

fn template_name(label: &Label) -> Result<JailName> {
    let name = label.as_str();
    let name = name.strip_prefix("templates/").unwrap_or(name);
    JailName::parse(name).map_err(|why| {
        let message = format!("argument \"template\": iocage cannot be asked about it: {why}");
        Error::new(Code::Unavailable, message)
    })
}

fn boot_setting(boot: bool) -> Result<Setting> {
    let name = PropertyName::of_new_jail("boot").map_err(Error::invalid)?;
    let value = name.value(&json!(boot)).map_err(Error::invalid)?;
    Ok((name, value))
}

/// The settings that a new jail begins with: those of all jails.
pub fn of_new_jail(members: &Members) -> Result<Settled> {
    if let Some(why) = members.jails.defaults_error() {
        return Err(Error::new(Code::Failed, why));
    }
    Ok(Settled {
        argument: PROPERTIES,
        own: Some(Settings::none().clone()),
        defaults: members.jails.defaults().clone(),
    })
}

/// iocage installs nothing in a jail that has no address of its own and says only a word of it
/// (`ioc_create.py`, `config.get('ip4_addr', 'none')`).
fn check_packages(
    context: &Context,
    id: &JobId,
    new: &NewJail,
    packages: &[PackageName],
) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let mut given = new.shown.iter().chain(&new.properties);
    let has_network = given.any(|(name, value)| match name.property().name {
        "ip4_addr" | "ip6_addr" => value.as_str() != "none",
        "dhcp" | "ip_hostname" | "nat" => value.is_true(),
        _ => false,
    });
    if !has_network {
        let why =
            "the jail needs an address for that: \"net_device\" with \"ip4\", \"ip6\" or \"dhcp\"";
        return Err(wrong("packages", why));
    }
    match context.callbacks.tells_of_end(id.as_str()) {
        true => Ok(()),
        false => Err(Error::new(
            Code::Unavailable,
            "argument \"packages\": the host's dispatcher does not say when a job has ended, so nobody \
             could remove the list that iocage reads",
        )),
    }
}

/// A jail to be made.
struct Wish {
    new: NewJail,
    force: bool,
}

impl Wish {
    fn settings(&self) -> impl Iterator<Item = &Setting> {
        self.new.shown.iter().chain(&self.new.properties)
    }

    /// What the job uses until it ends.
    fn claims(&self) -> Vec<Claim> {
        let mut claims = work_in_pool();
        claims.push(Resource::jail(&self.new.name).alone());
        match &self.new.base {
            Base::Release(release) => claims.push(Resource::Release(release.clone()).shared()),
            Base::Template(template) => claims.push(Resource::jail(template).shared()),
            Base::Nothing => {}
        }
        claims.extend(changes::claims(
            changes::saying(self.settings()),
            !self.force,
        ));
        claims
    }

    /// All that has to hold before iocage is run. It returns what the jail is made from.
    fn check(
        &self,
        context: &Context,
        pool: &PoolName,
        members: &Members,
    ) -> Result<Option<Dataset>> {
        let name = &self.new.name;
        let settled = of_new_jail(members)?;
        let asked: Vec<Setting> = self.settings().cloned().collect();
        let changes = settled.changes(&asked);
        settled.check_together(&changes)?;
        changes::require_no_circle(&changes, members, name, PROPERTIES)?;
        changes::require_own_datasets(&changes, name, PROPERTIES)?;
        guards::require_free_name(context, members, name)?;
        if !self.force {
            let place = format!("jails/{name}");
            for (argument, settings) in [
                ("net_device", &self.new.shown),
                (PROPERTIES, &self.new.properties),
            ] {
                changes::require_free(changes::saying(settings), members, &place, argument)?;
            }
        }
        let origin = match &self.new.base {
            Base::Nothing => {
                guards::require_room(context, pool, None)?;
                return Ok(None);
            }
            Base::Release(release) => {
                if !releases::is_in(&context.system, pool, release)? {
                    let message = format!(
                        "argument \"release\": {release} is not fetched; fetchreleases does that"
                    );
                    return Err(Error::new(Code::NotFound, message));
                }
                guards::require_no_newer(context, release)?;
                Family::Releases.member_dataset(pool, release)
            }
            Base::Template(template) => {
                self.check_template(context, members, template)?;
                Family::Templates.member_dataset(pool, template)
            }
        };
        if let Some(origin) = &origin {
            guards::require_no_snapshot(context, origin, name)?;
            let is_copy = self.new.thick.unwrap_or(self.new.basejail);
            let root = is_copy.then(|| format!("{origin}/root"));
            guards::require_room(context, pool, root.as_deref())?;
        }
        Ok(origin)
    }

    fn check_template(
        &self,
        context: &Context,
        members: &Members,
        template: &JailName,
    ) -> Result<()> {
        let label = Label::template(template).map_err(|why| wrong("template", &why))?;
        let member = members.find(&label)?;
        let root = member.listing.root_of(member.jail);
        let Some(root) = root.filter(|_| member.listing.settings(member.jail).is_some()) else {
            return Err(member.unreadable());
        };
        let root = root.to_path_buf();
        let look = move || cloning::hosts_file(&root);
        let looked = context.system.on_files(&members.jails.pool, look)?;
        looked.map_err(|why| {
            let message = format!(
                "iocage cannot make a jail from the {}: {why}",
                member.in_words()
            );
            Error::new(Code::Unavailable, message)
        })
    }
}
