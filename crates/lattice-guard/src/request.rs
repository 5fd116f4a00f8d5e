//! What is asked, in full: everything a decision may depend on is in here.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::git::Effect;
use crate::host::Host;
use crate::invocation::Invocation;
use crate::name::Name;
use crate::operation::Operation;
use crate::packages::Registry;
use crate::program::ResolvedProgram;
use crate::rel_path::RelPath;

/// How a web request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// Any other.
    Other,
}

/// One call, parsed. Paths are *resolved* names: what a symlink points at, not what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Read a file.
    Read {
        /// The file.
        path: RelPath,
    },
    /// Create or replace a file.
    Write {
        /// The file.
        path: RelPath,
    },
    /// Change part of a file.
    Edit {
        /// The file.
        path: RelPath,
    },
    /// List files by name.
    Glob {
        /// Where to begin.
        root: RelPath,
        /// What to look for.
        pattern: String,
    },
    /// Search file contents.
    Grep {
        /// Where to begin.
        root: RelPath,
    },
    /// Run a program.
    Run {
        /// Program and arguments as asked for.
        argv: Vec<String>,
        /// The program as found.
        program: ResolvedProgram,
    },
    /// Fetch a URL.
    WebFetch {
        /// Where.
        host: Host,
        /// How.
        method: Method,
        /// A body is sent along.
        body: bool,
    },
    /// Query a search engine.
    WebSearch {
        /// The engine.
        host: Host,
    },
    /// Record changes.
    GitCommit {
        /// Hooks, signing or configuration are overridden.
        overrides: bool,
    },
    /// Send commits away.
    GitPush {
        /// The branches written by a plain fast-forward; `None` for anything else (force, tags, deletion, unknown).
        branches: Option<Vec<String>>,
    },
    /// Open a pull request.
    CreatePr {
        /// A draft in the repository at hand, and nothing else.
        plain_draft: bool,
    },
    /// Create or stop pods.
    ManagePods,
    /// Start another agent.
    SpawnAgent {
        /// Generations of agents the new one may start itself, plus one: at least 1.
        depth: u32,
    },
    /// Fetch from a package registry.
    PackageFetch {
        /// Which one.
        registry: Registry,
    },
    /// Call a model.
    ModelCall {
        /// The provider.
        provider: Name,
        /// The model.
        model: Name,
    },
}

/// What the pod that acts could do with what it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PodContext {
    /// It can reach other hosts.
    pub network: bool,
    /// It can use a credential.
    pub credentials: bool,
    /// Whatever it writes lands in the overlay and is applied later, or never.
    pub overlay_only: bool,
}

/// A request: an action, and what surrounds it. Two requests are equal only if they ask for exactly the same. Cheap to
/// clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request(Arc<Fields>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Fields {
    action: Action,
    pod: PodContext,
    digest: Option<[u8; 32]>,
    branch: Option<String>,
    credentials: BTreeSet<Name>,
    invocation: Option<Invocation>,
    effects: Vec<Effect>,
    operations: BTreeSet<Operation>,
}

impl Request {
    /// A request for an action in a pod.
    #[must_use]
    pub fn new(action: Action, pod: PodContext) -> Self {
        let invocation = match &action {
            Action::Run { argv, program } => Some(Invocation::new(argv, program)),
            _ => None,
        };
        let effects = match (&action, &invocation) {
            (Action::GitCommit { overrides }, _) => vec![Effect::Commit { overrides: *overrides }],
            (Action::GitPush { branches }, _) => vec![Effect::Push { branches: branches.clone() }],
            (Action::CreatePr { plain_draft }, _) => {
                vec![Effect::PullRequest { plain_draft: *plain_draft }]
            }
            (_, Some(invocation)) => invocation.effects.clone(),
            _ => Vec::new(),
        };
        let operations = own_operation(&action)
            .into_iter()
            .chain(effects.iter().map(|effect| match effect {
                Effect::Commit { .. } => Operation::GitCommit,
                Effect::Push { .. } => Operation::GitPush,
                Effect::PullRequest { .. } => Operation::CreatePr,
            }))
            .collect();
        Self(Arc::new(Fields {
            action,
            pod,
            digest: None,
            branch: None,
            credentials: BTreeSet::new(),
            invocation,
            effects,
            operations,
        }))
    }

    /// The same request bound to the digest of its arguments, so that an approval is for these arguments alone.
    #[must_use]
    pub fn with_digest(mut self, digest: [u8; 32]) -> Self {
        Arc::make_mut(&mut self.0).digest = Some(digest);
        self
    }

    /// The same request on a known branch of the repository. Unknown counts as protected.
    #[must_use]
    pub fn on_branch(mut self, branch: &str) -> Self {
        Arc::make_mut(&mut self.0).branch = Some(branch.to_owned());
        self
    }

    /// The same request using a credential.
    #[must_use]
    pub fn using_credential(mut self, credential: Name) -> Self {
        Arc::make_mut(&mut self.0).credentials.insert(credential);
        self
    }

    /// The action.
    #[must_use]
    pub fn action(&self) -> &Action {
        &self.0.action
    }

    /// The pod.
    #[must_use]
    pub fn pod(&self) -> PodContext {
        self.0.pod
    }

    /// The digest of the arguments, if bound.
    #[must_use]
    pub fn digest(&self) -> Option<&[u8; 32]> {
        self.0.digest.as_ref()
    }

    /// The branch, if known.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        self.0.branch.as_deref()
    }

    /// The credentials used.
    #[must_use]
    pub fn credentials(&self) -> &BTreeSet<Name> {
        &self.0.credentials
    }

    /// Every operation the request needs. A command that openly commits, pushes or opens a pull request needs those
    /// operations besides `run_bash`; a model call and the fetch of a package need none.
    #[must_use]
    pub fn operations(&self) -> &BTreeSet<Operation> {
        &self.0.operations
    }

    pub(crate) fn invocation(&self) -> Option<&Invocation> {
        self.0.invocation.as_ref()
    }

    pub(crate) fn effects(&self) -> &[Effect] {
        &self.0.effects
    }
}

const fn own_operation(action: &Action) -> Option<Operation> {
    Some(match action {
        Action::Read { .. } => Operation::ReadFiles,
        Action::Write { .. } => Operation::WriteFiles,
        Action::Edit { .. } => Operation::EditFiles,
        Action::Glob { .. } => Operation::GlobSearch,
        Action::Grep { .. } => Operation::GrepSearch,
        Action::Run { .. } => Operation::RunBash,
        Action::WebFetch { .. } => Operation::WebFetch,
        Action::WebSearch { .. } => Operation::WebSearch,
        Action::GitCommit { .. } => Operation::GitCommit,
        Action::GitPush { .. } => Operation::GitPush,
        Action::CreatePr { .. } => Operation::CreatePr,
        Action::ManagePods => Operation::ManagePods,
        Action::SpawnAgent { .. } => Operation::SpawnAgent,
        Action::PackageFetch { .. } | Action::ModelCall { .. } => return None,
    })
}
