//! What an instance has for its actions to work with.

use std::path::PathBuf;
use std::sync::Arc;

use crate::catalogue::Catalogue;
use crate::configuration::Configuration;
use crate::error::{Code, Error, Result};
use crate::host::Callbacks;
use crate::iocage::datasets::{self, Family};
use crate::iocage::indexes::Indexes;
use crate::iocage::installed::Installed;
use crate::iocage::jails::{self, Listing};
use crate::iocage::pools::{self, Pools};
use crate::iocage::selection::Members;
use crate::iocage::survey::Memory;
use crate::jobs::Jobs;
use crate::names::PoolName;
use crate::resources::{Held, Resource, Resources};
use crate::sharing::Sharing;
use crate::system::System;

/// One instance's configuration, system, jobs, and what it knows.
#[derive(Clone)]
pub struct Context {
    pub configuration: Arc<Configuration>,
    pub system: Arc<System>,
    pub resources: Resources,
    pub jobs: Arc<Jobs>,
    pub known: Arc<Known>,
    pub callbacks: Arc<Callbacks>,
}

/// What an instance remembers.
pub struct Known {
    /// Of the network's releases.
    pub catalogue: Catalogue,
    /// Of plugin repositories.
    pub indexes: Indexes,
    /// Of the installed iocage.
    pub installed: Installed,
    /// Of jails and templates.
    pub memory: Memory,
    /// Who looks at all jails and templates together.
    pub looking: Sharing<Arc<Members>>,
}

impl Context {
    /// The same for a change that holds this: the commands that it runs inherit the locks, so that
    /// these live as long as iocage works, even if the host program is killed.
    ///
    /// What iocage leaves running in a jail does not inherit them: it starts everything by Python's
    /// subprocess, which closes all descriptors above 2 (`close_fds`, true by default since Python
    /// 3.2; `zfs.py` and `ioc_start.py` of 1.13 do not say, `ioc_exec.py` asks for it).
    pub fn holding(&self, held: &Held) -> Self {
        Context {
            system: Arc::new(self.system.holding(held.locks())),
            ..self.clone()
        }
    }

    /// All pools at one moment.
    ///
    /// # Errors
    /// If ZFS does not say.
    pub fn pools(&self) -> Result<Pools> {
        Pools::look(&self.system, &self.configuration)
    }

    /// The active pool, if there is one.
    ///
    /// # Errors
    /// As [`pools::active`].
    pub fn active_pool(&self) -> Result<Option<PoolName>> {
        let active = || pools::active(&self.system, &self.configuration);
        match active() {
            // In the middle of a switch two are marked: wait for its end.
            Err(error) if error.code == Code::Conflict => {
                let marks = [Resource::Marks.shared()];
                match self.resources.take(&marks, self.system.timeout()) {
                    Ok(_held) => active(),
                    Err(_) => Err(error),
                }
            }
            active => active,
        }
    }

    /// The active pool.
    ///
    /// # Errors
    /// `NotActive` if no pool is active, and as [`pools::active`].
    pub fn require_active_pool(&self) -> Result<PoolName> {
        self.active_pool()?
            .ok_or_else(|| Error::new(Code::NotActive, "no pool is active"))
    }

    /// Makes sure that `pool` is the active one still.
    ///
    /// # Errors
    /// As [`pools::require_active`].
    pub fn require_active(&self, pool: &PoolName) -> Result<()> {
        pools::require_active(&self.system, &self.configuration, pool)
    }

    /// The active pool, in which iocage can work.
    ///
    /// # Errors
    /// As [`Context::require_active_pool`], and `Unavailable` if the pool is locked or iocage's root
    /// in it is not mounted.
    pub fn require_ready_pool(&self) -> Result<PoolName> {
        let pool = self.require_active_pool()?;
        pools::require_ready(&self.system, &pool)?;
        Ok(pool)
    }

    /// The jails or templates of the active pool.
    ///
    /// # Errors
    /// As [`Context::require_active_pool`], and where the jails cannot be listed.
    pub fn jails(&self, family: Family) -> Result<Listing> {
        let ([listing], ()) = self.listings([family], |_| ())?;
        Ok(listing)
    }

    /// The jails and the templates of the active pool, at one moment.
    ///
    /// # Errors
    /// As [`Context::jails`].
    pub fn members(&self) -> Result<Members> {
        let (members, ()) = self.members_and(|_| ())?;
        Ok(members)
    }

    /// The same, for many who ask at once: all who come while one looks share the look after that, so
    /// what they get is no older than their asking. Only one thread at a time reads the pool's files,
    /// and whoever lists jails would wait for each of them.
    ///
    /// # Errors
    /// As [`Context::jails`].
    pub fn members_shared(&self) -> Result<Arc<Members>> {
        let look = || self.members().map(Arc::new);
        self.known.looking.answer("members", look)
    }

    /// The same, and what `aside` finds in the pool meanwhile.
    ///
    /// # Errors
    /// As [`Context::jails`].
    pub fn members_and<T: Send>(
        &self,
        aside: impl Fn(&PoolName) -> T + Sync,
    ) -> Result<(Members, T)> {
        let families = [Family::Jails, Family::Templates];
        let ([jails, templates], aside) = self.listings(families, aside)?;
        Ok((Members { jails, templates }, aside))
    }

    fn listings<const N: usize, T: Send>(
        &self,
        families: [Family; N],
        aside: impl Fn(&PoolName) -> T + Sync,
    ) -> Result<([Listing; N], T)> {
        let memory = &self.known.memory;
        let list = |pool: &PoolName| {
            let (aside, listed) = self.system.side_by_side(
                || aside(pool),
                || jails::list(&self.system, memory, pool, &families),
            );
            listed.map(|listed| (listed, aside))
        };
        // Most likely the active pool is that of the last time, so both are asked at once.
        let likely = memory.last_pool(families[0]);
        let (active, listed) = self
            .system
            .side_by_side(|| self.require_active_pool(), || likely.as_ref().map(list));
        let active = active?;
        let listed = match listed.filter(|_| likely.as_ref() == Some(&active)) {
            Some(listed) => listed,
            None => list(&active),
        };
        // If the pool went away while it was listed, that is why.
        let (listed, aside) = match listed {
            Err(error) if error.code == Code::Failed => {
                return Err(self.require_active_pool().err().unwrap_or(error));
            }
            listed => listed?,
        };
        let mut root = None;
        if listed.iter().any(Option::is_none) {
            // The pool has no such family, or it has gone in the meantime, which is not the same.
            self.require_active_pool()?;
            let mounts = self.system.mounts()?;
            root = datasets::folder(&mounts, &active).map(PathBuf::from);
        }
        let mut listed = listed.into_iter();
        let listings = families.map(|family| {
            let listing = listed.next().flatten();
            listing.unwrap_or_else(|| Listing::empty(active.clone(), family, root.clone()))
        });
        Ok((listings, aside))
    }
}
