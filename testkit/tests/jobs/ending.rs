//! Why a command ended: told to the agent, in the feed, in the log and in the replay alike.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::host::{Host, Outcome};
use testkit::script::{Action, Ending, Script, Step};

use crate::{call, hosts};

/// A command that ends as no command should: the agent is told `needle`, as an error.
fn fails(args: Value, needle: &str) -> Step {
    Step {
        action: Some(Action::Tool { name: "run".to_owned(), args }),
        expect: Some(Ending::Refused),
        contains: Some(needle.to_owned()),
        ..Step::default()
    }
}

/// Sign of the line of the feed or of the replay that is about `target` and says `words`.
fn sign(text: &str, target: &str, words: &str) -> Option<String> {
    let line = text.lines().find(|line| line.contains(target) && line.contains(words))?;
    let signs = ["✓", "!", "■", "✗"];
    line.split_whitespace().find(|word| signs.contains(word)).map(str::to_owned)
}

fn told(host: &Host, outcome: &Outcome, expected: &[(&str, &str, &str, &str)]) {
    let log = host.logs().into_iter().next().unwrap();
    let log = std::fs::read_to_string(log).unwrap();
    let replay = host.nucleus(&["replay"]).expect_code(0);
    for (target, ending, feed, mark) in expected {
        let of = |line: &&str| {
            line.contains("\"phase\":\"outcome\"")
                && line.contains("\"tool\":\"run\"")
                && line.contains(target)
        };
        assert_eq!(log.lines().filter(of).count(), 1, "{target}: {log}");
        let entry = log.lines().find(of).unwrap();
        assert!(entry.contains(&format!("\"ending\":\"{ending}\"")), "{entry}");
        assert!(!entry.contains("\"result\":\"success\""), "{entry}");
        assert_eq!(sign(&outcome.stderr, target, feed).as_deref(), Some(*mark), "{outcome}");
        let words = ending.replace('_', " ");
        assert_eq!(sign(&replay.stdout, target, &words).as_deref(), Some(*mark), "{replay}");
    }
}

#[test]
fn a_command_that_ends_otherwise_than_by_itself_says_so_everywhere() {
    for host in hosts() {
        let background = |n: u32, more: Value| {
            let mut args = json!({"command": format!("sleep {n}"), "background": true});
            args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            call("run", args, "it goes on in the background")
        };
        let steps = vec![
            fails(
                json!({"command": "echo so far; sleep 601", "timeout_s": 3}),
                "so far\n[timed out after 3.",
            ),
            background(602, json!({"timeout_s": 1})),
            call("job_output", json!({"job": "job-2", "until_end": true}), "timed out after 1."),
            background(603, json!({})),
            call("job_stop", json!({"job": "job-3"}), "stopped after"),
            // Control: a command that ends within its time, and one that fails by itself.
            call("run", json!({"command": "exit 7", "timeout_s": 3}), "exit 7"),
            background(604, json!({})),
        ];
        let script = Script { steps };
        let outcome = host.script_with(&script, &["--profile", "fix-issue"]).expect_code(0);
        assert!(outcome.took < Duration::from_secs(25), "{outcome}");
        let expected = [
            ("sleep 601", "timed_out", "timed out", "!"),
            ("sleep 602", "timed_out", "job-2: timed out", "!"),
            ("sleep 603", "stopped", "job-3: stopped", "■"),
            ("sleep 604", "task_ended", "job-5: ended with the task", "■"),
        ];
        told(&host, &outcome, &expected);
        assert!(outcome.says("2 failed, 2 stopped"), "{outcome}");
        assert_eq!(sign(&outcome.stderr, "exit 7", "exit 7").as_deref(), Some("✓"), "{outcome}");
        let stopped = host.nucleus(&["replay", "--only", "stopped"]).expect_code(0);
        assert!(stopped.says("sleep 603") && !stopped.says("sleep 601"), "{stopped}");
    }
}

#[test]
fn a_program_that_is_not_there_or_not_executable_is_not_lost() {
    for host in hosts() {
        host.file("plain.txt", "text\n");
        let steps = vec![
            fails(json!({"command": "no-such-program"}), "no such program in the sandbox"),
            fails(json!({"command": "./plain.txt"}), "cannot be executed"),
        ];
        let outcome = host.script(&Script { steps }).expect_code(0);
        assert!(outcome.says("no such program") && outcome.says("not executable"), "{outcome}");
        assert!(!outcome.says("lost"), "{outcome}");
    }
}

#[test]
fn the_time_of_the_task_ends_its_commands_and_says_so() {
    for host in hosts() {
        let steps = vec![call("run", json!({"command": "sleep 605"}), "never seen")];
        let options = ["--profile", "fix-issue", "--timeout", "2"];
        let outcome = host.script_with(&Script { steps }, &options).expect_code(124);
        assert!(outcome.says("task timed out after"), "{outcome}");
        let log = std::fs::read_to_string(&host.logs()[0]).unwrap();
        let ended = log.lines().find(|line| line.contains("\"phase\":\"outcome\"")).unwrap();
        assert!(
            !ended.contains("\"result\":\"success\"") && ended.contains("\"ending\""),
            "{ended}"
        );
        assert!(
            sign(&outcome.stderr, "sleep 605", "").is_some_and(|sign| sign != "✓"),
            "{outcome}"
        );
    }
}
