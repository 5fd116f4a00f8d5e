//! Values from small pools, so that equal, disjoint, empty and universal ones meet often.

use lattice_guard::{
    Action, ArgPattern, Atom, BudgetLimits, Classifier, Clause, Clauses, CommandLattice,
    CommandPattern, DelegationDepth, GateMode, Host, HostPattern, Hosts, IsolationFloor,
    IsolationLevel, Label, Layer, Level, Levels, Method, MicroUsd, Models, Name, Names, Operation,
    Packages, PathPattern, PathRules, Paths, Permissions, PodContext, Registry, RelPath, Request,
    ResolvedProgram, RiskData, TimeWindow, Tokens,
};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

const PATTERNS: [&str; 8] =
    ["**", "src/", "*.rs", "/docs/*", ".env", "secrets", "src/a.rs", ".git/hooks/"];
const PATHS: [&str; 10] = [
    ".",
    "src",
    "src/a.rs",
    "src/b.txt",
    "docs/x.md",
    "docs/a/b.md",
    ".env",
    "deep/secrets/key",
    ".git/hooks/pre-commit",
    "a/server.pem",
];
const COMMANDS: [&str; 7] =
    ["cargo test *", "cargo *", "git push *", "git *", "bash *", "sh -c *", "git status"];
const LINES: [&str; 16] = [
    "cargo test",
    "cargo build --release",
    "git push",
    "git -C . push",
    "git status",
    "env A=1 bash -c x",
    "timeout 5 cargo test",
    "cd x && git push",
    "sh -c 'bash'",
    "ls",
    "git push origin agent/x",
    "git commit -m x",
    "git commit --no-verify",
    "gh pr create --draft",
    "xargs git",
    "./cargo test",
];
const HOSTS: [&str; 5] =
    ["a.example.com", "b.example.com:8443", "*.example.com", "crates.io", "*.crates.io"];
const NAMES: [&str; 3] = ["anthropic", "openai", "local"];

fn clauses<T: Ord + Clone + std::fmt::Debug + 'static>(
    pool: Vec<T>,
) -> impl Strategy<Value = Clauses<T>> {
    let atom = (select(pool.clone()), any::<bool>())
        .prop_map(|(rule, negated)| if negated { Atom::Not(rule) } else { Atom::Is(rule) });
    let clause = btree_set(atom, 0..3).prop_map(|atoms: Clause<T>| atoms);
    prop_oneof![
        1 => Just(Clauses::top()),
        1 => Just(Clauses::bottom()),
        3 => subsequence(pool.clone(), 0..=pool.len()).prop_map(Clauses::only),
        2 => subsequence(pool, 0..3).prop_map(Clauses::except),
        3 => vec(clause, 0..4).prop_map(Clauses::from_clauses),
    ]
}

pub(crate) fn patterns() -> impl Strategy<Value = Clauses<String>> {
    clauses(["a", "b", "c"].map(str::to_owned).to_vec())
}

pub(crate) fn path_rules() -> impl Strategy<Value = PathRules> {
    clauses(PATTERNS.map(|text| PathPattern::parse(text).unwrap()).to_vec())
        .prop_map(PathRules::from)
}

pub(crate) fn paths() -> impl Strategy<Value = Paths> {
    (path_rules(), path_rules()).prop_map(|(rules, sensitive)| Paths { rules, sensitive })
}

pub(crate) fn commands() -> impl Strategy<Value = CommandLattice> {
    let mut pool = COMMANDS.map(|text| CommandPattern::parse(text).unwrap()).to_vec();
    pool.push(CommandPattern {
        program: "git".to_owned(),
        args: vec![ArgPattern::AnyRemaining, ArgPattern::Exact("x".to_owned())],
    });
    let json = |clauses: &Clauses<CommandPattern>| serde_json::to_value(clauses).unwrap();
    clauses(pool).prop_map(move |rules| serde_json::from_value(json(&rules)).unwrap())
}

pub(crate) fn hosts() -> impl Strategy<Value = Hosts> {
    let pool = HOSTS.map(|text| HostPattern::parse(text).unwrap()).to_vec();
    clauses(pool)
        .prop_map(|rules| serde_json::from_value(serde_json::to_value(rules).unwrap()).unwrap())
}

fn name() -> impl Strategy<Value = Name> {
    select(NAMES.to_vec()).prop_map(|text| Name::parse(text).unwrap())
}

pub(crate) fn names() -> impl Strategy<Value = Names> {
    prop_oneof![1 => Just(Names::All), 4 => btree_set(name(), 0..3).prop_map(Names::Only)]
}

pub(crate) fn models() -> impl Strategy<Value = Models> {
    (names(), path_rules()).prop_map(|(providers, visible)| Models { providers, visible })
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 0..4_u64, 1 => Just(u64::MAX), 1 => Just(u64::MAX - 1)]
}

pub(crate) fn budget() -> impl Strategy<Value = BudgetLimits> {
    (number(), number(), number()).prop_map(|(cost, input, output)| BudgetLimits {
        max_cost: MicroUsd::new(cost),
        max_input_tokens: Tokens::new(input),
        max_output_tokens: Tokens::new(output),
    })
}

pub(crate) fn time() -> impl Strategy<Value = TimeWindow> {
    (number(), number()).prop_map(|(from, to)| TimeWindow::new(from, to))
}

pub(crate) fn isolation() -> impl Strategy<Value = IsolationFloor> {
    (select(IsolationLevel::ALL.to_vec()), btree_set(select(Layer::ALL.to_vec()), 0..4))
        .prop_map(|(minimum, full_layers)| IsolationFloor { minimum, full_layers })
}

pub(crate) fn packages() -> impl Strategy<Value = Packages> {
    btree_set(select(Registry::ALL.to_vec()), 0..=Registry::ALL.len()).prop_map(Packages::only)
}

pub(crate) fn delegation() -> impl Strategy<Value = DelegationDepth> {
    prop_oneof![0..3_u32, Just(u32::MAX)].prop_map(DelegationDepth::new)
}

pub(crate) fn levels() -> impl Strategy<Value = Levels> {
    prop_oneof![
        1 => Just(Levels::top()),
        1 => Just(Levels::bottom()),
        6 => vec(select(Level::ALL.to_vec()), Operation::ALL.len()).prop_map(|levels| {
            Operation::ALL.into_iter().zip(levels).fold(Levels::bottom(), |all, (op, level)| all.with(op, level))
        }),
    ]
}

/// Envelopes that differ from everything in a few dimensions, so that most requests are not denied out of hand.
pub(crate) fn permissions() -> BoxedStrategy<Permissions> {
    let open = (levels().boxed(), paths().boxed(), commands().boxed(), hosts().boxed()).prop_map(
        |(levels, paths, commands, network)| Permissions {
            levels,
            paths,
            commands,
            network,
            ..Permissions::top()
        },
    );
    let whole = (
        (levels().boxed(), paths().boxed(), commands().boxed(), hosts().boxed(), models().boxed()),
        (
            budget().boxed(),
            time().boxed(),
            isolation().boxed(),
            names().boxed(),
            (delegation(), packages()).boxed(),
        ),
    )
        .prop_map(
            |(
                (levels, paths, commands, network, model),
                (budget, time, isolation, credentials, (delegation, packages)),
            )| {
                Permissions {
                    levels,
                    paths,
                    commands,
                    network,
                    packages,
                    model,
                    budget,
                    time,
                    isolation,
                    credentials,
                    delegation,
                }
            },
        );
    let capable = levels().prop_map(|levels| Permissions { levels, ..Permissions::top() });
    prop_oneof![
        1 => Just(()).prop_map(|()| Permissions::top()),
        1 => Just(()).prop_map(|()| Permissions::bottom()),
        4 => capable,
        4 => open,
        3 => whole,
    ]
    .boxed()
}

/// The built-in data are a few hundred patterns: compiled once for all cases.
pub(crate) fn builtin() -> Classifier {
    static BUILTIN: std::sync::LazyLock<Classifier> = std::sync::LazyLock::new(Classifier::default);
    BUILTIN.clone()
}

pub(crate) fn classifier() -> impl Strategy<Value = Classifier> {
    let patterns = || {
        subsequence(PATTERNS.to_vec(), 0..3).prop_map(|texts| {
            texts.into_iter().map(|text| PathPattern::parse(text).unwrap()).collect()
        })
    };
    let low = subsequence(COMMANDS.to_vec(), 0..3).prop_map(|texts| {
        texts.into_iter().map(|text| CommandPattern::parse(text).unwrap()).collect()
    });
    let stricter = (patterns(), patterns(), patterns(), low).prop_map(
        |(sensitive, sensitive_exceptions, executed, low_risk_commands)| {
            Classifier::new(RiskData {
                sensitive,
                sensitive_exceptions,
                executed,
                low_risk_commands,
                ..builtin().data().next().cloned().unwrap()
            })
        },
    );
    prop_oneof![1 => Just(builtin()), 3 => stricter]
}

pub(crate) fn rel_path() -> impl Strategy<Value = RelPath> {
    select(PATHS.to_vec()).prop_map(|text| RelPath::parse(text).unwrap())
}

fn host() -> impl Strategy<Value = Host> {
    select(vec!["a.example.com", "b.example.com:8443", "x.y.crates.io", "crates.io", "evil.test"])
        .prop_map(|text| Host::parse(text).unwrap())
}

fn action() -> impl Strategy<Value = Action> {
    let run = (select(LINES.to_vec()), any::<bool>()).prop_map(|(line, writable)| {
        let argv = lattice_guard::split_command(line).into_argv();
        let found = format!("/usr/bin/{}", argv[0]);
        Action::Run { program: ResolvedProgram::new(&found, &found, writable), argv }
    });
    let branches = prop_oneof![
        Just(None),
        Just(Some(vec!["agent/x".to_owned()])),
        Just(Some(vec!["agent/x".to_owned(), "main".to_owned()])),
    ];
    prop_oneof![
        2 => rel_path().prop_map(|path| Action::Read { path }),
        2 => rel_path().prop_map(|path| Action::Write { path }),
        1 => rel_path().prop_map(|path| Action::Edit { path }),
        1 => rel_path().prop_map(|root| Action::Glob { root, pattern: "*".to_owned() }),
        1 => rel_path().prop_map(|root| Action::Grep { root }),
        4 => run,
        1 => (host(), select(vec![Method::Get, Method::Head, Method::Other]), any::<bool>())
            .prop_map(|(host, method, body)| Action::WebFetch { host, method, body }),
        1 => host().prop_map(|host| Action::WebSearch { host }),
        1 => any::<bool>().prop_map(|overrides| Action::GitCommit { overrides }),
        1 => branches.prop_map(|branches| Action::GitPush { branches }),
        1 => any::<bool>().prop_map(|plain_draft| Action::CreatePr { plain_draft }),
        1 => Just(Action::ManagePods),
        1 => (0..3_u32).prop_map(|depth| Action::SpawnAgent { depth }),
        1 => select(Registry::ALL.to_vec()).prop_map(|registry| Action::PackageFetch { registry }),
        1 => (name(), name()).prop_map(|(provider, model)| Action::ModelCall { provider, model }),
    ]
}

pub(crate) fn request() -> impl Strategy<Value = Request> {
    let pod = (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(network, credentials, overlay_only)| PodContext { network, credentials, overlay_only },
    );
    let branch = prop_oneof![Just(None), Just(Some("main")), Just(Some("fix/x"))];
    (action(), pod, branch, btree_set(name(), 0..2)).prop_map(
        |(action, pod, branch, credentials)| {
            let mut request = Request::new(action, pod);
            if let Some(branch) = branch {
                request = request.on_branch(branch);
            }
            credentials.into_iter().fold(request, Request::using_credential)
        },
    )
}

pub(crate) fn label() -> impl Strategy<Value = Label> {
    (any::<bool>(), any::<bool>()).prop_map(|(private, untrusted)| Label { private, untrusted })
}

pub(crate) fn mode() -> impl Strategy<Value = GateMode> {
    select(vec![GateMode::Static, GateMode::Exposure])
}

pub(crate) fn now() -> impl Strategy<Value = u64> {
    number()
}
