//! What iocage keeps: pool properties, datasets, settings files, the plugin index; and the command
//! lines of its many versions.
//!
//! Facts about iocage come from its source (github.com/freebsd/iocage, tags 0.9.1 to 1.13) and
//! from measurements against 1.13.

pub mod addresses;
pub mod belongings;
pub mod branches;
pub mod changes;
pub mod clones;
pub mod cloning;
pub mod command;
pub mod datasets;
pub mod dependents;
pub mod destruction;
pub mod exec;
pub mod fstab;
pub mod images;
pub mod indexes;
pub mod installed;
pub mod jails;
pub mod mounting;
pub mod outcomes;
pub mod plugin;
pub mod pools;
pub mod power;
pub mod progress;
pub mod properties;
pub mod rctl;
pub mod releases;
pub mod remains;
pub mod renaming;
pub mod selection;
pub mod settings;
pub mod snapshots;
pub mod space;
pub mod survey;
pub mod version;
