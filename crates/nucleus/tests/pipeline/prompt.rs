//! Claude Code asks about tools of its own: judged like any call, and never an effect.

use lattice_guard::{
    Classifier, HostPattern, Hosts, Level, Operation, PathPattern, Paths, Permissions,
};
use nucleus::{Amount, Ending, OwnTools, ToolResult};
use nucleus_wire::control::ApprovalMode;
use nucleus_wire::tool::ToolName;
use serde_json::{Value, json};

use crate::approvals::pending;
use crate::support::{Setting, World, asking, free, phases};

/// A world whose client asks about tools that act in `place`.
fn world(policy: Permissions, place: OwnTools) -> World {
    let mut world = World::of(Setting { policy, ..Setting::default() });
    world.executor = world.executor.clone().answering_prompts(place);
    world
}

fn ask(world: &World, tool: &str, input: Value) -> ToolResult {
    let question = json!({"tool_name": tool, "input": input, "tool_use_id": "toolu_1"});
    world.call("permission_prompt", question)
}

fn code(result: &ToolResult) -> &str {
    match &result.ending {
        Ending::Denied(refusal) => refusal.code(),
        Ending::Malformed { code } | Ending::Failed { code } => code,
        Ending::Done { .. } => "done",
        Ending::ApprovalRequired { .. } => "approval",
    }
}

fn with(operation: Operation, level: Level) -> Permissions {
    Permissions { levels: free().levels.with(operation, level), ..free() }
}

#[test]
fn what_the_policy_lets_through_is_allowed_unchanged_and_nothing_is_done() {
    let world = world(free(), OwnTools::Pod);
    world.put("src/a.rs", "fn a() {}\n");
    let file = world.ws().join("src/a.rs");
    for (tool, input, target) in [
        ("Bash", json!({"command": "cargo test", "timeout": 1e3}), "Bash: cargo test"),
        ("Read", json!({"file_path": file}), "Read: src/a.rs"),
        ("Write", json!({"file_path": file, "content": ""}), "Write: src/a.rs"),
        ("Grep", json!({"pattern": "a", "path": "src"}), "Grep: src"),
        ("mcp__nucleus__run", json!({"command": "x"}), "mcp__nucleus__run"),
    ] {
        let result = ask(&world, tool, input.clone());
        assert_eq!(code(&result), "done", "{result:?}");
        let answer: Value = serde_json::from_str(&result.text).unwrap();
        assert_eq!(answer, json!({"behavior": "allow", "updatedInput": input}));
        let event = world.events().pop().unwrap();
        assert_eq!((event.text("tool"), event.text("target")), ("permission_prompt", target));
    }
    assert_eq!(world.runner.count(), 0);
    assert_eq!(std::fs::read_to_string(file).unwrap(), "fn a() {}\n");
    assert_eq!(world.budget.booked(), Amount::ZERO);
    let events = world.closed();
    assert_eq!((phases(&events, "intent"), phases(&events, "outcome")), (5, 5));
}

#[test]
fn what_the_policy_refuses_is_refused_in_its_words() {
    let block = vec![PathPattern::parse("secret/**").unwrap()];
    let paths = Paths::from_rules(None, block, &Classifier::default());
    let policy = Permissions { paths, ..with(Operation::RunBash, Level::Never) };
    let world = world(policy, OwnTools::Pod);
    for (tool, input, expected) in [
        ("Bash", json!({"command": "true"}), "deny.capability.never"),
        ("Read", json!({"file_path": "secret/key"}), "deny.path.blocked"),
        ("WebFetch", json!({"url": "https://a.example/", "prompt": "p"}), "deny.capability.never"),
        ("WebSearch", json!({"query": "q"}), "deny.capability.never"),
        ("AskUserQuestion", json!({"questions": []}), "deny.prompt.unknown"),
        ("mcp__other__run", json!({}), "deny.prompt.unknown"),
        ("Read", json!({"file_path": "/etc/passwd"}), "args.path.outside"),
    ] {
        let result = ask(&world, tool, input);
        assert_eq!(code(&result), expected, "{tool}: {result:?}");
    }
    let unknown = ask(&world, "Escape\u{1b}[2J", json!({}));
    assert!(unknown.text.contains("`nucleus` instead: read, write, edit"), "{}", unknown.text);
    assert!(!unknown.text.contains('\u{1b}'), "{}", unknown.text);
    // The control: what is not named in the policy's refusals goes through.
    assert_eq!(code(&ask(&world, "Read", json!({"file_path": "open/key"}))), "done");
    assert_eq!(world.runner.count(), 0);
}

#[test]
fn the_web_is_judged_by_host() {
    let network = Hosts::only([HostPattern::parse("a.example").unwrap()]);
    let policy = Permissions { network, ..with(Operation::WebFetch, Level::Always) };
    let world = world(policy, OwnTools::Pod);
    let fetch =
        |url: &str| code(&ask(&world, "WebFetch", json!({"url": url, "prompt": "p"}))).to_owned();
    assert_eq!(fetch("https://a.example/x"), "done");
    assert_eq!(fetch("https://b.example/x"), "deny.network.host");
}

#[test]
fn a_yes_lets_exactly_this_question_through_once() {
    let world = world(asking(), OwnTools::Pod);
    let bash = json!({"command": "git log", "description": "look"});
    let first = ask(&world, "Bash", bash.clone());
    let id = pending(&first.ending).to_owned();
    assert!(first.text.contains(&format!("pending {id}")), "{}", first.text);
    assert!(first.text.contains("make the same call again"), "{}", first.text);
    let view = world.asked.views.lock().unwrap()[0].rendering.clone();
    let asks = "Claude Code asks whether its own tool Bash may run this command line:\n";
    assert!(view.contains(asks), "{view}");
    assert!(view.contains("agent text │ git log\n"), "{view}");
    assert!(view.contains("agent text │   \"description\": \"look\""), "{view}");
    world.answer(true);

    // Neither another question nor the call of Nucleus's own tool is what was granted.
    for (tool, input) in [
        ("Bash", json!({"command": "git log", "description": "look closer"})),
        ("Bash", json!({"command": "git log -p", "description": "look"})),
    ] {
        assert_ne!(pending(&ask(&world, tool, input).ending), id);
    }
    let run = world.call("run", json!({"command": "git log"}));
    assert_ne!(pending(&run.ending), id);
    assert_eq!(world.runner.count(), 0);

    let again = json!({"tool_name": "Bash", "input": bash, "tool_use_id": "toolu_2"});
    let granted = world.call("permission_prompt", again.clone());
    assert_eq!(code(&granted), "done", "{granted:?}");
    assert_ne!(pending(&world.call("permission_prompt", again).ending), id, "used up");
    let events = world.closed();
    let used: Vec<_> = events.iter().filter(|e| !e.text("grant_nonce").is_empty()).collect();
    assert_eq!(used.len(), 1);
    assert_eq!((used[0].text("tool"), used[0].text("phase")), ("permission_prompt", "intent"));
    assert_eq!(used[0].text("approval_id"), id);
}

/// What a person let the task write in the workspace is another matter than what they let Claude Code do elsewhere.
#[test]
fn a_yes_to_its_own_commit_or_write_is_none_to_the_task_s() {
    let levels = asking().levels.with(Operation::WriteFiles, Level::Ask);
    let world = world(Permissions { levels, ..asking() }, OwnTools::Pod);
    let commit = json!({"command": "git commit -m x"});
    let write = json!({"file_path": "a", "content": "x"});
    for (tool, input) in [("Bash", commit.clone()), ("Write", write)] {
        pending(&ask(&world, tool, input.clone()).ending);
        world.answer(true);
        assert_eq!(code(&ask(&world, tool, input)), "done");
    }
    let content = nucleus::Digest::of(b"x");
    let approved = world.sandbox.approved();
    assert!(!approved.commit() && !approved.covers("a", &content));
    // The control: the task's own calls.
    for (tool, arguments) in [("run", commit), ("write", json!({"path": "a", "content": "x"}))] {
        pending(&world.call(tool, arguments.clone()).ending);
        world.answer(true);
        assert!(!world.call(tool, arguments).is_error());
    }
    assert!(approved.commit() && approved.covers("a", &content));
}

#[test]
fn a_no_and_an_absent_person_are_answers_too() {
    let refusing = world(asking(), OwnTools::Pod);
    let bash = json!({"command": "git log"});
    let _ = ask(&refusing, "Bash", bash.clone());
    refusing.answer(false);
    assert_eq!(code(&ask(&refusing, "Bash", bash.clone())), "deny.approval.refused");
    let setting = Setting { policy: asking(), approvals: ApprovalMode::None, ..Setting::default() };
    let mut alone = World::of(setting);
    alone.executor = alone.executor.clone().answering_prompts(OwnTools::Pod);
    let denied = ask(&alone, "Bash", bash);
    assert!(denied.text.contains("Nobody can approve"), "{}", denied.text);
    assert_eq!(phases(&alone.closed(), "intent"), 0);
}

#[test]
fn where_nobody_is_to_ask_it_is_neither_listed_nor_answered() {
    let world = World::new();
    assert!(!world.executor.tools().contains(&ToolName::PermissionPrompt));
    for (tool, input) in [
        ("Bash", json!({"command": "true"})),
        ("mcp__nucleus__read", json!({"path": "a"})),
        ("Other", json!({})),
    ] {
        let refused = ask(&world, tool, input);
        assert_eq!(code(&refused), "deny.capability.never", "{refused:?}");
        assert!(refused.text.contains("`permission_prompt`"), "{}", refused.text);
    }
    let control = self::world(free(), OwnTools::Pod);
    assert!(control.executor.tools().contains(&ToolName::PermissionPrompt));
    assert_eq!(code(&ask(&control, "Bash", json!({"command": "true"}))), "done");
}

/// Whatever is asked, and whatever a person says to it, no answer holds anything of a file.
#[test]
fn no_answer_says_anything_of_a_file() {
    let block = vec![PathPattern::parse("secret/**").unwrap()];
    let paths = Paths::from_rules(None, block, &Classifier::default());
    let policy = Permissions { paths, ..with(Operation::ReadFiles, Level::Ask) };
    let world = world(policy, OwnTools::Pod);
    world.put("notes", "canary-5d0a");
    world.put("secret/key", "canary-5d0a");
    world.put(".env", "canary-5d0a");
    std::os::unix::fs::symlink("secret/key", world.ws().join("link")).unwrap();
    let digest = nucleus::Digest::of(b"canary-5d0a").hex();
    let mut said = String::new();
    for (tool, input) in [
        ("Read", json!({"file_path": "secret/key"})),
        ("Read", json!({"file_path": "link"})),
        ("Grep", json!({"pattern": "canary", "path": "secret"})),
        ("Edit", json!({"file_path": "secret/key", "old_string": "x", "new_string": "y"})),
        ("Bash", json!({"command": "cat secret/key"})),
        ("Read", json!({"file_path": ".env"})),
        ("Read", json!({"file_path": "notes"})),
    ] {
        said.push_str(&ask(&world, tool, input).text);
    }
    // One of them is asked about; a yes is an answer, and not the file.
    world.answer(true);
    let granted = ask(&world, "Read", json!({"file_path": "notes"}));
    assert_eq!(granted.text, r#"{"behavior":"allow","updatedInput":{"file_path":"notes"}}"#);
    for view in world.asked.views.lock().unwrap().iter() {
        said.push_str(&view.rendering);
    }
    assert!(!said.contains("canary-5d0a") && !said.contains(&digest), "{said}");
    assert!(said.contains("secret"), "the control: names are there");
}

/// On the host nothing holds what a command does, so none counts as harmless and no rule trusts its name; and a search
/// leaves nothing out.
#[test]
fn on_the_host_no_command_is_of_low_risk_and_no_search_is_let_through() {
    let cat = json!({"command": "cat README.md"});
    assert_eq!(code(&ask(&world(free(), OwnTools::Pod), "Bash", cat.clone())), "done");
    assert_eq!(code(&ask(&world(free(), OwnTools::Host), "Bash", cat.clone())), "approval");
    let always = with(Operation::RunBash, Level::Always);
    assert_eq!(code(&ask(&world(always, OwnTools::Host), "Bash", cat)), "done");
    for (tool, input) in [("Grep", json!({"pattern": "KEY"})), ("Glob", json!({"pattern": "**/*"}))]
    {
        assert_eq!(code(&ask(&world(free(), OwnTools::Pod), tool, input.clone())), "done");
        let on_host = ask(&world(free(), OwnTools::Host), tool, input);
        assert_eq!(code(&on_host), "deny.prompt.unknown", "{tool}");
    }
}
