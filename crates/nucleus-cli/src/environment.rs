//! The one place where the command reads its environment. Nothing else of it reaches the proxy or a pod.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nucleus_wire::config::Colour;

use crate::failure::CliFailure;
use crate::settings;

/// Variables the proxy may see to find toolchains and trust roots. Values stay on the host side.
const HOST_NAMES: [&str; 14] = [
    "CARGO_HOME",
    "GOPATH",
    "GOROOT",
    "HOME",
    "JAVA_HOME",
    "LANG",
    "LC_ALL",
    "NVM_BIN",
    "PATH",
    "PYENV_ROOT",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "TERM",
    "VIRTUAL_ENV",
];

/// The host environment as read at start.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    vars: BTreeMap<String, String>,
    /// What the command line or the configuration says of colours.
    colour: Option<Colour>,
    /// The command line says it, not the configuration.
    asked: bool,
}

impl Environment {
    /// Reads the process's environment; values that are not UTF-8 are as good as absent.
    pub(crate) fn read() -> Self {
        let vars = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { vars, colour: None, asked: false }
    }

    /// With what the command line says of colours; else the user's configuration, where it can be read.
    pub(crate) fn with_colour(mut self, colour: Option<Colour>) -> Self {
        self.colour = colour.or_else(|| settings::colour(&self));
        self.asked = colour.is_some();
        self
    }

    /// Whether to colour output: the command line wins, then NO_COLOR (no-color.org), then the configuration.
    pub(crate) fn colours(&self, terminal: bool) -> bool {
        let forbidden = self.get("NO_COLOR").is_some() && !self.asked;
        match self.colour {
            Some(Colour::Never) => false,
            Some(Colour::Always) => !forbidden,
            Some(Colour::Auto) | None => {
                terminal && self.get("NO_COLOR").is_none() && self.get("TERM") != Some("dumb")
            }
        }
    }

    /// With another home.
    #[cfg(test)]
    pub(crate) fn with_home(mut self, home: &std::path::Path) -> Self {
        self.vars.insert("HOME".to_owned(), home.display().to_string());
        self
    }

    /// A variable that is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The first of several spellings that is set.
    pub(crate) fn first(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.get(name)).map(str::to_owned)
    }

    /// An XDG directory: only absolute values count (XDG base directory specification).
    pub(crate) fn xdg(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from).filter(|path| path.is_absolute())
    }

    /// The name of the terminal, if it has one a program could look up.
    pub(crate) fn term(&self) -> Option<&str> {
        self.get("TERM").filter(|name| is_word(name))
    }

    /// How many colours the terminal says it has, likewise.
    pub(crate) fn colour_term(&self) -> Option<&str> {
        self.get("COLORTERM").filter(|name| is_word(name))
    }

    /// Whether the terminal can be asked what it is like.
    pub(crate) fn asks_terminal(&self) -> bool {
        self.term().is_some_and(|name| name != "dumb")
    }

    /// The user's home directory.
    pub(crate) fn home(&self) -> Result<PathBuf, CliFailure> {
        self.get("HOME").map(PathBuf::from).filter(|path| path.is_absolute()).ok_or_else(|| {
            CliFailure::usage("HOME is not set to an absolute path; Nucleus needs it for its state and configuration")
        })
    }

    /// The variables the proxy may use on the host side.
    pub(crate) fn for_proxy(&self) -> BTreeMap<String, String> {
        HOST_NAMES
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), self.get(name)?.to_owned())))
            .collect()
    }
}

fn is_word(text: &str) -> bool {
    text.len() <= 40 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-+._".contains(&b))
}
