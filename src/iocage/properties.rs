//! The properties that a new jail can be given, by iocage's names.
//!
//! Source: the default properties in iocage's `ioc_json.py` (1.13), without those that only tell
//! something.

/// Whether a client may set `name` on a new jail.
///
/// # Errors
/// Why not.
pub fn settable(name: &str) -> Result<(), String> {
    if OWN_ARGUMENT.contains(&name) {
        return Err(format!(
            "{name:?} is said by an argument of its own, or by the plugin itself"
        ));
    }
    if RUN_BY_THE_HOST.contains(&name) {
        return Err(format!(
            "{name:?} would be run on the host, outside the jail"
        ));
    }
    if !SETTABLE.contains(&name) && !is_per_interface(name) {
        return Err(format!("iocage has no property {name:?}"));
    }
    Ok(())
}

/// `vnet3_mac` and the like.
fn is_per_interface(name: &str) -> bool {
    let rest = name
        .strip_prefix("vnet")
        .map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    rest.is_some_and(|rest| ["_mac", "_mtu"].contains(&rest))
}

const OWN_ARGUMENT: &[&str] = &[
    "boot",
    "dhcp",
    "host_hostuuid",
    "ip4_addr",
    "ip6_addr",
    "plugin_name",
    "plugin_repository",
    "template",
    "type",
    "vnet",
];

const RUN_BY_THE_HOST: &[&str] = &[
    "exec_created",
    "exec_poststart",
    "exec_poststop",
    "exec_prestart",
    "exec_prestop",
];

#[rustfmt::skip]
const SETTABLE: &[&str] = &[
    "allow_chflags", "allow_mlock", "allow_mount", "allow_mount_devfs", "allow_mount_fdescfs",
    "allow_mount_fusefs", "allow_mount_linprocfs", "allow_mount_linsysfs", "allow_mount_nullfs",
    "allow_mount_procfs", "allow_mount_tmpfs", "allow_mount_zfs", "allow_nfsd", "allow_quotas",
    "allow_raw_sockets", "allow_set_hostname", "allow_socket_af", "allow_sysvipc", "allow_tun",
    "allow_vmm", "assign_localhost", "bpf", "children_max", "comment", "compression",
    "coredumpsize", "cpuset", "cputime", "datasize", "dedup", "defaultrouter", "defaultrouter6",
    "depends", "devfs_ruleset", "enforce_statfs", "exec_clean", "exec_fib", "exec_jail_user",
    "exec_start", "exec_stop", "exec_system_jail_user", "exec_system_user", "exec_timeout",
    "host_domainname", "host_hostname", "host_time", "hostid", "hostid_strict_check", "interfaces",
    "ip4", "ip4_saddrsel", "ip6", "ip6_saddrsel", "ip_hostname", "jail_zfs", "jail_zfs_dataset",
    "jail_zfs_mountpoint", "localhost_ip", "login_flags", "mac_prefix", "maxproc", "memorylocked",
    "memoryuse", "min_dyn_devfs_ruleset", "mount_devfs", "mount_fdescfs", "mount_linprocfs",
    "mount_procfs", "msgqqueued", "msgqsize", "nat", "nat_backend", "nat_forwards", "nat_interface",
    "nat_prefix", "nmsgq", "notes", "nsem", "nsemop", "nshm", "nthr", "openfiles", "owner", "pcpu",
    "priority", "pseudoterminals", "quota", "readbps", "readiops", "reservation", "resolver",
    "rlimits", "rtsold", "securelevel", "shmsize", "stacksize", "stop_timeout", "swapuse",
    "sysvmsg", "sysvsem", "sysvshm", "vmemoryuse", "vnet_default_interface", "vnet_interfaces",
    "wallclock", "writebps", "writeiops",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_iocages_own_properties_can_be_set_and_none_that_reaches_the_host() {
        for name in ["notes", "allow_raw_sockets", "vnet0_mac", "vnet12_mtu"] {
            assert_eq!(settable(name), Ok(()), "{name}");
        }
        for name in [
            "exec_prestart",
            "boot",
            "note",
            "",
            "vnet_mac=1",
            "vnet0_mac ",
            "-n",
        ] {
            assert!(settable(name).is_err(), "{name}");
        }
    }
}
