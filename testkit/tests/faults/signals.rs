//! The launcher or the command killed, and Ctrl-C.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use testkit::host::{Account, Host, Outcome, Task, Witness, programs, signal};
use testkit::script::{Action, Script, Step};

use crate::proxy::{nothing_left, verified};

/// A file the agent writes first, so that a test knows when it is in the middle of the task.
const FIRST: &str = "first.txt";

/// An agent that changes files, starts a job, and then works on for a minute.
fn agent() -> Script {
    let call = |name: &str, args| Step {
        action: Some(Action::Tool { name: name.to_owned(), args }),
        ..Step::default()
    };
    Script {
        steps: vec![
            call("write", json!({"path": FIRST, "content": "by the agent\n"})),
            call(
                "run",
                json!({"command": "echo by a job > job.txt; sleep 60", "background": true}),
            ),
            call(
                "run",
                json!({"command": "echo by a command > second.txt; sleep 60", "timeout_s": 120}),
            ),
        ],
    }
}

/// Starts the agent and waits until its last call runs.
fn busy(host: &Host) -> Task {
    host.file("README.md", "old\n");
    let mut task = host.start(&mut host.script_command(&agent(), &["--profile", "fix-issue"]));
    let upper = |host: &Host| host.sessions().first().map(|dir| dir.join("overlay/upper"));
    let there = |host: &Host| {
        upper(host)
            .is_some_and(|dir| dir.join("second.txt").exists() && dir.join("job.txt").exists())
    };
    assert!(task.until(|_| there(host)), "{}", task.printed());
    // The files are there a little before what was started with them is.
    task.watch(Duration::from_millis(20));
    assert!(!task.witness().processes().is_empty(), "a running task is seen");
    task
}

/// The session is kept: the workspace is as it was, and both ways out of it work.
fn kept(host: &Host, witness: &Witness, outcome: &Outcome, apply: bool) {
    nothing_left(host, witness, &outcome.to_string());
    verified(host, outcome);
    assert_eq!(host.read(FIRST), None, "{outcome}");
    if apply {
        host.nucleus(&["apply"]).expect_code(0);
        assert_eq!(host.read(FIRST).as_deref(), Some("by the agent\n"), "{outcome}");
        assert_eq!(host.read("second.txt").as_deref(), Some("by a command\n"), "{outcome}");
        assert_eq!(host.read("job.txt").as_deref(), Some("by a job\n"), "{outcome}");
    } else {
        host.nucleus(&["discard"]).expect_code(0);
        assert_eq!(host.read(FIRST), None, "{outcome}");
    }
    assert_eq!(host.read("README.md").as_deref(), Some("old\n"));
    let again = host.nucleus(&["apply"]).expect_code(64);
    assert!(again.says("no session"), "a settled session is offered again: {again}");
}

fn each(check: impl Fn(&Host, bool)) {
    let bins = programs();
    for account in Account::all() {
        for apply in [true, false] {
            check(&Host::new(&bins, account), apply);
        }
    }
}

#[test]
fn ctrl_c_ends_the_task_and_keeps_its_session() {
    each(|host, apply| {
        let task = busy(host);
        signal(task.pid(), Signal::INT);
        let (outcome, witness) = task.outcome();
        let outcome = outcome.expect_code(130);
        assert!(outcome.took < Duration::from_secs(20), "{outcome}");
        assert!(outcome.shows_the_way_on(), "the way on is not shown: {outcome}");
        kept(host, &witness, &outcome, apply);
    });
}

#[test]
fn ctrl_c_twice_kills_at_once_and_keeps_the_session() {
    each(|host, apply| {
        let mut task = busy(host);
        signal(task.pid(), Signal::INT);
        signal(task.pid(), Signal::TERM);
        task.watch(Duration::from_millis(1));
        let (outcome, witness) = task.outcome();
        let outcome = outcome.expect_code(130);
        kept(host, &witness, &outcome, apply);
    });
}

#[test]
fn the_command_killed_ends_everything() {
    each(|host, apply| {
        let task = busy(host);
        signal(task.pid(), Signal::KILL);
        let (outcome, witness) = task.outcome();
        assert_eq!(outcome.code, None, "{outcome}");
        kept(host, &witness, &outcome, apply);
    });
}

#[test]
fn the_launcher_killed_ends_every_pod() {
    each(|host, apply| {
        let task = busy(host);
        let launcher = task.launcher().expect("a launcher");
        signal(launcher, Signal::KILL);
        let (outcome, witness) = task.outcome();
        assert!(!matches!(outcome.code, None | Some(0)), "{outcome}");
        // Nobody is left to remove the control group of a launcher that was killed: the next one does.
        let processes = witness.processes();
        assert!(processes.is_empty(), "{processes:?}\n{outcome}");
        let session = host.sessions()[0].file_name().unwrap().to_str().unwrap().to_owned();
        assert!(outcome.shows_the_way_on(), "the way on is not shown: {outcome}");
        host.run(&["true"]).expect_code(0);
        nothing_left(host, &witness, &outcome.to_string());
        verified(host, &outcome);
        assert_eq!(host.read(FIRST), None, "{outcome}");
        host.nucleus(&[if apply { "apply" } else { "discard" }, &session]).expect_code(0);
        assert_eq!(host.read(FIRST).is_some(), apply, "{outcome}");
    });
}

#[test]
fn an_agent_killed_by_a_signal_ends_as_a_shell_would_say() {
    let bins = programs();
    for account in Account::all() {
        let host = Host::new(&bins, account);
        host.run(&["sh", "-c", "kill -TERM $$"]).expect_code(128 + 15);
        host.run(&["sh", "-c", "kill -KILL $$"]).expect_code(128 + 9);
        host.run(&["sh", "-c", "exit 7"]).expect_code(7);
    }
}
