//! Manages the jails that iocage keeps on a FreeBSD host: JSON in, JSON out.
//!
//! The product is a C library (see [`ffi`] and `include/sysadm_iocage.h`), which the sysadm
//! server loads as its iocage class. A request is a straight walk, and nothing calls upward:
//!
//! | module | does |
//! | --- | --- |
//! | [`ffi`] | pointers to strings and back; no panic passes |
//! | [`instance`] | which action, and may this user |
//! | [`request`] | the arguments, checked and typed |
//! | [`actions`] | the story of each action |
//! | [`iocage`] | what iocage keeps on disk and in ZFS |
//! | [`system`] | run a command, read the mount table, ask for jails |
//! | [`reply`] | back to JSON |
//!
//! Beside the walk: `audit` (a line for every change), [`configuration`] (which commands and pools), [`context`] (what an instance has),
//! [`jobs`] (long work) and `records` (what is on disk of it), [`catalogue`] (what the network offers), [`sharing`] (one run for many),
//! [`names`] (naming rules), [`limits`] (every bound) and [`error`].
#![deny(unsafe_code)]

pub mod actions;
mod audit;
pub mod catalogue;
pub mod configuration;
pub mod context;
pub mod error;
pub mod ffi;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod iocage;
pub mod jobs;
pub mod limits;
pub mod names;
pub mod instance;
mod records;
pub mod reply;
pub mod request;
pub mod sharing;
mod sync;
pub mod system;
