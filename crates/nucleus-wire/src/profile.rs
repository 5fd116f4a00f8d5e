//! The registry of profiles: named permissions files that come with Nucleus.
//!
//! A profile is a permissions file with a head (`version`, `name`, `summary`, `status`, `note`). There is this one
//! registry and no second definition in code: commands and documents show what these files say.

use std::sync::LazyLock;

use crate::file::{FileErrors, Source, Table};
use crate::permissions::{PolicyFile, SECTIONS};

/// The profile of a task that names none.
pub const DEFAULT_PROFILE: &str = "restrictive";

/// Version of the profile format that is read here.
const FORMAT_VERSION: u64 = 1;

const HEAD: [&str; 5] = ["version", "name", "summary", "status", "note"];

/// In the order they are listed to people.
const FILES: [(&str, &str); 6] = [
    ("profiles/read-only.toml", include_str!("../profiles/read-only.toml")),
    ("profiles/fix-issue.toml", include_str!("../profiles/fix-issue.toml")),
    ("profiles/restrictive.toml", include_str!("../profiles/restrictive.toml")),
    ("profiles/code-review.toml", include_str!("../profiles/code-review.toml")),
    ("profiles/web-research.toml", include_str!("../profiles/web-research.toml")),
    ("profiles/full.toml", include_str!("../profiles/full.toml")),
];

/// A profile that does not parse is not there; a test holds that all of them do.
static REGISTRY: LazyLock<Vec<Profile>> = LazyLock::new(|| {
    FILES.iter().filter_map(|(file, text)| Profile::parse(file, text).ok()).collect()
});

/// One profile of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    info: ProfileInfo,
    policy: PolicyFile,
    text: &'static str,
}

/// What a list of profiles shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileInfo {
    /// Name for `--profile`.
    pub name: String,
    /// What it permits, in a few words.
    pub summary: String,
    /// How much of it works.
    pub status: ProfileStatus,
    /// What is missing, if something is.
    pub note: Option<String>,
}

/// How much of a profile works in this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProfileStatus {
    /// Every operation it permits has a tool, and everything it says is enforced.
    Enforced,
    /// Everything it says is enforced, but some operations it permits have no tool.
    Partial,
}

impl ProfileStatus {
    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforced => "enforced",
            Self::Partial => "partial",
        }
    }
}

/// All profiles, in the order they are listed to people.
#[must_use]
pub fn list() -> &'static [Profile] {
    &REGISTRY
}

/// The profile of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Profile> {
    REGISTRY.iter().find(|profile| profile.info.name == name)
}

/// The name of a profile that is near to `name`, for "did you mean".
#[must_use]
pub fn nearest(name: &str) -> Option<&'static str> {
    crate::suggest::nearest(name, REGISTRY.iter().map(|profile| profile.info.name.as_str()))
}

impl Profile {
    /// What a list shows of it.
    #[must_use]
    pub fn info(&self) -> &ProfileInfo {
        &self.info
    }

    /// The permissions it gives.
    #[must_use]
    pub fn policy(&self) -> &PolicyFile {
        &self.policy
    }

    /// The file as it is, for showing and as a start for a file of one's own.
    #[must_use]
    pub fn text(&self) -> &'static str {
        self.text
    }

    fn parse(file: &str, text: &'static str) -> Result<Self, FileErrors> {
        Source::read(file, text.as_bytes(), |root, source| {
            let known: Vec<&'static str> = HEAD.into_iter().chain(SECTIONS).collect();
            root.only(&known, source);
            Self {
                info: head(&root, source),
                policy: PolicyFile::from_table(file, &root, source),
                text,
            }
        })
    }
}

fn head(root: &Table<'_, '_>, source: &mut Source<'_>) -> ProfileInfo {
    if root.integer("version", FORMAT_VERSION..=FORMAT_VERSION, source).is_none()
        && root.get("version").is_none()
    {
        root.missing("version", "the version of the profile format", source);
    }
    let statuses = [ProfileStatus::Enforced, ProfileStatus::Partial].map(|s| (s.as_str(), s));
    let status = match root.get("status") {
        Some(item) => item.word(&statuses, source),
        None => {
            root.missing("status", "\"enforced\" or \"partial\"", source);
            None
        }
    };
    ProfileInfo {
        name: required(root, "name", source),
        summary: required(root, "summary", source),
        status: status.unwrap_or(ProfileStatus::Partial),
        note: root.text("note", source).map(|(note, _)| note.to_owned()),
    }
}

fn required(root: &Table<'_, '_>, key: &str, source: &mut Source<'_>) -> String {
    if root.get(key).is_none() {
        root.missing(key, "text", source);
    }
    root.text(key, source).map(|(text, _)| text.to_owned()).unwrap_or_default()
}
