//! One path pattern and sets of them, compiled once, when they are first asked.

use std::fmt;
use std::sync::{Arc, OnceLock};

use globset::{Candidate, Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};

use crate::limits::{PATH_PATTERN_BYTES_MAX, PATH_PATTERNS_PER_SET};
use crate::rel_path::RelPath;

/// A pattern over workspace-relative paths.
///
/// * `*` and `?` never cross a `/`, `**` does; `[abc]` and `{a,b}` as usual; `\` takes the next character as it is.
/// * Without a `/` it names a file or directory at any depth (`*.pem` finds `a/b/server.pem`); a leading `/` or a `/`
///   inside ties it to the workspace.
/// * With a trailing `/` it names a directory and everything beneath.
/// * As a *block* it also covers everything beneath what it matches and ignores ASCII case, because a block that
///   `secrets/../` layouts or a case-folding file system could step around would not be one.
///
/// Whole names are matched: `token` does not touch `tokenizer.rs`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPattern(String);

impl PathPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// Refuses what could never match a workspace-relative path (`..`, `~`, NUL), a leading `!` (a block is written as
    /// a block), bad glob syntax and what is too long.
    pub fn parse(text: &str) -> Result<Self, PathPatternError> {
        if text.len() > PATH_PATTERN_BYTES_MAX {
            return Err(PathPatternError::TooLong);
        }
        if text.contains('\0') {
            return Err(PathPatternError::Nul);
        }
        let mut components = Vec::new();
        for component in text.split('/') {
            match component {
                "" | "." => {}
                ".." => return Err(PathPatternError::Parent),
                name => components.push(name),
            }
        }
        // By the first name, not the first character: `/~` and `./!a` say the same, and lose what stands before.
        match components.first().and_then(|name| name.chars().next()) {
            None => return Err(PathPatternError::Empty),
            Some('~') => return Err(PathPatternError::Home),
            Some('!') => return Err(PathPatternError::Negated),
            Some(_) => {}
        }
        let anchor = if text.starts_with('/') && components.len() == 1 { "/" } else { "" };
        let directory = if text.ends_with('/') { "/" } else { "" };
        let pattern = Self(format!("{anchor}{}{directory}", components.join("/")));
        for side in [Side::Allow, Side::Block] {
            pattern.compiled_globs(side)?;
        }
        Ok(pattern)
    }

    /// The pattern in its one form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the pattern stands for when it allows, in `globset` syntax with literal separators.
    #[must_use]
    pub fn allow_globs(&self) -> Vec<String> {
        self.globs(Side::Allow)
    }

    /// What the pattern stands for when it blocks, in `globset` syntax with literal separators, to be matched without
    /// regard to ASCII case.
    #[must_use]
    pub fn block_globs(&self) -> Vec<String> {
        self.globs(Side::Block)
    }

    fn globs(&self, side: Side) -> Vec<String> {
        let body = self.0.trim_start_matches('/').trim_end_matches('/');
        let floats = !self.0.trim_end_matches('/').contains('/') && body != "**";
        let own = if floats { format!("**/{body}") } else { body.to_owned() };
        let covers_beneath = self.0.ends_with('/') || side == Side::Block;
        if covers_beneath && !own.ends_with("**") {
            let beneath = format!("{own}/**");
            return vec![own, beneath];
        }
        vec![own]
    }

    fn compiled_globs(&self, side: Side) -> Result<Vec<Glob>, PathPatternError> {
        let compile = |glob: &String| {
            GlobBuilder::new(glob)
                .literal_separator(true)
                .backslash_escape(true)
                .case_insensitive(side != Side::Allow)
                .build()
                .map_err(|_| PathPatternError::Syntax)
        };
        self.globs(side).iter().map(compile).collect()
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for PathPattern {
    type Error = PathPatternError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<PathPattern> for String {
    fn from(pattern: PathPattern) -> Self {
        pattern.0
    }
}

/// Why a text is not a path pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathPatternError {
    /// Names nothing.
    Empty,
    /// Starts with `~`.
    Home,
    /// Starts with `!`.
    Negated,
    /// Holds a NUL byte.
    Nul,
    /// Holds a `..` component.
    Parent,
    /// Not a glob.
    Syntax,
    /// Too long.
    TooLong,
}

impl fmt::Display for PathPatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the pattern names nothing; `**` is everything",
            Self::Home => "patterns are relative to the workspace; `~` has no meaning there",
            Self::Negated => "`!` has no meaning here; put the pattern under `blocked`",
            Self::Nul => "the pattern holds a NUL byte",
            Self::Parent => "the pattern holds `..`; patterns are relative to the workspace",
            Self::Syntax => "not a glob; allowed are `*`, `?`, `**`, `[abc]`, `{a,b}` and `\\`",
            Self::TooLong => "the pattern is too long",
        })
    }
}

impl std::error::Error for PathPatternError {}

/// What a pattern is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// To let through: matched exactly.
    Allow,
    /// To hold back: whatever lies beneath matches too, in any case.
    Block,
    /// To rate: as written, in any case.
    Rate,
}

/// Patterns compiled together when they are first asked: a task starts sooner, and a set that no call needs costs
/// nothing. Cheap to clone; clones share what is compiled.
#[derive(Clone)]
pub(crate) struct PatternSet(Arc<Source>);

struct Source {
    patterns: Vec<PathPattern>,
    side: Side,
    compiled: OnceLock<Compiled>,
}

#[derive(Default)]
struct Compiled {
    groups: Vec<Group>,
    /// A block could not be compiled.
    everything: bool,
}

struct Group {
    set: GlobSet,
    /// For each glob of the set, the pattern it came from.
    patterns: Vec<PathPattern>,
}

impl PatternSet {
    pub(crate) fn new<'a>(patterns: impl IntoIterator<Item = &'a PathPattern>, side: Side) -> Self {
        let patterns = patterns.into_iter().cloned().collect();
        Self(Arc::new(Source { patterns, side, compiled: OnceLock::new() }))
    }

    /// True if one of the patterns matches.
    pub(crate) fn matches(&self, path: &Candidate<'_>) -> bool {
        let compiled = self.compiled();
        compiled.everything
            || compiled.groups.iter().any(|group| group.set.is_match_candidate(path))
    }

    /// The first pattern that matches, for messages.
    pub(crate) fn first_match(&self, path: &RelPath) -> Option<&PathPattern> {
        self.compiled().groups.iter().find_map(|group| {
            let index = group.set.matches(path.as_str()).into_iter().min()?;
            group.patterns.get(index)
        })
    }

    fn compiled(&self) -> &Compiled {
        self.0.compiled.get_or_init(|| Compiled::new(&self.0.patterns, self.0.side))
    }
}

impl Compiled {
    fn new(patterns: &[PathPattern], side: Side) -> Self {
        let mut compiled = Self::default();
        let patterns: Vec<&PathPattern> = patterns.iter().collect();
        for chunk in patterns.chunks(PATH_PATTERNS_PER_SET) {
            if let Some(group) = Group::new(chunk, side) {
                compiled.groups.push(group);
                continue;
            }
            // Too large together. A pattern that is too large alone allows nothing and blocks everything.
            for pattern in chunk {
                match Group::new(&[pattern], side) {
                    Some(group) => compiled.groups.push(group),
                    None => compiled.everything |= side == Side::Block,
                }
            }
        }
        compiled
    }
}

impl fmt::Debug for PatternSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&self.0.patterns).finish()
    }
}

impl Group {
    fn new(patterns: &[&PathPattern], side: Side) -> Option<Self> {
        let mut globs = Vec::new();
        let mut origins = Vec::new();
        for pattern in patterns {
            for glob in pattern.compiled_globs(side).ok()? {
                globs.push(glob);
                origins.push((*pattern).clone());
            }
        }
        Some(Self { set: compile(&globs).ok()?, patterns: origins })
    }
}

fn compile(globs: &[Glob]) -> Result<GlobSet, globset::Error> {
    let mut builder = GlobSetBuilder::new();
    for glob in globs {
        builder.add(glob.clone());
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, side: Side, path: &str) -> bool {
        let pattern = PathPattern::parse(pattern).unwrap();
        PatternSet::new([&pattern], side).matches(&Candidate::new(path))
    }

    fn allows(pattern: &str, path: &str) -> bool {
        matches(pattern, Side::Allow, path)
    }

    fn blocks(pattern: &str, path: &str) -> bool {
        matches(pattern, Side::Block, path)
    }

    #[test]
    fn a_name_is_found_at_every_depth() {
        for path in ["server.pem", "a/server.pem", "a/b/c/server.pem"] {
            assert!(blocks("*.pem", path), "{path}");
            assert!(allows("*.pem", path), "{path}");
        }
        assert!(allows("/*.pem", "server.pem"));
        assert!(!allows("/*.pem", "a/server.pem"));
        assert!(!blocks("*.pem", "server.pem.rs"));
    }

    #[test]
    fn whole_names_are_matched_and_not_their_beginnings() {
        assert!(!blocks("token", "src/tokenizer.rs"));
        assert!(!blocks("passwords", "passwords_test.rs"));
        assert!(blocks("token", "src/token"));
    }

    #[test]
    fn a_star_stays_in_its_directory() {
        assert!(allows("src/*", "src/a.rs"));
        assert!(!allows("src/*", "src/a/b.rs"));
        assert!(allows("src/**", "src/a/b.rs"));
        assert!(!allows("src/**", "src-evil/b.rs"));
        assert!(!allows("src", "src/a.rs"));
        assert!(allows("src/", "src/a/b.rs"));
    }

    #[test]
    fn a_block_covers_what_lies_beneath_in_any_case() {
        assert!(blocks("secrets", "secrets/db/password"));
        assert!(blocks("secrets", "deploy/Secrets/password"));
        assert!(blocks(".env", ".ENV"));
        assert!(blocks("config/*.yml", "config/prod.yml/inner"));
        assert!(!blocks("secrets", "my-secrets/x"));
        assert!(!allows(".env", ".ENV"));
    }

    #[test]
    fn one_form_for_one_pattern() {
        for text in ["/a/b", "./a/b", "a//b", "a/./b"] {
            assert_eq!(PathPattern::parse(text).unwrap().as_str(), "a/b");
        }
        assert_eq!(PathPattern::parse("/a").unwrap().as_str(), "/a");
        assert_eq!(PathPattern::parse("/a/").unwrap().as_str(), "/a/");
    }

    #[test]
    fn what_could_never_match_is_refused() {
        assert_eq!(PathPattern::parse("../x"), Err(PathPatternError::Parent));
        assert_eq!(PathPattern::parse("~/.ssh"), Err(PathPatternError::Home));
        assert_eq!(PathPattern::parse("!a"), Err(PathPatternError::Negated));
        assert_eq!(PathPattern::parse("/~/!"), Err(PathPatternError::Home));
        assert_eq!(PathPattern::parse("./!a"), Err(PathPatternError::Negated));
        assert_eq!(PathPattern::parse(""), Err(PathPatternError::Empty));
        assert_eq!(PathPattern::parse("/"), Err(PathPatternError::Empty));
        assert_eq!(PathPattern::parse("[a"), Err(PathPatternError::Syntax));
        assert_eq!(PathPattern::parse("a\0"), Err(PathPatternError::Nul));
        assert_eq!(PathPattern::parse(&"a".repeat(1_025)), Err(PathPatternError::TooLong));
    }

    #[test]
    fn the_largest_patterns_still_compile_together() {
        let widest =
            |index: usize| PathPattern::parse(&format!("{index:03}{}", "?*".repeat(500))).unwrap();
        let patterns: Vec<_> = (0..PATH_PATTERNS_PER_SET).map(widest).collect();
        for side in [Side::Allow, Side::Block] {
            let set = PatternSet::new(&patterns, side);
            assert!(!set.compiled().everything);
            let path = format!("007{}", "x".repeat(500));
            assert!(set.matches(&Candidate::new(&path)));
            assert!(!set.matches(&Candidate::new("007x")));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_reading_is_idempotent(text in "[a-c*?/\\[\\]{},.!~\\\\-]{0,24}|.{0,24}") {
            if let Ok(pattern) = PathPattern::parse(&text) {
                prop_assert_eq!(PathPattern::parse(pattern.as_str()), Ok(pattern.clone()));
            }
        }

        #[test]
        fn what_a_pattern_allows_it_also_blocks(
            text in "(/)?([a-b*?]{1,3}|\\*\\*)(/([a-b*?.]{1,3}|\\*\\*)){0,2}(/)?",
            path in "[a-b.]{1,3}(/[a-b.]{1,3}){0,3}",
        ) {
            if let Ok(pattern) = PathPattern::parse(&text)
                && PatternSet::new([&pattern], Side::Allow).matches(&Candidate::new(&path)) {
                prop_assert!(PatternSet::new([&pattern], Side::Block).matches(&Candidate::new(&path)));
            }
        }
    }
}
