//! Lists of rules as an order: the part every set-like dimension shares.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// A rule, or its opposite. What the rule matches is opaque here: two atoms are related only if they are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Atom<T> {
    /// Holds where the rule matches.
    Is(T),
    /// Holds where the rule does not match.
    Not(T),
}

impl<T> Atom<T> {
    /// The rule itself.
    pub const fn rule(&self) -> &T {
        match self {
            Self::Is(rule) | Self::Not(rule) => rule,
        }
    }
}

/// Alternatives: a clause holds if one of its atoms does. The empty clause never holds.
pub type Clause<T> = BTreeSet<Atom<T>>;

/// `All`, or `Only` what satisfies every clause of an antichain.
///
/// An allow list is one clause with an atom per entry; a block is a clause of one negated atom. The meet of two lists
/// has the clauses of both, without supersets of others. `p.leq(q)` iff every clause of `q` contains a clause of `p`.
/// Since atoms are opaque this is the free distributive lattice over them: exact under meet, and *sound but not
/// complete* for what rules mean. `src/a.rs` alone is not recognised as below `src/**`, but whatever is recognised
/// as below really is.
///
/// There is one form for everything (`All`, no clause) and one for nothing (the empty clause alone).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Form<T>", into = "Form<T>", bound(serialize = "T: Ord + Clone + Serialize"))]
#[serde(bound(deserialize = "T: Ord + Clone + Deserialize<'de>"))]
pub struct Clauses<T: Ord>(BTreeSet<Clause<T>>);

impl<T: Ord + Clone> Clauses<T> {
    /// Everything.
    #[must_use]
    pub const fn top() -> Self {
        Self(BTreeSet::new())
    }

    /// Nothing.
    #[must_use]
    pub fn bottom() -> Self {
        Self(BTreeSet::from([Clause::new()]))
    }

    /// What one of the rules matches. No rules: nothing.
    #[must_use]
    pub fn only(rules: impl IntoIterator<Item = T>) -> Self {
        Self(BTreeSet::from([rules.into_iter().map(Atom::Is).collect()]))
    }

    /// What none of the rules matches. No rules: everything.
    #[must_use]
    pub fn except(rules: impl IntoIterator<Item = T>) -> Self {
        Self::from_clauses(rules.into_iter().map(|rule| Clause::from([Atom::Not(rule)])))
    }

    /// What satisfies every one of the clauses. No clauses: everything.
    #[must_use]
    pub fn from_clauses(clauses: impl IntoIterator<Item = Clause<T>>) -> Self {
        let all: BTreeSet<Clause<T>> = clauses.into_iter().collect();
        let minimal = all
            .iter()
            .filter(|clause| !all.iter().any(|other| other != *clause && other.is_subset(clause)))
            .cloned()
            .collect();
        Self(minimal)
    }

    /// The clauses, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Clause<T>> {
        self.0.iter()
    }

    /// True if everything is allowed.
    #[must_use]
    pub fn is_top(&self) -> bool {
        self.0.is_empty()
    }

    /// True if nothing is allowed whatever the atoms mean.
    #[must_use]
    pub fn is_bottom(&self) -> bool {
        self.0.first().is_some_and(BTreeSet::is_empty)
    }

    /// What both allow.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        Self::from_clauses(self.0.iter().chain(&other.0).cloned())
    }

    /// True if this allows no more than `other` (sound, not complete; see the type).
    #[must_use]
    pub fn leq(&self, other: &Self) -> bool {
        other.0.iter().all(|theirs| self.0.iter().any(|ours| ours.is_subset(theirs)))
    }

    /// Adds an alternative to every allow list, changing nothing if there is none. Blocks still hold.
    pub(crate) fn add_alternative(&mut self, rule: &T) {
        let grown = self.0.iter().map(|clause| {
            let mut clause = clause.clone();
            if clause.is_empty() || clause.iter().any(|atom| matches!(atom, Atom::Is(_))) {
                clause.insert(Atom::Is(rule.clone()));
            }
            clause
        });
        *self = Self::from_clauses(grown);
    }

    /// True if every clause holds, where `atom_holds` says what each atom means.
    pub(crate) fn hold(&self, mut atom_holds: impl FnMut(&Atom<T>) -> bool) -> bool {
        self.0.iter().all(|clause| clause.iter().any(&mut atom_holds))
    }

    /// The first clause that does not hold.
    pub(crate) fn first_broken(
        &self,
        mut atom_holds: impl FnMut(&Atom<T>) -> bool,
    ) -> Option<&Clause<T>> {
        self.0.iter().find(|clause| !clause.iter().any(&mut atom_holds))
    }

    /// The rules that are blocked outright.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = &T> {
        self.0.iter().filter_map(sole_block)
    }
}

/// The rule of a clause that is a block, if it is one.
pub(crate) fn sole_block<T: Ord>(clause: &Clause<T>) -> Option<&T> {
    match (clause.first(), clause.len()) {
        (Some(Atom::Not(rule)), 1) => Some(rule),
        _ => None,
    }
}

/// How a list is written: the words of the definition, so that an empty list cannot be mistaken for everything.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Form<T> {
    All,
    Only(Vec<Vec<Atom<T>>>),
}

impl<T: Ord + Clone> From<Form<T>> for Clauses<T> {
    fn from(form: Form<T>) -> Self {
        match form {
            Form::All => Self::top(),
            Form::Only(clauses) if clauses.is_empty() => Self::bottom(),
            Form::Only(clauses) => {
                Self::from_clauses(clauses.into_iter().map(|atoms| atoms.into_iter().collect()))
            }
        }
    }
}

impl<T: Ord + Clone> From<Clauses<T>> for Form<T> {
    fn from(clauses: Clauses<T>) -> Self {
        if clauses.is_top() {
            return Self::All;
        }
        Self::Only(clauses.0.into_iter().map(|clause| clause.into_iter().collect()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disjoint_lists_meet_to_nothing_and_not_to_everything() {
        let cats = Clauses::only(["cat"]);
        let dogs = Clauses::only(["dog"]);
        let both = cats.meet(&dogs);
        for animal in ["cat", "dog", "cow"] {
            assert!(!both.hold(|atom| means(atom, animal)), "{animal}");
        }
        // Positive control: each list alone lets its own through.
        assert!(cats.hold(|atom| means(atom, "cat")));
        assert!(dogs.hold(|atom| means(atom, "dog")));
    }

    #[test]
    fn an_empty_list_is_nothing_in_every_form() {
        let empty = Clauses::<String>::only([]);
        assert_eq!(empty, Clauses::bottom());
        assert!(empty.is_bottom() && !empty.is_top());
        for json in [r#"{"only":[]}"#, r#"{"only":[[]]}"#, r#"{"only":[[],[{"is":"x"}]]}"#] {
            assert_eq!(serde_json::from_str::<Clauses<String>>(json).unwrap(), empty, "{json}");
        }
        assert!(serde_json::from_str::<Clauses<String>>("[]").is_err());
        assert_eq!(serde_json::from_str::<Clauses<String>>("\"all\"").unwrap(), Clauses::top());
    }

    #[test]
    fn everything_is_not_below_a_list() {
        let list = Clauses::only(["a"]);
        assert!(!Clauses::top().leq(&list));
        assert!(list.leq(&Clauses::top()));
        assert!(Clauses::bottom().leq(&list));
    }

    #[test]
    fn an_alternative_widens_lists_but_never_everything_or_a_block() {
        let mut all = Clauses::top();
        all.add_alternative(&"x");
        assert!(all.is_top());

        let mut list = Clauses::only(["a"]).meet(&Clauses::except(["x", "y"]));
        list.add_alternative(&"x");
        list.add_alternative(&"b");
        assert!(!list.hold(|atom| means(atom, "x")), "a block outlives an alternative");
        assert!(list.hold(|atom| means(atom, "b")));
        assert!(list.hold(|atom| means(atom, "a")));
        assert!(!list.hold(|atom| means(atom, "c")));
    }

    fn means(atom: &Atom<&str>, animal: &str) -> bool {
        match atom {
            Atom::Is(rule) => *rule == animal,
            Atom::Not(rule) => *rule != animal,
        }
    }
}
