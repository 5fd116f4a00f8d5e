use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::thread;

use lattice_guard::{
    Classifier, Envelope, GateMode, Label, Level, Operation, PathPattern, Paths, Permissions,
    TimeWindow,
};
use nucleus::{
    Amount, Caller, Cancel, Channel, CommandEnding, Ending, Executor, NoProgress, Pool, RunnerError,
};
use nucleus_wire::control::FeedStatus;
use nucleus_wire::tool::ToolName;
use serde_json::json;

use crate::support::{Event, Setting, World, agent, door, free, phases, start_ms, until};

fn code(ending: &Ending) -> &str {
    match ending {
        Ending::Denied(refusal) => refusal.code(),
        Ending::Failed { code } | Ending::Malformed { code } => code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_task_reads_edits_and_runs_and_each_call_is_in_the_log_twice() {
    let world = World::new();
    world.put("src/main.rs", "fn main() {}\n");
    let read = world.call("read", json!({"path": "src/main.rs"}));
    assert!(read.text.contains("fn main()"), "{}", read.text);
    let edit = json!({"path": "src/main.rs", "old_string": "{}", "new_string": "{ run() }"});
    assert!(!world.call("edit", edit).is_error());
    let changed = std::fs::read_to_string(world.ws().join("src/main.rs")).unwrap();
    assert_eq!(changed, "fn main() { run() }\n");
    assert!(!world.call("write", json!({"path": "new/file", "content": "x"})).is_error());
    let run = world.call("run", json!({"command": "cargo test"}));
    assert!(
        matches!(&run.ending, Ending::Done { exit: Some(nucleus::Exit::Code(0)), .. }),
        "{run:?}"
    );
    assert!(!world.call("grep", json!({"pattern": "run"})).is_error());
    assert!(!world.call("glob", json!({"pattern": "**/*.rs"})).is_error());
    assert_eq!(world.runner.intents_seen.load(Ordering::SeqCst), 1, "intent before effect");

    let events = world.closed();
    assert_eq!((phases(&events, "intent"), phases(&events, "outcome")), (6, 6));
    let edit = events.iter().find(|e| e.text("tool") == "edit").unwrap();
    assert_eq!(edit.text("target"), "src/main.rs");
    assert_eq!(edit.text("principal"), "agent:scripted@s-1");
    assert_eq!(edit.text("decision"), "allow");
    assert_eq!(edit.text("policy_digest"), world.executor.policy_digest().hex());
    assert_eq!(world.sandbox.calls()["allowed"], 6);
    let booked: u64 = events.iter().map(|event| event.number("cost_micro_usd")).sum();
    assert_eq!(world.budget.booked(), Amount::micro_usd(booked));
    assert!(booked > 0);
    assert_eq!(world.budget.reserved(), Amount::ZERO);
    let feed = world.feed.0.lock().unwrap();
    let statuses: Vec<_> = feed.iter().filter(|e| e.call == 4).map(|e| e.status).collect();
    assert_eq!(statuses, [FeedStatus::Allowed, FeedStatus::Done]);
}

#[test]
fn what_the_policy_does_not_name_is_refused_and_not_listed() {
    let policy =
        Permissions { levels: free().levels.with(Operation::WriteFiles, Level::Never), ..free() };
    let world = World::of(Setting { policy, ..Setting::default() });
    let refused = world.call("write", json!({"path": "a", "content": "x"}));
    assert!(code(&refused.ending).starts_with("deny.capability"), "{refused:?}");
    assert!(!world.ws().join("a").exists());
    let tools = world.executor.tools();
    assert!(!tools.contains(&ToolName::Write) && tools.contains(&ToolName::Edit));
    let events = world.closed();
    assert_eq!(phases(&events, "intent"), 0);
    let denied = events.iter().find(|e| e.text("decision") == "deny").unwrap();
    assert_eq!((denied.text("tool"), denied.text("result")), ("write", "denied"));
    // Control: the same call under a policy that names it.
    let open = World::new();
    assert!(!open.call("write", json!({"path": "a", "content": "x"})).is_error());
    assert!(open.ws().join("a").exists());
}

#[test]
fn paths_are_judged_by_what_they_really_are() {
    let classifier = Classifier::default();
    let block = vec![PathPattern::parse("secret/**").unwrap()];
    let policy = Permissions { paths: Paths::from_rules(None, block, &classifier), ..free() };
    let world = World::of(Setting { policy, ..Setting::default() });
    world.put("secret/key", "canary");
    world.put("open/key", "canary");
    std::os::unix::fs::symlink("../secret/key", world.ws().join("open/link")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", world.ws().join("open/out")).unwrap();
    for (path, wanted) in
        [("secret/key", "deny.path"), ("open/link", "deny.path"), ("open/out", "deny.path.escape")]
    {
        let refused = world.call("read", json!({ "path": path }));
        assert!(code(&refused.ending).starts_with(wanted), "{path}: {refused:?}");
        assert!(!refused.text.contains("canary"), "{path}");
    }
    let found = world.call("grep", json!({"pattern": "canary"}));
    assert!(found.text.contains("open/key") && !found.text.contains("secret"), "{}", found.text);
    let control = world.call("read", json!({"path": "open/key"}));
    assert!(control.text.contains("canary"), "{}", control.text);
}

#[test]
fn no_answer_names_a_host_path() {
    let world = World::new();
    let workspace = world.ws().to_str().unwrap().to_owned();
    std::os::unix::fs::symlink("/root/.ssh/id_ed25519", world.ws().join("out")).unwrap();
    world.put("binary", "a\0b");
    for (tool, arguments) in [
        ("read", json!({"path": "/etc/passwd"})),
        ("read", json!({"path": "missing"})),
        ("read", json!({"path": "out"})),
        ("read", json!({"path": "binary"})),
        ("write", json!({"path": "out", "content": "x"})),
        ("run", json!({"command": "no-such-program"})),
        ("run", json!({"command": "true", "cwd": "missing"})),
        ("grep", json!({"pattern": "("})),
        ("nonsense", json!({})),
    ] {
        let result = world.call(tool, arguments.clone());
        assert!(result.is_error() || tool == "run", "{tool} {arguments}: {result:?}");
        for path in [workspace.as_str(), "/root", "/etc/passwd", "/tmp/", "/home"] {
            assert!(!result.text.contains(path), "{tool} {arguments}: {}", result.text);
        }
    }
    // The driver's own words stay on this side.
    world.runner.broken.store(true, Ordering::SeqCst);
    let broken = world.call("run", json!({"command": "true"}));
    assert!(!broken.text.contains("secret place"), "{}", broken.text);
    let told = RunnerError::Io(std::io::Error::other("/var/lib/secret")).agent_text();
    assert!(!told.contains("secret"), "{told}");
}

#[test]
fn garbage_is_refused_recorded_and_coalesced() {
    let world = World::new();
    for number in 0..1_000 {
        let result = match number % 3 {
            0 => world.call("no_such_tool", json!({})),
            1 => world.call("read", json!({"path": "a", "unknown": 1})),
            _ => world.call("run", json!({"command": ""})),
        };
        assert!(matches!(result.ending, Ending::Malformed { .. }), "{result:?}");
    }
    let events = world.closed();
    let written: Vec<_> = events.iter().filter(|e| e.text("type") == "malformed_call").collect();
    assert_eq!(written.len(), 21, "twenty one by one, and one that counts the rest");
    let suppressed = written[20].0["detail"]["suppressed"].as_u64().unwrap();
    assert_eq!(suppressed, 980);
    assert_eq!(world.sandbox.calls()["malformed"], 1_000);
}

#[test]
fn what_was_no_call_is_recorded_with_its_tool_and_what_it_named() {
    let world = World::new();
    let hidden = "\u{202e}gpj.exe\u{1b}[2J";
    let bodies = "canary-of-a-body";
    for (tool, arguments, expected) in [
        ("bogus", json!({}), ("bogus", "", "args.tool.unknown")),
        (
            "web_fetch",
            json!({"url": "https://attacker.invalid/"}),
            ("web_fetch", "https://attacker.invalid/", "args.tool.unknown"),
        ),
        (
            "read",
            json!({"path": "../../etc/passwd"}),
            ("read", "../../etc/passwd", "args.path.parent"),
        ),
        (
            "run",
            json!({"command": "make", "cwd": "/etc"}),
            ("run", "make with cwd /etc", "args.path.outside"),
        ),
        ("run", json!({"argv": ["a", 1]}), ("run", "[\"a\",1]", "args.type")),
        ("read", json!({"path": "a", "mode": 1}), ("read", "a with \"mode\"", "args.unknown")),
        (
            "edit",
            json!({"path": "a", "old_string": bodies, "new_string": bodies}),
            ("edit", "a", "args.same_text"),
        ),
        (
            hidden,
            json!({ "path": hidden }),
            ("\\u{202e}gpj.exe\\u{1b}[2J", "\\u{202e}gpj.exe\\u{1b}[2J", "args.tool.unknown"),
        ),
    ] {
        let before = world.events().len();
        assert!(matches!(world.call(tool, arguments).ending, Ending::Malformed { .. }), "{tool}");
        let events = world.events();
        let (event, (tool, target, rule)) = (&events[before], expected);
        assert_eq!(
            (event.text("tool"), event.text("target"), event.text("rule")),
            (tool, target, rule)
        );
        assert_eq!(event.0["detail"]["layer"], "wire");
        let feed = world.feed.0.lock().unwrap();
        let shown = feed.last().unwrap();
        assert_eq!((shown.tool.as_str(), shown.target.as_str()), (tool, target));
    }
    let long = "n".repeat(1 << 20);
    let _ = world.call(&long, json!({ "path": long, "command": long }));
    let events = world.closed();
    let last = events.iter().rfind(|event| event.text("type") == "malformed_call").unwrap();
    assert!(last.text("tool").len() < 128 && last.text("target").len() < 600);
    let log = std::fs::read_to_string(world.log()).unwrap();
    assert!(!log.contains(bodies) && !log.contains('\u{202e}'), "{log}");
}

#[test]
fn refusals_before_the_decision_are_coalesced_too() {
    let world = World::new();
    std::os::unix::fs::symlink("/", world.ws().join("out")).unwrap();
    for _ in 0..200 {
        let refused = world.call("read", json!({"path": "out/etc/passwd"}));
        assert_eq!(code(&refused.ending), "deny.path.escape");
    }
    let events = world.closed();
    let written = events.iter().filter(|e| e.text("rule") == "deny.path.escape").count();
    assert_eq!(written, 20);
    let last = events.last().unwrap();
    assert_eq!(last.0["detail"]["suppressed"].as_u64(), Some(180));
    assert_eq!(last.0["detail"]["suppressed_denied"].as_u64(), Some(180), "no malformed calls");
    assert_eq!(world.sandbox.calls()["denied"], 200);
}

#[test]
fn tools_about_jobs_need_the_right_to_run() {
    let levels = free().levels.with(Operation::RunBash, Level::Never);
    let policy = Permissions { levels, ..free() };
    let world = World::of(Setting { policy, ..Setting::default() });
    let refused = world.call("job_output", json!({"job": "job-1"}));
    assert_eq!(code(&refused.ending), "deny.capability.never");
    // Control: with the right to run there is merely no such job.
    assert_eq!(
        code(&World::new().call("job_output", json!({"job": "job-1"})).ending),
        "job.unknown"
    );
}

#[test]
fn a_channel_serves_only_what_it_is_for() {
    let world = World::new();
    world.put("a", "x");
    let gate = Caller::new(Channel::ModelGate, agent());
    let arguments = json!({"path": "a"});
    let refused = world.executor.serve("read", &arguments, &gate, &Cancel::new(), &NoProgress);
    assert_eq!(code(&refused.ending), "deny.identity.channel");
    assert!(
        !world.executor.serve("read", &arguments, &door(), &Cancel::new(), &NoProgress).is_error()
    );
    let events = world.closed();
    assert_eq!(events.iter().filter(|e| e.text("rule") == "deny.identity.channel").count(), 1);
}

#[test]
fn an_empty_budget_refuses_before_the_effect() {
    let budget = Amount::micro_usd(50);
    let world = World::of(Setting { budget, ..Setting::default() });
    let refused = world.call("run", json!({"command": "true"}));
    assert_eq!(code(&refused.ending), "deny.budget.cost");
    assert!(refused.text.contains("$0.000050 left"), "{}", refused.text);
    assert_eq!(world.runner.count(), 0);
    assert_eq!(world.budget.left(), budget, "nothing is held");
    // A command that fits is let through, and pays for the time it took.
    assert!(!world.call("run", json!({"command": "true", "timeout_s": 1})).is_error());
    assert_eq!(world.budget.booked(), Amount::micro_usd(10));
}

#[test]
fn many_small_commands_do_not_eat_the_budget() {
    let world = World::of(Setting { budget: Amount::micro_usd(200_000), ..Setting::default() });
    for _ in 0..100 {
        assert!(!world.call("run", json!({"command": "true"})).is_error());
    }
    assert_eq!(
        world.budget.booked(),
        Amount::micro_usd(1_000),
        "base price only, the rest refunded"
    );
}

#[test]
fn the_window_closes_even_when_the_clock_is_set_back() {
    let window = TimeWindow::new(0, start_ms() + 1_000);
    let policy = Permissions { time: window, ..free() };
    let world = World::of(Setting { policy, ..Setting::default() });
    world.put("a", "x");
    assert!(!world.call("read", json!({"path": "a"})).is_error());
    world.clock.passed_ms.store(5_000, Ordering::SeqCst);
    world.clock.wall_offset_ms.store(5_000, Ordering::SeqCst);
    let refused = world.call("read", json!({"path": "a"}));
    assert!(code(&refused.ending).starts_with("deny.time"), "{refused:?}");
}

#[test]
fn the_label_grows_and_closes_the_gate() {
    let world = World::new();
    world.put("a", "x");
    let permissions = Permissions::top();
    let (envelope, authority) =
        Envelope::new(permissions, Classifier::default(), GateMode::Exposure);
    let executor = Executor::with_envelope(envelope, authority, &world.sandbox, &world.budget);
    let push = || executor.run("git push");
    assert!(push().is_ok(), "a clean task is not asked");
    let label = world.sandbox.label();
    assert!(label.private && !label.untrusted, "{label:?}");
    // A task that inherits the label is.
    let tainted = World::new();
    let seen = Label { private: true, untrusted: true };
    let executor = tainted.with_label(seen, GateMode::Exposure, &Permissions::top());
    let refused = executor.run("git push").unwrap_err();
    assert_eq!(format!("{refused:?}"), "ApprovalRequired { operation: \"git_push\" }");
}

#[test]
fn commit_on_an_ordinary_branch_needs_nobody() {
    let world = World::new();
    world.put(".git/HEAD", "ref: refs/heads/fix-1\n");
    world.put("sub/x", "x");
    let commit = json!({"argv": ["git", "commit", "-m", "x"], "cwd": "sub"});
    let done = world.call("run", commit.clone());
    assert!(matches!(done.ending, Ending::Done { .. }), "{done:?}");
    // Control: a detached head is no branch.
    world.put(".git/HEAD", "0123456789012345678901234567890123456789\n");
    let asked = world.call("run", commit);
    assert!(matches!(asked.ending, Ending::ApprovalRequired { .. }), "{asked:?}");
}

#[test]
fn a_cancelled_command_is_killed_and_settled() {
    let world = World::new();
    world.runner.hang.store(true, Ordering::SeqCst);
    let cancel = Cancel::new();
    let result = thread::scope(|scope| {
        let call = scope.spawn(|| {
            let arguments = json!({"command": "sh"});
            world.executor.serve("run", &arguments, &door(), &cancel, &NoProgress)
        });
        until(|| world.runner.count() == 1);
        cancel.cancel();
        call.join().unwrap()
    });
    assert!(result.is_error(), "{result:?}");
    assert_eq!(world.budget.reserved(), Amount::ZERO);
    let events = world.closed();
    assert_eq!((phases(&events, "intent"), phases(&events, "outcome")), (1, 1));
}

#[test]
fn a_call_is_seen_through_when_its_client_has_left() {
    let world = World::new();
    let pool = Pool::new(2, 4).unwrap();
    let (reply, answer) = channel();
    let executor = world.executor.clone();
    pool.submit(move || {
        let arguments = json!({"path": "a", "content": "x"});
        let result = executor.serve("write", &arguments, &door(), &Cancel::new(), &NoProgress);
        // Nobody listens any more.
        assert!(reply.send(result).is_err());
    })
    .unwrap();
    drop(answer);
    drop(pool);
    assert_eq!(std::fs::read_to_string(world.ws().join("a")).unwrap(), "x");
    let events = world.closed();
    assert_eq!((phases(&events, "intent"), phases(&events, "outcome")), (1, 1));
}

#[test]
fn a_background_command_is_settled_when_it_ends() {
    let world = World::new();
    world.runner.hang.store(true, Ordering::SeqCst);
    let started = world.call("run", json!({"command": "sh", "background": true}));
    let Ending::Done { job: Some(job), .. } = &started.ending else { panic!("{started:?}") };
    assert_ne!(world.budget.reserved(), Amount::ZERO, "still held");
    assert_eq!(phases(&world.events(), "outcome"), 0);
    let _ = world.call("job_stop", json!({ "job": job }));
    let events = world.closed();
    let ended = events.iter().find(|e| e.text("tool") == "run" && e.text("phase") == "outcome");
    assert_told(&world, ended.unwrap(), ("stopped", "run.stopped", "stopped", "job-1: stopped"));
    assert_eq!(world.sandbox.calls()["stopped"], 1);
    assert_eq!(world.budget.reserved(), Amount::ZERO);
    assert_eq!((phases(&events, "intent"), phases(&events, "outcome")), (2, 2));
}

#[test]
fn the_end_of_the_task_kills_and_settles_what_still_runs() {
    let world = World::new();
    world.runner.hang.store(true, Ordering::SeqCst);
    let _ = world.call("run", json!({"command": "sh", "background": true}));
    let events = world.closed();
    assert_eq!((phases(&events, "intent"), phases(&events, "outcome")), (1, 1));
    let ended = events.iter().find(|e| e.text("phase") == "outcome").unwrap();
    assert_told(
        &world,
        ended,
        ("stopped", "run.task_ended", "task_ended", "job-1: ended with the task"),
    );
    assert_eq!(world.budget.reserved(), Amount::ZERO);
}

/// Result, code and ending of an outcome in the log, and the words of the feed.
fn assert_told(world: &World, event: &Event, expected: (&str, &str, &str, &str)) {
    let detail = event.0.get("detail").unwrap();
    let ending = detail.get("ending").and_then(serde_json::Value::as_str).unwrap();
    let feed = world.feed.0.lock().unwrap();
    let shown = feed.iter().rfind(|shown| shown.rule.as_deref() == Some(expected.1)).unwrap();
    assert_ne!(shown.status, FeedStatus::Done);
    let words = shown.detail.as_deref().unwrap();
    assert_eq!((event.text("result"), event.text("rule"), ending, words), expected);
}

#[test]
fn a_command_that_outlives_its_time_is_told_so_everywhere() {
    let world = World::new();
    world.runner.hang.store(true, Ordering::SeqCst);
    let done = world.call("run", json!({"command": "sh", "timeout_s": 1}));
    assert!(done.text.starts_with("ran sh\n[timed out after 1."), "{}", done.text);
    assert_eq!(done.ending, Ending::Failed { code: "run.timed_out" });
    let events = world.closed();
    assert_eq!((phases(&events, "outcome"), phases(&events, "note")), (1, 0), "no job was left");
    let ended = events.iter().find(|e| e.text("phase") == "outcome").unwrap();
    assert_told(&world, ended, ("error", "run.timed_out", "timed_out", "timed out"));
    assert_eq!(ended.0["detail"]["exit_signal"].as_i64(), Some(9));
    assert_eq!(world.sandbox.calls()["failed"], 1);
}

#[test]
fn a_users_own_command_says_how_it_ended() {
    for (ending, result, words) in [
        (CommandEnding::TimedOut, "error", "timed out"),
        (CommandEnding::Stopped, "stopped", "stopped"),
        (CommandEnding::NoProgram, "error", "no such program"),
        (CommandEnding::NotExecutable, "error", "not executable"),
    ] {
        let world = World::new();
        let caller = Caller::new(Channel::Operator, agent());
        let argv = vec!["sh".to_owned()];
        let root = lattice_guard::RelPath::root();
        let ticket = world.executor.command(argv, &root, None, &caller, &Cancel::new()).unwrap();
        ticket.settle(ending, 0);
        let events = world.closed();
        let event = events.iter().find(|e| e.text("phase") == "outcome").unwrap();
        assert_eq!(event.text("result"), result, "{ending:?}");
        let feed = world.feed.0.lock().unwrap();
        assert_eq!(feed.last().unwrap().detail.as_deref(), Some(words));
    }
}

#[test]
fn a_users_own_command_is_judged_recorded_and_settled() {
    let world = World::new();
    let caller = Caller::new(Channel::Operator, agent());
    let argv = vec!["cargo".to_owned(), "test".to_owned()];
    let mut ticket = world
        .executor
        .command(
            argv.clone(),
            &lattice_guard::RelPath::root(),
            Some(1_000),
            &caller,
            &Cancel::new(),
        )
        .unwrap();
    assert_eq!(ticket.take_spec().unwrap().argv(), argv);
    assert!(ticket.take_spec().is_none(), "one intent, one effect");
    ticket.settle(CommandEnding::Exited(nucleus::Exit::Code(101)), 12);
    let dropped = world
        .executor
        .command(argv, &lattice_guard::RelPath::root(), Some(1_000), &caller, &Cancel::new())
        .unwrap();
    let held = world.budget.reserved();
    drop(dropped);
    assert_eq!(world.budget.booked().cost_micro_usd, 10 + held.cost_micro_usd);
    let events = world.closed();
    assert_eq!((phases(&events, "intent"), phases(&events, "outcome")), (2, 2));
}
