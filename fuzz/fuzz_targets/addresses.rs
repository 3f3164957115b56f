//! Any text as a jail's ip4_addr or ip6_addr.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use sysadm_iocage::iocage::addresses;

fuzz_target!(|text: &str| {
    let parts = text.split(',').map(str::trim);
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    let read = addresses::parse(text);
    assert_eq!(read.len(), parts.len(), "one is dropped: {read:?}");
    for (part, one) in parts.iter().zip(&read) {
        let rest = match &one.interface {
            Some(interface) => part.strip_prefix(interface).unwrap().strip_prefix('|'),
            None => Some(*part),
        };
        let rest = rest.expect("a bar behind the interface");
        let Some(prefix) = &one.prefix else {
            assert_eq!(one.address, rest, "nothing is left out");
            continue;
        };
        let (address, _) = rest.split_once('/').unwrap();
        assert_eq!(one.address, address);
        let most = match address.parse().expect("only an address has a prefix") {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        assert!(prefix.parse::<u32>().unwrap() <= most, "{one:?}");
    }
});
