//! Manages the jails that iocage keeps on a FreeBSD host: JSON in, JSON out.
//!
//! The product is a C library (see [`ffi`] and `include/sysadm_iocage.h`), which the sysadm
//! server loads as its iocage class. A request walks straight down, and nothing imports upward:
//!
//! | module | does |
//! | --- | --- |
//! | [`ffi`] | pointers to strings and back; no panic passes |
//! | [`instance`] | texts to requests and back |
//! | `dispatch` | what is the same for all actions: access, arguments, locks, audit |
//! | [`actions`] | the story of each action, and the table of them |
//! | [`request`] | the arguments, checked and typed |
//! | `jobs` | long work: started, watched, ended |
//! | [`iocage`] | what iocage keeps on disk and in ZFS |
//! | `resources`, `records` | who uses what, in every process |
//! | [`system`] | run a command, read the mount table, ask for jails |
//! | [`reply`] | back to JSON |
//!
//! Beside the walk: `audit` (a line for every change), [`configuration`] (which commands and
//! pools), `context` (what an instance has), [`host`] (its callbacks), `event` (what a job's log
//! means), `catalogue` (what the network offers), `sharing` (one run for many), [`names`] (checked
//! names), [`limits`] (every bound) and [`error`].
#![deny(unsafe_code)]

pub mod actions;
mod audit;
mod catalogue;
pub mod configuration;
mod context;
mod dispatch;
pub mod error;
mod event;
pub mod ffi;
pub mod host;
pub mod instance;
pub mod iocage;
mod jobs;
pub mod limits;
pub mod names;
mod records;
pub mod reply;
pub mod request;
mod resources;
mod sharing;
mod sync;
pub mod system;
