//! One row: an attack, the layers that hold it, and the runs that show it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use testkit::host::{Account, Host, programs, weakened_programs};
use testkit::script::{Action, Script, Step};

/// What an attack came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The canary was hit.
    Worked,
    /// It was held; the text shows how.
    Held(String),
}

impl Attempt {
    /// Worked when `hit`.
    pub(crate) fn when(hit: bool, evidence: impl ToString) -> Self {
        if hit { Self::Worked } else { Self::Held(evidence.to_string()) }
    }
}

/// Runs a row: held as built; worked with all of `layers` off; held with each of them alone.
///
/// `layers` are switches of the test builds. Some rows need more switched off for the attack to have anything
/// to reach (`beside`): those layers do not hold the row themselves.
pub(crate) fn row(test: &str, layers: &[&str], beside: &[&str], attack: impl Fn(&Host) -> Attempt) {
    row_for(test, |_| layers.to_vec(), beside, attack);
}

/// As [`row`], where accounts have different layers: control groups are root's here.
pub(crate) fn row_for<'a>(
    test: &str,
    layers_of: impl Fn(Account) -> Vec<&'a str>,
    beside: &[&str],
    attack: impl Fn(&Host) -> Attempt,
) {
    let (bins, weakened) = (programs(), weakened_programs());
    for account in Account::all() {
        let layers = layers_of(account);
        let as_built = attack(&prepared(Host::new(&bins, account)));
        assert!(matches!(as_built, Attempt::Held(_)), "{test}: the attack worked as {account:?}");
        let all = off(&layers, beside);
        let control = attack(&prepared(Host::weakened(&weakened, account, &all)));
        assert_eq!(
            control,
            Attempt::Worked,
            "{test}: the control is green with {all} off as {account:?}: the test shows nothing"
        );
        if layers.len() < 2 {
            continue;
        }
        for alone in &layers {
            let others: Vec<&str> = layers.iter().copied().filter(|layer| layer != alone).collect();
            let switched = off(&others, beside);
            let held = attack(&prepared(Host::weakened(&weakened, account, &switched)));
            assert!(
                matches!(held, Attempt::Held(_)),
                "{test}: {alone} alone does not hold it as {account:?}"
            );
        }
    }
}

/// The self-test would refuse a weakened pod, which is its purpose.
fn off(layers: &[&str], beside: &[&str]) -> String {
    ["self-test"].iter().chain(layers).chain(beside).copied().collect::<Vec<_>>().join(",")
}

fn prepared(host: Host) -> Host {
    let program = host.workspace().join("attack");
    std::fs::copy(attack_program(), &program).expect("a copy of the attack program");
    host.file("README.md", "# A repository\n");
    host
}

/// The attack program, built once.
fn attack_program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("attacks/attack.c");
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("attack");
        let status =
            Command::new("cc").args(["-static", "-O1", "-o"]).arg(&program).arg(source).status();
        assert!(status.is_ok_and(|s| s.success()), "cc cannot build the attack program");
        program
    })
}

/// Runs the attack program in a tool pod.
pub(crate) fn run_attack(host: &Host, args: &[&str]) -> Attempt {
    let mut argv = vec!["./attack"];
    argv.extend(args);
    let outcome = host.run(&argv);
    let ran = outcome.stdout.contains("held:")
        || outcome.stdout.contains("worked:")
        || outcome.stdout.contains("made ");
    assert!(
        ran || outcome.code == Some(1) || outcome.code == Some(0),
        "the attack did not run: {outcome}"
    );
    Attempt::when(outcome.code == Some(0), &outcome)
}

/// A tool call of a script.
pub(crate) fn call(name: &str, args: serde_json::Value) -> Step {
    Step { action: Some(Action::Tool { name: name.to_owned(), args }), ..Step::default() }
}

/// A command of the agent's own shell.
pub(crate) fn own_shell(text: &str) -> Step {
    Step { action: Some(Action::Shell(text.to_owned())), ..Step::default() }
}

/// A script of these steps.
pub(crate) fn script(steps: Vec<Step>) -> Script {
    Script { steps }
}
