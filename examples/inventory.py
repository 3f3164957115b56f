#!/usr/bin/env python3
"""An inventory script for Ansible: the jails of this host, in one request.

    ansible-inventory -i inventory.py --list
    ./inventory.py --list | --host JAIL

Each jail is a host. Its variables have the names that they have with the inventory plugin
community.general.iocage (with get_properties), which runs one iocage, and one more for each jail:

    iocage_jid, iocage_boot, iocage_state, iocage_type, iocage_release, iocage_template,
    iocage_basejail, iocage_ip6    as `iocage list -l` has them
    iocage_ip4         the addresses alone, with commas; "-" for none
    iocage_ip4_dict    {"ip4": [{"ifc", "ip", "mask"}], "msg": what is no address, such as "DHCP"}
    iocage_properties  all properties

That plugin makes groups and ansible_host only as it is told. Here ansible_host is the first
address, IPv4 before IPv6, and the groups are state_up, type_jail, release_13_2_RELEASE_p9,
template_base and boot_on, and the like.

It needs root's rights, as iocage does. It reads the sysadm server's configuration, or the file that
SYSADM_IOCAGE_CONFIG names. For another host, a script of one line takes its place:

    exec ssh root@jails.example.org /usr/local/share/examples/sysadm-iocage/inventory.py "$@"
"""

import argparse
import ipaddress
import json
import re
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

try:
    import sysadm_iocage
except ImportError:
    # Not installed by pip: it is beside this script, in the source and where `make install` puts it.
    for place in ("../bindings/python/src", "../../sysadm-iocage/python/src"):
        sys.path.append(str(Path(__file__).resolve().parent / place))
    import sysadm_iocage

Json = Dict[str, Any]


def addresses(column: str) -> Json:
    """What a column such as `re0|10.0.0.5/24,re0|10.0.0.6` has; what is no address is in `msg`."""
    found: List[Dict[str, str]] = []
    words: List[str] = []
    for item in column.split(","):
        interface, _, rest = item.strip().rpartition("|")
        address, _, mask = rest.partition("/")
        try:
            ipaddress.ip_address(address)
        except ValueError:
            words.append(item)
        else:
            found.append({"ifc": interface or "-", "ip": address, "mask": mask or "-"})
    return {"found": found, "msg": ",".join(words)}


def variables(jail: Json) -> Json:
    """The variables of a jail."""
    ip4, ip6 = addresses(jail["ip4"]), addresses(jail["ip6"])
    known: Json = {
        f"iocage_{key}": jail[key]
        for key in ("jid", "boot", "state", "type", "release", "template", "basejail", "ip6")
    }
    known["iocage_ip4_dict"] = {"ip4": ip4["found"], "msg": ip4["msg"]}
    known["iocage_ip4"] = ",".join(address["ip"] for address in ip4["found"]) or "-"
    known["iocage_properties"] = jail["settings"]
    for address in (ip4["found"] + ip6["found"])[:1]:
        known["ansible_host"] = address["ip"]
    return known


def inventory(hosts: Json) -> Json:
    """All jails with their variables, and their groups."""
    groups: Dict[str, List[str]] = {}
    for name, known in hosts.items():
        for key in ("state", "type", "release", "template", "boot"):
            value = known[f"iocage_{key}"]
            if value not in ("-", "N/A"):
                # Ansible takes no other characters in a group's name.
                group = re.sub(r"\W", "_", f"{key}_{value}", flags=re.ASCII)
                groups.setdefault(group, []).append(name)
    everything: Json = {group: {"hosts": names} for group, names in sorted(groups.items())}
    everything["all"] = {"hosts": list(hosts)}
    everything["_meta"] = {"hostvars": hosts}
    return everything


def main() -> Optional[str]:
    """Prints what is asked for, or returns why it cannot."""
    parser = argparse.ArgumentParser(description="An inventory of this host's jails, for Ansible.")
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--list", action="store_true", help="all jails")
    asked.add_argument("--host", metavar="JAIL", help="the variables of one")
    name = parser.parse_args().host
    which = {} if name is None else {"jails": [name]}
    try:
        with sysadm_iocage.Instance(access=sysadm_iocage.Access.READ) as iocage:
            jails = iocage.request("listjails", detail=True, **which)["jails"]
    except sysadm_iocage.Error as error:
        return f"inventory.py: {error}"
    hosts = {jail["name"]: variables(jail) for jail in jails.values()}
    if name is None:
        print(json.dumps(inventory(hosts), indent=2))
    elif name in hosts:
        print(json.dumps(hosts[name], indent=2))
    else:
        return f"inventory.py: there is no jail {name!r}"
    return None


if __name__ == "__main__":
    sys.exit(main())
