//! What something executes without being asked waits for the user.

use serde_json::json;
use testkit::host::Host;

use crate::meeting::{call, hosts, repository, run, script};

const TRUSTED: [&str; 3] = [".envrc", ".github/workflows/ci.yml", ".git/hooks/pre-commit"];

/// An agent that writes ordinary files and such that the host would execute.
fn trusted(host: &Host) -> testkit::host::Outcome {
    repository(host);
    let mut text = "mkdir -p .github/workflows .git/hooks; echo ordinary > ordinary.txt".to_owned();
    for path in TRUSTED {
        text.push_str(&format!("; echo 'echo canary' > {path}; chmod +x {path}"));
    }
    host.script(&script(vec![run(&text)])).expect_code(0)
}

#[test]
fn files_that_something_executes_wait_for_the_user() {
    for host in hosts() {
        let outcome = trusted(&host);
        assert_eq!(host.read("ordinary.txt").as_deref(), Some("ordinary\n"), "{outcome}");
        for path in TRUSTED {
            assert_eq!(host.read(path), None, "{path}: {outcome}");
            assert!(outcome.stderr.contains(path), "{path} is not in the summary: {outcome}");
        }
        assert!(outcome.says("3 held for review") && outcome.says("nucleus review"), "{outcome}");
        let shown = host.nucleus(&["review"]).expect_code(0);
        for path in TRUSTED {
            assert!(shown.says(path), "{path}: {shown}");
        }
        assert!(shown.says("echo canary"), "the content is shown: {shown}");
        let list = host.nucleus(&["review", "--json"]).expect_code(0);
        let list: serde_json::Value = serde_json::from_str(&list.stdout).unwrap();
        assert_eq!(list["items"].as_array().unwrap().len(), 3, "{list}");
        host.nucleus(&["review", "--accept", ".envrc", "--reject", TRUSTED[2]]).expect_code(0);
        assert_eq!(host.read(".envrc").as_deref(), Some("echo canary\n"));
        assert_eq!(host.read(TRUSTED[2]), None);
        let rest = host.nucleus(&["review"]).expect_code(0);
        assert!(
            rest.says(TRUSTED[1]) && !rest.says(".envrc") && !rest.says("pre-commit"),
            "{rest}"
        );
        let unknown = host.nucleus(&["review", "--accept", "ordinary.txt"]).expect_code(64);
        assert!(unknown.says("is not held") && unknown.says(TRUSTED[1]), "{unknown}");
        host.nucleus(&["review", "--reject", TRUSTED[1]]).expect_code(0);
        assert_eq!(host.read(TRUSTED[1]), None);
        host.nucleus(&["review"]).expect_code(64);
    }
}

#[test]
fn review_of_everything_holds_everything() {
    for host in hosts() {
        host.file("old.txt", "old\n");
        let steps = vec![
            call("write", json!({"path": "new.txt", "content": "new\n"})),
            call("write", json!({"path": "old.txt", "content": "new\n"})),
        ];
        let outcome = host
            .script_with(&script(steps), &["--profile", "fix-issue", "--review"])
            .expect_code(0);
        assert_eq!(
            (host.read("new.txt"), host.read("old.txt").as_deref()),
            (None, Some("old\n")),
            "{outcome}"
        );
        assert!(outcome.says("2 held for review"), "{outcome}");
        host.nucleus(&["review", "--accept", "new.txt", "--accept", "old.txt"]).expect_code(0);
        assert_eq!(host.read("new.txt").as_deref(), Some("new\n"));
        assert_eq!(host.read("old.txt").as_deref(), Some("new\n"));
        host.nucleus(&["review"]).expect_code(64);
    }
}

#[test]
fn a_task_that_changes_nothing_leaves_nothing_to_review() {
    for host in hosts() {
        let held = trusted(&host);
        host.run(&["true"]).expect_code(0);
        // The task before is still the one with something to review.
        let shown = host.nucleus(&["review"]).expect_code(0);
        assert!(shown.says(".envrc"), "{shown}\n{held}");
    }
}
