//! Each dimension, and the whole, is a bounded lower semilattice in one form.

use std::fmt::Debug;

use lattice_guard::{
    BudgetLimits, Clauses, CommandLattice, DelegationDepth, Hosts, IsolationFloor, Levels, Models,
    Names, Packages, PathRules, Paths, Permissions, TimeWindow,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::arbitrary;

trait Order: Sized + Clone + PartialEq + Debug + Serialize + DeserializeOwned {
    fn meet(&self, other: &Self) -> Self;
    fn leq(&self, other: &Self) -> bool;
    fn top() -> Self;
    fn bottom() -> Self;
}

macro_rules! order {
    ($($dimension:ty),* $(,)?) => {
        $(impl Order for $dimension {
            fn meet(&self, other: &Self) -> Self { <$dimension>::meet(self, other) }
            fn leq(&self, other: &Self) -> bool { <$dimension>::leq(self, other) }
            fn top() -> Self { <$dimension>::top() }
            fn bottom() -> Self { <$dimension>::bottom() }
        })*
    };
}

order!(
    BudgetLimits,
    Clauses<String>,
    CommandLattice,
    DelegationDepth,
    Hosts,
    IsolationFloor,
    Packages,
    Levels,
    Models,
    Names,
    PathRules,
    Paths,
    Permissions,
    TimeWindow,
);

fn laws<T: Order>(a: &T, b: &T, c: &T) -> TestCaseResult {
    let (top, bottom) = (T::top(), T::bottom());
    prop_assert_eq!(a.meet(b), b.meet(a), "meet commutes");
    prop_assert_eq!(a.meet(b).meet(c), a.meet(&b.meet(c)), "meet associates");
    prop_assert_eq!(a.meet(a), a.clone(), "meet is idempotent");
    prop_assert_eq!(a.meet(&top), a.clone(), "top is neutral");
    prop_assert_eq!(a.meet(&bottom), bottom.clone(), "bottom absorbs");

    prop_assert!(a.leq(a), "leq is reflexive");
    prop_assert!(a.leq(&top) && bottom.leq(a), "top and bottom bound");
    prop_assert!(!top.leq(&bottom), "top and bottom differ");
    if a.leq(b) && b.leq(a) {
        prop_assert_eq!(a, b, "leq is antisymmetric");
    }
    if a.leq(b) && b.leq(c) {
        prop_assert!(a.leq(c), "leq is transitive");
    }
    prop_assert_eq!(a.leq(b), a.meet(b) == *a, "leq and meet agree");

    let both = a.meet(b);
    prop_assert!(both.leq(a) && both.leq(b), "meet is a lower bound");
    prop_assert_eq!(c.leq(a) && c.leq(b), c.leq(&both), "meet is the greatest lower bound");
    // The random c is seldom below both; this one always is.
    let below = both.meet(c);
    prop_assert!(below.leq(a) && below.leq(b) && below.leq(&both));

    let text = serde_json::to_string(a).map_err(|e| TestCaseError::fail(e.to_string()))?;
    let back: T = serde_json::from_str(&text).map_err(|e| TestCaseError::fail(e.to_string()))?;
    prop_assert_eq!(&back, a, "what is written is read back");
    let again = serde_json::to_string(&back).map_err(|e| TestCaseError::fail(e.to_string()))?;
    prop_assert_eq!(again, text, "equal values are equal bytes");
    Ok(())
}

macro_rules! hold {
    ($($name:ident: $strategy:expr;)*) => {
        proptest! {
            $(#[test]
            fn $name(a in $strategy, b in $strategy, c in $strategy) {
                laws(&a, &b, &c)?;
            })*
        }
    };
}

hold! {
    clauses: arbitrary::patterns();
    levels: arbitrary::levels();
    path_rules: arbitrary::path_rules();
    paths: arbitrary::paths();
    commands: arbitrary::commands();
    network: arbitrary::hosts();
    names: arbitrary::names();
    models: arbitrary::models();
    budget: arbitrary::budget();
    time: arbitrary::time();
    isolation: arbitrary::isolation();
    packages: arbitrary::packages();
    delegation: arbitrary::delegation();
    permissions: arbitrary::permissions();
}

proptest! {
    /// A meet of lists lets through exactly what both let through: the order is about behaviour, not only about form.
    #[test]
    fn meet_is_exact(
        a in arbitrary::path_rules(),
        b in arbitrary::path_rules(),
        path in arbitrary::rel_path(),
    ) {
        prop_assert_eq!(a.meet(&b).permits(&path), a.permits(&path) && b.permits(&path));
    }
}
