//! A path inside the workspace, and nothing else.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::{PATH_BYTES_MAX, PATH_COMPONENT_BYTES_MAX};

/// A workspace-relative path in one form: no `..`, no leading `/`, no empty or `.` component, no NUL. The workspace
/// itself is `.`.
///
/// It is a name, not a promise about the file system: whoever opens it resolves it beneath a held directory handle, and
/// whoever judges it passes the *resolved* name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RelPath(String);

impl RelPath {
    /// The workspace itself.
    #[must_use]
    pub fn root() -> Self {
        Self(".".to_owned())
    }

    /// Reads a path. `./a//b/` becomes `a/b`.
    ///
    /// # Errors
    /// Refuses an empty text, an absolute path, `..` anywhere (even where it would stay inside: a symlink could make it
    /// leave), NUL bytes and what is too long.
    pub fn parse(text: &str) -> Result<Self, RelPathError> {
        if text.is_empty() {
            return Err(RelPathError::Empty);
        }
        if text.len() > PATH_BYTES_MAX {
            return Err(RelPathError::TooLong);
        }
        if text.starts_with('/') {
            return Err(RelPathError::Absolute);
        }
        if text.contains('\0') {
            return Err(RelPathError::Nul);
        }
        let mut components = Vec::new();
        for component in text.split('/') {
            match component {
                "" | "." => {}
                ".." => return Err(RelPathError::Parent),
                long if long.len() > PATH_COMPONENT_BYTES_MAX => return Err(RelPathError::TooLong),
                name => components.push(name),
            }
        }
        if components.is_empty() {
            return Ok(Self::root());
        }
        Ok(Self(components.join("/")))
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for the workspace itself.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0 == "."
    }

    /// The path of `name` below this one.
    ///
    /// # Errors
    /// As [`RelPath::parse`].
    pub fn join(&self, name: &str) -> Result<Self, RelPathError> {
        if name.starts_with('/') {
            return Err(RelPathError::Absolute);
        }
        Self::parse(&format!("{}/{name}", self.0))
    }

    /// The last component, if this is not the workspace itself.
    #[must_use]
    pub fn file_name(&self) -> Option<&str> {
        if self.is_root() { None } else { self.0.rsplit('/').next() }
    }

    /// The directory this lies in, if this is not the workspace itself.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        Some(self.0.rsplit_once('/').map_or_else(Self::root, |(parent, _)| Self(parent.to_owned())))
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for RelPath {
    type Error = RelPathError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<RelPath> for String {
    fn from(path: RelPath) -> Self {
        path.0
    }
}

/// Why a text is not a workspace-relative path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelPathError {
    /// No text.
    Empty,
    /// Starts with `/`.
    Absolute,
    /// Holds a `..` component.
    Parent,
    /// Holds a NUL byte.
    Nul,
    /// The path or one of its components is too long.
    TooLong,
}

impl fmt::Display for RelPathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the path is empty; `.` is the workspace",
            Self::Absolute => "the path is absolute; give it relative to the workspace",
            Self::Parent => "the path holds `..`; give it from the workspace down",
            Self::Nul => "the path holds a NUL byte",
            Self::TooLong => "the path, or one of its names, is too long",
        })
    }
}

impl std::error::Error for RelPathError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_form_for_one_path() {
        for text in ["a/b", "./a/b", "a//b", "a/./b", "a/b/", "a/b/."] {
            assert_eq!(RelPath::parse(text).unwrap().as_str(), "a/b");
        }
        for text in [".", "./", "./."] {
            assert!(RelPath::parse(text).unwrap().is_root());
        }
    }

    #[test]
    fn what_could_leave_the_workspace_is_refused() {
        assert_eq!(RelPath::parse("/etc/passwd"), Err(RelPathError::Absolute));
        for text in ["..", "../x", "a/../b", "a/..", "a/b/../../.."] {
            assert_eq!(RelPath::parse(text), Err(RelPathError::Parent));
        }
        assert_eq!(RelPath::parse("a\0b"), Err(RelPathError::Nul));
        assert_eq!(RelPath::parse(""), Err(RelPathError::Empty));
        assert_eq!(RelPath::parse(&"a".repeat(256)), Err(RelPathError::TooLong));
        assert_eq!(RelPath::parse(&"a/".repeat(2_049)), Err(RelPathError::TooLong));
        assert_eq!(RelPath::root().join("/etc"), Err(RelPathError::Absolute));
        assert_eq!(RelPath::root().join("../etc"), Err(RelPathError::Parent));
    }

    #[test]
    fn names_that_only_look_like_parents_are_names() {
        for text in ["..a", "a..", "...", "a/..b"] {
            assert_eq!(RelPath::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn parents_end_at_the_workspace() {
        let path = RelPath::parse("a/b").unwrap();
        assert_eq!(path.file_name(), Some("b"));
        let parent = path.parent().unwrap();
        assert_eq!(parent.as_str(), "a");
        assert!(parent.parent().unwrap().is_root());
        assert_eq!(parent.parent().unwrap().parent(), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_reading_is_idempotent(text in "(?s).{0,64}") {
            if let Ok(path) = RelPath::parse(&text) {
                prop_assert_eq!(RelPath::parse(path.as_str()), Ok(path.clone()));
                prop_assert!(!path.as_str().starts_with('/'));
                prop_assert!(path.as_str().split('/').all(|name| name != ".." && !name.is_empty()));
            }
        }
    }
}
