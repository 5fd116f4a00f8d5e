//! Commands that go on in the background: servers and long output of one task, and nothing of them after it.

#![expect(clippy::unwrap_used, reason = "a test says what broke by ending there")]

#[path = "jobs/ending.rs"]
mod ending;
#[path = "jobs/paging.rs"]
mod paging;
#[path = "jobs/publish.rs"]
mod publish;
#[path = "jobs/server.rs"]
mod server;

use serde_json::{Value, json};
use testkit::host::{Account, Host, Task, programs};
use testkit::script::{Action, Ending, Script, Step};

/// A tool call that must succeed and show `needle`.
pub(crate) fn call(name: &str, args: Value, needle: &str) -> Step {
    Step {
        action: Some(Action::Tool { name: name.to_owned(), args }),
        expect: Some(Ending::Ok),
        contains: Some(needle.to_owned()),
        ..Step::default()
    }
}

/// A command whose output must show `needle`.
pub(crate) fn run(command: &str, needle: &str) -> Step {
    call("run", json!({"command": command, "timeout_s": 120}), needle)
}

/// A host for every account there is.
pub(crate) fn hosts() -> Vec<Host> {
    let bins = programs();
    Account::all().into_iter().map(|account| Host::new(&bins, account)).collect()
}

/// A task that plays `steps` and then waits until its `tmp/go` is there.
pub(crate) fn meet(host: &Host, mut steps: Vec<Step>, options: &[&str]) -> Task {
    steps.push(run("touch /tmp/arrived; until [ -e /tmp/go ]; do sleep 0.05; done", "exit 0"));
    let mut command = host.script_command(&Script { steps }, options);
    let mut task = host.start(&mut command);
    let arrived = |host: &Host| {
        host.sessions().last().is_some_and(|session| session.join("tmp/arrived").exists())
    };
    assert!(task.until(|_| arrived(host)), "{}", task.printed());
    task
}

/// Lets a task that waits go on.
pub(crate) fn go_on(host: &Host) {
    std::fs::write(host.sessions().last().unwrap().join("tmp/go"), "").unwrap();
}
