//! Questions to the user, at a real terminal.

use serde_json::Value;
use testkit::host::{Host, Terminal};

use crate::meeting::{hosts, run, script};

const POLICY: &str = "\
[capabilities]
read_files = \"always\"
write_files = \"always\"
run_bash = \"always\"

[obligations]
approvals = [\"run_bash\"]
";

fn ask(host: &Host, commands: &[&str]) -> Terminal {
    host.put(host.place(), "permissions.toml", POLICY.as_bytes());
    let config = host.place().join("permissions.toml");
    let steps = script(commands.iter().map(|command| run(command)).collect());
    host.at_terminal(&host.script_command(&steps, &["--config", config.to_str().unwrap()]))
}

/// Waits for a question and gives the id to type.
fn question(terminal: &mut Terminal) -> String {
    let shown = terminal.read_until(" to approve once");
    let (_, rest) = shown.rsplit_once("  type ").unwrap();
    rest.split_whitespace().next().unwrap().to_owned()
}

/// Decisions and intents of the only log, in order: `intent`, or the rule that refused.
fn story(host: &Host) -> Vec<String> {
    let text = std::fs::read_to_string(&host.logs()[0]).unwrap();
    let events =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].clone());
    events
        .filter(|event| event["tool"] == "run")
        .filter_map(|event| match event["phase"].as_str() {
            Some("intent") if event["grant_nonce"].is_string() => Some("granted".to_owned()),
            Some("intent") => Some("intent".to_owned()),
            Some("decision") => Some(event["rule"].as_str().unwrap_or_default().to_owned()),
            _ => None,
        })
        .collect()
}

#[test]
fn a_request_is_granted_once_and_asked_again() {
    for host in hosts() {
        let mut terminal =
            ask(&host, &["echo ran >> ran.txt", "echo ran >> ran.txt", "echo ran >> ran.txt"]);
        let first = question(&mut terminal);
        terminal.enter(&format!("{first}\n"));
        let second = question(&mut terminal);
        assert_ne!(first, second, "{}", terminal.screen());
        // The id of another request approves nothing, and neither does a word that only means yes.
        terminal.enter(&format!("{first}\n"));
        terminal.read_until("to approve, or `no` to refuse");
        terminal.enter("yes\n");
        terminal.read_until("to approve, or `no` to refuse");
        terminal.enter(&format!("{second}\n"));
        let third = question(&mut terminal);
        terminal.enter("no use a branch\n");
        let outcome = terminal.outcome().expect_code(0);
        assert_eq!(host.read("ran.txt").as_deref(), Some("ran\nran\n"), "{outcome}");
        assert!(outcome.says("Their words: \"use a branch\"."), "the agent is told why: {outcome}");
        assert!(outcome.says(&format!("{third}: refused")), "{outcome}");
        let granted = story(&host).iter().filter(|entry| *entry == "granted").count();
        assert_eq!(granted, 2, "{:?}\n{outcome}", story(&host));
        assert_eq!(
            story(&host).iter().filter(|entry| *entry == "intent").count(),
            0,
            "{:?}",
            story(&host)
        );
        assert_eq!(host.verify(&host.logs()[0]).code, Some(0));
    }
}

#[test]
fn what_was_typed_before_the_question_answers_nothing() {
    for host in hosts() {
        let mut terminal = ask(&host, &["true"]);
        // A whole line, and the beginning of one, which without the flush would spoil the answer.
        terminal.enter("no\nno");
        let id = question(&mut terminal);
        assert!(!terminal.screen().contains(&format!("{id}: ")), "{}", terminal.screen());
        terminal.enter(&format!("{id}\n"));
        let outcome = terminal.outcome().expect_code(0);
        assert_eq!(story(&host).last().map(String::as_str), Some("granted"), "{outcome}");
    }
}

#[test]
fn a_command_of_the_user_asks_too() {
    for host in hosts() {
        host.put(host.place(), "permissions.toml", POLICY.as_bytes());
        let config = host.place().join("permissions.toml");
        for approve in [true, false] {
            let mut command = host.command("nucleus");
            command.args(["run", "--allow-local-driver", "--config"]).arg(&config);
            command.args(["--", "sh", "-c", "echo ran >> ran.txt; exit 3"]);
            let mut terminal = host.at_terminal(&command);
            let id = question(&mut terminal);
            terminal.enter(&if approve { format!("{id}\n") } else { "no\n".to_owned() });
            let outcome = terminal.outcome().expect_code(if approve { 3 } else { 77 });
            assert_eq!(host.read("ran.txt").as_deref(), Some("ran\n"), "{outcome}");
        }
    }
}

#[test]
fn without_a_terminal_an_obligation_denies() {
    for host in hosts() {
        host.put(host.place(), "permissions.toml", POLICY.as_bytes());
        let config = host.place().join("permissions.toml");
        let options = ["--config", config.to_str().unwrap()];
        let mut command = host.script_command(&script(vec![run("echo ran > ran.txt")]), &options);
        // `setsid` without `--ctty`: no controlling terminal, whoever runs the tests.
        let mut alone = std::process::Command::new("setsid");
        alone.arg("--wait").arg(command.get_program()).args(command.get_args()).env_clear();
        alone
            .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .current_dir(host.workspace());
        command = alone;
        let outcome = testkit::host::Outcome::of(&mut command);
        assert_eq!(host.read("ran.txt"), None, "{outcome}");
        assert!(outcome.says("Nobody can approve"), "{outcome}");
        assert_eq!(story(&host).len(), 1, "{:?}", story(&host));
        assert_ne!(story(&host)[0], "intent");
    }
}

#[test]
fn ctrl_c_at_a_question_ends_the_task() {
    for host in hosts() {
        let mut terminal = ask(&host, &["echo ran > ran.txt"]);
        question(&mut terminal);
        terminal.enter("\u{3}");
        let outcome = terminal.outcome().expect_code(130);
        assert_eq!(host.read("ran.txt"), None, "{outcome}");
        assert!(!story(&host).contains(&"granted".to_owned()), "{outcome}");
        let left = testkit::host::leftovers(host.place(), std::time::Duration::from_secs(3));
        assert!(left.is_empty(), "{left:?}\n{outcome}");
    }
}
