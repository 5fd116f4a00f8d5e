//! Which files of the workspace a repository's configuration has git run or read.
//!
//! The judgement errs towards more: a word that is no path of the workspace is harmless in the list, a program that is
//! missing from it is not. Rules of the syntax: git-config(1).

use std::ffi::OsStr;
use std::path::{Component, Path};

use crate::workspace::path::TreePath;

/// Sections whose every value is, or may hold, something that git runs or reads as configuration.
const SECTIONS: [&str; 20] = [
    "alias",
    "browser",
    "credential",
    "diff",
    "difftool",
    "filter",
    "gpg",
    "guitool",
    "hook",
    "include",
    "includeif",
    "interactive",
    "lfs",
    "man",
    "merge",
    "mergetool",
    "pager",
    "sendemail",
    "submodule",
    "trailer",
];
/// Parts of the names of such variables elsewhere (`core.sshCommand`, `tar.*.command`, `remote.*.uploadpack`).
const PARTS: [&str; 18] = [
    "askpass",
    "attributesfile",
    "browser",
    "cmd",
    "command",
    "editor",
    "exec",
    "external",
    "fsmonitor",
    "helper",
    "hook",
    "pack",
    "pager",
    "path",
    "program",
    "proxy",
    "templatedir",
    "vcs",
];

/// Paths of the workspace that this text has git run or read: hooks that lie among the sources, filters, included files.
pub(super) fn named(config: &str, workspace: &Path) -> Vec<TreePath> {
    let mut named = Vec::new();
    for Assignment { section, key, value } in assignments(config) {
        let runs = SECTIONS.contains(&section.as_str()) || PARTS.iter().any(|p| key.contains(p));
        if runs {
            // A bare word is a name to look up, or a setting (`submodule = log`), unless the variable is about a path.
            let bare = ["path", "file", "dir"].iter().any(|part| key.contains(part));
            add_paths(&value, bare, workspace, &mut named);
        }
    }
    named
}

/// The working tree that the configuration of a submodule names.
pub(crate) fn worktree(config: &str) -> Option<String> {
    let found = assignments(config)
        .into_iter()
        .find(|found| found.section == "core" && found.key == "worktree")?;
    Some(found.value.trim().trim_matches('"').to_owned())
}

/// One variable; names in lower case.
struct Assignment {
    section: String,
    key: String,
    value: String,
}

fn assignments(config: &str) -> Vec<Assignment> {
    let mut found = Vec::new();
    let mut section = String::new();
    for line in joined(config) {
        let mut rest = line.trim();
        if let Some(header) = rest.strip_prefix('[') {
            let (name, behind) = split_header(header);
            section = name;
            rest = behind.trim();
        }
        let Some((key, value)) = rest.split_once('=') else { continue };
        let key = key.trim().to_ascii_lowercase();
        found.push(Assignment { section: section.clone(), key, value: value.to_owned() });
    }
    found
}

/// The lines, those that go on in the next one put together.
fn joined(config: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in config.lines() {
        let (text, more) = match line.strip_suffix('\\') {
            // A backslash before it makes it an ordinary one.
            Some(text) if !text.ends_with('\\') => (text, true),
            _ => (line, false),
        };
        match lines.last_mut() {
            Some(last) if goes_on => last.push_str(text),
            _ => lines.push(text.to_owned()),
        }
        goes_on = more;
    }
    lines
}

/// The lower-case name of a section, and what follows its closing bracket, which is none inside quotes.
fn split_header(header: &str) -> (String, &str) {
    let mut quoted = false;
    let mut escaped = false;
    let end = header.char_indices().find(|(_, char)| {
        let ends = *char == ']' && !quoted;
        quoted ^= *char == '"' && !escaped;
        escaped = *char == '\\' && !escaped;
        ends
    });
    let (inside, behind) = match end {
        Some((at, _)) => (header.get(..at), header.get(at.saturating_add(1)..)),
        None => (Some(header), None),
    };
    let name = inside.unwrap_or_default().split(['"', ' ', '\t', '.']).next().unwrap_or_default();
    (name.to_ascii_lowercase(), behind.unwrap_or_default())
}

/// Adds the value as a whole, and each of its words, if they can name something of the workspace.
fn add_paths(value: &str, bare: bool, workspace: &Path, named: &mut Vec<TreePath>) {
    let plain: String = value.chars().filter(|char| !matches!(char, '"' | '\'' | '\\')).collect();
    let before_comment = plain.split(['#', ';']).next().unwrap_or_default();
    let is_gap = |c: char| {
        c.is_whitespace() || matches!(c, '"' | '\'' | '!' | ';' | '&' | '|' | '(' | ')' | '=' | '#')
    };
    let words = value.split(is_gap).chain(plain.split(is_gap));
    let whole = [plain.trim(), before_comment.trim()];
    for word in words.chain(whole) {
        if (bare || word.contains(['/', '.']))
            && let Some(path) = inside(Path::new(word), workspace)
            && !named.contains(&path)
        {
            named.push(path);
        }
    }
}

/// The path beneath the workspace that a word names, `..` taken by its text; `None` for none.
fn inside(word: &Path, workspace: &Path) -> Option<TreePath> {
    let mut names: Vec<&OsStr> = Vec::new();
    for part in word.strip_prefix(workspace).unwrap_or(word).components() {
        match part {
            Component::Normal(name) => names.push(name),
            Component::ParentDir => {
                names.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    (!names.is_empty()).then(|| names.iter().fold(TreePath::root(), |path, name| path.child(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(config: &str) -> Vec<String> {
        named(config, Path::new("/ws")).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_the_configuration_runs_is_named() {
        for (config, path) in [
            ("[core]\n\thooksPath = tools/hooks/\n", "tools/hooks"),
            ("[filter \"x\"]\n\tclean = ./bin/clean %f\n", "bin/clean"),
            ("[core] fsmonitor = \"/ws/watch.sh\"\n", "watch.sh"),
            ("[alias]\n\tco = !sh go.sh\n", "go.sh"),
            ("[pager]\n\tlog = tools/page\n", "tools/page"),
            ("[interactive]\n\tdiffFilter = tools/show\n", "tools/show"),
            ("[core]\n\talternateRefsCommand = tools/refs\n", "tools/refs"),
            ("[gpg \"ssh\"]\n\tdefaultKeyCommand = tools/key\n", "tools/key"),
            ("[submodule \"a\"]\n\tupdate = !tools/up\n", "tools/up"),
            ("[remote \"o\"]\n\tuploadpack = tools/pack\n", "tools/pack"),
            ("[diff \"x\"]\n\ttextconv = \\\ntools/conv\n", "tools/conv"),
            ("[filter \"x\"]\n\tclean = \"tools/x.sh\" # ]\n", "tools/x.sh"),
            ("[filter \"a]b\"] clean = tools/x.sh\n", "tools/x.sh"),
            ("[filter \"x\"]\n\tclean = \"tools/my filter.sh\"\n", "tools/my filter.sh"),
            ("[core]\n\thooksPath = x/../tools/hooks\n", "tools/hooks"),
            ("[include]\n\tpath = ../shared.cfg\n", "shared.cfg"),
        ] {
            let found = names(config);
            assert!(found.iter().any(|name| name == path), "{path} in {found:?} of {config:?}");
        }
    }

    #[test]
    fn what_git_only_keeps_is_not() {
        let config = "[user]\n\tname = docs bot\n[diff]\n\tsubmodule = log\n[core]\n\tbare = false\n\tautocrlf = input\n\
            [branch \"main\"]\n\tremote = origin\n\tmerge = refs/heads/main\n[init]\n\tdefaultBranch = src\n\
            [remote \"origin\"]\n\turl = ../other\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n";
        assert!(names(config).is_empty(), "{:?}", names(config));
    }
}
