//! How risky a request is. Data decides, and the data have a version.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, LazyLock};

use globset::Candidate;
use serde::{Deserialize, Serialize};

use crate::command_pattern::{CommandPattern, Likeness};
use crate::git::Effect;
use crate::invocation::{Invocation, Reach};
use crate::operation::Operation;
use crate::path_pattern::{PathPattern, PatternSet, Side};
use crate::rel_path::RelPath;
use crate::request::{Action, Method, PodContext, Request};

/// The two ratings a request can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Risk {
    /// What the task is about.
    Low,
    /// What deserves a look.
    High,
}

/// What a classifier knows. Part of the policy's digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RiskData {
    /// Which edition of the data this is.
    pub version: u32,
    /// Paths that hold secrets.
    pub sensitive: BTreeSet<PathPattern>,
    /// Paths that look as if, and do not: exactly these, not what lies beneath, in exactly this case.
    pub sensitive_exceptions: BTreeSet<PathPattern>,
    /// Paths that something executes or trusts without being asked to run the project.
    pub executed: BTreeSet<PathPattern>,
    /// Commands that are low risk in any pod.
    pub low_risk_commands: BTreeSet<CommandPattern>,
    /// Branches no ordinary commit goes to.
    pub protected_branches: BTreeSet<String>,
    /// What the names of the agent's own branches begin with.
    pub agent_branch_prefixes: BTreeSet<String>,
}

impl RiskData {
    /// The data this version of the crate comes with.
    #[must_use]
    pub fn builtin() -> Self {
        let (sensitive, sensitive_exceptions) =
            path_patterns(include_str!("../data/sensitive.txt"));
        let (executed, _) = path_patterns(include_str!("../data/executed.txt"));
        let low_risk_commands = lines(include_str!("../data/low-risk-commands.txt"))
            .filter_map(|line| CommandPattern::parse(line).ok())
            .collect();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            version: 1,
            sensitive,
            sensitive_exceptions,
            executed,
            low_risk_commands,
            protected_branches: names(&[
                "main",
                "master",
                "trunk",
                "develop",
                "development",
                "production",
                "prod",
                "staging",
                "release",
                "stable",
                "gh-pages",
            ]),
            agent_branch_prefixes: names(&["nucleus/", "agent/"]),
        }
    }
}

/// Lines of a data file that say something.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with("version:"))
}

fn path_patterns(text: &str) -> (BTreeSet<PathPattern>, BTreeSet<PathPattern>) {
    let (mut patterns, mut exceptions) = (BTreeSet::new(), BTreeSet::new());
    for line in lines(text) {
        let (into, line) = match line.strip_prefix('!') {
            Some(exception) => (&mut exceptions, exception),
            None => (&mut patterns, line),
        };
        into.extend(PathPattern::parse(line).ok());
    }
    (patterns, exceptions)
}

/// The directories above what the patterns name, as far as they have names of their own: `**/.github` of
/// `**/.github/workflows/`, but not `**`, which every directory is.
fn above(patterns: &BTreeSet<PathPattern>) -> BTreeSet<PathPattern> {
    let mut found = BTreeSet::new();
    for pattern in patterns {
        let names: Vec<&str> =
            pattern.as_str().split('/').filter(|name| !name.is_empty()).collect();
        let ends = 1..names.len();
        let prefixes = ends.filter_map(|end| names.get(..end));
        for prefix in
            prefixes.filter(|prefix| prefix.last().is_some_and(|name| !name.starts_with('*')))
        {
            // A slash before a single name ties it to the workspace, as the whole pattern is.
            found.extend(PathPattern::parse(&format!("/{}", prefix.join("/"))).ok());
        }
    }
    found
}

/// Rates requests. Two classifiers compose to one that rates each request as high as the higher of them.
///
/// | operation | low risk |
/// |---|---|
/// | read, glob, grep | path outside the sensitive set |
/// | write, edit | path outside the sensitive set and outside what is executed or trusted unasked |
/// | run | the pod has no network and no credential and writes only the overlay; or a low-risk command |
/// | web fetch, web search | `GET` or `HEAD` without a body |
/// | commit | a known branch that is not protected, with hooks and signing as they are |
/// | push | a plain fast-forward of the agent's own branches |
/// | pull request | a draft in the repository at hand |
/// | pods, agents | never |
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "BTreeSet<RiskData>", into = "BTreeSet<RiskData>")]
pub struct Classifier(Arc<[Part]>);

/// One for all: its data are parsed and its patterns compiled once in a process.
static BUILTIN: LazyLock<Classifier> = LazyLock::new(|| Classifier::new(RiskData::builtin()));

struct Part {
    data: RiskData,
    sensitive: PatternSet,
    sensitive_exceptions: PatternSet,
    executed: PatternSet,
    /// Directories above what `executed` names.
    leading: PatternSet,
}

impl Classifier {
    /// A classifier of these data.
    #[must_use]
    pub fn new(data: RiskData) -> Self {
        BTreeSet::from([data]).into()
    }

    /// The higher rating of both.
    #[must_use]
    pub fn compose(&self, other: &Self) -> Self {
        let data: BTreeSet<RiskData> =
            self.0.iter().chain(other.0.iter()).map(|part| part.data.clone()).collect();
        data.into()
    }

    /// The data of the classifier.
    pub fn data(&self) -> impl Iterator<Item = &RiskData> {
        self.0.iter().map(|part| &part.data)
    }

    /// True if the path is of a kind that holds secrets.
    #[must_use]
    pub fn sensitive(&self, path: &RelPath) -> bool {
        let path = Candidate::new(path.as_str());
        self.0
            .iter()
            .any(|part| part.sensitive.matches(&path) && !part.sensitive_exceptions.matches(&path))
    }

    /// True if something executes or trusts the path without being asked to run the project.
    #[must_use]
    pub fn executed_or_trusted(&self, path: &RelPath) -> bool {
        let path = Candidate::new(path.as_str());
        self.0.iter().any(|part| part.executed.matches(&path))
    }

    /// True if the path is a directory beneath which something is executed or trusted by its name: what stands there is
    /// reached by names that nobody judged when the path is a link.
    #[must_use]
    pub fn leads_to_executed(&self, path: &RelPath) -> bool {
        let path = Candidate::new(path.as_str());
        self.0.iter().any(|part| part.leading.matches(&path))
    }

    /// True if an ordinary commit may go to this branch: it is not a protected one.
    #[must_use]
    pub fn ordinary_branch(&self, branch: &str) -> bool {
        self.0.iter().all(|part| part.is_ordinary(branch))
    }

    /// The rating of an operation on a path, for a name that was resolved after the decision.
    #[must_use]
    pub fn path_risk(&self, operation: Operation, path: &RelPath) -> Risk {
        let writes = matches!(operation, Operation::WriteFiles | Operation::EditFiles);
        let high = self.sensitive(path) || writes && self.executed_or_trusted(path);
        if high { Risk::High } else { Risk::Low }
    }

    /// The rating of one operation of a request. An operation the request does not need is rated high.
    #[must_use]
    pub fn risk(&self, operation: Operation, request: &Request) -> Risk {
        if !request.operations().contains(&operation) {
            return Risk::High;
        }
        let low = match (operation, request.action()) {
            (Operation::GitCommit | Operation::GitPush | Operation::CreatePr, _) => {
                self.0.iter().all(|part| part.history_is_low(operation, request))
            }
            (
                Operation::ReadFiles | Operation::WriteFiles | Operation::EditFiles,
                Action::Read { path } | Action::Write { path } | Action::Edit { path },
            ) => return self.path_risk(operation, path),
            (
                Operation::GlobSearch | Operation::GrepSearch,
                Action::Glob { root, .. } | Action::Grep { root },
            ) => {
                return self.path_risk(operation, root);
            }
            (Operation::RunBash, Action::Run { .. }) => {
                contained(request.pod())
                    || request
                        .invocation()
                        .is_some_and(|run| self.0.iter().all(|part| part.command_is_low(run)))
            }
            (Operation::WebFetch, Action::WebFetch { method, body, .. }) => {
                matches!(method, Method::Get | Method::Head) && !body
            }
            (Operation::WebSearch, Action::WebSearch { .. }) => true,
            _ => false,
        };
        if low { Risk::Low } else { Risk::High }
    }

    /// Sensitive paths, in `globset` syntax with literal separators, to be matched without regard to ASCII case.
    #[must_use]
    pub fn sensitive_globs(&self) -> Vec<String> {
        let patterns: BTreeSet<&PathPattern> =
            self.data().flat_map(|data| &data.sensitive).collect();
        patterns.into_iter().flat_map(PathPattern::block_globs).collect()
    }

    /// Exceptions from [`Classifier::sensitive_globs`], in the same syntax, to be matched *with* regard to case. Where
    /// classifiers were composed, only those that all of them make.
    #[must_use]
    pub fn sensitive_exception_globs(&self) -> Vec<String> {
        let Some(first) = self.data().next() else { return Vec::new() };
        first
            .sensitive_exceptions
            .iter()
            .filter(|pattern| self.data().all(|data| data.sensitive_exceptions.contains(*pattern)))
            .flat_map(PathPattern::allow_globs)
            .collect()
    }
}

impl Default for Classifier {
    fn default() -> Self {
        BUILTIN.clone()
    }
}

impl fmt::Debug for Classifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.data().map(|data| data.version)).finish()
    }
}

impl PartialEq for Classifier {
    fn eq(&self, other: &Self) -> bool {
        self.data().eq(other.data())
    }
}

impl Eq for Classifier {}

impl From<BTreeSet<RiskData>> for Classifier {
    fn from(data: BTreeSet<RiskData>) -> Self {
        Self(data.into_iter().map(Part::new).collect())
    }
}

impl From<Classifier> for BTreeSet<RiskData> {
    fn from(classifier: Classifier) -> Self {
        classifier.data().cloned().collect()
    }
}

impl Part {
    fn new(data: RiskData) -> Self {
        Self {
            sensitive: PatternSet::new(&data.sensitive, Side::Block),
            sensitive_exceptions: PatternSet::new(&data.sensitive_exceptions, Side::Allow),
            leading: PatternSet::new(&above(&data.executed), Side::Rate),
            executed: PatternSet::new(&data.executed, Side::Rate),
            data,
        }
    }

    fn command_is_low(&self, run: &Invocation) -> bool {
        self.data.low_risk_commands.iter().any(|rule| {
            run.steps
                .iter()
                .any(|step| step.reach == Reach::Whole && rule.likeness(step) == Likeness::Surely)
        })
    }

    /// True if every effect of the request that needs the operation is low, and there is one.
    fn history_is_low(&self, operation: Operation, request: &Request) -> bool {
        let mut relevant =
            request.effects().iter().filter_map(|effect| match (operation, effect) {
                (Operation::GitCommit, Effect::Commit { overrides }) => Some(
                    !overrides && request.branch().is_some_and(|branch| self.is_ordinary(branch)),
                ),
                (Operation::GitPush, Effect::Push { branches }) => {
                    Some(branches.as_ref().is_some_and(|branches| {
                        !branches.is_empty()
                            && branches.iter().all(|branch| self.is_agents_own(branch))
                    }))
                }
                (Operation::CreatePr, Effect::PullRequest { plain_draft }) => Some(*plain_draft),
                _ => None,
            });
        let Some(first) = relevant.next() else { return false };
        first && relevant.all(|low| low)
    }

    fn is_ordinary(&self, branch: &str) -> bool {
        let protected = |name: &String| {
            branch
                .strip_prefix(name.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        !branch.is_empty() && !self.data.protected_branches.iter().any(protected)
    }

    fn is_agents_own(&self, branch: &str) -> bool {
        self.data.agent_branch_prefixes.iter().any(|prefix| {
            !prefix.is_empty()
                && branch.strip_prefix(prefix.as_str()).is_some_and(|rest| !rest.is_empty())
        })
    }
}

/// True if nothing a program does in the pod can leave it before someone looks.
const fn contained(pod: PodContext) -> bool {
    !pod.network && !pod.credentials && pod.overlay_only
}

#[cfg(test)]
mod tests;
