//! All properties that iocage 1.13 has, one a line.
//!
//! Source: `iocage_lib/ioc_json.py` of tag 1.13: `json_check_prop` (names, kinds),
//! `retrieve_default_props` (defaults), `json_set_value` (when a change takes effect), and
//! `ioc_start.py`, `ioc_stop.py` (what is done with each). Since when: the first tag whose
//! `json_check_prop` has the name (`iocage/lib/ioc_json.py` before 1.0; V0_9 where 0.9.8 has it).
//! 1.2.1 stands for 1.2.1 and 1.3, which are the same here. The words of truth before 1.2 are
//! those of 0.9.9 to 1.1.

use super::forms::*;
use super::Effect::{self, *};
use super::Guard::{self, Identity, OnHost, OwnArgument};
use super::Kind::{self, Form, Number, NumberOr, OneOf, Protocol, Told, Truth};
use super::{Property, Settable, Words};
use crate::iocage::version::*;

const TRUTH: Kind = Truth(Words::Digits);
const OFF_ON: Kind = Truth(Words::OffOn);
const NO_YES: Kind = Truth(Words::NoYes);
const SYSV: &[&str] = &["new", "inherit", "disable"];
/// zfsprops(7); iocage leaves it to zfs.
const DEDUP: &[&str] = &[
    "off",
    "on",
    "verify",
    "sha256",
    "sha256,verify",
    "sha512",
    "sha512,verify",
    "skein",
    "skein,verify",
    "edonr,verify",
    "blake3",
    "blake3,verify",
];
/// As many as fit into an int of C.
const SECONDS: i64 = i32::MAX as i64;
const RACCT: &[&str] = &["kern.racct.enable=1 on the host"];
/// jail(8)'s rule, which iocage does not check.
const MOUNT: &[&str] = &["allow_mount=1", "enforce_statfs < 2"];

const fn row(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    since: Version,
    effect: Effect,
    settable: Settable,
) -> Property {
    Property {
        name,
        kind,
        default: Some(default),
        since,
        effect,
        settable,
        guard: Guard::None,
        needs: &[],
    }
}

/// What can be set for a jail.
const fn jail(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    since: Version,
    effect: Effect,
) -> Property {
    row(name, kind, default, since, effect, Settable::Jail)
}

/// What can be set for all jails together.
const fn defaults(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    since: Version,
    effect: Effect,
) -> Property {
    row(name, kind, default, since, effect, Settable::Defaults)
}

/// What can never be set.
const fn told(name: &'static str, kind: Kind, default: &'static str, since: Version) -> Property {
    row(name, kind, default, since, Never, Settable::Never)
}

impl Property {
    const fn guarded(mut self, guard: Guard) -> Self {
        self.guard = guard;
        self
    }

    const fn needs(mut self, needs: &'static [&'static str]) -> Self {
        self.needs = needs;
        self
    }

    /// There is no built-in default: iocage makes it.
    const fn made_by_iocage(mut self) -> Self {
        self.default = None;
        self
    }
}

#[rustfmt::skip]
pub static PROPERTIES: &[Property] = &[
    //   name, kind, default, since, a change takes effect
    told("CONFIG_VERSION", Told, "34", V0_9),
    // The network.
    jail("interfaces", Form(&INTERFACES), "vnet0:bridge0", V0_9, NextStart).needs(&["vnet=1"]),
    jail("host_domainname", Form(&HOST_NAME), "", V0_9, InKernel),
    jail("exec_fib", Number(0, 65_535), "0", V0_9, NextStart),
    jail("ip4_addr", Form(&ADDRESSES_4), "none", V0_9, InKernel).guarded(OwnArgument).needs(&["vnet=1 and bpf=1 for DHCP", "with vnet=1 an interface of interfaces, else one of the host"]),
    jail("ip4_saddrsel", TRUTH, "1", V0_9, InKernel),
    jail("ip4", Protocol, "new", V0_9, InKernel),
    jail("ip6_addr", Form(&ADDRESSES_6), "none", V0_9, InKernel).guarded(OwnArgument).needs(&["vnet=1 for accept_rtadv"]),
    jail("ip6_saddrsel", TRUTH, "1", V0_9, InKernel),
    jail("ip6", Protocol, "new", V0_9, InKernel),
    jail("defaultrouter", Form(&ROUTER_4), "auto", V0_9, NextStart).needs(&["vnet=1"]),
    jail("defaultrouter6", Form(&ROUTER_6), "auto", V0_9, NextStart).needs(&["vnet=1"]),
    jail("resolver", Form(&RESOLVER), "/etc/resolv.conf", V0_9, NextStart),
    jail("mac_prefix", Form(&MAC_PREFIX), "", V0_9, NextStart).made_by_iocage(),
    jail("vnet0_mac", Form(&MAC_PAIR), "none", V0_9, NextStart),
    jail("vnet1_mac", Form(&MAC_PAIR), "none", V0_9, NextStart),
    jail("vnet2_mac", Form(&MAC_PAIR), "none", V0_9, NextStart),
    jail("vnet3_mac", Form(&MAC_PAIR), "none", V0_9, NextStart),
    jail("vnet_default_interface", Form(&HOST_INTERFACE), "none", V1_0, NextStart).needs(&["vnet=1"]),
    // How it starts and stops.
    jail("devfs_ruleset", Number(0, 65_535), "4", V0_9, NextStart),
    jail("exec_start", Form(&COMMAND), "/bin/sh /etc/rc", V0_9, NextStart),
    jail("exec_stop", Form(&COMMAND), "/bin/sh /etc/rc.shutdown", V0_9, NextStop),
    jail("exec_prestart", Form(&HOST_COMMAND), "/usr/bin/true", V0_9, NextStart).guarded(OnHost),
    jail("exec_poststart", Form(&HOST_COMMAND), "/usr/bin/true", V0_9, NextStart).guarded(OnHost),
    jail("exec_prestop", Form(&HOST_COMMAND), "/usr/bin/true", V0_9, NextStop).guarded(OnHost),
    jail("exec_poststop", Form(&HOST_COMMAND), "/usr/bin/true", V0_9, NextStop).guarded(OnHost),
    jail("exec_created", Form(&COMMAND), "/usr/bin/true", V1_2, NextStart).guarded(OnHost),
    jail("exec_clean", TRUTH, "1", V0_9, NextStart),
    jail("exec_timeout", Number(0, SECONDS), "60", V0_9, NextStart),
    jail("stop_timeout", Number(0, SECONDS), "30", V0_9, NextStart),
    jail("exec_jail_user", Form(&USER), "root", V0_9, NextStart),
    jail("exec_system_jail_user", Form(&USER), "0", V0_9, NextStart),
    jail("exec_system_user", Form(&USER), "root", V0_9, NextStart),
    jail("mount_devfs", TRUTH, "1", V0_9, NextStart),
    jail("mount_fdescfs", TRUTH, "1", V0_9, NextStart),
    // What it may do.
    jail("enforce_statfs", OneOf(&["0", "1", "2"]), "2", V0_9, NextStart),
    jail("children_max", Number(0, 999_999), "0", V0_9, InKernel),
    jail("login_flags", Form(&LOGIN_FLAGS), "-f root", V0_9, NextConsole),
    jail("securelevel", Number(-1, 3), "2", V0_9, InKernel),
    jail("sysvmsg", OneOf(SYSV), "new", V0_9, InKernel),
    jail("sysvsem", OneOf(SYSV), "new", V0_9, InKernel),
    jail("sysvshm", OneOf(SYSV), "new", V0_9, InKernel),
    jail("allow_set_hostname", TRUTH, "1", V0_9, InKernel),
    jail("allow_sysvipc", TRUTH, "0", V0_9, InKernel),
    jail("allow_raw_sockets", TRUTH, "0", V0_9, InKernel),
    jail("allow_chflags", TRUTH, "0", V0_9, InKernel),
    jail("allow_mlock", TRUTH, "0", V1_0, InKernel).needs(&["FreeBSD 12"]),
    jail("allow_mount", TRUTH, "0", V0_9, InKernel),
    jail("allow_mount_devfs", TRUTH, "0", V0_9, InKernel).needs(MOUNT),
    jail("allow_mount_fdescfs", TRUTH, "0", V1_2_1, InKernel).needs(MOUNT),
    jail("allow_mount_fusefs", TRUTH, "0", V1_0, InKernel).needs(&["FreeBSD 12", "allow_mount=1", "enforce_statfs < 2"]),
    jail("allow_mount_nullfs", TRUTH, "0", V0_9, InKernel).needs(MOUNT),
    jail("allow_mount_procfs", TRUTH, "0", V0_9, InKernel).needs(MOUNT),
    jail("allow_mount_linprocfs", TRUTH, "0", V1_2_1, InKernel).needs(MOUNT),
    jail("allow_mount_linsysfs", TRUTH, "0", V1_7, InKernel).needs(MOUNT),
    jail("allow_mount_tmpfs", TRUTH, "0", V0_9, InKernel).needs(MOUNT),
    jail("allow_mount_zfs", TRUTH, "0", V0_9, InKernel).needs(MOUNT),
    jail("allow_quotas", TRUTH, "0", V0_9, InKernel),
    jail("allow_socket_af", TRUTH, "0", V0_9, InKernel),
    jail("allow_tun", TRUTH, "0", V1_0, NextStart),
    jail("allow_vmm", TRUTH, "0", V1_1, InKernel).needs(&["FreeBSD 12"]),
    jail("allow_nfsd", TRUTH, "0", V1_5, InKernel).needs(&["FreeBSD 13.3"]),
    // What it may use: rctl(8) and cpuset(1). Before 1.2 iocage kept these and applied none.
    jail("cpuset", Form(&CPUS), "off", V1_2, NextStart),
    jail("rlimits", OneOf(&["off", "on"]), "off", V0_9, NextStart),
    jail("memoryuse", Form(&LIMIT_OF_SIZE), "off", V1_2, Limit).needs(RACCT),
    jail("memorylocked", Form(&LIMIT_OF_SIZE), "off", V1_2, Limit).needs(RACCT),
    jail("vmemoryuse", Form(&LIMIT_OF_SIZE), "off", V1_2, Limit).needs(RACCT),
    jail("maxproc", Form(&LIMIT_OF_COUNT), "off", V1_2, Limit).needs(RACCT),
    jail("cputime", Form(&LIMIT_OF_TIME), "off", V1_2, Limit).needs(RACCT),
    jail("pcpu", Form(&LIMIT_OF_COUNT), "off", V1_2, Limit).needs(RACCT),
    jail("datasize", Form(&LIMIT_OF_SIZE), "off", V1_2, Limit).needs(RACCT),
    jail("stacksize", Form(&LIMIT_OF_SIZE), "off", V1_2, Limit).needs(RACCT),
    jail("coredumpsize", Form(&LIMIT_OF_SIZE), "off", V1_2, Limit).needs(RACCT),
    jail("openfiles", Form(&LIMIT_OF_COUNT), "off", V1_2, Limit).needs(RACCT),
    jail("pseudoterminals", Form(&LIMIT_OF_COUNT), "off", V1_2, Limit).needs(RACCT),
    jail("swapuse", Form(&LIMIT_OF_SIZE), "off", V1_2, Limit).needs(RACCT),
    jail("nthr", Form(&LIMIT_OF_COUNT), "off", V1_2, Limit).needs(RACCT),
    jail("msgqqueued", Form(&LIMIT_OF_COUNT), "off", V1_2, Limit).needs(RACCT),
    jail("msgqsize", Form(&LIMIT_OF_SIZE), "off", V1_2, Limit).needs(RACCT),
    jail("nmsgq", Form(&LIMIT_OF_COUNT), "off", V1_2, Limit).needs(RACCT),
    jail("nsem", Form(&LIMIT_OF_COUNT), "off", V1_2, Limit).needs(RACCT),
    jail("nsemop", Form(&LIMIT_OF_COUNT), "off", V1_2, Limit).needs(RACCT),
    jail("nshm", Form(&LIMIT_OF_COUNT), "off", V1_2, Limit).needs(RACCT),
    jail("shmsize", Form(&LIMIT_OF_SIZE), "off", V1_2, Limit).needs(RACCT),
    jail("wallclock", Form(&LIMIT_OF_TIME), "off", V1_2, Limit).needs(RACCT),
    jail("readbps", Form(&LIMIT_OF_RATE), "off", V1_2, Limit).needs(RACCT),
    jail("writebps", Form(&LIMIT_OF_RATE), "off", V1_2, Limit).needs(RACCT),
    jail("readiops", Form(&LIMIT_OF_RATE), "off", V1_2, Limit).needs(RACCT),
    jail("writeiops", Form(&LIMIT_OF_RATE), "off", V1_2, Limit).needs(RACCT),
    // What iocage knows of it.
    told("type", Told, "jail", V0_9).guarded(Identity),
    // 0.9.9 and 0.9.9.1 take off and on, 0.9.9.2 no and yes.
    jail("bpf", NO_YES, "0", V0_9_10, NextStart).needs(&["vnet=1", "nat=0"]),
    jail("dhcp", OFF_ON, "0", V0_9, WhileStopped).guarded(OwnArgument).needs(&["vnet=1", "bpf=1"]),
    jail("boot", OFF_ON, "0", V0_9, NextBoot).guarded(OwnArgument),
    jail("notes", Form(&TEXT), "none", V0_9, AtOnce),
    jail("owner", Form(&TEXT), "root", V0_9, AtOnce),
    jail("priority", Number(1, 99), "99", V0_9, NextBoot),
    told("last_started", Told, "none", V0_9),
    jail("template", NO_YES, "0", V0_9, WhileStopped).guarded(OwnArgument),
    jail("hostid", Form(&HOST_ID), "", V0_9, NextStart).made_by_iocage().needs(&["hostid_strict_check=1"]),
    jail("hostid_strict_check", OFF_ON, "0", V1_0, NextStart),
    jail("jail_zfs", OFF_ON, "0", V0_9, WhileStopped),
    jail("jail_zfs_mountpoint", Form(&PATH), "none", V0_9, WhileStopped),
    jail("mount_procfs", TRUTH, "0", V0_9, NextStart),
    jail("mount_linprocfs", TRUTH, "0", V0_9, NextStart),
    told("count", Told, "1", V0_9),
    jail("vnet", OFF_ON, "0", V0_9, NextStart).guarded(OwnArgument),
    told("basejail", NO_YES, "0", V0_9),
    jail("comment", Form(&TEXT), "none", V0_9, AtOnce),
    jail("host_time", NO_YES, "1", V0_9, NextStart),
    told("sync_state", Told, "none", V0_9),
    told("sync_target", Told, "none", V0_9),
    told("sync_tgt_zpool", Told, "none", V0_9),
    // The jail's dataset.
    told("compression", Told, "on", V0_9),
    told("origin", Told, "readonly", V0_9),
    jail("quota", Form(&QUOTA), "none", V0_9, AtOnce),
    jail("mountpoint", Form(&PATH), "readonly", V0_9, AtOnce).guarded(Identity),
    told("compressratio", Told, "readonly", V0_9),
    told("available", Told, "readonly", V0_9),
    told("used", Told, "readonly", V0_9),
    jail("dedup", OneOf(DEDUP), "off", V0_9, AtOnce),
    jail("reservation", Form(&RESERVATION), "none", V0_9, AtOnce),
    // Later ones.
    jail("depends", Form(&JAILS), "none", Version(0, 9, 9), NextStart),
    jail("vnet_interfaces", Form(&HOST_INTERFACES), "none", V1_0, NextStart).needs(&["vnet=1"]),
    jail("rtsold", OFF_ON, "0", V1_0, NextStart).needs(&["ip6_addr with accept_rtadv"]),
    jail("ip_hostname", TRUTH, "0", V1_2, NextStart),
    jail("assign_localhost", TRUTH, "0", V1_2, NextStart).needs(&["vnet=0"]),
    jail("localhost_ip", Form(&LOCALHOST), "none", V1_2, NextStart).needs(&["assign_localhost=1"]),
    jail("nat", TRUTH, "0", V1_2, NextStart).needs(&["bpf=0"]),
    defaults("nat_prefix", Form(&NAT_PREFIX), "172.16", V1_2, NextStart),
    defaults("nat_interface", Form(&NAT_INTERFACE), "none", V1_2, NextStart),
    defaults("nat_backend", OneOf(&["pf", "ipfw"]), "ipfw", V1_2, NextStart),
    jail("nat_forwards", Form(&NAT_FORWARDS), "none", V1_2, NextStart).needs(&["nat=1"]),
    jail("plugin_name", Form(&PLUGIN), "none", V1_2, NextUpdate).guarded(OwnArgument),
    jail("plugin_repository", Form(&REPOSITORY), "none", V1_2, NextUpdate).guarded(OwnArgument),
    jail("min_dyn_devfs_ruleset", Number(0, 65_535), "1000", V1_2_1, NextStart),
    jail("vnet0_mtu", NumberOr("auto", 72, 65_535), "auto", V1_2_1, NextStart),
    jail("vnet1_mtu", NumberOr("auto", 72, 65_535), "auto", V1_2_1, NextStart),
    jail("vnet2_mtu", NumberOr("auto", 72, 65_535), "auto", V1_2_1, NextStart),
    jail("vnet3_mtu", NumberOr("auto", 72, 65_535), "auto", V1_2_1, NextStart),
    jail("vnet_default_mtu", Number(72, 65_535), "1500", V1_2_1, NextStart),
    jail("host_hostname", Form(&HOST_NAME), "", V0_9, InKernel).made_by_iocage(),
    jail("jail_zfs_dataset", Form(&DATASETS), "", V0_9, WhileStopped).made_by_iocage().needs(&["jail_zfs=1"]),
    told("host_hostuuid", Told, "", V0_9).made_by_iocage().guarded(Identity),
    told("release", Told, "", V0_9).made_by_iocage().guarded(Identity),
    told("cloned_release", Told, "", V0_9).made_by_iocage().guarded(Identity),
    told("source_template", Told, "", V1_0).made_by_iocage().guarded(Identity),
];
