//! A task that stops in the middle, so that the user can do something meanwhile.

use serde_json::{Value, json};
use testkit::host::{Account, Host, Outcome, programs};
use testkit::script::{Action, Script, Step};

/// A tool call.
pub(crate) fn call(name: &str, args: Value) -> Step {
    Step { action: Some(Action::Tool { name: name.to_owned(), args }), ..Step::default() }
}

/// A command in a tool pod.
pub(crate) fn run(command: &str) -> Step {
    call("run", json!({"command": command, "timeout_s": 120}))
}

/// A script of these steps.
pub(crate) fn script(steps: Vec<Step>) -> Script {
    Script { steps }
}

/// A host for every account there is.
pub(crate) fn hosts() -> Vec<Host> {
    let bins = programs();
    Account::all().into_iter().map(|account| Host::new(&bins, account)).collect()
}

/// Plays `steps` under `fix-issue`, lets `meanwhile` happen on the host, then lets the agent end.
pub(crate) fn meet(host: &Host, mut steps: Vec<Step>, meanwhile: impl FnOnce(&Host)) -> Outcome {
    steps.push(run("touch /tmp/arrived; until [ -e /tmp/go ]; do sleep 0.01; done"));
    let mut command = host.script_command(&script(steps), &["--profile", "fix-issue"]);
    let mut task = host.start(&mut command);
    let arrived = || {
        let tmp = host.sessions().last()?.join("tmp");
        tmp.join("arrived").exists().then_some(tmp)
    };
    assert!(task.until(|_| arrived().is_some()), "{}", task.printed());
    let tmp = arrived().unwrap();
    meanwhile(host);
    std::fs::write(tmp.join("go"), "").unwrap();
    task.outcome().0
}

/// A program of the host, run by its user in the workspace; it must succeed.
pub(crate) fn as_user(host: &Host, argv: &[&str]) -> String {
    let program = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .map(|dir| dir.join(argv[0]))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{} is not on this host", argv[0]));
    let mut command = host.account().command(&program);
    command.args(&argv[1..]).current_dir(host.workspace()).env("HOME", host.home());
    let outcome = Outcome::of(&mut command);
    assert_eq!(outcome.code, Some(0), "{argv:?}: {outcome}");
    outcome.stdout
}

/// A repository with one commit.
pub(crate) fn repository(host: &Host) {
    host.file("README.md", "first\n");
    as_user(host, &["git", "init", "--quiet", "--initial-branch=main", "."]);
    as_user(host, &["git", "config", "user.email", "user@example.com"]);
    as_user(host, &["git", "config", "user.name", "User"]);
    as_user(host, &["git", "add", "."]);
    as_user(host, &["git", "commit", "--quiet", "--message=first"]);
}

/// The subjects of the commits of HEAD, newest first.
pub(crate) fn subjects(host: &Host) -> String {
    as_user(host, &["git", "log", "--format=%s"])
}
