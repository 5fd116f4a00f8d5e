use lattice_guard::RelPath;
use serde_json::{Map, Value};

use crate::limits::PATTERN_MAX_BYTES;

use super::error::{ArgPathError, Found, ToolArgError};
use super::path::WorkspaceRoot;
use super::{GrepMode, ToolName, is_handle};

const MODES: [&str; 3] = ["content", "files", "count"];

/// The arguments of one call, all of them known to its tool.
pub(super) struct Args<'a> {
    values: &'a Map<String, Value>,
    workspace: WorkspaceRoot<'a>,
}

impl<'a> Args<'a> {
    pub(super) fn new(
        tool: ToolName,
        arguments: &'a Value,
        workspace: WorkspaceRoot<'a>,
    ) -> Result<Self, ToolArgError> {
        Self::of_another(tool.as_str(), tool.arguments(), arguments, workspace)
    }

    /// Those of a tool that is not of this door and takes these.
    pub(super) fn of_another(
        tool: &'static str,
        takes: &'static [&'static str],
        arguments: &'a Value,
        workspace: WorkspaceRoot<'a>,
    ) -> Result<Self, ToolArgError> {
        let values = arguments.as_object().ok_or(ToolArgError::NotAnObject)?;
        for name in values.keys() {
            if !takes.contains(&name.as_str()) {
                return Err(ToolArgError::unknown_argument(tool, takes, name));
            }
        }
        Ok(Self { values, workspace })
    }

    /// What absolute paths are taken beneath.
    pub(super) fn workspace(&self) -> WorkspaceRoot<'a> {
        self.workspace
    }

    /// The value, if it was given and is not null.
    fn get(&self, argument: &'static str) -> Option<&'a Value> {
        self.values.get(argument).filter(|value| !value.is_null())
    }

    pub(super) fn given(&self, argument: &'static str) -> bool {
        self.get(argument).is_some()
    }

    pub(super) fn optional_text(
        &self,
        argument: &'static str,
        max_bytes: usize,
    ) -> Result<Option<String>, ToolArgError> {
        match self.get(argument) {
            None => Ok(None),
            Some(Value::String(text)) if text.len() > max_bytes => {
                Err(ToolArgError::TooLong { argument, bytes: text.len(), max_bytes })
            }
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(wrong_type(argument, "text", other)),
        }
    }

    pub(super) fn text(
        &self,
        argument: &'static str,
        max_bytes: usize,
    ) -> Result<String, ToolArgError> {
        self.optional_text(argument, max_bytes)?.ok_or(ToolArgError::Missing { argument })
    }

    pub(super) fn nonempty_without_nul(
        &self,
        argument: &'static str,
        max_bytes: usize,
    ) -> Result<String, ToolArgError> {
        let text = self.text(argument, max_bytes)?;
        if text.trim().is_empty() {
            return Err(ToolArgError::Empty { argument });
        }
        if text.contains('\0') {
            return Err(ToolArgError::Nul { argument });
        }
        Ok(text)
    }

    pub(super) fn integer(
        &self,
        argument: &'static str,
        min: u64,
        max: u64,
    ) -> Result<Option<u64>, ToolArgError> {
        let Some(value) = self.get(argument) else { return Ok(None) };
        let Value::Number(number) = value else {
            return Err(wrong_type(argument, "a whole number", value));
        };
        match number.as_u64() {
            Some(found) if (min..=max).contains(&found) => Ok(Some(found)),
            _ => Err(ToolArgError::Range { argument, min, max, found: Found::of(value) }),
        }
    }

    pub(super) fn flag(&self, argument: &'static str) -> Result<bool, ToolArgError> {
        match self.get(argument) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(wrong_type(argument, "true or false", other)),
        }
    }

    /// A path that is not the workspace itself.
    pub(super) fn file(&self, argument: &'static str) -> Result<RelPath, ToolArgError> {
        let path = self.path(argument)?.ok_or(ToolArgError::Missing { argument })?;
        if path.is_root() {
            return Err(ToolArgError::Path { argument, kind: ArgPathError::Root });
        }
        Ok(path)
    }

    /// A path; absent means the workspace itself.
    pub(super) fn directory(&self, argument: &'static str) -> Result<RelPath, ToolArgError> {
        Ok(self.path(argument)?.unwrap_or_else(RelPath::root))
    }

    fn path(&self, argument: &'static str) -> Result<Option<RelPath>, ToolArgError> {
        match self.get(argument) {
            None => Ok(None),
            Some(Value::String(text)) => self.workspace.relative(argument, text).map(Some),
            Some(other) => Err(wrong_type(argument, "a path", other)),
        }
    }

    /// A glob, relative to the directory searched. One that begins with the workspace's own path is read as
    /// relative to the workspace.
    pub(super) fn glob_pattern(&self, argument: &'static str) -> Result<String, ToolArgError> {
        let text = self.nonempty_without_nul(argument, PATTERN_MAX_BYTES)?;
        let beneath = self
            .workspace
            .strip(&text)
            .ok_or(ToolArgError::Path { argument, kind: ArgPathError::Outside })?;
        if beneath.split('/').any(|name| name == "..") {
            return Err(ToolArgError::Path { argument, kind: ArgPathError::Parent });
        }
        if beneath.is_empty() {
            return Err(ToolArgError::Path { argument, kind: ArgPathError::Root });
        }
        Ok(beneath.to_owned())
    }

    /// An object, as large as it is when written down.
    pub(super) fn object(
        &self,
        argument: &'static str,
        max_bytes: usize,
    ) -> Result<&'a Value, ToolArgError> {
        let value = self.get(argument).ok_or(ToolArgError::Missing { argument })?;
        if !value.is_object() {
            return Err(wrong_type(argument, "an object", value));
        }
        let bytes = value.to_string().len();
        if bytes > max_bytes {
            return Err(ToolArgError::TooLong { argument, bytes, max_bytes });
        }
        Ok(value)
    }

    pub(super) fn argv(
        &self,
        argument: &'static str,
        max_items: usize,
        max_bytes: usize,
    ) -> Result<Vec<String>, ToolArgError> {
        const EXPECTED: &str = "a list of texts: the program, then its arguments";
        let value = self.get(argument).ok_or(ToolArgError::Missing { argument })?;
        let items = value.as_array().ok_or_else(|| wrong_type(argument, EXPECTED, value))?;
        if items.len() > max_items {
            return Err(ToolArgError::TooMany { argument, items: items.len(), max_items });
        }
        let mut argv = Vec::with_capacity(items.len());
        let mut bytes = 0_usize;
        for item in items {
            let text = item.as_str().ok_or_else(|| wrong_type(argument, EXPECTED, item))?;
            if text.contains('\0') {
                return Err(ToolArgError::Nul { argument });
            }
            bytes = bytes.saturating_add(text.len());
            argv.push(text.to_owned());
        }
        if bytes > max_bytes {
            return Err(ToolArgError::TooLong { argument, bytes, max_bytes });
        }
        if argv.first().is_none_or(|program| program.trim().is_empty()) {
            return Err(ToolArgError::Empty { argument });
        }
        Ok(argv)
    }

    pub(super) fn optional_handle(
        &self,
        argument: &'static str,
    ) -> Result<Option<String>, ToolArgError> {
        match self.get(argument) {
            None => Ok(None),
            Some(Value::String(text)) if is_handle(text) => Ok(Some(text.clone())),
            Some(other) => Err(ToolArgError::Handle { argument, found: Found::of(other) }),
        }
    }

    pub(super) fn handle(&self, argument: &'static str) -> Result<String, ToolArgError> {
        self.optional_handle(argument)?.ok_or(ToolArgError::Missing { argument })
    }

    pub(super) fn mode(&self, argument: &'static str) -> Result<GrepMode, ToolArgError> {
        match self.get(argument) {
            None => Ok(GrepMode::Content),
            Some(Value::String(text)) if text == "content" => Ok(GrepMode::Content),
            Some(Value::String(text)) if text == "files" => Ok(GrepMode::Files),
            Some(Value::String(text)) if text == "count" => Ok(GrepMode::Count),
            Some(other) => {
                Err(ToolArgError::Choice { argument, allowed: &MODES, found: Found::of(other) })
            }
        }
    }
}

fn wrong_type(argument: &'static str, expected: &'static str, found: &Value) -> ToolArgError {
    ToolArgError::Type { argument, expected, found: Found::of(found) }
}
