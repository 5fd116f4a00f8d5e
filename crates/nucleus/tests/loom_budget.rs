//! The budget under every interleaving the model checker can make.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p nucleus --test loom_budget --release`
#![cfg(loom)]

use loom::thread;
use nucleus::{Amount, AtomicBudget};

fn model(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    // Enough to show every lost update and every torn check; without a bound the search takes minutes.
    builder.preemption_bound = Some(3);
    builder.check(body);
}

#[test]
fn two_callers_never_get_the_same_money() {
    model(|| {
        let budget = AtomicBudget::new(Amount::micro_usd(10));
        let other = budget.clone();
        let worker = thread::spawn(move || match other.reserve(Amount::micro_usd(7)) {
            Ok(held) => {
                held.settle(Amount::micro_usd(6));
                6
            }
            Err(_) => 0,
        });
        let mine = match budget.reserve(Amount::micro_usd(7)) {
            Ok(held) => {
                held.settle(Amount::micro_usd(5));
                5
            }
            Err(_) => 0,
        };
        let theirs = worker.join().unwrap();
        assert!(mine + theirs <= 10, "11 would need both");
        assert!(mine + theirs > 0, "one of two must get it");
        assert_eq!(budget.booked(), Amount::micro_usd(mine + theirs));
        assert_eq!(budget.reserved(), Amount::ZERO);
    });
}

#[test]
fn a_rolled_back_child_leaves_nothing_held() {
    model(|| {
        let root = AtomicBudget::new(Amount::micro_usd(5));
        let child = root.child(Amount::micro_usd(9));
        let from_child = child.clone();
        let worker = thread::spawn(move || from_child.reserve(Amount::micro_usd(4)).is_ok());
        let mine = root.reserve(Amount::micro_usd(3)).is_ok();
        let theirs = worker.join().unwrap();
        assert!(mine || theirs, "a first taker always fits");
        assert_eq!(root.reserved(), Amount::ZERO, "dropped reservations release themselves");
        assert_eq!(child.reserved(), Amount::ZERO);
        assert_eq!(root.left(), Amount::micro_usd(5));
    });
}

#[test]
fn releasing_and_reserving_race_without_a_lost_update() {
    model(|| {
        let budget = AtomicBudget::new(Amount::micro_usd(4));
        let held = budget.reserve(Amount::micro_usd(4)).unwrap();
        let worker = thread::spawn(move || held.settle(Amount::micro_usd(1)));
        let second = budget.reserve(Amount::micro_usd(3)).ok();
        worker.join().unwrap();
        assert_eq!(budget.booked(), Amount::micro_usd(1));
        assert_eq!(budget.left(), Amount::micro_usd(if second.is_some() { 0 } else { 3 }));
    });
}
