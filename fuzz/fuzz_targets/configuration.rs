//! Any bytes as the library's own configuration.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sysadm_iocage::configuration::{Configuration, Program};
use sysadm_iocage_fuzz::{check_line, open_and_close};

fuzz_target!(|data: &[u8]| match open_and_close(data) {
    Ok(()) => {
        let text = data.split(|byte| *byte == 0).next().unwrap();
        let config = Configuration::parse(std::str::from_utf8(text).unwrap()).unwrap();
        for program in [
            Program::Zfs,
            Program::Zpool,
            Program::Jls,
            Program::Iocage,
            Program::FreebsdVersion,
            Program::Fetch,
            Program::Git,
        ] {
            assert!(config.commands.path(program).is_absolute(), "{config:?}");
        }
        assert!(config.state_directory.is_absolute() && config.library.is_absolute());
        assert!(
            (1..=3600).contains(&config.command_timeout.as_secs()),
            "{config:?}"
        );
    }
    Err(error) => check_line(&error),
});
