use std::thread;

use nucleus::{Amount, Ending};
use serde_json::json;

use crate::support::{Setting, World, phases};

const THREADS: u64 = 12;
const CALLS: u64 = 20;

#[test]
fn twelve_threads_leave_a_log_that_verifies_and_books_that_agree() {
    let world = World::new();
    for number in 0..THREADS {
        world.put(&format!("f{number}"), &"x".repeat(3_000));
    }
    thread::scope(|scope| {
        for worker in 0..THREADS {
            let world = &world;
            scope.spawn(move || {
                for call in 0..CALLS {
                    let result = match call % 5 {
                        0 => world.call("read", json!({ "path": format!("f{worker}") })),
                        1 => world
                            .call("write", json!({"path": format!("w{worker}"), "content": "y"})),
                        2 => world.call("run", json!({"command": "true"})),
                        3 => world.call("read", json!({"path": "missing"})),
                        _ => world
                            .call("grep", json!({"pattern": "x+", "path": format!("f{worker}")})),
                    };
                    assert_eq!(result.is_error(), call % 5 == 3, "{result:?}");
                }
            });
        }
    });
    let events = world.closed();
    let calls = usize::try_from(THREADS * CALLS).unwrap();
    assert_eq!((phases(&events, "intent"), phases(&events, "outcome")), (calls, calls));
    let booked: u64 = events.iter().map(|event| event.number("cost_micro_usd")).sum();
    assert_eq!(world.budget.booked(), Amount::micro_usd(booked), "to the micro-dollar");
    assert_eq!(world.budget.reserved(), Amount::ZERO);
    let counted = world.sandbox.calls();
    assert_eq!(counted["allowed"] + counted["failed"], THREADS * CALLS);
    assert_eq!(counted["failed"], THREADS * CALLS / 5);
}

#[test]
fn twelve_threads_cannot_spend_more_than_there_is() {
    // A command of one second holds 43 and costs 10: the last one must still find 43.
    let limit = 1_000;
    let world = World::of(Setting { budget: Amount::micro_usd(limit), ..Setting::default() });
    let done: u64 = thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|_| {
                let world = &world;
                scope.spawn(move || {
                    let run = || world.call("run", json!({"command": "true", "timeout_s": 1}));
                    (0..CALLS)
                        .map(|_| u64::from(matches!(run().ending, Ending::Done { .. })))
                        .sum::<u64>()
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(world.budget.booked(), Amount::micro_usd(done * 10));
    assert!(world.budget.booked().cost_micro_usd <= limit);
    assert!(done >= 1);
    assert_eq!(u64::try_from(world.runner.count()).unwrap(), done);
}
