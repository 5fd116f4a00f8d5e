//! Which files of the workspace.

use std::fmt;

use globset::Candidate;
use serde::{Deserialize, Serialize};

use crate::classifier::Classifier;
use crate::clause::{Atom, Clauses, sole_block};
use crate::path_pattern::{PathPattern, PatternSet, Side};
use crate::reason::Reason;
use crate::rel_path::RelPath;

/// A list of path rules, compiled when it is made.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "Clauses<PathPattern>", into = "Clauses<PathPattern>")]
pub struct PathRules {
    clauses: Clauses<PathPattern>,
    blocks: PatternSet,
    lists: Vec<List>,
}

/// A clause that is more than a block.
#[derive(Debug, Clone)]
struct List {
    allowed: PatternSet,
    /// One set for each negated atom: the clause holds where one of them does *not* match.
    excepted: Vec<PatternSet>,
    has_allowed: bool,
}

impl List {
    fn holds(&self, path: &Candidate<'_>) -> bool {
        self.allowed.matches(path) || self.excepted.iter().any(|set| !set.matches(path))
    }
}

impl PathRules {
    /// Every path.
    #[must_use]
    pub fn top() -> Self {
        Clauses::top().into()
    }

    /// No path.
    #[must_use]
    pub fn bottom() -> Self {
        Clauses::bottom().into()
    }

    /// The paths one of the patterns matches. No patterns: no path.
    #[must_use]
    pub fn only(patterns: impl IntoIterator<Item = PathPattern>) -> Self {
        Clauses::only(patterns).into()
    }

    /// The paths none of the patterns matches.
    #[must_use]
    pub fn except(patterns: impl IntoIterator<Item = PathPattern>) -> Self {
        Clauses::except(patterns).into()
    }

    /// The rules behind the list.
    #[must_use]
    pub const fn clauses(&self) -> &Clauses<PathPattern> {
        &self.clauses
    }

    /// True if the list lets the path through.
    #[must_use]
    pub fn permits(&self, path: &RelPath) -> bool {
        self.permits_candidate(&Candidate::new(path.as_str()))
    }

    /// What both let through.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        self.clauses.meet(&other.clauses).into()
    }

    /// True if this lets no more through than `other` (sound, not complete).
    #[must_use]
    pub fn leq(&self, other: &Self) -> bool {
        self.clauses.leq(&other.clauses)
    }

    /// The block that matches the path, if one does.
    pub(crate) fn blocking(&self, path: &RelPath) -> Option<&PathPattern> {
        self.blocks.first_match(path)
    }

    fn permits_candidate(&self, path: &Candidate<'_>) -> bool {
        !self.blocks.matches(path) && self.lists.iter().all(|list| list.holds(path))
    }

    /// True if something beneath a directory may be let through: allow lists are left to the check of each file.
    pub(crate) fn permits_search(&self, directory: &RelPath) -> bool {
        let directory = Candidate::new(directory.as_str());
        !self.blocks.matches(&directory)
            && self.lists.iter().all(|list| list.has_allowed || list.holds(&directory))
    }
}

impl fmt::Debug for PathRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.clauses.fmt(f)
    }
}

impl PartialEq for PathRules {
    fn eq(&self, other: &Self) -> bool {
        self.clauses == other.clauses
    }
}

impl Eq for PathRules {}

impl From<Clauses<PathPattern>> for PathRules {
    fn from(clauses: Clauses<PathPattern>) -> Self {
        let blocks = PatternSet::new(clauses.blocks(), Side::Block);
        let lists = clauses
            .iter()
            .filter(|clause| sole_block(clause).is_none())
            .map(|clause| {
                let mut allowed = Vec::new();
                let mut excepted = Vec::new();
                for atom in clause {
                    match atom {
                        Atom::Is(pattern) => allowed.push(pattern),
                        Atom::Not(pattern) => {
                            excepted.push(PatternSet::new([pattern], Side::Block))
                        }
                    }
                }
                List {
                    has_allowed: !allowed.is_empty(),
                    allowed: PatternSet::new(allowed, Side::Allow),
                    excepted,
                }
            })
            .collect();
        Self { clauses, blocks, lists }
    }
}

impl From<PathRules> for Clauses<PathPattern> {
    fn from(rules: PathRules) -> Self {
        rules.clauses
    }
}

/// The path dimension: which paths, and which of the sensitive ones.
///
/// Sensitive paths (keys, credentials, `.env*`, shell history; see [`Classifier`]) are withheld unless they are allowed
/// *by name*. Being named is a right of its own, with its own list: were it read off the allow list, the policy that
/// allows everything would show less than one that names a file, and less permission would reach more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paths {
    /// Rules for every path.
    pub rules: PathRules,
    /// Further rules for paths of the sensitive set.
    pub sensitive: PathRules,
}

impl Paths {
    /// Every path, the sensitive ones too.
    #[must_use]
    pub fn top() -> Self {
        Self { rules: PathRules::top(), sensitive: PathRules::top() }
    }

    /// No path.
    #[must_use]
    pub fn bottom() -> Self {
        Self { rules: PathRules::bottom(), sensitive: PathRules::bottom() }
    }

    /// The lists of a policy file. `allowed: None` is every ordinary path, an empty list is none. An allowed pattern
    /// names the sensitive paths it matches if its own text is sensitive: `.env.test`, `certs/*.pem` and `.ssh/` name,
    /// `**` and `*.rs` do not.
    #[must_use]
    pub fn from_rules(
        allowed: Option<Vec<PathPattern>>,
        blocked: Vec<PathPattern>,
        classifier: &Classifier,
    ) -> Self {
        let names = |pattern: &&PathPattern| {
            RelPath::parse(pattern.as_str().trim_start_matches('/'))
                .is_ok_and(|text| classifier.sensitive(&text))
        };
        let named: Vec<PathPattern> = allowed.iter().flatten().filter(names).cloned().collect();
        let listed = allowed.map_or_else(PathRules::top, PathRules::only);
        Self { rules: listed.meet(&PathRules::except(blocked)), sensitive: PathRules::only(named) }
    }

    /// What both let through.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        Self {
            rules: self.rules.meet(&other.rules),
            sensitive: self.sensitive.meet(&other.sensitive),
        }
    }

    /// True if this lets no more through than `other` (sound, not complete).
    #[must_use]
    pub fn leq(&self, other: &Self) -> bool {
        self.rules.leq(&other.rules) && self.sensitive.leq(&other.sensitive)
    }

    /// Judges one path, with the rule that refuses it.
    ///
    /// # Errors
    /// The reason of the refusal.
    pub fn admit(&self, classifier: &Classifier, path: &RelPath) -> Result<(), Reason> {
        let candidate = Candidate::new(path.as_str());
        if !self.rules.permits_candidate(&candidate) {
            return Err(self.refusal(path));
        }
        self.admit_sensitive(classifier, path)
    }

    /// Judges the directory a search starts from. Allow lists are left to [`Paths::admit`] of each file found, so that a
    /// search of the whole workspace finds what is allowed.
    ///
    /// # Errors
    /// The reason of the refusal.
    pub fn admit_search(&self, classifier: &Classifier, root: &RelPath) -> Result<(), Reason> {
        if !self.rules.permits_search(root) {
            return Err(self.refusal(root));
        }
        self.admit_sensitive(classifier, root)
    }

    /// True if an allow list leaves paths out, which masks cannot show to commands one by one.
    #[must_use]
    pub fn allows_by_list(&self) -> bool {
        self.rules.lists.iter().any(|list| list.has_allowed)
    }

    /// True if pods must not see the path at all: it is blocked, or sensitive and not named.
    #[must_use]
    pub fn withholds(&self, classifier: &Classifier, path: &RelPath) -> bool {
        self.rules.blocks.matches(&Candidate::new(path.as_str()))
            || self.admit_sensitive(classifier, path).is_err()
    }

    /// Blocked paths, in `globset` syntax with literal separators, to be matched without regard to ASCII case.
    #[must_use]
    pub fn blocked_globs(&self) -> Vec<String> {
        self.rules.clauses.blocks().flat_map(PathPattern::block_globs).collect()
    }

    /// Sensitive paths that are allowed by name, in `globset` syntax with literal separators. Where several lists were
    /// met, only patterns that are in all of them: a mask may cover too much, never too little.
    #[must_use]
    pub fn named_globs(&self) -> Vec<String> {
        let clauses = &self.sensitive.clauses;
        let Some(first) = clauses.iter().next() else { return vec!["**".to_owned()] };
        first
            .iter()
            .filter(|atom| clauses.iter().all(|clause| clause.contains(*atom)))
            .filter_map(|atom| match atom {
                Atom::Is(pattern) => Some(pattern.allow_globs()),
                Atom::Not(_) => None,
            })
            .flatten()
            .collect()
    }

    fn admit_sensitive(&self, classifier: &Classifier, path: &RelPath) -> Result<(), Reason> {
        if classifier.sensitive(path) && !self.sensitive.permits(path) {
            return Err(Reason::PathSensitive { path: path.clone() });
        }
        Ok(())
    }

    fn refusal(&self, path: &RelPath) -> Reason {
        match self.rules.blocking(path) {
            Some(rule) => Reason::PathBlocked { path: path.clone(), rule: rule.clone() },
            None => Reason::PathNotAllowed { path: path.clone() },
        }
    }
}

#[cfg(test)]
mod tests;
