use std::sync::LazyLock;

use super::*;
use crate::command::CommandLattice;
use crate::command_pattern::CommandPattern;
use crate::delegation::DelegationDepth;
use crate::host::{Host, HostPattern, Hosts};
use crate::level::Levels;
use crate::name::{Name, Names};
use crate::path::{PathRules, Paths};
use crate::path_pattern::PathPattern;
use crate::program::ResolvedProgram;
use crate::rel_path::RelPath;
use crate::request::{Method, PodContext};
use crate::split::split_command;
use crate::time::TimeWindow;
use crate::verdict::Strictness;

static CLASSIFIER: LazyLock<Classifier> = LazyLock::new(Classifier::default);

const CONTAINED: PodContext = PodContext { network: false, credentials: false, overlay_only: true };

fn run(line: &str) -> Request {
    let argv = split_command(line).into_argv();
    let program = ResolvedProgram::unresolved(argv.first().map_or("", String::as_str));
    Request::new(Action::Run { argv, program }, CONTAINED)
}

fn read(path: &str) -> Request {
    Request::new(Action::Read { path: RelPath::parse(path).unwrap() }, CONTAINED)
}

fn write(path: &str) -> Request {
    Request::new(Action::Write { path: RelPath::parse(path).unwrap() }, CONTAINED)
}

fn capable(levels: &[(Operation, Level)]) -> Permissions {
    let levels = levels
        .iter()
        .fold(Levels::bottom(), |all, (operation, level)| all.with(*operation, *level));
    Permissions { levels, ..Permissions::top() }
}

fn code(permissions: &Permissions, request: &Request) -> &'static str {
    match judge(permissions, &CLASSIFIER, request, 5) {
        Verdict::Deny(reason) => reason.code(),
        Verdict::NeedsApproval(obligation) => obligation.code(),
        Verdict::Allow => "allow",
    }
}

#[test]
fn each_level_means_something_else() {
    let levels = [
        (Level::Never, "deny.capability.never", "deny.capability.never"),
        (Level::Ask, "ask.capability.level", "ask.capability.level"),
        (Level::LowRisk, "allow", "ask.capability.risk"),
        (Level::Always, "allow", "allow"),
    ];
    for (level, ordinary, hook) in levels {
        let permissions = capable(&[(Operation::WriteFiles, level)]);
        assert_eq!(code(&permissions, &write("src/main.rs")), ordinary);
        assert_eq!(code(&permissions, &write(".git/hooks/pre-commit")), hook);
    }
}

#[test]
fn a_command_needs_the_operations_it_openly_is() {
    let no_push =
        capable(&[(Operation::RunBash, Level::Always), (Operation::GitCommit, Level::Always)]);
    for line in
        ["git push", "git -C . push", "env git push", "cd x && git push", "sh -c 'git push'"]
    {
        let verdict = judge(&no_push, &CLASSIFIER, &run(line), 5);
        assert_eq!(
            verdict,
            Verdict::Deny(Reason::CapabilityNever { operation: Operation::GitPush }),
            "{line}"
        );
    }
    assert_eq!(code(&no_push, &run("git commit -m x")), "allow");
    assert_eq!(code(&no_push, &run("cd sub && cargo test 2>&1 | tail -5")), "allow");
    let no_run = capable(&[(Operation::GitPush, Level::Always)]);
    assert_eq!(
        judge(&no_run, &CLASSIFIER, &run("git push"), 5),
        Verdict::Deny(Reason::CapabilityNever { operation: Operation::RunBash })
    );
}

#[test]
fn the_most_specific_operation_is_asked_for() {
    let ask = capable(&[(Operation::RunBash, Level::Ask), (Operation::GitPush, Level::Ask)]);
    let Verdict::NeedsApproval(obligation) = judge(&ask, &CLASSIFIER, &run("git push"), 5) else {
        panic!()
    };
    assert_eq!(obligation.operation().name(), "git_push");
    assert_eq!(obligation.operations().len(), 2);
}

#[test]
fn every_dimension_can_deny() {
    let top = Permissions::top();
    let bare = |permissions: Permissions, request: &Request| code(&permissions, request);
    assert_eq!(
        bare(Permissions { time: TimeWindow::new(6, 9), ..top.clone() }, &read("a")),
        "deny.time.not_yet"
    );
    assert_eq!(
        bare(Permissions { time: TimeWindow::new(0, 5), ..top.clone() }, &read("a")),
        "deny.time.expired"
    );

    let blocked = PathRules::except([PathPattern::parse("a").unwrap()]);
    let paths = Paths { rules: blocked.clone(), sensitive: PathRules::top() };
    assert_eq!(bare(Permissions { paths, ..top.clone() }, &read("a")), "deny.path.blocked");
    let hidden = crate::model::Models { providers: Names::top(), visible: blocked };
    let permissions = Permissions { model: hidden, ..top.clone() };
    assert_eq!(bare(permissions.clone(), &read("a")), "deny.path.hidden_from_model");
    assert_eq!(bare(permissions, &write("a")), "allow");

    let commands =
        CommandLattice::from_rules(Some(vec![CommandPattern::program("cargo")]), Vec::new());
    let permissions = Permissions { commands, ..top.clone() };
    assert_eq!(bare(permissions.clone(), &run("cargo test")), "allow");
    assert_eq!(bare(permissions.clone(), &run("make")), "deny.command.not_allowed");
    assert_eq!(bare(permissions, &run("")), "deny.command.empty");

    let fetch = |host: &str| {
        let host = Host::parse(host).unwrap();
        Request::new(Action::WebFetch { host, method: Method::Get, body: false }, CONTAINED)
    };
    let network = Hosts::only([HostPattern::parse("a.com").unwrap()]);
    let permissions = Permissions { network, ..top.clone() };
    assert_eq!(bare(permissions.clone(), &fetch("a.com")), "allow");
    assert_eq!(bare(permissions, &fetch("b.com")), "deny.network.host");

    let name = |text: &str| Name::parse(text).unwrap();
    let call = |provider: &str| {
        Request::new(Action::ModelCall { provider: name(provider), model: name("m") }, CONTAINED)
    };
    let providers = Names::from_iter([name("anthropic")]);
    let model = crate::model::Models { providers, visible: PathRules::top() };
    let permissions = Permissions { model, ..top.clone() };
    assert_eq!(bare(permissions.clone(), &call("anthropic")), "allow");
    assert_eq!(bare(permissions, &call("openai")), "deny.model.provider");

    let permissions =
        Permissions { credentials: Names::from_iter([name("deploy")]), ..top.clone() };
    assert_eq!(bare(permissions.clone(), &read("a").using_credential(name("deploy"))), "allow");
    assert_eq!(
        bare(permissions, &read("a").using_credential(name("root"))),
        "deny.credential.not_allowed"
    );

    let spawn = |depth| Request::new(Action::SpawnAgent { depth }, CONTAINED);
    let permissions = Permissions { delegation: DelegationDepth::new(1), ..top };
    assert_eq!(bare(permissions.clone(), &spawn(1)), "allow");
    assert_eq!(bare(permissions.clone(), &spawn(2)), "deny.delegation.depth");
    assert_eq!(bare(permissions, &spawn(0)), "deny.delegation.depth");
}

#[test]
fn searches_obey_the_path_policy_like_reads() {
    let classifier = &*CLASSIFIER;
    let paths = Paths::from_rules(None, vec![PathPattern::parse("secret").unwrap()], classifier);
    let permissions = Permissions { paths, ..Permissions::top() };
    for root in ["secret", "deep/secret/inner"] {
        let root = RelPath::parse(root).unwrap();
        for action in [
            Action::Grep { root: root.clone() },
            Action::Glob { root: root.clone(), pattern: "*".to_owned() },
            Action::Read { path: root.clone() },
        ] {
            assert_eq!(code(&permissions, &Request::new(action, CONTAINED)), "deny.path.blocked");
        }
        assert!(permissions.admit_path(classifier, Operation::GrepSearch, &root).is_err());
    }
    let grep = Request::new(Action::Grep { root: RelPath::root() }, CONTAINED);
    assert_eq!(code(&permissions, &grep), "allow");
    let env = RelPath::parse(".env").unwrap();
    assert!(
        permissions.admit_path(classifier, Operation::GrepSearch, &env).is_err(),
        "filtered from results"
    );
}

#[test]
fn an_unnamed_secret_is_denied_whatever_the_level() {
    for level in [Level::Ask, Level::LowRisk, Level::Always] {
        let paths = Paths::from_rules(None, Vec::new(), &CLASSIFIER);
        let permissions = Permissions { paths, ..capable(&[(Operation::ReadFiles, level)]) };
        assert_eq!(code(&permissions, &read(".env")), "deny.path.sensitive");
    }
    // Allowed by name, the level decides again.
    let named = Some(vec![PathPattern::parse(".env").unwrap()]);
    let paths = Paths::from_rules(named, Vec::new(), &CLASSIFIER);
    let permissions = Permissions { paths, ..capable(&[(Operation::ReadFiles, Level::LowRisk)]) };
    assert_eq!(code(&permissions, &read(".env")), "ask.capability.risk");
}

#[test]
fn nothing_passes_the_bottom_and_a_model_call_is_no_exception() {
    let name = |text: &str| Name::parse(text).unwrap();
    let call = Request::new(Action::ModelCall { provider: name("a"), model: name("b") }, CONTAINED);
    for request in [read("a"), run("true"), call] {
        let verdict = judge(&Permissions::bottom(), &CLASSIFIER, &request, 0);
        assert_eq!(verdict.strictness(), Strictness::Deny);
        assert_eq!(
            judge(&Permissions::top(), &CLASSIFIER, &request, 0),
            Verdict::Allow,
            "positive control"
        );
    }
}
