//! What lower permissions mean for what happens.

use lattice_guard::{
    BudgetView, Classifier, Decision, Envelope, Gate, Label, MicroUsd, Operation, Permissions,
    Request, Risk, Strictness, Tokens, Verdict, decide, decide_with_grant, judge,
};
use proptest::prelude::*;

use crate::arbitrary;

fn strictness(decision: &Decision) -> Strictness {
    match decision {
        Decision::Deny(_) => Strictness::Deny,
        Decision::NeedsApproval(_) => Strictness::NeedsApproval,
        Decision::Allow(_) => Strictness::Allow,
    }
}

fn plenty() -> BudgetView {
    BudgetView { cost: MicroUsd::MAX, input: Tokens::MAX, output: Tokens::MAX }
}

fn judged(
    permissions: &Permissions,
    classifier: &Classifier,
    request: &Request,
    now_ms: u64,
) -> Strictness {
    judge(permissions, classifier, request, now_ms).strictness()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// The law, on pairs made to be ordered: whatever is met with something is below it.
    #[test]
    fn lower_permissions_never_allow_more(
        p in arbitrary::permissions(),
        q in arbitrary::permissions(),
        mine in arbitrary::classifier(),
        theirs in arbitrary::classifier(),
        request in arbitrary::request(),
        now in arbitrary::now(),
    ) {
        let low = p.meet(&q);
        prop_assert!(low.leq(&p));
        prop_assert!(judged(&low, &mine, &request, now) <= judged(&p, &mine, &request, now));
        let strict = mine.compose(&theirs);
        prop_assert!(judged(&low, &strict, &request, now) <= judged(&p, &mine, &request, now));
        prop_assert!(judged(&p, &strict, &request, now) <= judged(&p, &theirs, &request, now));
    }

    /// The law again, on whatever pairs happen to be ordered.
    #[test]
    fn the_order_is_about_behaviour(
        p in arbitrary::permissions(),
        q in arbitrary::permissions(),
        classifier in arbitrary::classifier(),
        request in arbitrary::request(),
        now in arbitrary::now(),
    ) {
        if p.leq(&q) {
            prop_assert!(judged(&p, &classifier, &request, now) <= judged(&q, &classifier, &request, now));
        }
        // Extremes: nothing passes the bottom, and only approvals and missing sense stop the top.
        prop_assert_eq!(judged(&Permissions::bottom(), &classifier, &request, now), Strictness::Deny);
    }

    #[test]
    fn composed_classifiers_rate_as_high_as_the_higher(
        a in arbitrary::classifier(),
        b in arbitrary::classifier(),
        request in arbitrary::request(),
        path in arbitrary::rel_path(),
    ) {
        let both = a.compose(&b);
        for operation in Operation::ALL {
            let higher = a.risk(operation, &request).max(b.risk(operation, &request));
            prop_assert_eq!(both.risk(operation, &request), higher);
        }
        prop_assert_eq!(both.sensitive(&path), a.sensitive(&path) || b.sensitive(&path));
        prop_assert_eq!(&both, &b.compose(&a));
        prop_assert_eq!(&a.compose(&a), &a);
    }

    /// An operation that is not part of a request cannot be low risk by omission.
    #[test]
    fn an_operation_the_request_lacks_is_high(classifier in arbitrary::classifier(), request in arbitrary::request()) {
        for operation in Operation::ALL {
            if !request.operations().contains(&operation) {
                prop_assert_eq!(classifier.risk(operation, &request), Risk::High);
            }
        }
    }

    #[test]
    fn a_decision_is_never_weaker_than_the_verdict(
        p in arbitrary::permissions(),
        classifier in arbitrary::classifier(),
        mode in arbitrary::mode(),
        label in arbitrary::label(),
        request in arbitrary::request(),
        now in arbitrary::now(),
    ) {
        let verdict = judged(&p, &classifier, &request, now);
        let (envelope, _authority) = Envelope::new(p, classifier, mode);
        let decision = decide(&envelope, label, &request, now, &plenty());
        prop_assert!(strictness(&decision) <= verdict);
        if let Decision::Allow(permit) = &decision {
            prop_assert_eq!(permit.request(), &request);
            prop_assert!(permit.granted().is_none());
        }
    }

    /// Tightening an envelope, with the gate and label inherited, never lets more through.
    #[test]
    fn a_tightened_envelope_decides_no_weaker(
        path in arbitrary::rel_path(),
        p in arbitrary::permissions(),
        q in arbitrary::permissions(),
        mode in arbitrary::mode(),
        label in arbitrary::label(),
        request in arbitrary::request(),
        now in arbitrary::now(),
    ) {
        let (parent, _authority) = Envelope::new(p, arbitrary::builtin(), mode);
        let child = parent.tighten(&q);
        let of = |envelope: &Envelope| strictness(&decide(envelope, label, &request, now, &plenty()));
        prop_assert!(of(&child) <= of(&parent));
        for operation in [Operation::GrepSearch, Operation::GlobSearch] {
            prop_assert!(!child.visible(operation, &path) || parent.visible(operation, &path));
        }
        prop_assert_eq!(child.gate(), parent.gate());
    }

    /// Whatever a task does, its gate only closes and its label only grows.
    #[test]
    fn the_gate_only_closes(
        p in arbitrary::permissions(),
        mode in arbitrary::mode(),
        requests in prop::collection::vec(arbitrary::request(), 0..6),
        probe in arbitrary::request(),
    ) {
        let gate = Gate::new(&p, mode);
        let mut label = Label::default();
        let mut strictest = gate.verdict(label, &probe).strictness();
        for request in &requests {
            let next = gate.after(label, request);
            prop_assert_eq!(label.join(next), next);
            prop_assert!(!gate.closed(label) || gate.closed(next));
            let now = gate.verdict(next, &probe).strictness();
            prop_assert!(now <= strictest);
            prop_assert!(now != Strictness::Deny, "the gate asks, it does not deny");
            (label, strictest) = (next, now);
        }
    }

    /// A grant turns the approval it was given for into a permit, and nothing else into anything.
    #[test]
    fn a_grant_only_answers_its_own_obligation(
        p in arbitrary::permissions(),
        mode in arbitrary::mode(),
        label in arbitrary::label(),
        request in arbitrary::request(),
        other in arbitrary::request(),
        now in arbitrary::now(),
    ) {
        let (envelope, authority) = Envelope::new(p.clone(), arbitrary::builtin(), mode);
        let (_, stranger) = Envelope::new(p, arbitrary::builtin(), mode);
        if let Decision::NeedsApproval(obligation) = decide(&envelope, label, &request, now, &plenty()) {
            let with = |authority: &lattice_guard::GrantAuthority, asked: &Request| {
                decide_with_grant(&envelope, label, asked, now, &plenty(), authority.grant(&request, &obligation))
            };
            match with(&authority, &request) {
                Decision::Allow(permit) => prop_assert_eq!(permit.granted(), Some(&obligation)),
                refused => prop_assert!(false, "{refused:?}"),
            }
            prop_assert_eq!(strictness(&with(&stranger, &request)), Strictness::NeedsApproval);
            if other != request {
                let without = strictness(&decide(&envelope, label, &other, now, &plenty()));
                prop_assert_eq!(strictness(&with(&authority, &other)), without);
            }
        }
    }

    #[test]
    fn an_obligation_names_an_operation_of_the_request(
        p in arbitrary::permissions(),
        classifier in arbitrary::classifier(),
        request in arbitrary::request(),
    ) {
        if let Verdict::NeedsApproval(obligation) = judge(&p, &classifier, &request, 1) {
            prop_assert!(request.operations().contains(&obligation.operation()));
            prop_assert!(obligation.operations().is_subset(request.operations()));
        }
    }
}
