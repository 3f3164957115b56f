//! Any names in the folder of images, a line each.
#![no_main]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::{json, Value};
use sysadm_iocage_fuzz::{home, keys, Instance};

static INSTANCE: LazyLock<Instance> = LazyLock::new(|| Instance::open(json!({})));

fuzz_target!(|data: &[u8]| {
    let folder = home().join("mnt/tank1/iocage/images");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let mut names = BTreeSet::new();
    for name in data.split(|byte| *byte == b'\n').take(16) {
        // What is no name of a file is made none.
        if !name.contains(&b'/') && fs::write(folder.join(OsStr::from_bytes(name)), name).is_ok() {
            names.insert(name);
        }
    }
    let ask = |verify: bool| {
        let answer = INSTANCE.ask(json!({"action": "listimages", "verify": verify}));
        answer["images"]
            .as_object()
            .unwrap_or_else(|| panic!("{answer}"))
            .clone()
    };
    let (images, verified) = (ask(false), ask(true));
    assert_eq!(images.len(), verified.len());
    let is_image = |name: &&&[u8]| {
        let text = std::str::from_utf8(name);
        text.is_ok_and(|text| text.ends_with(".zip") || text.ends_with(".tar.xz"))
    };
    assert_eq!(images.len(), names.iter().filter(is_image).count());
    for (file, image) in &images {
        assert!(names.contains(file.as_bytes()), "{file}");
        let expected = ["checksum", "date", "format", "jail", "size"];
        assert_eq!(keys(image), expected);
        let text = |key: &str| image[key].as_str().unwrap();
        let end = match text("format") {
            "zip" => ".zip",
            "lzma" => ".tar.xz",
            other => panic!("{other}"),
        };
        // The name is all there: jail, date, end.
        let stem = match text("date") {
            "-" => text("jail").to_string(),
            date => format!("{}_{date}", text("jail")),
        };
        assert_eq!(format!("{stem}{end}"), *file);
        assert_eq!(text("size"), file.len().to_string());
        let has_sum = names.contains(format!("{stem}.sha256").as_bytes());
        let checksum = if has_sum { "there" } else { "missing" };
        assert_eq!(text("checksum"), checksum, "{file}");
        // No name is the sum of itself, so what has one has a wrong one.
        let checksum = if has_sum { "wrong" } else { "missing" };
        assert_eq!(verified[file]["checksum"], Value::from(checksum), "{file}");
    }
});
