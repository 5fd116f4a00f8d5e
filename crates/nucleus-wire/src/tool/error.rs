use std::fmt;

use serde_json::Value;

use crate::limits::{ARGV_MAX_BYTES, PATH_MAX_BYTES};
use crate::suggest;
use crate::text::quoted;

/// Arguments that are not what a tool takes. All of them are the agent's doing; [`ToolArgError::agent_text`] tells it
/// what was found and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", self.code(), self.agent_text())]
#[non_exhaustive]
pub enum ToolArgError {
    /// No such tool.
    UnknownTool {
        /// The name, quoted and shortened.
        name: String,
    },
    /// The arguments are not an object.
    NotAnObject,
    /// An argument this tool does not take.
    Unknown {
        /// The tool.
        tool: &'static str,
        /// What it takes.
        takes: &'static [&'static str],
        /// The argument, quoted and shortened.
        argument: String,
        /// The one that was probably meant.
        suggestion: Option<&'static str>,
    },
    /// A required argument is absent.
    Missing {
        /// The argument.
        argument: &'static str,
    },
    /// A value of another type.
    Type {
        /// The argument.
        argument: &'static str,
        /// What it has to be.
        expected: &'static str,
        /// What it is.
        found: Found,
    },
    /// A number outside its limits.
    Range {
        /// The argument.
        argument: &'static str,
        /// Least.
        min: u64,
        /// Most.
        max: u64,
        /// What it is.
        found: Found,
    },
    /// None of the words that are allowed.
    Choice {
        /// The argument.
        argument: &'static str,
        /// The words.
        allowed: &'static [&'static str],
        /// What it is.
        found: Found,
    },
    /// Text over its limit.
    TooLong {
        /// The argument.
        argument: &'static str,
        /// Its length in bytes.
        bytes: usize,
        /// The limit in bytes.
        max_bytes: usize,
    },
    /// More items than allowed.
    TooMany {
        /// The argument.
        argument: &'static str,
        /// Items given.
        items: usize,
        /// The limit.
        max_items: usize,
    },
    /// Empty where something is needed.
    Empty {
        /// The argument.
        argument: &'static str,
    },
    /// A NUL character where the system allows none.
    Nul {
        /// The argument.
        argument: &'static str,
    },
    /// Both `command` and `argv`.
    CommandAndArgv,
    /// `old_string` and `new_string` are the same.
    SameText,
    /// Not the id of a job or request.
    Handle {
        /// The argument.
        argument: &'static str,
        /// What it is.
        found: Found,
    },
    /// A path that does not name a place in the workspace.
    Path {
        /// The argument.
        argument: &'static str,
        /// What is wrong with it.
        kind: ArgPathError,
    },
}

/// What is wrong with a path argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ArgPathError {
    /// Absolute and not beneath the workspace.
    Outside,
    /// Holds a `..` component.
    Parent,
    /// Names the workspace itself where a file is needed.
    Root,
    /// The path or one of its components is too long.
    TooLong,
}

/// A value that was found, described for a message: type, and a short quoted beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found(String);

impl Found {
    pub(crate) fn of(value: &Value) -> Self {
        Self(match value {
            Value::Null => "null".to_owned(),
            Value::Bool(flag) => flag.to_string(),
            Value::Number(number) => format!("the number {number}"),
            Value::String(text) => format!("the text {}", quoted(text)),
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "an object".to_owned(),
        })
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ToolArgError {
    pub(super) fn unknown_tool(name: &str) -> Self {
        Self::UnknownTool { name: quoted(name) }
    }

    pub(super) fn unknown_argument(
        tool: &'static str,
        takes: &'static [&'static str],
        argument: &str,
    ) -> Self {
        let suggestion = suggest::nearest(argument, takes.iter().copied());
        Self::Unknown { tool, takes, argument: quoted(argument), suggestion }
    }

    /// Stable code for logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownTool { .. } => "args.tool.unknown",
            Self::NotAnObject => "args.not_an_object",
            Self::Unknown { .. } => "args.unknown",
            Self::Missing { .. } => "args.missing",
            Self::Type { .. } => "args.type",
            Self::Range { .. } => "args.range",
            Self::Choice { .. } => "args.choice",
            Self::TooLong { .. } => "args.too_long",
            Self::TooMany { .. } => "args.too_many",
            Self::Empty { .. } => "args.empty",
            Self::Nul { .. } => "args.nul",
            Self::CommandAndArgv => "args.command_and_argv",
            Self::SameText => "args.same_text",
            Self::Handle { .. } => "args.handle",
            Self::Path { kind: ArgPathError::Outside, .. } => "args.path.outside",
            Self::Path { kind: ArgPathError::Parent, .. } => "args.path.parent",
            Self::Path { kind: ArgPathError::Root, .. } => "args.path.root",
            Self::Path { kind: ArgPathError::TooLong, .. } => "args.path.too_long",
        }
    }

    /// The argument that is wrong, where it is one of the tool's own.
    #[must_use]
    pub fn argument(&self) -> Option<&'static str> {
        match self {
            Self::UnknownTool { .. } | Self::NotAnObject | Self::Unknown { .. } => None,
            Self::CommandAndArgv => Some("argv"),
            Self::SameText => Some("new_string"),
            Self::Missing { argument }
            | Self::Type { argument, .. }
            | Self::Range { argument, .. }
            | Self::Choice { argument, .. }
            | Self::TooLong { argument, .. }
            | Self::TooMany { argument, .. }
            | Self::Empty { argument }
            | Self::Nul { argument }
            | Self::Handle { argument, .. }
            | Self::Path { argument, .. } => Some(argument),
        }
    }

    /// Text for the agent: what was found, what is allowed. Names no path.
    #[must_use]
    pub fn agent_text(&self) -> String {
        match self {
            Self::UnknownTool { name } => {
                format!("There is no tool {name} here. tools/list names the ones there are.")
            }
            Self::NotAnObject => "The arguments must be an object.".to_owned(),
            Self::Unknown { tool, takes, argument, suggestion } => {
                let meant = suggestion.map(|name| format!(" Did you mean `{name}`?"));
                format!(
                    "`{tool}` takes no argument {argument}.{} It takes {}.",
                    meant.unwrap_or_default(),
                    listed(takes)
                )
            }
            Self::Missing { argument: "command" } => {
                "`run` needs `command` (a command line) or `argv` (program and arguments)."
                    .to_owned()
            }
            Self::Missing { argument } => format!("The argument `{argument}` is missing."),
            Self::Type { argument, expected, found } => {
                format!("`{argument}` must be {expected}; found {found}.")
            }
            Self::Range { argument, min, max, found } => {
                let allowed = match max {
                    &u64::MAX => format!("a whole number of at least {min}"),
                    max => format!("a whole number from {min} to {max}"),
                };
                format!("`{argument}` must be {allowed}; found {found}.")
            }
            Self::Choice { argument, allowed, found } => {
                format!("`{argument}` must be one of {}; found {found}.", listed(allowed))
            }
            Self::TooLong { argument, bytes, max_bytes } => format!(
                "`{argument}` is {bytes} bytes long; at most {max_bytes} are allowed.{}",
                too_long_advice(argument)
            ),
            Self::TooMany { argument, items, max_items } => format!(
                "`{argument}` has {items} items; at most {max_items} (and {ARGV_MAX_BYTES} bytes) are allowed."
            ),
            Self::Empty { argument } => format!("`{argument}` must not be empty."),
            Self::Nul { argument } => format!("`{argument}` must not hold a NUL character."),
            Self::CommandAndArgv => "`run` takes `command` or `argv`, not both.".to_owned(),
            Self::SameText => {
                "`old_string` and `new_string` are the same, so there is nothing to change."
                    .to_owned()
            }
            Self::Handle { argument, found } => format!(
                "`{argument}` must be an id that a tool gave you, word for word; found {found}."
            ),
            Self::Path { argument, kind } => format!("`{argument}` {}", kind.agent_text()),
        }
    }
}

impl ArgPathError {
    fn agent_text(self) -> String {
        match self {
            Self::Outside => {
                "is a place outside the workspace. Only the workspace exists here: give a path relative to it, such as `src/main.rs`."
                    .to_owned()
            }
            Self::Parent => {
                "holds `..`. Give the path from the workspace down, without `..`.".to_owned()
            }
            Self::Root => "names the workspace itself; a file is needed.".to_owned(),
            Self::TooLong => {
                format!("is too long: {PATH_MAX_BYTES} bytes in all and 255 per name are allowed.")
            }
        }
    }
}

fn too_long_advice(argument: &str) -> &'static str {
    match argument {
        "command" | "argv" => " Put a long script into a file and run that.",
        "content" => " Write the file in pieces: a first part here, the rest with `edit` or `run`.",
        "stdin" => " Put the input into a file and redirect it.",
        _ => "",
    }
}

fn listed(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}
