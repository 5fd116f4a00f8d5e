use super::*;
use crate::host::{Host, HostPattern, Hosts};
use crate::level::Levels;
use crate::packages::{Packages, Registry};
use crate::program::ResolvedProgram;
use crate::rel_path::RelPath;
use crate::request::{Action, Method, PodContext};
use crate::verdict::Strictness;

fn envelope(operations: &[Operation], network: bool) -> Permissions {
    let levels = operations
        .iter()
        .fold(Levels::bottom(), |levels, operation| levels.with(*operation, Level::Ask));
    let host = HostPattern::parse("crates.io").unwrap();
    let network = if network { Hosts::only([host]) } else { Hosts::bottom() };
    Permissions { levels, network, packages: Packages::bottom(), ..Permissions::top() }
}

fn armed(operations: &[Operation], network: bool, mode: GateMode) -> bool {
    Gate::new(&envelope(operations, network), mode).armed()
}

fn run(network: bool) -> Request {
    let argv = vec!["true".to_owned()];
    let program = ResolvedProgram::unresolved("true");
    Request::new(
        Action::Run { argv, program },
        PodContext { network, credentials: false, overlay_only: true },
    )
}

fn simple(action: Action) -> Request {
    Request::new(action, PodContext { network: true, credentials: false, overlay_only: true })
}

fn fetch() -> Request {
    let host = Host::parse("a.com").unwrap();
    simple(Action::WebFetch { host, method: Method::Get, body: false })
}

fn push() -> Request {
    simple(Action::GitPush { branches: None })
}

fn read() -> Request {
    simple(Action::Read { path: RelPath::root() })
}

fn asks(gate: &Gate, label: Label, request: &Request) -> bool {
    gate.verdict(label, request).strictness() == Strictness::NeedsApproval
}

#[test]
fn three_legs_arm_the_gate_and_two_do_not() {
    use Operation::{
        CreatePr, GitCommit, GitPush, GlobSearch, ReadFiles, RunBash, WebFetch, WebSearch,
        WriteFiles,
    };
    let fixed = GateMode::Static;
    assert!(armed(&[ReadFiles, WebFetch, GitPush], false, fixed));
    assert!(armed(&[GlobSearch, WebSearch, CreatePr], false, fixed));
    assert!(armed(&[WebFetch, RunBash], false, fixed), "a command reads and sends");
    assert!(armed(&[RunBash], true, fixed), "with network a command is all three");
    assert!(
        !armed(&[ReadFiles, WriteFiles, RunBash, GitCommit], false, fixed),
        "write, run and commit offline"
    );
    assert!(!armed(&[ReadFiles, WebFetch], false, fixed));
    assert!(armed(&[ReadFiles, WebFetch], false, GateMode::Exposure), "a URL carries data");
    assert!(!armed(&[WebFetch, GitPush], false, fixed));
    assert!(!armed(&[], true, fixed));
}

#[test]
fn the_static_gate_asks_for_ways_out_and_nothing_else() {
    let gate = Gate::new(&Permissions::top(), GateMode::Static);
    for request in [push(), run(false), simple(Action::CreatePr { plain_draft: true })] {
        assert!(asks(&gate, Label::default(), &request));
    }
    for request in [read(), fetch(), simple(Action::GitCommit { overrides: false })] {
        assert!(!asks(&gate, Label::default(), &request));
    }
    let open =
        Gate::new(&envelope(&[Operation::ReadFiles, Operation::GitPush], false), GateMode::Static);
    assert!(!asks(&open, Label { private: true, untrusted: true }, &push()), "positive control");
}

#[test]
fn the_exposure_gate_leaves_clean_tasks_alone() {
    let gate = Gate::new(&Permissions::top(), GateMode::Exposure);
    let clean = Label::default();
    let private = gate.after(clean, &read());
    assert_eq!(private, Label { private: true, untrusted: false });
    assert!(!asks(&gate, clean, &push()) && !asks(&gate, private, &push()));
    assert!(
        !asks(&gate, private, &fetch()),
        "the URL was written before anything untrusted was seen"
    );
    let exposed = gate.after(private, &fetch());
    assert!(
        asks(&gate, exposed, &push())
            && asks(&gate, exposed, &fetch())
            && asks(&gate, exposed, &run(false))
    );
    assert!(!asks(&gate, exposed, &read()));
}

#[test]
fn a_connected_command_is_an_exposure_of_its_own() {
    let gate = Gate::new(&Permissions::top(), GateMode::Exposure);
    assert!(asks(&gate, Label::default(), &run(true)));
    assert!(!asks(&gate, Label::default(), &run(false)), "positive control");
    assert_eq!(
        gate.after(Label::default(), &run(false)),
        Label { private: true, untrusted: false }
    );
}

#[test]
fn taking_a_leg_away_later_does_not_open_the_gate() {
    let operator =
        envelope(&[Operation::ReadFiles, Operation::WebFetch, Operation::GitPush], false);
    let tightened = operator.meet(&envelope(&[Operation::ReadFiles, Operation::GitPush], false));
    // The gate of the tightened envelope would be open, which is why it is not computed from it.
    assert!(!Gate::new(&tightened, GateMode::Static).armed());
    assert!(Gate::new(&operator, GateMode::Static).armed());
}

#[test]
fn packages_are_untrusted_and_no_way_out() {
    let with = |operations: &[Operation], packages: Packages, network: bool| {
        let envelope = Permissions { packages, ..envelope(operations, network) };
        Gate::new(&envelope, GateMode::Static)
    };
    let cargo = || Packages::only([Registry::Cargo]);
    let run_and_push = [Operation::RunBash, Operation::GitPush];
    let offline = with(&[Operation::RunBash], cargo(), false);
    assert!(!offline.armed(), "what runs sends names, and only to registries");
    let pushing = with(&run_and_push, cargo(), false);
    assert!(pushing.armed() && asks(&pushing, Label::default(), &push()));
    assert!(!asks(&pushing, Label::default(), &run(false)));
    assert!(!with(&run_and_push, Packages::bottom(), false).armed(), "positive control");
    let connected = with(&[Operation::RunBash], cargo(), true);
    assert!(asks(&connected, Label::default(), &run(true)), "hosts are a way out as ever");

    let fetched = simple(Action::PackageFetch { registry: Registry::Cargo });
    let exposure = Gate::new(&Permissions::top(), GateMode::Exposure);
    let label = exposure.after(Label { private: true, untrusted: false }, &fetched);
    assert!(label.untrusted && asks(&exposure, label, &run(false)));
}
