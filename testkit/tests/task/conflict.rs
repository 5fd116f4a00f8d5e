//! The user works on while the agent does.

use serde_json::json;

use crate::meeting::{as_user, call, hosts, meet, repository, run, script, subjects};

#[test]
fn a_file_edited_meanwhile_is_never_overwritten() {
    for host in hosts() {
        for accept in [false, true] {
            host.reset();
            host.file("both.txt", "line\n");
            host.file("theirs.txt", "line\n");
            host.file("mine.txt", "line\n");
            let steps = vec![
                call(
                    "edit",
                    json!({"path": "both.txt", "old_string": "line", "new_string": "by the agent"}),
                ),
                call("write", json!({"path": "mine.txt", "content": "by the agent\n"})),
            ];
            let outcome = meet(&host, steps, |host| {
                host.file("both.txt", "by the user\n");
                host.file("theirs.txt", "by the user\n");
            });
            let outcome = outcome.expect_code(0);
            assert_eq!(host.read("both.txt").as_deref(), Some("by the user\n"), "{outcome}");
            assert_eq!(host.read("theirs.txt").as_deref(), Some("by the user\n"), "{outcome}");
            assert_eq!(host.read("mine.txt").as_deref(), Some("by the agent\n"), "{outcome}");
            assert!(outcome.says("1 in conflict") && outcome.says("1 changed"), "{outcome}");
            let shown = host.nucleus(&["review"]).expect_code(0);
            assert!(shown.says("both.txt (in conflict): edited here during the task"), "{shown}");
            assert!(
                shown.says("by the user") && shown.says("by the agent"),
                "both versions are shown: {shown}"
            );
            assert!(!shown.says("theirs.txt") && !shown.says("mine.txt"), "{shown}");
            let word = if accept { "--accept" } else { "--reject" };
            host.nucleus(&["review", word, "both.txt"]).expect_code(0);
            let expected = if accept { "by the agent\n" } else { "by the user\n" };
            assert_eq!(host.read("both.txt").as_deref(), Some(expected));
            host.nucleus(&["review"]).expect_code(64);
        }
    }
}

#[test]
fn a_file_edited_after_it_was_shown_stays() {
    for host in hosts() {
        host.file("both.txt", "line\n");
        let steps = vec![call("write", json!({"path": "both.txt", "content": "by the agent\n"}))];
        meet(&host, steps, |host| host.file("both.txt", "by the user\n")).expect_code(0);
        // A later apply changes its mind about nothing.
        for _ in 0..2 {
            host.nucleus(&["apply"]).expect_code(0);
            assert_eq!(host.read("both.txt").as_deref(), Some("by the user\n"));
        }
    }
}

#[test]
fn what_the_user_made_or_removed_meanwhile_stays_so() {
    for host in hosts() {
        host.file("removed.txt", "line\n");
        host.file("dir/kept.txt", "line\n");
        let steps = vec![
            call("write", json!({"path": "created.txt", "content": "by the agent\n"})),
            call("write", json!({"path": "removed.txt", "content": "by the agent\n"})),
            run("rm -r dir"),
        ];
        let outcome = meet(&host, steps, |host| {
            host.file("created.txt", "by the user\n");
            host.file("dir/kept.txt", "by the user\n");
            host.file("dir/new.txt", "by the user\n");
            std::fs::remove_file(host.workspace().join("removed.txt")).unwrap();
        });
        let outcome = outcome.expect_code(0);
        assert_eq!(host.read("created.txt").as_deref(), Some("by the user\n"), "{outcome}");
        assert_eq!(host.read("dir/kept.txt").as_deref(), Some("by the user\n"), "{outcome}");
        assert_eq!(host.read("dir/new.txt").as_deref(), Some("by the user\n"), "{outcome}");
        assert_eq!(host.read("removed.txt"), None, "{outcome}");
        let shown = host.nucleus(&["review"]).expect_code(0);
        for reason in [
            "created here during the task",
            "removed or renamed here during the task",
            "edited here during the task",
        ] {
            assert!(shown.says(reason), "{reason}: {shown}");
        }
    }
}

#[test]
fn a_repository_that_moved_meanwhile_is_held_as_a_whole() {
    for host in hosts() {
        for moved in [false, true] {
            host.reset();
            repository(&host);
            let steps = vec![
                call("write", json!({"path": "agent.txt", "content": "by the agent\n"})),
                run("git add agent.txt && git commit --quiet --message='by the agent'"),
            ];
            let outcome = meet(&host, steps, |host| {
                if moved {
                    host.file("user.txt", "by the user\n");
                    as_user(host, &["git", "add", "user.txt"]);
                    as_user(host, &["git", "commit", "--quiet", "--message=by the user"]);
                }
            });
            let outcome = outcome.expect_code(0);
            let expected = if moved { "by the user\nfirst\n" } else { "by the agent\nfirst\n" };
            assert_eq!(subjects(&host), expected, "moved: {moved}: {outcome}");
            as_user(&host, &["git", "fsck", "--strict"]);
            assert_eq!(host.read("agent.txt").as_deref(), Some("by the agent\n"), "{outcome}");
            if moved {
                assert!(
                    outcome.says("HEAD, a branch or the index moved here during the task"),
                    "{outcome}"
                );
                let refused = host.nucleus(&["review", "--accept", ".git"]);
                assert!(!matches!(refused.code, None | Some(0)), "{refused}");
                assert_eq!(subjects(&host), expected);
                host.nucleus(&["review", "--reject", ".git"]).expect_code(0);
                assert_eq!(subjects(&host), expected);
            } else {
                assert!(as_user(&host, &["git", "status", "--porcelain"]).is_empty(), "{outcome}");
            }
        }
    }
}

#[test]
fn two_tasks_on_one_workspace_do_not_overwrite_each_other() {
    for host in hosts() {
        host.file("both.txt", "line\n");
        let write = |text: &str| call("write", json!({"path": "both.txt", "content": text}));
        let outcome = meet(&host, vec![write("by the first\n")], |host| {
            let second =
                host.script(&script(vec![write("by the second\n"), run("echo 2 > two.txt")]));
            let second = second.expect_code(0);
            assert_eq!(host.read("both.txt").as_deref(), Some("by the second\n"), "{second}");
        });
        let outcome = outcome.expect_code(0);
        assert_eq!(host.read("both.txt").as_deref(), Some("by the second\n"), "{outcome}");
        assert_eq!(host.read("two.txt").as_deref(), Some("2\n"), "{outcome}");
        assert!(outcome.says("1 in conflict"), "{outcome}");
        for log in host.logs() {
            host.verify(&log).expect_code(0);
        }
    }
}

#[test]
fn a_session_that_runs_cannot_be_taken_away() {
    for host in hosts() {
        let steps = vec![call("write", json!({"path": "new.txt", "content": "by the agent\n"}))];
        let outcome = meet(&host, steps, |host| {
            let session = host.sessions()[0].file_name().unwrap().to_str().unwrap().to_owned();
            for command in ["apply", "review", "discard"] {
                for args in [vec![command], vec![command, &session]] {
                    let refused = host.nucleus(&args).expect_code(64);
                    assert!(refused.says("running") || refused.says("runs"), "{args:?}: {refused}");
                }
            }
            assert_eq!(host.read("new.txt"), None);
        });
        outcome.expect_code(0);
        assert_eq!(host.read("new.txt").as_deref(), Some("by the agent\n"));
    }
}
