use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use nucleus::{Amount, Ending};
use serde_json::json;

use crate::support::{World, phases};

fn code(ending: &Ending) -> &str {
    match ending {
        Ending::Denied(refusal) => refusal.code(),
        other => panic!("{other:?}"),
    }
}

/// No entry, no effect: for commands and for files, and for everything after it.
#[test]
fn a_full_disk_denies_and_nothing_happens() {
    for (tool, arguments) in [
        ("run", json!({"command": "true"})),
        ("write", json!({"path": "a", "content": "x"})),
        ("read", json!({"path": "there"})),
    ] {
        let world = World::new();
        world.put("there", "canary");
        world.disk.fill();
        for _ in 0..2 {
            let refused = world.call(tool, arguments.clone());
            assert_eq!(code(&refused.ending), "deny.unavailable.log", "{tool}");
            assert!(!refused.text.contains("canary"));
        }
        assert_eq!(world.runner.count(), 0, "{tool}");
        assert!(!world.ws().join("a").exists(), "{tool}");
        assert_eq!(world.budget.left(), world.budget.limits(), "nothing is held or booked");
    }
    // Control: the same calls on a disk that takes them.
    let world = World::new();
    assert!(!world.call("run", json!({"command": "true"})).is_error());
    assert!(!world.call("write", json!({"path": "a", "content": "x"})).is_error());
}

#[test]
fn a_failed_sync_denies_and_nothing_happens() {
    let world = World::new();
    world.disk.break_sync();
    let refused = world.call("run", json!({"command": "true"}));
    assert_eq!(code(&refused.ending), "deny.unavailable.log");
    assert_eq!(world.runner.count(), 0);
    assert_eq!(world.budget.booked(), Amount::ZERO);
}

#[test]
fn a_disk_that_fills_during_an_effect_stops_the_next_one() {
    let world = World::new();
    world.runner.hang.store(true, Ordering::SeqCst);
    let started = world.call("run", json!({"command": "sh", "background": true}));
    let Ending::Done { job: Some(job), .. } = &started.ending else { panic!("{started:?}") };
    world.disk.fill();
    let refused = world.call("job_stop", json!({ "job": job }));
    assert_eq!(code(&refused.ending), "deny.unavailable.log");
    world.sandbox.finish();
    assert_eq!(world.budget.reserved(), Amount::ZERO, "booked all the same");
    assert!(world.budget.booked().cost_micro_usd > 0);
    assert!(world.call("run", json!({"command": "true"})).is_error());
    assert_eq!(world.runner.count(), 1);
    assert_eq!(phases(&world.events(), "intent"), 1);
}

#[test]
fn an_effect_that_cannot_start_has_an_outcome() {
    let world = World::new();
    world.runner.broken.store(true, Ordering::SeqCst);
    let failed = world.call("run", json!({"command": "true"}));
    assert!(matches!(failed.ending, Ending::Failed { code: "run.sandbox" }), "{failed:?}");
    let events = world.closed();
    let outcome = events.iter().find(|event| event.text("phase") == "outcome").unwrap();
    assert_eq!(outcome.text("result"), "error");
    assert_eq!(world.budget.reserved(), Amount::ZERO);
    assert_eq!(world.sandbox.calls()["failed"], 1);
}

#[test]
fn a_tool_that_panics_ends_in_a_refusal() {
    let world = World::new();
    world.runner.panics.store(true, Ordering::SeqCst);
    let refused = world.call("run", json!({"command": "true"}));
    assert_eq!(code(&refused.ending), "deny.internal");
    world.runner.panics.store(false, Ordering::SeqCst);
    assert!(!world.call("run", json!({"command": "true"})).is_error());
    let events = world.closed();
    assert_eq!((phases(&events, "intent"), phases(&events, "outcome")), (2, 2));
    assert_eq!(world.budget.reserved(), Amount::ZERO);
}

#[test]
fn a_closed_log_denies() {
    let world = World::new();
    world.writer.close().unwrap();
    let refused = world.call("run", json!({"command": "true"}));
    assert_eq!(code(&refused.ending), "deny.unavailable.log");
    assert_eq!(world.runner.count(), 0);
}

#[test]
fn a_log_that_fails_under_load_lets_nothing_through_without_its_intent() {
    let world = World::new();
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let _ = world.call("run", json!({"command": "true"}));
                }
            });
        }
        thread::sleep(Duration::from_millis(20));
        world.disk.fill();
    });
    let started = world.runner.count();
    assert!(phases(&world.events(), "intent") >= started);
    assert_eq!(usize::try_from(world.runner.intents_seen.load(Ordering::SeqCst)).unwrap(), started);
    assert_eq!(world.budget.reserved(), Amount::ZERO);
}
