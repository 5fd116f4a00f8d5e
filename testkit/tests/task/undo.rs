//! What a task applied can be taken back, as long as nobody changed it since.

use serde_json::json;
use testkit::host::Host;

use crate::meeting::{as_user, call, hosts, repository, run, script, subjects};

/// A task that changes, removes and makes files.
fn applied(host: &Host) {
    host.file("changed.txt", "the user's\n");
    host.file("removed.txt", "the user's\n");
    let steps = vec![
        call("write", json!({"path": "changed.txt", "content": "the agent's\n"})),
        call("write", json!({"path": "made/new.txt", "content": "the agent's\n"})),
        run("rm removed.txt && ln -s changed.txt link"),
    ];
    host.script(&script(steps)).expect_code(0);
    assert_eq!(host.read("changed.txt").as_deref(), Some("the agent's\n"), "positive control");
    assert_eq!(host.read("removed.txt"), None, "positive control");
}

#[test]
fn an_applied_task_is_taken_back_whole() {
    for host in hosts() {
        applied(&host);
        let undo = host.nucleus(&["undo"]).expect_code(0);
        assert_eq!(host.read("changed.txt").as_deref(), Some("the user's\n"), "{undo}");
        assert_eq!(host.read("removed.txt").as_deref(), Some("the user's\n"), "{undo}");
        assert!(!host.workspace().join("made").exists(), "{undo}");
        assert!(host.workspace().join("link").symlink_metadata().is_err(), "{undo}");
        assert!(undo.says("taken back: modified changed.txt") && undo.says("undone"), "{undo}");
        let again = host.nucleus(&["undo"]).expect_code(64);
        assert!(again.says("applied something that could be taken back"), "{again}");
        let listed = host.nucleus(&["ps", "--all", "--json"]).expect_code(0);
        let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
        assert_eq!(listed["sessions"][0]["status"], "undone", "{listed}");
    }
}

#[test]
fn what_the_user_changed_since_is_not_taken_back() {
    for host in hosts() {
        applied(&host);
        host.file("changed.txt", "the user's own, later\n");
        host.file("made/own.txt", "the user's\n");
        let undo = host.nucleus(&["undo", "--json"]).expect_code(0);
        assert_eq!(host.read("changed.txt").as_deref(), Some("the user's own, later\n"), "{undo}");
        assert_eq!(host.read("made/own.txt").as_deref(), Some("the user's\n"), "{undo}");
        // Control: what nobody touched is taken back all the same.
        assert_eq!(host.read("made/new.txt"), None, "{undo}");
        assert_eq!(host.read("removed.txt").as_deref(), Some("the user's\n"), "{undo}");
        let undo: serde_json::Value = serde_json::from_str(&undo.stdout).unwrap();
        let left: Vec<&str> =
            undo["left"].as_array().unwrap().iter().filter_map(|l| l["path"].as_str()).collect();
        assert_eq!(left, ["made", "changed.txt"], "{undo}");
    }
}

#[test]
fn a_commit_is_taken_back_whole_or_not_at_all() {
    for host in hosts() {
        repository(&host);
        let commit = || {
            let steps =
                vec![run("echo more >> README.md && git commit --quiet --all --message=second")];
            host.script(&script(steps)).expect_code(0);
            assert_eq!(subjects(&host), "second\nfirst\n", "positive control");
            // Rewrites the index without changing what it says.
            as_user(&host, &["git", "status"]);
        };
        commit();
        let undo = host.nucleus(&["undo"]).expect_code(0);
        assert_eq!(subjects(&host), "first\n", "{undo}");
        assert_eq!(as_user(&host, &["git", "status", "--porcelain"]), "", "{undo}");
        as_user(&host, &["git", "fsck", "--strict"]);
        commit();
        as_user(&host, &["git", "commit", "--quiet", "--allow-empty", "--message=third"]);
        let undo = host.nucleus(&["undo"]).expect_code(0);
        assert_eq!(subjects(&host), "third\nsecond\nfirst\n", "{undo}");
        assert!(undo.says("the repository moved on since"), "{undo}");
        assert_eq!(
            host.read("README.md").as_deref(),
            Some("first\n"),
            "files are their own: {undo}"
        );
    }
}
