use super::*;

#[test]
fn pools_follow_the_naming_rule_of_zfs() {
    for name in ["tank", "tank1", "my_zpool", "T-1.2:3", "a b"] {
        assert_eq!(pool(name), Ok(name));
    }
    let wrong = [
        "",
        " tank",
        "1tank",
        "-f",
        "tank/iocage",
        "tank@s",
        "tank;",
        "tänk",
        "mirror",
        "raidz1",
        "draid",
        "spares",
        "log",
        "a\nb",
        "a\0",
    ];
    for name in wrong {
        assert!(pool(name).is_err(), "{name:?}");
    }
    let old = PoolName::existing("draid");
    assert!(old.is_ok(), "from before it was reserved");
    assert!(existing_pool("-f").is_err() && existing_pool("tank\0").is_err());
    assert!(pool("logs").is_ok(), "only the whole word log is reserved");
}

#[test]
fn a_release_is_its_first_word_in_capitals() {
    assert_eq!(release("10.3-RELEASE"), Ok("10.3-RELEASE".into()));
    assert_eq!(release("  9.3-RELEASE (EOL)"), Ok("9.3-RELEASE".into()));
    assert_eq!(release("13.2-release"), Ok("13.2-RELEASE".into()));
    assert_eq!(release("14.0-RC1-p2"), Ok("14.0-RC1-P2".into()));
    for text in [
        "",
        " ",
        "-r",
        "10-RELEASE",
        "10.3",
        "10.3-",
        "a.b-RELEASE",
        "10.3-REL/EASE",
    ] {
        assert!(release(text).is_err(), "{text:?}");
    }
    for text in [
        "10.3-RELEASE/../x",
        "10.3-RELEASE;x",
        "10.3-RELEASE\n-x",
        "1٣.1-RELEASE",
    ] {
        assert!(release(text).is_err(), "{text:?}");
    }
}

#[test]
fn addresses_have_their_family_and_a_prefix_in_range() {
    for text in ["10.20.0.130", "10.20.0.130/0", "10.20.0.130/32"] {
        assert_eq!(ip4(text), Ok(text));
        assert!(ip6(text).is_err(), "{text}");
    }
    for text in ["2001:db8::7", "::1/128", "fe80::1/64"] {
        assert_eq!(ip6(text), Ok(text));
        assert!(ip4(text).is_err(), "{text}");
    }
    for text in [
        "10.20.0.130/33",
        "10.20.0.130/",
        "10.20.0.130/+8",
        "10.20.0",
        "010.0.0.1",
    ] {
        assert!(ip4(text).is_err(), "{text}");
    }
    for text in ["::1/129", "fe80::1%re0", "::1/64/64", "2001:db8::7 vnet=1"] {
        assert!(ip6(text).is_err(), "{text}");
    }
}

#[test]
fn interfaces_and_jails_take_no_dash_in_front_and_no_strange_characters() {
    for name in ["re0", "em0.100", "vlan_10", "a23456789012345"] {
        assert_eq!(interface(name), Ok(name));
    }
    for name in [
        "",
        "-re0",
        "0re",
        "re0|",
        "re 0",
        "a234567890123456",
        "re0,re1",
    ] {
        assert!(interface(name).is_err(), "{name:?}");
    }
    for name in ["5", "web", "a.b_c-d"] {
        assert_eq!(jail(name), Ok(name));
    }
    for name in [
        "", ".", "-n", "_x", "a/b", "a b", "../x", "wéb", "default", "help", "SMALL",
    ] {
        assert!(jail(name).is_err(), "{name:?}");
    }
}

#[test]
fn a_url_is_shown_without_the_password_in_it() {
    let shown = |url| Url::parse(url).unwrap().without_credentials();
    assert_eq!(
        shown("https://u:p@w@example.org/p.git"),
        "https://example.org/p.git"
    );
    assert_eq!(shown("https://token@example.org"), "https://example.org");
    assert_eq!(shown("file:///srv/p@q.git"), "file:///srv/p@q.git");
}

#[test]
fn a_dot_in_a_jails_name_is_an_underscore_to_the_kernel() {
    assert_eq!(JailName::parse("a.b_c").unwrap().in_kernel(), "a_b_c");
}
