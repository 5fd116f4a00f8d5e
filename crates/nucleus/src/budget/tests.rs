use std::sync::Barrier;
use std::thread;

use proptest::prelude::*;

use super::{Amount, AtomicBudget, BudgetUnit};

fn amount(cost: u64, input: u64, output: u64) -> Amount {
    Amount { cost_micro_usd: cost, input_tokens: input, output_tokens: output }
}

#[test]
fn settling_refunds_the_difference() {
    let budget = AtomicBudget::new(amount(100, 10, 10));
    let reservation = budget.reserve(amount(80, 5, 5)).unwrap();
    assert_eq!(budget.left(), amount(20, 5, 5));
    reservation.settle(amount(30, 1, 5));
    assert_eq!(budget.booked(), amount(30, 1, 5));
    assert_eq!(budget.left(), amount(70, 9, 5));
    assert_eq!(budget.reserved(), Amount::ZERO);
}

#[test]
fn dropping_and_releasing_give_everything_back() {
    let budget = AtomicBudget::new(amount(100, 10, 10));
    drop(budget.reserve(amount(100, 10, 10)).unwrap());
    budget.reserve(amount(100, 10, 10)).unwrap().release();
    assert_eq!(budget.left(), amount(100, 10, 10));
    assert_eq!(budget.booked(), Amount::ZERO);
}

#[test]
fn a_refusal_names_the_unit_and_holds_nothing() {
    let budget = AtomicBudget::new(amount(100, 10, 10));
    let refused = budget.reserve(amount(50, 5, 11)).unwrap_err();
    assert_eq!((refused.unit, refused.wanted, refused.left), (BudgetUnit::OutputTokens, 11, 10));
    assert_eq!(budget.left(), amount(100, 10, 10));
}

#[test]
fn a_child_spends_from_its_parents_and_a_refusing_parent_rolls_the_child_back() {
    let root = AtomicBudget::new(amount(100, 10, 10));
    let child = root.child(amount(1_000, 100, 100));
    let grandchild = child.child(Amount::UNLIMITED);
    let refused = grandchild.reserve(amount(101, 0, 0)).unwrap_err();
    assert_eq!((refused.unit, refused.left), (BudgetUnit::Cost, 100));
    assert_eq!(child.reserved(), Amount::ZERO);
    assert_eq!(grandchild.reserved(), Amount::ZERO);
    grandchild.reserve(amount(60, 1, 1)).unwrap().settle(amount(40, 1, 1));
    for level in [&root, &child, &grandchild] {
        assert_eq!(level.booked(), amount(40, 1, 1));
    }
    assert_eq!(child.left(), amount(60, 9, 9), "the tightest level counts");
}

#[test]
fn an_overrun_is_booked_and_closes_the_budget() {
    let budget = AtomicBudget::new(amount(100, 0, 0));
    budget.reserve(amount(90, 0, 0)).unwrap().settle(amount(250, 0, 0));
    assert_eq!(budget.booked().cost_micro_usd, 250);
    assert_eq!(budget.left().cost_micro_usd, 0);
    assert!(budget.reserve(amount(1, 0, 0)).is_err());
    assert!(budget.reserve(Amount::ZERO).is_ok(), "what costs nothing is not refused for money");
}

#[test]
fn extreme_amounts_do_not_wrap() {
    let budget = AtomicBudget::new(Amount::UNLIMITED);
    let most = budget.reserve(Amount::UNLIMITED).unwrap();
    assert!(budget.reserve(amount(1, 0, 0)).is_err());
    most.settle(Amount::UNLIMITED);
    assert_eq!(budget.left(), Amount::ZERO);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Twelve threads, any mix of settled, dropped and refused reservations: at no moment more is booked than the
    /// root allows, and at the end the books agree to the micro-dollar.
    #[test]
    fn concurrent_callers_never_oversell(
        limit in 0_u64..5_000,
        child_limit in 0_u64..5_000,
        plan in prop::collection::vec((1_u64..400, 0_u64..400, any::<bool>()), 12..120),
    ) {
        let root = AtomicBudget::new(amount(limit, limit, limit));
        let child = root.child(amount(child_limit, u64::MAX, u64::MAX));
        let start = Barrier::new(12);
        let spent: u64 = thread::scope(|scope| {
            let workers: Vec<_> = (0..12).map(|worker| {
                let (root, child, plan, start) = (&root, &child, &plan, &start);
                scope.spawn(move || {
                    start.wait();
                    let mut spent = 0;
                    for (index, (wanted, real, settle)) in plan.iter().enumerate() {
                        if index % 12 != worker { continue; }
                        let from = if index % 2 == 0 { root } else { child };
                        if let Ok(held) = from.reserve(amount(*wanted, *wanted, 0)) {
                            assert!(root.booked().cost_micro_usd <= limit);
                            let real = (*real).min(*wanted);
                            if *settle { held.settle(amount(real, real, 0)); spent += real; }
                        }
                    }
                    spent
                })
            }).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        prop_assert_eq!(root.booked(), amount(spent, spent, 0));
        prop_assert_eq!(root.reserved(), Amount::ZERO);
        prop_assert_eq!(child.reserved(), Amount::ZERO);
        prop_assert!(spent <= limit);
        prop_assert!(child.booked().cost_micro_usd <= child_limit);
    }
}
