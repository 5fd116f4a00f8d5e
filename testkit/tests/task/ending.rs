//! How tasks end, and what the user is told.

use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::host::{Outcome, leftovers};
use testkit::script::{Action, Ending, Step};

use crate::meeting::{call, hosts, run, script};

#[test]
fn the_code_of_a_command_is_the_code_of_the_run() {
    for host in hosts() {
        for code in [0, 1, 7, 63, 126, 255] {
            host.run(&["sh", "-c", &format!("exit {code}")]).expect_code(code);
        }
        host.run(&["sh", "-c", "kill -INT $$"]).expect_code(130);
        host.run(&["sh", "-c", "kill -SEGV $$"]).expect_code(139);
        let missing = host.run(&["no-such-program"]).expect_code(127);
        assert!(missing.says("no-such-program: not found in the sandbox"), "{missing}");
        host.file("README.md", "# text\n");
        let plain = host.run(&["./README.md"]).expect_code(126);
        assert!(plain.says("./README.md: found, but not executable"), "{plain}");
        assert!(!plain.says("sandbox I/O failed"), "{plain}");
        host.file("src/main.rs", "");
        host.run(&["./src"]).expect_code(126);
    }
}

#[test]
fn the_summary_counts_what_happened() {
    for host in hosts() {
        host.file("old.txt", "old\n");
        let steps = vec![
            call("write", json!({"path": "a.txt", "content": "a\n"})),
            call("read", json!({"path": "a.txt"})),
            call("read", json!({"path": ".env"})),
            call("read", json!({"path": "../outside"})),
            run("rm old.txt"),
        ];
        let file = host.place().join("script.json");
        let json_run = {
            let mut command =
                host.script_command(&script(steps), &["--profile", "fix-issue", "--json"]);
            assert!(file.is_file());
            Outcome::of(&mut command).expect_code(0)
        };
        let lines: Vec<Value> = json_run
            .stdout
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|_| panic!("{line:?} is no JSON"))
            })
            .collect();
        let kinds: Vec<&str> = lines.iter().filter_map(|line| line["type"].as_str()).collect();
        assert_eq!(kinds.len(), lines.len(), "{json_run}");
        assert_eq!((kinds[0], kinds[kinds.len() - 1]), ("started", "finished"), "{kinds:?}");
        let summary = &lines[lines.len() - 1];
        assert_eq!(summary["calls"]["allowed"], 3, "{summary}");
        let refused = summary["calls"]["denied"].as_u64().unwrap_or(0)
            + summary["calls"]["malformed"].as_u64().unwrap_or(0);
        assert_eq!(refused, 2, "{summary}");
        assert_eq!(summary["applied"].as_array().map(Vec::len), Some(2), "{summary}");
        let entries =
            std::fs::read_to_string(summary["log"].as_str().unwrap()).unwrap().lines().count();
        assert_eq!(summary["log_entries"].as_u64(), u64::try_from(entries).ok(), "{summary}");
        assert_eq!(summary["ending"], "finished");
        assert_eq!(host.verify(&host.logs()[0]).code, Some(0));
    }
}

#[test]
fn a_task_out_of_time_ends_with_124_and_is_kept() {
    for host in hosts() {
        let mut command = host.command("nucleus");
        command.args(["run", "--profile", "fix-issue", "--allow-local-driver", "--timeout", "1"]);
        command.args(["--", "sh", "-c", "echo made > made.txt; sleep 60"]);
        let outcome = Outcome::of(&mut command).expect_code(124);
        assert!(outcome.took < Duration::from_secs(15), "{outcome}");
        let line = outcome.stderr.lines().find(|line| line.starts_with("! run")).unwrap();
        assert!(line.contains("timed out"), "{outcome}");
        assert_eq!(host.read("made.txt"), None, "{outcome}");
        assert!(outcome.shows_the_way_on(), "{outcome}");
        host.nucleus(&["apply"]).expect_code(0);
        assert_eq!(host.read("made.txt").as_deref(), Some("made\n"));
        assert_eq!(leftovers(host.place(), Duration::from_secs(3)), []);
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_task_cleanly() {
    for host in hosts() {
        for json_lines in [false, true] {
            host.reset();
            let mut command = host.command("nucleus");
            command.args(["run", "--profile", "fix-issue", "--allow-local-driver"]);
            if json_lines {
                command.arg("--json");
            }
            command.args([
                "--",
                "sh",
                "-c",
                "echo made > made.txt; while echo line; do sleep 0.01; done",
            ]);
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let mut reader = child.stdout.take().unwrap();
            let mut first = [0_u8; 4];
            reader.read_exact(&mut first).unwrap();
            let made = |dir: &std::path::PathBuf| dir.join("overlay/upper/made.txt").exists();
            while !host.sessions().first().is_some_and(made) {
                std::thread::sleep(Duration::from_millis(2));
            }
            drop(reader);
            let began = std::time::Instant::now();
            let status = loop {
                if let Some(status) = child.try_wait().unwrap() {
                    break status;
                }
                assert!(
                    began.elapsed() < Duration::from_secs(20),
                    "json {json_lines}: it goes on without a reader"
                );
                std::thread::sleep(Duration::from_millis(5));
            };
            let mut stderr = String::new();
            child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
            assert_eq!(status.code(), Some(130), "json {json_lines}: {stderr}");
            assert!(!stderr.contains("panicked"), "{stderr}");
            assert_eq!(leftovers(host.place(), Duration::from_secs(3)), []);
            assert_eq!(host.read("made.txt"), None);
            host.nucleus(&["apply"]).expect_code(0);
            assert_eq!(host.read("made.txt").as_deref(), Some("made\n"));
        }
    }
}

#[test]
fn a_small_budget_denies_cleanly() {
    for host in hosts() {
        let policy = |dollars: &str| {
            format!(
                "[capabilities]\nread_files = \"always\"\nwrite_files = \"always\"\nrun_bash = \"always\"\n[budget]\nmax_cost_usd = {dollars}\n"
            )
        };
        for (dollars, fits) in [("0.000001", false), ("1.0", true)] {
            host.reset();
            host.put(host.place(), "permissions.toml", policy(dollars).as_bytes());
            let config = host.place().join("permissions.toml");
            let steps =
                vec![run("echo ran > ran.txt"), call("read", json!({"path": "nothing.txt"}))];
            let outcome = host
                .script_with(&script(steps), &["--config", config.to_str().unwrap()])
                .expect_code(0);
            assert_eq!(host.read("ran.txt").is_some(), fits, "{dollars}: {outcome}");
            assert_eq!(outcome.says("refused by budget"), !fits, "{dollars}: {outcome}");
            assert_eq!(outcome.says("deny.budget.cost"), !fits, "{dollars}: {outcome}");
            assert_eq!(host.verify(&host.logs()[0]).code, Some(0));
        }
    }
}

#[test]
fn what_an_agent_does_not_expect_is_its_exit_code() {
    for host in hosts() {
        let wrong = Step { expect: Some(Ending::Refused), ..run("true") };
        host.script(&script(vec![wrong])).expect_code(1);
        let right = Step { action: Some(Action::Sleep(1)), ..Step::default() };
        host.script(&script(vec![right])).expect_code(0);
    }
}
