//! Row 78: no secret of the user reaches an agent.

use serde_json::json;
use testkit::host::{Host, Outcome};
use testkit::script::Step;

use crate::attempt::{Attempt, call, own_shell, row, script};

const CANARY: &str = "canary-9c2b";

/// Where a process could find what it was not given.
const LOOK: &str = "env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n'; true";

#[test]
fn row_78_the_users_environment_is_in_no_pod() {
    row("row_78_environment", &["env"], &[], |host| {
        let mut command = host.command("nucleus");
        command.env("CLOUD_SECRET", CANARY);
        let outcome = Outcome::of(command.args([
            "run",
            "--profile",
            "fix-issue",
            "--allow-local-driver",
            "--",
            "sh",
            "-c",
            LOOK,
        ]));
        Attempt::when(outcome.stdout.contains(CANARY), outcome)
    });
}

#[test]
fn row_78_the_model_key_is_in_no_pod() {
    let bins = testkit::host::programs();
    for account in testkit::host::Account::all() {
        let host = Host::new(&bins, account).env("ANTHROPIC_API_KEY", CANARY);
        let look = format!(
            "({LOOK}; grep -rs {CANARY} / --include=* --exclude-dir=proc --exclude-dir=usr) 2>/dev/null | grep -c {CANARY}; true"
        );
        let outcome = host.script(&script(vec![
            own_shell(&look),
            // The pattern in the argument list of grep itself would be a hit: look without naming it.
            own_shell("cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n' | grep -i key"),
            Step { ..call("run", json!({"command": "cat /proc/*/environ | tr '\\0' '\\n'; env"})) },
        ]));
        let steps = outcome.steps();
        assert_eq!(steps.len(), 3, "{outcome}");
        for step in &steps[1..] {
            assert!(!step.text.contains(CANARY), "as {account:?}: {step:?}");
        }
        // The control: the agent does have a key in its environment, which is the placeholder.
        let log = std::fs::read_to_string(host.logs().pop().expect("a log")).unwrap();
        assert!(!log.contains(CANARY), "the key is in the log");
    }
}

#[test]
fn row_78_files_of_the_users_home_are_not_there() {
    row("row_78_home", &["mounts"], &[], |host| {
        for name in [".netrc", ".bash_history", ".ssh/id_ed25519", ".aws/credentials"] {
            host.put(&host.home(), name, CANARY.as_bytes());
        }
        let home = host.home();
        let outcome = host.run(&[
            "sh",
            "-c",
            &format!("cat {0}/.netrc {0}/.bash_history {0}/.ssh/* {0}/.aws/* 2>&1", home.display()),
        ]);
        Attempt::when(outcome.stdout.contains(CANARY), outcome)
    });
}

#[test]
fn row_78_secret_files_of_the_workspace_are_masked() {
    row("row_78_masks", &["masks"], &[], |host| {
        host.file(".env", CANARY);
        host.file("deploy/server.pem", CANARY);
        let outcome = host.run(&["sh", "-c", "cat .env deploy/server.pem 2>&1"]);
        Attempt::when(outcome.stdout.contains(CANARY), outcome)
    });
}

#[test]
fn row_78_error_texts_name_no_host_path() {
    let bins = testkit::host::programs();
    for account in testkit::host::Account::all() {
        let host = Host::new(&bins, account);
        let outcome = host.script(&script(vec![
            call("read", json!({"path": "missing.txt"})),
            call("read", json!({"path": "/etc/shadow"})),
            call("edit", json!({"path": "missing.txt", "old_string": "a", "new_string": "b"})),
            call("run", json!({"argv": ["/no/such/program"]})),
            call("write", json!({"path": ".git/hooks/x", "content": "y"})),
        ]));
        let steps = outcome.steps();
        assert_eq!(steps.len(), 5, "{outcome}");
        for step in steps {
            assert!(!step.text.contains(&*host.home().to_string_lossy()), "{step:?}");
            assert!(!step.text.contains("/var/tmp"), "{step:?}");
        }
    }
}
