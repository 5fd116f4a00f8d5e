//! Claude Code asks Nucleus before it uses a tool of its own: its shell, switched on on purpose.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::host::{Account, Host, Task};
use testkit::stage::{Stage, say, tool};

use super::{ASKS, CLAUDE, shell};

/// The shell is there, and nothing says that it may be used.
const SHELL_ASKS: [&str; 2] = ["--agent-arg=--tools", "--agent-arg=Bash"];
/// No tool of the policy's runs a command.
const NO_COMMANDS: &str = "[capabilities]\nread_files = \"always\"\nwrite_files = \"always\"\n";
/// Something that its own rules ask about.
const LINE: &str = "echo asked > /tmp/asked && cat /tmp/asked && printf 'the-%d-end' 42";
const PATIENCE: Duration = Duration::from_secs(60);

fn stage(account: Account) -> Stage {
    Stage::new(CLAUDE, account, vec![shell(LINE), say("Over.")])
}

/// Questions in the log, with what was decided.
fn decisions(host: &Host) -> Vec<Value> {
    let log = host.logs().pop();
    let text = log.and_then(|log| std::fs::read_to_string(log).ok()).unwrap_or_default();
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let events = events.filter_map(|entry| entry.get("event").cloned());
    events.filter(|event| says(event, "tool") == "permission_prompt").collect()
}

fn says<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A task under `policy` whose questions wait at the socket.
fn parked(stage: &Stage, policy: &str) -> Task {
    stage.host.put(stage.host.place(), "permissions.toml", policy.as_bytes());
    let config = stage.host.place().join("permissions.toml").display().to_string();
    let options = ["--config", config.as_str(), "--approvals", "socket"];
    stage.host.start(&mut stage.command(&options, &SHELL_ASKS, "Look"))
}

/// The id of the one request that waits.
fn asked(stage: &Stage, task: &mut Task) -> String {
    let deadline = Instant::now() + PATIENCE;
    let mut id = String::new();
    task.until(|_| {
        let listed = stage.host.nucleus(&["approvals", "list", "--json"]);
        let listed: Value = serde_json::from_str(&listed.stdout).unwrap_or_default();
        let first = listed.pointer("/requests/0");
        id = first.map(|request| says(request, "id").to_owned()).unwrap_or_default();
        !id.is_empty() || Instant::now() > deadline
    });
    assert!(!id.is_empty(), "nobody was asked: {}", task.printed());
    id
}

#[test]
fn a_command_of_low_risk_in_its_pod_is_let_through_without_a_person() {
    for account in Account::all() {
        let stage = stage(account);
        let outcome = stage.run(&SHELL_ASKS, "Look").expect_code(0);
        let seen = stage.last();
        assert!(seen.to_string().contains("the-42-end"), "{outcome}\n{seen}");
        let tools = seen.get("tools").map(Value::to_string).unwrap_or_default();
        assert!(tools.contains("mcp__nucleus__run"), "{tools}");
        assert!(!tools.contains("permission_prompt"), "it is not the model's to call: {tools}");
        let asked = decisions(&stage.host);
        assert_eq!(asked.first().map(|event| says(event, "decision")), Some("allow"), "{asked:?}");
        // The control: in the mode that asks nobody the same command is not run, and no question comes.
        let mut silent = SHELL_ASKS.to_vec();
        silent.extend(["--agent-arg=--permission-mode", "--agent-arg=dontAsk"]);
        let control = self::stage(account);
        let outcome = control.run(&silent, "Look").expect_code(0);
        assert!(!control.last().to_string().contains("the-42-end"), "{outcome}");
        assert!(decisions(&control.host).is_empty(), "{outcome}");
    }
}

#[test]
fn a_command_that_the_policy_refuses_is_not_run_and_the_model_reads_why() {
    for account in Account::all() {
        for (policy, runs) in [(NO_COMMANDS, false), ("run_bash = \"always\"\n", true)] {
            let policy = if runs { format!("{NO_COMMANDS}{policy}") } else { policy.to_owned() };
            let stage = stage(account);
            let (outcome, _) = parked(&stage, &policy).outcome();
            let seen = stage.last().to_string();
            assert_eq!(seen.contains("the-42-end"), runs, "{outcome}\n{seen}");
            assert_eq!(seen.contains("deny.capability.never"), !runs, "{outcome}\n{seen}");
            assert!(!seen.contains("tool_use_error"), "words, not their wrapping: {seen}");
            let asked = decisions(&stage.host);
            let expected = if runs { "allow" } else { "deny" };
            let decided = asked.first().map(|event| says(event, "decision"));
            assert_eq!(decided, Some(expected), "{asked:?}");
        }
    }
}

#[test]
fn a_parked_command_waits_for_a_person_elsewhere_whose_answer_holds() {
    for account in Account::all() {
        for approve in [true, false] {
            let stage = stage(account);
            let mut task = parked(&stage, ASKS);
            let id = asked(&stage, &mut task);
            let shown = stage.host.nucleus(&["approvals", "show", &id]).expect_code(0);
            let words = "Claude Code asks whether its own tool Bash may run this command line:";
            assert!(shown.says(words) && shown.says("echo asked"), "{shown}");
            let word = if approve { "approve" } else { "deny" };
            stage.host.nucleus(&["approvals", word, &id]).expect_code(0);
            let (outcome, _) = task.outcome();
            let outcome = outcome.expect_code(0);
            let seen = stage.last().to_string();
            assert_eq!(seen.contains("the-42-end"), approve, "{outcome}\n{seen}");
            assert_eq!(seen.contains("Refused by the user"), !approve, "{outcome}\n{seen}");
            let used = |event: &&Value| event.get("grant_nonce").is_some_and(Value::is_string);
            let used = decisions(&stage.host).iter().filter(used).count();
            assert_eq!(used, usize::from(approve), "{outcome}");
            stage.host.verify(&stage.host.logs()[0]).expect_code(0);
        }
    }
}

#[test]
fn a_person_may_take_longer_than_a_call_waits() {
    let stage = stage(Account::all().remove(0));
    let mut task = parked(&stage, ASKS);
    let id = asked(&stage, &mut task);
    // One call waits half a minute: the client has been told to make it again before this is over.
    task.watch(Duration::from_secs(36));
    stage.host.nucleus(&["approvals", "approve", &id]).expect_code(0);
    let (outcome, _) = task.outcome();
    let seen = stage.last().to_string();
    assert!(seen.contains("the-42-end"), "{outcome}\n{seen}");
    // The model was not bothered while it waited: its call, and what came of it.
    assert_eq!(stage.mock.requests().len(), 2, "{outcome}");
}

#[test]
fn a_tool_that_is_not_its_own_is_judged_where_it_is_called() {
    for account in Account::all() {
        let call = tool("mcp__nucleus__run", json!({"command": "echo by-the-door"}));
        let stage = Stage::new(CLAUDE, account, vec![call, say("Over.")]);
        // Without its leave for Nucleus's tools it asks about them, too.
        let outcome = stage.run(&["--agent-arg=--allowedTools", "--agent-arg=TodoWrite"], "Run");
        let outcome = outcome.expect_code(0);
        let seen = stage.last().to_string();
        assert!(
            seen.contains("by-the-door") && seen.contains("[exit 0 after"),
            "{outcome}\n{seen}"
        );
        let target = decisions(&stage.host).first().map(|event| says(event, "target").to_owned());
        assert_eq!(target.as_deref(), Some("mcp__nucleus__run"), "{outcome}");
    }
}
