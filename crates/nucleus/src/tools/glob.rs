//! `glob`: the files whose names match a pattern.

use super::bounds::{Bounds, Paths};
use super::error::{Kind, ToolError, shown};
use super::limits::GLOB_PATHS_MAX;
use super::pattern;
use super::resolver::Resolver;
use super::text::plural;
use super::tree::{Flow, Seen, Skipped, walk};

/// What to look for, and where.
#[derive(Debug)]
pub(crate) struct GlobArgs<'a> {
    /// Pattern over paths below `path`.
    pub(crate) pattern: &'a str,
    /// Directory to begin in; empty = the workspace.
    pub(crate) path: &'a str,
}

/// What was found.
#[derive(Debug)]
pub(crate) struct GlobOutcome {
    /// Text for the agent: one path per line, then notes in brackets.
    pub(crate) text: String,
    /// Paths beneath the workspace, sorted.
    pub(crate) paths: Vec<String>,
    /// More match.
    pub(crate) truncated: bool,
}

/// Lists files (and links to files) below a directory. Ignored and withheld files are not listed.
pub(crate) fn glob(
    resolver: &Resolver<'_>,
    paths: &dyn Paths,
    args: &GlobArgs<'_>,
    bounds: &Bounds<'_>,
) -> Result<GlobOutcome, ToolError> {
    let written = resolver.below_workspace(args.pattern);
    let matcher = pattern::glob(written.strip_prefix("./").unwrap_or(written))?;
    resolver.act(|| {
        let (directory, start) = resolver.open_directory(args.path)?;
        let mut found = Vec::new();
        let mut withheld: u64 = 0;
        let mut truncated = false;
        let skipped = walk(resolver, &start, &directory, bounds, &mut |seen| {
            if !matcher.is_match(seen.below) {
                return Ok(Flow::On);
            }
            if !visible(resolver, paths, seen) {
                withheld = withheld.saturating_add(u64::from(!seen.link));
                return Ok(Flow::On);
            }
            if found.len() >= GLOB_PATHS_MAX {
                truncated = true;
                return Ok(Flow::Stop);
            }
            found.push(seen.real.to_owned());
            Ok(Flow::On)
        })?;
        let mut text: String = found.iter().map(|path| shown(path) + "\n").collect();
        if found.is_empty() {
            text.push_str("No file matches.\n");
        }
        if truncated {
            text.push_str(&format!(
                "[the first {GLOB_PATHS_MAX} paths; narrow the pattern to see the rest]\n"
            ));
        }
        text.push_str(&notes(withheld, &skipped));
        Ok(GlobOutcome { text, paths: found, truncated: truncated || skipped.exhausted })
    })
}

/// Whether policy lets the name be listed, and for a link also what it leads to, which must be a file.
fn visible(resolver: &Resolver<'_>, paths: &dyn Paths, seen: &Seen<'_>) -> bool {
    if !paths.visible(seen.real) {
        return false;
    }
    if !seen.link {
        return true;
    }
    resolver
        .walk(seen.real)
        .is_ok_and(|located| located.kind == Kind::File && paths.visible(&located.real))
}

/// What was passed over, for the agent.
pub(crate) fn notes(withheld: u64, skipped: &Skipped) -> String {
    let mut text = String::new();
    if withheld > 0 {
        text.push_str(&format!(
            "[{} withheld by policy]\n",
            plural(withheld, "file is", "files are")
        ));
    }
    if skipped.ignored > 0 {
        let names = plural(skipped.ignored, "name", "names");
        text.push_str(&format!("[{names} hidden by ignore files, with what is below]\n"));
    }
    if skipped.unreadable > 0 {
        text.push_str(&format!(
            "[{} could not be looked at]\n",
            plural(skipped.unreadable, "name", "names")
        ));
    }
    if skipped.exhausted {
        text.push_str("[the tree is too large to look at as a whole; give a path to begin in]\n");
    }
    text
}

#[cfg(test)]
mod tests;
