//! The jail that is to be updated or upgraded, and all that is in the way.

use std::fs;
use std::path::{Path, PathBuf};

use crate::actions::power;
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::iocage::datasets::{Dataset, Family};
use crate::iocage::power::with_dependencies;
use crate::iocage::selection::{Label, Member, Members};
use crate::iocage::snapshots::Holders;
use crate::iocage::version::{Ability, Version};
use crate::iocage::{fstab, releases};
use crate::names::{JailName, PoolName, Release, SnapshotName};
use crate::resources::{work_in_pool, Claim, Resource};

/// A jail that iocage can bring to another patch level, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patient {
    pub pool: PoolName,
    pub dataset: Dataset,
    pub name: JailName,
    /// `jail web`.
    pub words: String,
    pub is_up: bool,
    pub is_plugin: bool,
    /// Its release, with its patch level: `13.2-RELEASE-p4`.
    pub from: String,
    /// The release that it mounts, if it is a base jail.
    pub base: Option<Release>,
    pub claims: Vec<Claim>,
}

impl Patient {
    pub fn of(context: &Context, member: Member, version: Version) -> Result<Self> {
        let words = member.in_words();
        power::startable(member)?;
        let jail = member.jail;
        let (Some(details), Some(dataset)) = (&jail.details, member.dataset()) else {
            return Err(member.unreadable());
        };
        let cannot = |code, why: &str| Err(Error::new(code, format!("{words} {why}")));
        let kind = &*details.kind;
        match kind {
            "jail" | "clonejail" | "pluginv2" => {}
            "basejail" => {
                let why = "is of the iocage of 2016, and nothing can be done with it before \
                    \"iocage migrate\"";
                return cannot(Code::Unavailable, why);
            }
            kind => {
                let why = format!("is of the type {kind:?}, which iocage cannot update");
                return cannot(Code::Unavailable, &why);
            }
        }
        let from = match details.release.as_deref() {
            Some("EMPTY") => return cannot(Code::Conflict, "is empty: it has no release"),
            None => return cannot(Code::Unavailable, "does not say which release it has"),
            Some(release) => release.to_string(),
        };
        // iocage works in the folders of the one and of the other name (`ioc_upgrade.py`).
        if jail.uuid != jail.name {
            let why = format!(
                "calls itself {:?}, and iocage may mean another jail",
                jail.uuid
            );
            return cannot(Code::Unavailable, &why);
        }
        let base = match details.basejail {
            true => {
                version.require(Ability::PatchBaseJails)?;
                Some(base(context, &member, &from)?)
            }
            false => None,
        };
        let name = power::nameable(context, member)?;
        match jail.jid {
            Some(_) => power::runs_under_its_name(context, member)?,
            None => power::is_nobody_elses_name(context, member)?,
        }
        Ok(Patient {
            pool: member.listing.pool.clone(),
            dataset,
            name,
            is_up: jail.jid.is_some(),
            is_plugin: kind == "pluginv2",
            claims: claims(member),
            from,
            base,
            words,
        })
    }

    /// Makes sure that the jail is as it was, now that nobody else can change it.
    pub fn require_same(&self, context: &Context, label: &Label, version: Version) -> Result<()> {
        context.require_active(&self.pool)?;
        let members = context.members()?;
        match Patient::of(context, members.find(label)?, version)? == *self {
            true => Ok(()),
            false => {
                let message = format!(
                    "{} has been started, stopped or changed meanwhile",
                    self.words
                );
                Err(Error::new(Code::Conflict, message))
            }
        }
    }

    pub fn require_no_snapshot(&self, context: &Context, name: &SnapshotName) -> Result<()> {
        let there = Holders::look(&context.system, &self.pool, &self.dataset)?.called(name);
        match there.first() {
            None => Ok(()),
            Some(snapshot) => {
                let message = format!(
                    "{snapshot} is there already, of an earlier try today; removesnapshot removes \
                     it if it is not needed"
                );
                Err(Error::new(Code::Conflict, message))
            }
        }
    }

    /// Makes sure that iocage can bring it to `release` without a terminal, and without half of it.
    pub fn require_upgradable(
        &self,
        context: &Context,
        member: Member,
        release: &Release,
    ) -> Result<()> {
        let refuse = |code, why: String| Err(Error::new(code, why));
        let (words, from, name) = (&self.words, &self.from, &self.name);
        if self.is_plugin {
            let why = format!("{words} is a plugin, whose release is what its manifest says");
            return refuse(Code::Unavailable, why);
        }
        let Some(base) = &self.base else {
            let why = format!(
                "{words} is no base jail: freebsd-update asks questions on a terminal to upgrade \
                 it; run \"iocage upgrade -r {release} {name}\" on one"
            );
            return refuse(Code::Unavailable, why);
        };
        if releases::is_patched(from, release) {
            return refuse(Code::Conflict, format!("{words} has {from} already"));
        }
        if releases::by_version(release, base).is_lt() {
            let why = format!("{words} has {from}, and there is no way back to {release}");
            return refuse(Code::Conflict, why);
        }
        if let Some(host) = context
            .system
            .release()
            .filter(|host| releases::is_later_major(release, host))
        {
            let why = format!("the host has {host}, and no jail can be newer than that");
            return refuse(Code::Unavailable, why);
        }
        require_fetched(context, &self.pool, release)?;
        let home = release_folder(member, release)?;
        // As iocage asks it: something is in their folder.
        let has_sources = move || {
            let mut sources = fs::read_dir(home.join("root/usr/src"))
                .into_iter()
                .flatten();
            sources.next().is_some()
        };
        match context.system.on_files(&self.pool, has_sources)? {
            true => Ok(()),
            false => {
                let why = format!(
                    "release {release} has no sources in usr/src, which the upgrade of a base \
                     jail takes the new files of etc from"
                );
                refuse(Code::Unavailable, why)
            }
        }
    }

    /// Makes sure that iocage, which replaces the release's name wherever it stands in the fstab,
    /// changes what the base jail mounts of it and nothing else (`ioc_upgrade.py`,
    /// __upgrade_replace_basejail_paths__).
    pub fn require_mounts(&self, context: &Context, member: Member) -> Result<()> {
        let (Some(base), Some(root), Some(folder)) = (
            self.base.clone(),
            member.listing.root.clone(),
            member.listing.folder(member.jail).map(Path::to_path_buf),
        ) else {
            return Err(member.unreadable());
        };
        let home = release_folder(member, &base)?;
        let look = move || {
            let text = fstab::text(&folder)?;
            let entries = fstab::entries(&text);
            let of_iocage = entries.iter().filter(|entry| entry.is_iocages(&root));
            let (own, others): (Vec<_>, Vec<_>) =
                of_iocage.partition(|entry| entry.source.starts_with(&home));
            let text = String::from_utf8_lossy(&text);
            match text.matches(&*base).count() {
                _ if own.is_empty() || !others.is_empty() => {
                    Err(format!("its fstab does not mount {base} alone"))
                }
                count if count != own.len() => Err(format!(
                    "{base} stands in its fstab in other places too, which iocage would change"
                )),
                _ => Ok(()),
            }
        };
        let looked = context.system.on_files(&self.pool, look)?;
        looked.map_err(|why| Error::new(Code::Conflict, format!("{}: {why}", self.words)))
    }
}

fn release_folder(member: Member, release: &Release) -> Result<PathBuf> {
    let root = member.listing.root.as_ref();
    let home = root.map(|root| root.join(Family::Releases.as_str()).join(&**release));
    home.ok_or_else(|| member.unreadable())
}

/// Makes sure that the settings of all jails can be read: iocage reads them once it has patched the
/// release, and ends where it cannot, before it notes the new patch level (`ioc_fetch.py`,
/// fetch_update).
pub fn require_readable(members: &Members, words: &str) -> Result<()> {
    let is_unreadable = |one: &Member| one.listing.settings(one.jail).is_none();
    let unreadable = members.all().filter(is_unreadable);
    let names: Vec<String> = unreadable.map(|one| one.in_words()).collect();
    match names.is_empty() {
        true => Ok(()),
        false => {
            let message = format!(
                "{words} is a base jail, and iocage fails in the middle of its work on one while the \
                 settings of any other cannot be read: {}",
                names.join(", ")
            );
            Err(Error::new(Code::Conflict, message))
        }
    }
}

/// The release that a base jail mounts, as iocage reads it from what the jail has.
fn base(context: &Context, member: &Member, from: &str) -> Result<Release> {
    let plain = match from.rsplit_once('-') {
        Some((plain, _)) if plain.contains("-RELEASE") => plain,
        _ => from,
    };
    let release = Release::parse(plain).map_err(|why| {
        let message = format!("iocage cannot update {}: {why}", member.in_words());
        Error::new(Code::Unavailable, message)
    })?;
    require_fetched(context, &member.listing.pool, &release)?;
    Ok(release)
}

fn require_fetched(context: &Context, pool: &PoolName, release: &Release) -> Result<()> {
    match releases::is_in(&context.system, pool, release)? {
        true => Ok(()),
        false => {
            let message = format!("release {release} is not there; fetchreleases fetches it");
            Err(Error::new(Code::NotFound, message))
        }
    }
}

/// The jail is this job's alone, and stays what it is; what it starts with stays too.
fn claims(member: Member) -> Vec<Claim> {
    let mut claims = work_in_pool();
    claims.push(Resource::Jail(member.in_kernel()).alone());
    if member.jail.jid.is_none() {
        let others = with_dependencies(member).into_iter();
        let others = others.filter(|other| other.jail.name != member.jail.name);
        claims.extend(others.map(|other| Resource::Jail(other.in_kernel()).shared()));
    }
    claims
}
