//! `write`: a whole file, made or replaced.

use nucleus_sys::weaken::{self, Weak};

use super::bounds::{Bounds, Paths};
use super::error::{Kind, ToolError};
use super::limits::RACE_RETRIES_MAX;
use super::replace::replace;
use super::resolver::{Resolver, admit};
use super::text::{plural, size};
use crate::approved::Written;
use crate::digest::Digest;

/// What to put where.
#[derive(Debug)]
pub(crate) struct WriteArgs<'a> {
    /// Path as the agent gave it.
    pub(crate) path: &'a str,
    /// The whole content.
    pub(crate) content: &'a str,
}

/// What was written.
#[derive(Debug)]
pub(crate) struct WriteOutcome {
    /// Text for the agent.
    pub(crate) text: String,
    /// Bytes written.
    pub(crate) bytes: u64,
    /// Nothing was there before.
    pub(crate) created: bool,
    /// Where it really went, and what is there now.
    pub(crate) written: Written,
}

/// Writes a file, with the directories above it. An existing file keeps its mode.
///
/// Refuses directories, special files, files with several hard links and files nobody may write.
pub(crate) fn write(
    resolver: &Resolver<'_>,
    paths: &dyn Paths,
    args: &WriteArgs<'_>,
    bounds: &Bounds<'_>,
) -> Result<WriteOutcome, ToolError> {
    let path = resolver.relative(args.path)?;
    if path.is_empty() || path.ends_with('/') {
        return Err(ToolError::NotRegular { path, kind: Kind::Directory });
    }
    resolver.act(|| {
        if weaken::off(Weak::Resolver) {
            return write_unresolved(resolver, paths, &path, args.content);
        }
        for _ in 0..RACE_RETRIES_MAX {
            bounds.go_on()?;
            let located = resolver.walk(&path)?;
            admit(paths, &path, &located.real)?;
            match located.kind {
                Kind::File | Kind::Missing => {}
                kind => return Err(ToolError::NotRegular { path: located.real, kind }),
            }
            let content = args.content.as_bytes();
            if let Some(done) = replace(resolver, &located.real, content, None, bounds)? {
                return Ok(outcome(&located.real, args.content, done.created));
            }
        }
        Err(ToolError::Changed { path: path.clone() })
    })
}

fn outcome(real: &str, content: &str, created: bool) -> WriteOutcome {
    let bytes = u64::try_from(content.len()).unwrap_or(u64::MAX);
    let lines = u64::try_from(content.lines().count()).unwrap_or(u64::MAX);
    let verb = if created { "Created" } else { "Replaced" };
    let text = format!(
        "{verb} {}: {}, {}.\n",
        super::error::shown(real),
        plural(lines, "line", "lines"),
        size(bytes)
    );
    let written = Written { path: real.to_owned(), content: Digest::of(content.as_bytes()) };
    WriteOutcome { text, bytes, created, written }
}

/// What a tool without the resolver would do; reachable only in test builds, for positive controls.
fn write_unresolved(
    resolver: &Resolver<'_>,
    paths: &dyn Paths,
    path: &str,
    content: &str,
) -> Result<WriteOutcome, ToolError> {
    admit(paths, path, path)?;
    resolver.write_unresolved(path, content.as_bytes())?;
    Ok(outcome(path, content, false))
}

#[cfg(test)]
mod tests;
