//! What a task has changed can be seen while it runs, and its log read.

use serde_json::{Value, json};
use testkit::host::Outcome;

use crate::meeting::{call, hosts, meet, run};

#[test]
fn a_running_task_is_looked_at_without_touching_it() {
    for host in hosts() {
        host.file("old.txt", "before\n");
        let steps = vec![
            call("write", json!({"path": "old.txt", "content": "after\n"})),
            run(
                "mkdir -p closed && touch closed/in && chmod 0 closed; printf '\\033[2Jx' > shown.txt",
            ),
        ];
        let outcome = meet(&host, steps, |host| {
            let shown = host.nucleus(&["changes"]).expect_code(0);
            for words in ["modified old.txt", "-before", "+after", "created  shown.txt"] {
                assert!(shown.says(words), "{words}: {shown}");
            }
            assert!(!shown.stdout.contains('\u{1b}'), "control characters are escaped: {shown}");
            let json = host.nucleus(&["changes", "--json"]).expect_code(0);
            let json: Value = serde_json::from_str(&json.stdout).unwrap();
            assert_eq!(json["status"], "running");
            let listed = host.nucleus(&["ps"]).expect_code(0);
            assert!(listed.says("running"), "{listed}");
            let log = host.nucleus(&["logs"]).expect_code(0);
            assert!(log.says("write") && log.says("old.txt"), "{log}");
            // A running session is nobody's to remove.
            let gc = host.nucleus(&["gc", "--older-than", "0", "--max-bytes", "0", "--force"]);
            let gc = gc.expect_code(0);
            assert!(!gc.says("removed session"), "{gc}");
            assert_eq!(host.sessions().len(), 1, "{gc}");
        });
        outcome.expect_code(0);
        assert_eq!(host.read("old.txt").as_deref(), Some("after\n"));
        let over = host.nucleus(&["changes"]).expect_code(64);
        assert!(over.says("no session"), "{over}");
    }
}

#[test]
fn followers_end_with_the_task() {
    for host in hosts() {
        let mut followers = Vec::new();
        let steps = vec![call("write", json!({"path": "a.txt", "content": "a\n"}))];
        meet(&host, steps, |host| {
            for args in [&["changes", "--follow", "--json"][..], &["logs", "--follow", "--json"]] {
                let mut command = host.command("nucleus");
                command.args(args).stdout(std::process::Stdio::piped());
                followers.push(command.spawn().unwrap());
            }
        })
        .expect_code(0);
        let mut outputs = followers.into_iter().map(|child| child.wait_with_output().unwrap());
        let (changes, log) = (outputs.next().unwrap(), outputs.next().unwrap());
        assert!(changes.status.success() && log.status.success(), "{changes:?} {log:?}");
        let lines = |bytes: &[u8]| -> Vec<Value> {
            String::from_utf8_lossy(bytes)
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect()
        };
        let log = lines(&log.stdout);
        assert_eq!(log.last().unwrap()["event"]["type"], "session_end", "{log:?}");
        assert_eq!(lines(&changes.stdout).last().unwrap()["type"], "ended");
    }
}

#[test]
fn colours_are_asked_for_and_never_in_json() {
    for host in hosts() {
        host.run(&["touch", "made"]).expect_code(0);
        let coloured = |outcome: &Outcome| outcome.stdout.contains('\u{1b}');
        for args in [&["ps", "--all"][..], &["logs"], &["config", "show"]] {
            let plain = host.nucleus(args).expect_code(0);
            assert!(!coloured(&plain), "off a terminal: {plain}");
            let mut always = args.to_vec();
            always.extend(["--color", "always"]);
            let painted = host.nucleus(&always).expect_code(0);
            assert!(coloured(&painted), "positive control: {painted}");
        }
        let json = host.nucleus(&["ps", "--all", "--json", "--color", "always"]).expect_code(0);
        assert!(!coloured(&json), "{json}");
        host.put(&host.home(), ".config/nucleus/config.toml", b"colour = \"always\"\n");
        assert!(coloured(&host.nucleus(&["ps", "--all"])), "the configuration is read");
        let mut command = host.command("nucleus");
        command.args(["ps", "--all"]).env("NO_COLOR", "1");
        assert!(!coloured(&Outcome::of(&mut command)), "NO_COLOR wins over the configuration");
    }
}
