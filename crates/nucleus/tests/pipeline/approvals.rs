use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use lattice_guard::Permissions;
use nucleus::{Answer, Cancel, Ending, Executor, ExecutorError, NoProgress};
use nucleus_wire::control::ApprovalMode;
use serde_json::json;

use crate::support::{Setting, World, asking, door, phases, until};

pub(crate) fn pending(ending: &Ending) -> &str {
    match ending {
        Ending::ApprovalRequired { id: Some(id), .. } => id,
        other => panic!("{other:?}"),
    }
}

/// The mission's example, as written.
#[test]
fn a_complete_trifecta_needs_approval_to_push() -> Result<(), Box<dyn std::error::Error>> {
    let world = World::new();
    let (sandbox, budget) = (world.sandbox.clone(), world.budget.clone());
    let policy = Permissions::top();
    let push = || -> Result<(), ExecutorError> {
        let executor = Executor::new(&policy, &sandbox, &budget);

        // If trifecta is complete, this requires approval
        executor.run("git push")?;
        // Error: ApprovalRequired { operation: "git_push" }
        Ok(())
    };
    let error = push().unwrap_err();
    assert_eq!(error, ExecutorError::ApprovalRequired { operation: "git_push" });
    assert_eq!(format!("{error:?}"), "ApprovalRequired { operation: \"git_push\" }");
    assert_eq!(world.runner.count(), 0);
    Ok(())
}

#[test]
fn one_yes_lets_the_retry_through_once() {
    let world = World::asking();
    let push = json!({"command": "git push origin main"});
    let first = world.call("run", push.clone());
    let id = pending(&first.ending).to_owned();
    assert!(first.text.contains(&format!("pending {id}")), "{}", first.text);
    assert_eq!(world.runner.count(), 0);
    let again = world.call("run", push.clone());
    assert_eq!(pending(&again.ending), id, "the same request, not a second one");
    assert_eq!(world.asked.count(), 1);

    assert_eq!(world.answer(true), id);
    let status = world.call("approvals_status", json!({ "id": id }));
    assert!(status.text.contains("granted: make the same call again"), "{}", status.text);
    let retried = world.call("run", push.clone());
    assert!(matches!(retried.ending, Ending::Done { .. }), "{retried:?}");
    assert!(retried.text.contains("ran git push origin main"), "{}", retried.text);
    assert_eq!(world.runner.count(), 1);

    let replayed = world.call("run", push);
    assert_ne!(pending(&replayed.ending), id, "the grant is used up: a new request");
    assert_eq!(world.runner.count(), 1);

    let events = world.closed();
    let consumed: Vec<_> = events.iter().filter(|e| !e.text("grant_nonce").is_empty()).collect();
    assert_eq!(consumed.len(), 1);
    assert_eq!(consumed[0].text("phase"), "intent");
    assert_eq!(consumed[0].text("approval_id"), id);
    let decided: Vec<_> = events.iter().filter(|e| e.text("type") == "approval").collect();
    let states: Vec<_> = decided.iter().map(|e| e.text("result")).collect();
    assert_eq!(states, ["pending", "granted", "pending", "withdrawn"]);
    assert_eq!(world.sandbox.calls()["approved"], 1);
}

#[test]
fn a_call_that_waits_goes_through_by_itself() {
    let world = World::of(Setting {
        policy: asking(),
        wait: Duration::from_secs(20),
        ..Setting::default()
    });
    thread::scope(|scope| {
        let call = scope.spawn(|| world.call("run", json!({"command": "git push"})));
        until(|| world.asked.count() == 1);
        world.answer(true);
        assert!(matches!(call.join().unwrap().ending, Ending::Done { .. }));
    });
    assert_eq!(world.runner.count(), 1);
}

#[test]
fn a_no_is_an_answer_and_is_not_asked_again() {
    let world = World::asking();
    let call = json!({"command": "git push"});
    let _ = world.call("run", call.clone());
    let id = world.asked.last();
    world
        .sandbox
        .approvals()
        .decide(&id, Answer::refuse("terminal", Some("not to main".to_owned())))
        .unwrap();
    for _ in 0..2 {
        let refused = world.call("run", call.clone());
        let Ending::Denied(refusal) = &refused.ending else { panic!("{refused:?}") };
        assert_eq!(refusal.code(), "deny.approval.refused");
        assert!(refused.text.contains("not to main"), "{}", refused.text);
        assert!(refused.text.contains("Do not retry"), "{}", refused.text);
    }
    assert_eq!(world.asked.count(), 1);
    assert_eq!(world.runner.count(), 0);
}

#[test]
fn other_arguments_are_another_request() {
    let world = World::asking();
    for (asked, swapped) in [
        (json!({"command": "git push origin a"}), json!({"command": "git push origin b"})),
        (json!({"argv": ["git", "log", "a b"]}), json!({"argv": ["git", "log", "a", "b"]})),
        (json!({"command": "git push"}), json!({"command": "git push", "stdin": "x"})),
        (json!({"command": "cat x"}), json!({"command": "cat x", "background": true})),
    ] {
        let first = world.call("run", asked.clone());
        let id = pending(&first.ending).to_owned();
        world.answer(true);
        let before = world.runner.count();
        let other = world.call("run", swapped);
        assert_ne!(pending(&other.ending), id);
        assert_eq!(world.runner.count(), before, "a grant covers its own arguments only");
        // Control: the arguments that were shown go through.
        assert!(matches!(world.call("run", asked).ending, Ending::Done { .. }));
        world.answer(false);
    }
}

#[test]
fn a_file_swapped_after_the_yes_is_another_request() {
    for command in
        ["./deploy.sh", "sh deploy.sh", "sh -c 'sh <deploy.sh | cat'", "cat --file=deploy.sh"]
    {
        let world = World::asking();
        world.put("deploy.sh", "echo harmless");
        let call = json!({ "command": command });
        let id = pending(&world.call("run", call.clone()).ending).to_owned();
        let rendering = world.asked.views.lock().unwrap()[0].rendering.clone();
        assert!(rendering.contains("deploy.sh"), "{command}: {rendering}");
        world.answer(true);
        world.put("deploy.sh", "echo evil    ");
        let swapped = world.call("run", call.clone());
        assert_ne!(pending(&swapped.ending), id, "{command}");
        assert_eq!(world.runner.count(), 0, "{command}");
        // Control: what was shown, put back, goes through.
        world.put("deploy.sh", "echo harmless");
        assert!(matches!(world.call("run", call).ending, Ending::Done { .. }), "{command}");
    }
}

#[test]
fn one_grant_is_one_effect_however_many_ask_at_once() {
    let world = World::asking();
    let call = json!({"command": "git push"});
    let _ = world.call("run", call.clone());
    world.answer(true);
    let done: usize = thread::scope(|scope| {
        let calls: Vec<_> =
            (0..12).map(|_| scope.spawn(|| world.call("run", call.clone()))).collect();
        calls
            .into_iter()
            .map(|call| usize::from(matches!(call.join().unwrap().ending, Ending::Done { .. })))
            .sum()
    });
    assert_eq!(done, 1);
    assert_eq!(world.runner.count(), 1);
    let nonces = world.closed().iter().filter(|e| !e.text("grant_nonce").is_empty()).count();
    assert_eq!(nonces, 1);
}

#[test]
fn time_takes_requests_and_grants_away() {
    let world = World::asking();
    let call = json!({"command": "git push"});
    let first = pending(&world.call("run", call.clone()).ending).to_owned();
    world.answer(true);
    world.clock.passed_ms.fetch_add(300_000, Ordering::SeqCst);
    let late = world.call("run", call.clone());
    let second = pending(&late.ending).to_owned();
    assert_ne!(second, first);
    assert_eq!(world.runner.count(), 0);
    world.clock.passed_ms.fetch_add(300_000, Ordering::SeqCst);
    assert!(
        world.sandbox.approvals().decide(&second, Answer::approve("terminal")).is_err(),
        "too late"
    );
    // Setting the wall clock back revives nothing.
    world.clock.wall_offset_ms.store(600_000, Ordering::SeqCst);
    assert_ne!(pending(&world.call("run", call).ending), second);
    assert_eq!(world.runner.count(), 0);
    let outcomes = world.asked.outcomes.lock().unwrap();
    assert_eq!((outcomes[&first], outcomes[&second]), ("expired", "expired"));
}

#[test]
fn where_nobody_can_answer_an_obligation_denies() {
    let world = World::of(Setting {
        policy: asking(),
        approvals: ApprovalMode::None,
        ..Setting::default()
    });
    let refused = world.call("run", json!({"command": "git push"}));
    let ending = Ending::ApprovalRequired { operation: "git_push", id: None };
    let run_or_push = Ending::ApprovalRequired { operation: "run_bash", id: None };
    assert!(refused.ending == ending || refused.ending == run_or_push, "{refused:?}");
    assert!(refused.text.contains("Nobody can approve"), "{}", refused.text);
    assert_eq!(world.asked.count(), 0);
    assert_eq!(world.runner.count(), 0);
    assert!(!world.executor.tools().contains(&nucleus_wire::tool::ToolName::ApprovalsStatus));
}

#[test]
fn five_requests_wait_and_the_sixth_is_refused() {
    let world = World::asking();
    for number in 0..5 {
        let call = world.call("run", json!({ "command": format!("git push o {number}") }));
        pending(&call.ending);
    }
    let refused = world.call("run", json!({"command": "git push o 6"}));
    let Ending::Denied(refusal) = &refused.ending else { panic!("{refused:?}") };
    assert_eq!(refusal.code(), "deny.approval.too_many");
    assert_eq!(world.asked.count(), 5);
}

#[test]
fn a_client_that_takes_its_call_back_takes_its_request_back() {
    let world = World::of(Setting {
        policy: asking(),
        wait: Duration::from_secs(20),
        ..Setting::default()
    });
    let cancel = Cancel::new();
    cancel.cancel();
    let arguments = json!({"command": "git push"});
    let result = world.executor.serve("run", &arguments, &door(), &cancel, &NoProgress);
    let Ending::Denied(refusal) = &result.ending else { panic!("{result:?}") };
    assert_eq!(refusal.code(), "deny.approval.withdrawn");
    assert!(world.sandbox.approvals().pending().is_empty());
    assert_eq!(phases(&world.closed(), "intent"), 0);
}

#[test]
fn the_human_reads_the_whole_call_as_data() {
    let world = World::asking();
    let evil = "git push\u{1b}[2K\u{202e}\nprogram: /usr/bin/true";
    let _ = world.call("run", json!({"argv": ["sh", "-c", evil]}));
    let views = world.asked.views.lock().unwrap();
    let view = &views[0];
    assert!(!view.rendering.contains(['\u{1b}', '\u{202e}']), "{}", view.rendering);
    assert!(view.rendering.contains("agent:scripted@s-1 wants: "), "{}", view.rendering);
    let ours = view.rendering.lines().filter(|line| line.starts_with("program: "));
    assert_eq!(ours.collect::<Vec<_>>().len(), 1, "{}", view.rendering);
    assert_eq!(view.digest.len(), 64);
    assert_eq!(view.expires_in_s, 300);
}
