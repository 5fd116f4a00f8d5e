//! Plain names, where equal text is equal meaning.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::NAME_BYTES_MAX;

/// The name of a model provider or of a credential: printable ASCII without spaces.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// Reads a name.
    ///
    /// # Errors
    /// Refuses an empty or long text and everything but printable ASCII without spaces.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let plain = !text.is_empty()
            && text.len() <= NAME_BYTES_MAX
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        if plain { Ok(Self(text.to_owned())) } else { Err(NameError) }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

/// The text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameError;

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a name: one to 128 printable ASCII characters without spaces")
    }
}

impl std::error::Error for NameError {}

/// All names, or only the listed ones. An empty list is none. Unlike pattern lists this order is complete: a list is
/// below another exactly if it names no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Names {
    /// Every name.
    All,
    /// These names.
    Only(BTreeSet<Name>),
}

impl Names {
    /// Every name.
    #[must_use]
    pub const fn top() -> Self {
        Self::All
    }

    /// No name.
    #[must_use]
    pub const fn bottom() -> Self {
        Self::Only(BTreeSet::new())
    }

    /// True if the name is among them.
    #[must_use]
    pub fn permits(&self, name: &Name) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(name),
        }
    }

    /// The names in both.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, names) | (names, Self::All) => names.clone(),
            (Self::Only(ours), Self::Only(theirs)) => {
                Self::Only(ours.intersection(theirs).cloned().collect())
            }
        }
    }

    /// True if every name of this is in `other`.
    #[must_use]
    pub fn leq(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::All) => true,
            (Self::All, Self::Only(_)) => false,
            (Self::Only(ours), Self::Only(theirs)) => ours.is_subset(theirs),
        }
    }
}

impl FromIterator<Name> for Names {
    fn from_iter<I: IntoIterator<Item = Name>>(names: I) -> Self {
        Self::Only(names.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lists_name_nothing() {
        let name = Name::parse("anthropic").unwrap();
        assert!(!Names::bottom().permits(&name));
        assert!(!Names::from_iter([]).permits(&name));
        let other = Names::from_iter([Name::parse("openai").unwrap()]);
        assert_eq!(Names::from_iter([name]).meet(&other), Names::bottom());
    }

    #[test]
    fn names_are_plain() {
        for text in ["", "a b", "a\n", "naïve", &"a".repeat(129)] {
            assert_eq!(Name::parse(text), Err(NameError), "{text:?}");
        }
        assert!(Name::parse("claude-sonnet-4@20250514").is_ok());
    }
}
