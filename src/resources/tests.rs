use super::*;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("{name}{}", std::process::id());
        Folder(std::env::temp_dir().join(name))
    }

    fn resources(&self) -> Resources {
        Resources::new(&self.0, &self.0, Records::new(&self.0))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn jail(name: &str) -> Claim {
    Resource::jail(&JailName::parse(name).unwrap()).alone()
}

#[test]
fn what_a_job_held_can_be_held_again_by_its_record() {
    let address = "fe80::1".parse().unwrap();
    for resource in [
        Resource::Job("sysadm_iocage_clone_jail_a-b".into()),
        Resource::Marks,
        Resource::Release(Release::parse("13.2-RELEASE").unwrap()),
        Resource::Jail("a-b_c".into()),
        Resource::Ip(address),
        Resource::Mac("02ff60a1b2c3".into()),
        Resource::Image("web-1_2026-11-26".into()),
        Resource::Index("github_com-x".into()),
        Resource::Catalogue,
    ] {
        let claim = resource.alone();
        let (lock, alone) = claim.recorded();
        assert_eq!(Claim::recorded_as(&lock, alone), Some(claim));
    }
    assert_eq!(Claim::recorded_as("nothing", true), None);
}

#[test]
fn what_is_held_alone_is_held_by_one_and_what_is_shared_by_many() {
    let folder = Folder::new("held");
    let (one, other) = (folder.resources(), folder.resources());
    let marks = || Resource::Marks;
    let held = one.take(&[marks().alone()], Duration::ZERO).unwrap();
    let error: Error = other
        .take(&[marks().shared()], Duration::ZERO)
        .unwrap_err()
        .into();
    assert_eq!(error.code, Code::Conflict);
    drop(held);
    let shared = one
        .take(&[marks().shared(), jail("web")], Duration::ZERO)
        .unwrap();
    assert!(other.take(&[marks().shared()], Duration::ZERO).is_ok());
    assert!(other.take(&[marks().alone()], Duration::ZERO).is_err());
    assert!(other.take(&[jail("web")], Duration::ZERO).is_err());
    assert_eq!(shared.descriptors().len(), 2);
    // All or nothing: what was got before the failure is free again.
    let both = [Resource::Releases.alone(), jail("web")];
    assert!(other.take(&both, Duration::ZERO).is_err());
    assert!(one.take(&both[..1], Duration::ZERO).is_ok());
}

#[test]
fn names_that_differ_in_dots_only_are_one() {
    let folder = Folder::new("dots");
    let resources = folder.resources();
    let _held = resources.take(&[jail("foo.bar")], Duration::ZERO).unwrap();
    assert!(resources.take(&[jail("foo_bar")], Duration::ZERO).is_err());
}

#[test]
fn of_two_claims_to_one_thing_the_stricter_holds() {
    let folder = Folder::new("twice");
    let resources = folder.resources();
    let twice = [Resource::Marks.shared(), Resource::Marks.alone()];
    let held = resources.take(&twice, Duration::ZERO).unwrap();
    assert_eq!(held.descriptors().len(), 1);
    assert!(resources.take(&twice[..1], Duration::ZERO).is_err());
}

#[test]
fn what_cannot_be_locked_is_refused_with_the_reason() {
    let nowhere = Path::new("/dev/null/run");
    let resources = Resources::new(nowhere, nowhere, Records::new(nowhere));
    let error: Error = resources
        .take(&[jail("web")], Duration::ZERO)
        .unwrap_err()
        .into();
    assert_eq!(error.code, Code::Unavailable);
    assert!(error.message.contains("/dev/null"), "{error}");
}

#[test]
fn whoever_waits_gets_it_when_it_is_free() {
    let folder = Folder::new("waits");
    let (one, other) = (folder.resources(), folder.resources());
    let held = one.take(&[jail("web")], Duration::ZERO).unwrap();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| other.take(&[jail("web")], Duration::from_secs(20)));
        std::thread::sleep(Duration::from_millis(50));
        drop(held);
        assert!(waits.join().unwrap().is_ok());
    });
}

#[test]
fn nothing_is_left_of_a_name_that_nobody_holds() {
    let folder = Folder::new("names");
    let resources = folder.resources();
    let shared = Resource::jail(&JailName::parse("web").unwrap()).shared();
    let lock = folder.0.join("jail-web.lock");
    let one = resources
        .take(std::slice::from_ref(&shared), Duration::ZERO)
        .unwrap();
    let other = resources.take(&[shared], Duration::ZERO).unwrap();
    drop(one);
    assert!(lock.exists(), "the other one holds it");
    drop(other);
    assert!(!lock.exists());
}
