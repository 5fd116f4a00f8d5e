//! A build of five minutes under a client that gives every call up after one: Codex's `tool_timeout_sec` when nobody
//! sets it. Nothing is scaled: it takes five minutes, beside the other suites.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::host::{Account, Host, programs};
use testkit::script::{Action, Ending, Script, Step};

/// Seconds after which the client gives a call up.
const CLIENT_S: u64 = 60;
/// Seconds the build takes at least.
const BUILD_S: u64 = 300;
/// Calls of up to 30 s each that wait for the end: enough for a build that a busy machine makes twice as long.
const WAITS: usize = 20;

fn call(name: &str, args: Value, needle: Option<&str>) -> Step {
    Step {
        action: Some(Action::Tool { name: name.to_owned(), args }),
        expect: Some(Ending::Ok),
        contains: needle.map(str::to_owned),
        within_s: Some(CLIENT_S),
        ..Step::default()
    }
}

fn build_as(account: Account) {
    let host = Host::new(&programs(), account);
    host.file(
        "build.sh",
        format!("for i in $(seq {BUILD_S}); do echo step $i of {BUILD_S}; sleep 1; done; echo made > artifact\n"),
    );
    let mut steps = vec![
        call(
            "run",
            json!({"command": "sh build.sh", "timeout_s": 1200}),
            Some("it goes on in the background: job_output with job job-1"),
        ),
        // A second command meanwhile: nobody waits for the build.
        call("run", json!({"command": "cat build.sh"}), Some("step")),
    ];
    for _ in 0..WAITS {
        steps.push(call("job_output", json!({"job": "job-1", "until_end": true}), None));
    }
    steps.push(call(
        "job_output",
        json!({"job": "job-1", "offset": 0}),
        Some("[job-1: exit 0 after"),
    ));
    steps.push(call("read", json!({"path": "artifact"}), Some("made")));
    let outcome = host.script(&Script { steps }).expect_code(0);
    assert!(outcome.took >= Duration::from_secs(BUILD_S), "{outcome}");
    assert_eq!(host.read("artifact").as_deref(), Some("made\n"), "{outcome}");
}

#[test]
fn a_five_minute_build_finishes_under_a_client_that_waits_one() {
    std::thread::scope(|scope| {
        for account in Account::all() {
            scope.spawn(move || build_as(account));
        }
    });
}
