use lattice_guard::{RelPath, RelPathError};

use crate::limits::PATH_MAX_BYTES;

use super::error::{ArgPathError, ToolArgError};

/// The absolute path the workspace has inside the pod, against which an agent's absolute paths are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkspaceRoot<'a>(pub &'a str);

impl WorkspaceRoot<'_> {
    /// Reads a path argument: relative, or absolute beneath the workspace.
    pub(super) fn relative(
        self,
        argument: &'static str,
        text: &str,
    ) -> Result<RelPath, ToolArgError> {
        if text.len() > PATH_MAX_BYTES {
            let (bytes, max_bytes) = (text.len(), PATH_MAX_BYTES);
            return Err(ToolArgError::TooLong { argument, bytes, max_bytes });
        }
        let beneath =
            self.strip(text).ok_or(ToolArgError::Path { argument, kind: ArgPathError::Outside })?;
        if beneath.is_empty() && !text.is_empty() {
            return Ok(RelPath::root());
        }
        RelPath::parse(beneath).map_err(|error| match error {
            RelPathError::Empty => ToolArgError::Empty { argument },
            RelPathError::Nul => ToolArgError::Nul { argument },
            RelPathError::Absolute => outside(argument, ArgPathError::Outside),
            RelPathError::Parent => outside(argument, ArgPathError::Parent),
            RelPathError::TooLong => outside(argument, ArgPathError::TooLong),
        })
    }

    /// `text` without the workspace's own path, compared name by name; a relative text as it is; `None` for an
    /// absolute one that lies elsewhere. Repeated slashes and `.` do not matter; `..` is left for the caller to refuse.
    pub(super) fn strip(self, text: &str) -> Option<&str> {
        if !text.starts_with('/') {
            return Some(text);
        }
        let mut rest = text;
        for name in self.0.split('/').filter(|name| !name.is_empty() && *name != ".") {
            rest = skip_separators(rest).strip_prefix(name)?;
            if !rest.is_empty() && !rest.starts_with('/') {
                return None;
            }
        }
        Some(skip_separators(rest))
    }
}

fn outside(argument: &'static str, kind: ArgPathError) -> ToolArgError {
    ToolArgError::Path { argument, kind }
}

/// Skips slashes and `.` components.
fn skip_separators(mut text: &str) -> &str {
    loop {
        let slashless = text.trim_start_matches('/');
        let next = match slashless.strip_prefix('.') {
            Some("") => "",
            Some(rest) if rest.starts_with('/') => rest,
            _ => return slashless,
        };
        text = next;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WS: WorkspaceRoot<'_> = WorkspaceRoot("/home/user/ws");

    fn read(text: &str) -> Result<String, ToolArgError> {
        WS.relative("path", text).map(|path| path.as_str().to_owned())
    }

    #[test]
    fn paths_beneath_the_workspace_become_relative() {
        for (text, expected) in [
            ("src/main.rs", "src/main.rs"),
            ("./src//main.rs", "src/main.rs"),
            ("/home/user/ws/src/main.rs", "src/main.rs"),
            ("//home/./user//ws///src/main.rs", "src/main.rs"),
            ("/home/user/ws", "."),
            ("/home/user/ws/", "."),
            ("/home/user/ws/.", "."),
            (".", "."),
            ("/home/user/ws/.env", ".env"),
            ("/home/user/ws/ws", "ws"),
            ("home/user/ws", "home/user/ws"),
        ] {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn other_places_are_refused() {
        for text in [
            "/home/user/ws-evil/x",
            "/home/user/wsx",
            "/home/user",
            "/",
            "//",
            "/etc/passwd",
            "/home/user/WS/x",
            "/home/user/ws.",
            "/home/user/.ws/x",
            "/home/user/ws\0/x",
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.code(), "args.path.outside", "{text:?}");
        }
    }

    #[test]
    fn parents_nul_and_nothing_are_refused() {
        for (text, code) in [
            ("..", "args.path.parent"),
            ("src/../../x", "args.path.parent"),
            ("/home/user/ws/../ws-evil/x", "args.path.parent"),
            ("/home/user/ws/a/../b", "args.path.parent"),
            ("/home/user/../user/ws/a", "args.path.outside"),
            ("a\0b", "args.nul"),
            ("", "args.empty"),
        ] {
            assert_eq!(read(text).unwrap_err().code(), code, "{text:?}");
        }
        assert_eq!(read(&"a/".repeat(2_049)).unwrap_err().code(), "args.too_long");
        assert_eq!(read(&"a".repeat(256)).unwrap_err().code(), "args.path.too_long");
    }

    proptest! {
        #[test]
        fn what_is_accepted_stays_beneath(text in "(/home/user/ws)?[a-z./\u{0}é-]{0,24}") {
            if let Ok(path) = WS.relative("path", &text) {
                prop_assert!(!path.as_str().starts_with('/'));
                prop_assert!(path.as_str().split('/').all(|name| name != ".."));
            }
        }
    }
}
