use super::*;
use crate::amount::{MicroUsd, Tokens};
use crate::budget::BudgetLimits;
use crate::level::{Level, Levels};
use crate::name::Name;
use crate::program::ResolvedProgram;
use crate::request::PodContext;
use crate::split::split_command;

const CONTAINED: PodContext = PodContext { network: false, credentials: false, overlay_only: true };

fn plenty() -> BudgetView {
    BudgetView::whole(&BudgetLimits::top())
}

fn run(line: &str) -> Request {
    let argv = split_command(line).into_argv();
    let program = ResolvedProgram::unresolved(&argv[0]);
    Request::new(Action::Run { argv, program }, CONTAINED)
}

fn classifier() -> Classifier {
    Classifier::new(crate::classifier::RiskData {
        version: 1,
        sensitive: [].into(),
        sensitive_exceptions: [].into(),
        executed: [].into(),
        low_risk_commands: [].into(),
        protected_branches: [].into(),
        agent_branch_prefixes: [].into(),
    })
}

fn envelope() -> (Envelope, GrantAuthority) {
    Envelope::new(Permissions::top(), classifier(), GateMode::Static)
}

fn obligation(envelope: &Envelope, label: Label, request: &Request) -> Obligation {
    match decide(envelope, label, request, 0, &plenty()) {
        Decision::NeedsApproval(obligation) => obligation,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_push_under_a_closed_gate_needs_approval_and_a_grant_gives_it_once() {
    let (envelope, authority) = envelope();
    let request = run("git push");
    let asked = obligation(&envelope, Label::default(), &request);
    assert_eq!(asked.operation().name(), "git_push");
    let grant = authority.grant(&request, &asked);
    let Decision::Allow(permit) =
        decide_with_grant(&envelope, Label::default(), &request, 0, &plenty(), grant)
    else {
        panic!()
    };
    assert_eq!(permit.granted(), Some(&asked));
    assert!(permit.label().private);
    // The grant is gone with the decision: without another one it is asked again.
    assert_eq!(obligation(&envelope, Label::default(), &request), asked);
}

#[test]
fn a_grant_is_for_these_arguments_only() {
    let (envelope, authority) = envelope();
    let approved = run("git log a b").with_digest([1; 32]);
    let asked = obligation(&envelope, Label::default(), &approved);
    let split = Request::new(
        Action::Run {
            argv: ["git", "log", "a b"].map(str::to_owned).to_vec(),
            program: ResolvedProgram::unresolved("git"),
        },
        CONTAINED,
    )
    .with_digest([1; 32]);
    for other in [split, run("git log a b").with_digest([2; 32]), run("git log a b")] {
        let grant = authority.grant(&approved, &asked);
        let decision = decide_with_grant(&envelope, Label::default(), &other, 0, &plenty(), grant);
        assert!(matches!(decision, Decision::NeedsApproval(_)), "{decision:?}");
    }
    let grant = authority.grant(&approved, &asked);
    let decision = decide_with_grant(&envelope, Label::default(), &approved, 0, &plenty(), grant);
    assert!(matches!(decision, Decision::Allow(_)), "positive control");
}

#[test]
fn a_grant_of_another_authority_is_worth_nothing() {
    let (envelope, _authority) = envelope();
    let (_, stranger) = Envelope::new(Permissions::top(), classifier(), GateMode::Static);
    let request = run("git push");
    let asked = obligation(&envelope, Label::default(), &request);
    let grant = stranger.grant(&request, &asked);
    let decision = decide_with_grant(&envelope, Label::default(), &request, 0, &plenty(), grant);
    assert!(matches!(decision, Decision::NeedsApproval(_)));
}

#[test]
fn a_grant_lifts_no_denial() {
    let (envelope, authority) = envelope();
    let request = run("git push");
    let asked = obligation(&envelope, Label::default(), &request);
    let ceiling = Permissions {
        levels: Levels::top().with(Operation::GitPush, Level::Never),
        ..Permissions::top()
    };
    let tightened = envelope.tighten(&ceiling);
    let grant = authority.grant(&request, &asked);
    let decision = decide_with_grant(&tightened, Label::default(), &request, 0, &plenty(), grant);
    assert!(matches!(decision, Decision::Deny(Reason::CapabilityNever { .. })));
}

#[test]
fn a_grant_does_not_cover_a_gate_that_closed_since() {
    let levels = Levels::top().with(Operation::GitPush, Level::Ask);
    let (envelope, authority) = Envelope::new(
        Permissions { levels, ..Permissions::top() },
        classifier(),
        GateMode::Exposure,
    );
    let request = run("git push");
    let asked = obligation(&envelope, Label::default(), &request);
    let exposed = Label { private: true, untrusted: true };
    let late = decide_with_grant(
        &envelope,
        exposed,
        &request,
        0,
        &plenty(),
        authority.grant(&request, &asked),
    );
    let Decision::NeedsApproval(more) = late else { panic!("{late:?}") };
    assert!(more.causes().len() > asked.causes().len());
    let decision = decide_with_grant(
        &envelope,
        exposed,
        &request,
        0,
        &plenty(),
        authority.grant(&request, &more),
    );
    assert!(matches!(decision, Decision::Allow(_)), "positive control");
}

#[test]
fn tightening_keeps_the_gate() {
    let (envelope, _authority) = envelope();
    let levels = Levels::top()
        .with(Operation::WebFetch, Level::Never)
        .with(Operation::WebSearch, Level::Never);
    let ceiling =
        Permissions { levels, network: crate::host::Hosts::bottom(), ..Permissions::top() };
    let tightened = envelope.tighten(&ceiling);
    assert!(tightened.gate().armed());
    assert!(matches!(
        decide(&tightened, Label::default(), &run("true"), 0, &plenty()),
        Decision::NeedsApproval(_)
    ));
    let (fresh, _) = Envelope::new(ceiling, classifier(), GateMode::Static);
    assert!(matches!(
        decide(&fresh, Label::default(), &run("true"), 0, &plenty()),
        Decision::Allow(_)
    ));
}

#[test]
fn an_empty_budget_denies() {
    let (envelope, _authority) = envelope();
    let read = Request::new(Action::Read { path: RelPath::root() }, CONTAINED);
    let name = |text: &str| Name::parse(text).unwrap();
    let call = Request::new(Action::ModelCall { provider: name("a"), model: name("m") }, CONTAINED);
    let code = |request: &Request, budget: &BudgetView| match decide(
        &envelope,
        Label::default(),
        request,
        0,
        budget,
    ) {
        Decision::Deny(reason) => reason.code(),
        Decision::Allow(_) => "allow",
        Decision::NeedsApproval(_) => "ask",
    };
    assert_eq!(code(&read, &BudgetView { cost: MicroUsd::ZERO, ..plenty() }), "deny.budget.cost");
    let no_input = BudgetView { input: Tokens::ZERO, ..plenty() };
    assert_eq!(code(&call, &no_input), "deny.budget.input_tokens");
    assert_eq!(
        code(&call, &BudgetView { output: Tokens::ZERO, ..plenty() }),
        "deny.budget.output_tokens"
    );
    assert_eq!(code(&read, &no_input), "allow");
    assert_eq!(code(&call, &plenty()), "allow");
}

#[test]
fn resolved_names_are_judged_like_requested_ones() {
    let paths = crate::path::Paths::from_rules(None, Vec::new(), &Classifier::default());
    let (envelope, _authority) = Envelope::new(
        Permissions { paths, ..Permissions::top() },
        Classifier::default(),
        GateMode::Static,
    );
    let path = |text: &str| RelPath::parse(text).unwrap();
    assert!(envelope.admits_path(Operation::ReadFiles, &path("notes.txt")).is_ok());
    // What a symlink `notes.txt -> .env` resolves to.
    let refused = envelope.admits_path(Operation::ReadFiles, &path(".env")).unwrap_err();
    assert_eq!(refused.code(), "deny.path.sensitive");
    let shown = |text: &str| envelope.visible(Operation::GrepSearch, &path(text));
    assert!(shown("src/a.rs") && !shown("a/.env"));
}

#[test]
fn a_search_shows_no_secret_that_a_read_would_ask_for() {
    let shown = |level| {
        let levels = Levels::top().with(Operation::GrepSearch, level);
        let permissions = Permissions { levels, ..Permissions::top() };
        let (envelope, _authority) =
            Envelope::new(permissions, Classifier::default(), GateMode::Static);
        let env = RelPath::parse(".env").unwrap();
        assert!(envelope.visible(Operation::GrepSearch, &RelPath::parse("src/a.rs").unwrap()));
        envelope.visible(Operation::GrepSearch, &env)
    };
    assert!(!shown(Level::LowRisk) && !shown(Level::Ask));
    assert!(shown(Level::Always), "positive control: every sensitive path is allowed here");
}
