//! Any bytes as the plugin's own configuration.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sysadm_iocage::configuration::Configuration;
use sysadm_iocage_fuzz::{check_line, Instance};

fuzz_target!(|data: &[u8]| match Instance::try_open(data) {
    Ok(_) => {
        let text = data.split(|byte| *byte == 0).next().unwrap();
        let config = Configuration::parse(std::str::from_utf8(text).unwrap()).unwrap();
        let commands = &config.commands;
        for path in [
            &commands.zfs,
            &commands.zpool,
            &commands.jls,
            &commands.iocage,
            &commands.fetch,
            &commands.git,
        ] {
            assert!(path.is_absolute(), "{config:?}");
        }
        assert!(config.state_directory.is_absolute() && config.library.is_absolute());
        assert!(
            (1..=3600).contains(&config.command_timeout.as_secs()),
            "{config:?}"
        );
    }
    Err(error) => check_line(&error),
});
