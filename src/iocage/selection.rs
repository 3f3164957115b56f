//! Which jails and templates a request means.

use super::datasets::{Dataset, Family};
use super::jails::{Jail, Listing};
use crate::error::{Code, Error, Result};
use crate::names::{JailName, Wrong};

/// A jail as a client names it: by its dataset's name or its uuid, whole. It need not be a name
/// that iocage takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label(String);

impl Label {
    pub fn parse(text: &str) -> std::result::Result<Self, Wrong> {
        // What ZFS takes for a dataset's name.
        const LONGEST: usize = 255;
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.: ".contains(c);
        if text.is_empty() || text.len() > LONGEST {
            return Err(format!("must be 1 to {LONGEST} bytes long"));
        }
        // A template that is called as a jail is: `templates/web`.
        let families = [Family::Jails, Family::Templates].into_iter();
        let mut rests = families.filter_map(|family| {
            let rest = text.strip_prefix(family.as_str())?.strip_prefix('/')?;
            (!rest.is_empty()).then_some(rest)
        });
        match rests.next().unwrap_or(text).chars().all(fits) {
            true => Ok(Label(text.into())),
            false => Err(
                "a jail's name has letters, digits, \"-\", \"_\", \".\", \":\" and \" \" only"
                    .into(),
            ),
        }
    }

    /// The template of this name, also where a jail is called so too.
    ///
    /// # Errors
    /// As [`Label::parse`].
    pub fn template(text: &str) -> std::result::Result<Self, Wrong> {
        Label::parse(text)?;
        let place = format!("{}/", Family::Templates.as_str());
        match text.starts_with(&place) {
            true => Label::parse(text),
            false => Label::parse(&format!("{place}{text}")),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which ones are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    All,
    One(Label),
    /// In this order, each once.
    Several(Vec<Label>),
}

/// All jails and templates of a pool.
pub struct Members {
    pub jails: Listing,
    pub templates: Listing,
}

/// A jail or template, and the listing that it is in.
#[derive(Clone, Copy)]
pub struct Member<'a> {
    pub listing: &'a Listing,
    pub jail: &'a Jail,
}

impl Members {
    /// The jails, and then the templates.
    pub fn all(&self) -> impl Iterator<Item = Member<'_>> {
        [&self.jails, &self.templates]
            .into_iter()
            .flat_map(|listing| {
                listing
                    .jails
                    .iter()
                    .map(move |jail| Member { listing, jail })
            })
    }

    /// Makes sure that no jail and no template but `itself` has a new name, as a dataset, as a uuid or
    /// to the kernel, for which a dot is an underscore.
    ///
    /// # Errors
    /// `Conflict`, naming it.
    pub fn require_free(&self, name: &JailName, itself: Option<Member>) -> Result<()> {
        let own = itself.map(|itself| itself.place());
        let is_so_called = |one: &Member| {
            let names = [&one.jail.name, &one.jail.uuid];
            names
                .iter()
                .any(|other| other.replace('.', "_") == name.in_kernel())
        };
        let mut others = self.all().filter(|one| Some(one.place()) != own);
        match others.find(is_so_called) {
            None => Ok(()),
            Some(other) => {
                let message = format!("argument \"name\": the {} exists already", other.in_words());
                Err(Error::new(Code::Conflict, message))
            }
        }
    }

    /// Those of `selection` that exist.
    pub fn meant(&self, selection: &Selection) -> Vec<Member<'_>> {
        let found = |label: &Label| self.find(label).ok();
        match selection {
            Selection::All => self.all().collect(),
            Selection::One(label) => found(label).into_iter().collect(),
            Selection::Several(labels) => labels.iter().filter_map(found).collect(),
        }
    }

    /// The jail or template that is called `label`: by its dataset, or else by its uuid.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` if that could be more than one.
    pub fn find(&self, label: &Label) -> Result<Member<'_>> {
        let label = label.as_str();
        let is_named = |one: &Member| one.jail.name == label || one.place() == label;
        let named: Vec<Member> = self.all().filter(is_named).collect();
        let found = match named.is_empty() {
            true => self.all().filter(|one| one.jail.uuid == label).collect(),
            false => named,
        };
        match &found[..] {
            [one] => Ok(*one),
            [] => {
                let message = format!("there is no jail or template {label:?}");
                Err(Error::new(Code::NotFound, message))
            }
            more => {
                let places: Vec<String> = more.iter().map(Member::place).collect();
                let message = format!("{label:?} could be {}", places.join(" or "));
                Err(Error::new(Code::Conflict, message))
            }
        }
    }
}

impl Member<'_> {
    /// Its dataset below iocage's: `jails/web`.
    pub fn place(&self) -> String {
        format!("{}/{}", self.family().as_str(), self.jail.name)
    }

    pub fn family(&self) -> Family {
        self.listing.family
    }

    /// As messages call it: `jail web`.
    pub fn in_words(&self) -> String {
        let family = match self.family() {
            Family::Templates => "template",
            _ => "jail",
        };
        format!("{family} {}", self.jail.name)
    }

    /// Its dataset.
    pub fn dataset(&self) -> Option<Dataset> {
        let listing = self.listing;
        listing
            .family
            .member_dataset(&listing.pool, &self.jail.name)
    }

    /// The snapshot that its root is a clone of.
    pub fn origin(&self) -> Option<&str> {
        self.listing.origin(self.jail)
    }

    /// Its name as the kernel has it, whatever it may be; [`JailName::in_kernel`].
    pub fn in_kernel(&self) -> String {
        self.jail.name.replace('.', "_")
    }

    /// Its name as it can be given to iocage, which takes some names for something else.
    ///
    /// # Errors
    /// `Unavailable`, saying why it cannot.
    pub fn iocage_name(&self) -> Result<JailName> {
        JailName::parse(&self.jail.name).map_err(|why| {
            let message = format!("iocage cannot be asked about {}: {why}", self.place());
            Error::new(Code::Unavailable, message)
        })
    }

    /// That its files cannot be read.
    pub fn unreadable(&self) -> Error {
        let state = self.jail.state.as_str();
        let message = format!("{} is {state}, so it cannot be read", self.place());
        Error::new(Code::Unavailable, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iocage::jails::State;
    use crate::names::PoolName;

    fn listing(family: Family, jails: &[(&str, &str)]) -> Listing {
        let pool = PoolName::parse("tank").unwrap();
        let mut listing = Listing::empty(pool, family, None);
        listing.jails = jails.iter().map(|(name, uuid)| jail(name, uuid)).collect();
        listing
    }

    fn jail(name: &str, uuid: &str) -> Jail {
        Jail {
            name: name.into(),
            uuid: uuid.into(),
            jid: None,
            state: State::Down,
            boot: false,
            tag: name.into(),
            template: None,
            details: None,
        }
    }

    #[test]
    fn a_jail_is_meant_by_its_whole_name_or_uuid_and_never_by_a_part() {
        let members = Members {
            jails: listing(
                Family::Jails,
                &[
                    ("web", "u1"),
                    ("web2", "u2"),
                    ("a", "same"),
                    ("b", "same"),
                    ("u2", "u2"),
                ],
            ),
            templates: listing(Family::Templates, &[("base", "base"), ("web", "web")]),
        };
        let find = |text: &str| {
            let found = members.find(&Label::parse(text).unwrap());
            found.map(|one| one.place()).map_err(|error| error.code)
        };
        assert_eq!(find("web2"), Ok("jails/web2".into()));
        assert_eq!(find("base"), Ok("templates/base".into()));
        assert_eq!(find("u1"), Ok("jails/web".into()));
        assert_eq!(find("u2"), Ok("jails/u2".into()), "a dataset comes first");
        assert_eq!(find("same"), Err(Code::Conflict));
        assert_eq!(find("web"), Err(Code::Conflict), "a jail and a template");
        assert_eq!(find("templates/web"), Ok("templates/web".into()));
        assert_eq!(find("jails/web"), Ok("jails/web".into()));
        assert_eq!(find("jails/base"), Err(Code::NotFound));
        for none in ["we", "web22", "WEB", "ALL", "u", " web"] {
            assert_eq!(find(none), Err(Code::NotFound), "{none}");
        }
        assert!(["", "a\nb", "a/b", "a@b", "*", "jails/", "jails/a/b"]
            .iter()
            .all(|text| Label::parse(text).is_err()));
    }
}
