//! The profiles: what they permit, when their gate closes, how they are ordered.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::fmt::Write as _;
use std::sync::LazyLock;

use lattice_guard::{
    Action, BudgetLimits, Classifier, Gate, GateMode, Label, Level, Name, Operation, Permissions,
    PodContext, RelPath, Request, ResolvedProgram, Verdict, judge,
};
use nucleus_wire::permissions::Defaults;
use nucleus_wire::profile::{self, DEFAULT_PROFILE, ProfileStatus};

const START_MS: u64 = 1_800_000_000_000;
/// A tool pod of this version: no network, no credentials, writes to the overlay.
const POD: PodContext = PodContext { network: false, credentials: false, overlay_only: true };

static CLASSIFIER: LazyLock<Classifier> = LazyLock::new(Classifier::default);

fn envelope(name: &str) -> Permissions {
    let defaults = Defaults::new(Some(Name::parse("anthropic").unwrap()));
    profile::by_name(name).unwrap().policy().envelope(START_MS, &defaults)
}

fn run(line: &str) -> Request {
    let argv = lattice_guard::split_command(line).into_argv();
    let program = ResolvedProgram::unresolved(argv.first().unwrap());
    Request::new(Action::Run { argv, program }, POD)
}

fn at(make: impl Fn(RelPath) -> Action, path: &str) -> Request {
    Request::new(make(RelPath::parse(path).unwrap()), POD)
}

fn verdict(name: &str, request: &Request) -> Verdict {
    let permissions = envelope(name);
    let gate = Gate::new(&permissions, GateMode::Static);
    judge(&permissions, &CLASSIFIER, request, START_MS + 1)
        .strictest(gate.verdict(Label::default(), request))
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "allow",
        Verdict::NeedsApproval(_) => "approval",
        Verdict::Deny(_) => "deny",
    }
}

#[test]
fn the_registry_holds_the_documented_profiles_in_order() {
    let names: Vec<&str> = profile::list().iter().map(|p| p.info().name.as_str()).collect();
    assert_eq!(
        names,
        ["read-only", "fix-issue", "restrictive", "code-review", "web-research", "full"]
    );
    assert!(names.contains(&DEFAULT_PROFILE));
    assert!(profile::by_name("Full").is_none() && profile::by_name("").is_none());
    assert_eq!(profile::nearest("fix_isue"), Some("fix-issue"));
}

#[test]
fn every_profile_says_what_it_permits() {
    let mut shown = String::new();
    for profile in profile::list() {
        let info = profile.info();
        let permissions = envelope(&info.name);
        writeln!(shown, "{} ({}): {}", info.name, info.status.as_str(), info.summary).unwrap();
        assert_eq!(info.note.is_some(), info.status == ProfileStatus::Partial, "{}", info.name);
        for (operation, level) in permissions.levels.iter().filter(|(_, l)| *l != Level::Never) {
            writeln!(shown, "  {operation} = {level}").unwrap();
        }
        let budget = permissions.budget;
        writeln!(
            shown,
            "  {}, {} in, {} out, {} min, isolation {}, gate {}",
            budget.max_cost,
            budget.max_input_tokens,
            budget.max_output_tokens,
            (permissions.time.not_after_ms() - START_MS) / 60_000,
            permissions.isolation.minimum,
            if Gate::new(&permissions, GateMode::Static).armed() { "closed" } else { "open" },
        )
        .unwrap();
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn every_profile_names_all_its_limits() {
    for profile in profile::list() {
        let unlimited = Defaults {
            provider: None,
            budget: BudgetLimits::top(),
            valid_minutes: u64::from(u32::MAX),
        };
        let permissions = profile.policy().envelope(START_MS, &unlimited);
        let top = BudgetLimits::top();
        assert!(permissions.budget.max_cost < top.max_cost);
        assert!(permissions.budget.max_input_tokens < top.max_input_tokens);
        assert!(permissions.budget.max_output_tokens < top.max_output_tokens);
        assert!(permissions.time.not_after_ms() - START_MS <= 24 * 3_600_000);
        assert!(permissions.network.is_bottom());
    }
}

#[test]
fn profiles_are_ordered() {
    for (lower, higher) in [
        ("restrictive", "read-only"),
        ("read-only", "fix-issue"),
        ("fix-issue", "full"),
        ("read-only", "code-review"),
        ("code-review", "full"),
        ("web-research", "full"),
    ] {
        assert!(envelope(lower).leq(&envelope(higher)), "{lower} <= {higher}");
        assert!(!envelope(higher).leq(&envelope(lower)), "{lower} < {higher}");
    }
}

/// The work of a real agent on a real issue, and what must not happen on the way.
#[test]
fn a_task_under_fix_issue_needs_no_approval() {
    for request in [
        at(|path| Action::Read { path }, "src/main.rs"),
        at(|root| Action::Grep { root }, "."),
        at(|root| Action::Glob { root, pattern: "**/*.rs".into() }, "."),
        at(|path| Action::Edit { path }, "src/main.rs"),
        at(|path| Action::Write { path }, "tests/new_test.rs"),
        at(|path| Action::Edit { path }, "Cargo.toml"),
        run("cd sub && cargo test 2>&1 | tail -5"),
        run("cargo build --release"),
        run("npm test"),
        run("python3 -m pytest -q"),
        run("bash -c 'for f in *; do echo $f; done'"),
        run("rm -rf target"),
        run("git status"),
        run("git diff HEAD"),
        run("git add -A"),
        run("git commit -m 'Fix the bug'").on_branch("main"),
        run("git commit -am fix"),
    ] {
        assert_eq!(word(&verdict("fix-issue", &request)), "allow", "{:?}", request.action());
    }
    for request in [
        run("git push"),
        run("git -C . push origin HEAD"),
        run("sh -c 'git push'"),
        run("gh pr create --draft"),
        at(|path| Action::Read { path }, ".env"),
    ] {
        assert_eq!(word(&verdict("fix-issue", &request)), "deny", "{:?}", request.action());
    }
    for path in [".git/hooks/pre-commit", ".github/workflows/ci.yml", ".vscode/tasks.json"] {
        let request = at(|path| Action::Write { path }, path);
        assert_eq!(word(&verdict("fix-issue", &request)), "approval", "{path}");
    }
}

#[test]
fn gates_close_where_all_three_legs_are_there_and_nowhere_else() {
    for profile in profile::list() {
        let name = profile.info().name.as_str();
        let gate = Gate::new(&envelope(name), GateMode::Static);
        assert_eq!(gate.armed(), name == "full", "{name}");
    }
    for (request, operation) in [
        (run("git push"), Operation::GitPush),
        (run("cargo test"), Operation::RunBash),
        (run("gh pr create"), Operation::CreatePr),
    ] {
        let verdict = verdict("full", &request);
        let asked = match &verdict {
            Verdict::NeedsApproval(obligation) => Some(obligation.operation()),
            _ => None,
        };
        assert_eq!(asked, Some(operation), "{verdict:?}");
    }
    // What carries nothing out is not asked.
    let edit = at(|path| Action::Edit { path }, ".github/workflows/ci.yml");
    assert_eq!(word(&verdict("full", &edit)), "allow");
}

#[test]
fn profiles_that_only_look_cannot_act() {
    for name in ["read-only", "restrictive", "code-review", "web-research"] {
        for request in [
            run("true"),
            at(|path| Action::Write { path }, "a"),
            at(|path| Action::Edit { path }, "a"),
            Request::new(Action::GitPush { branches: None }, POD),
        ] {
            assert_eq!(word(&verdict(name, &request)), "deny", "{name}");
        }
        let read = at(|path| Action::Read { path }, "src/main.rs");
        assert_eq!(word(&verdict(name, &read)), "allow", "{name}: positive control");
    }
}
