//! What the registry named so far.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::file;
use crate::limits::PACKAGE_VERSIONS_COUNT;

/// Versions by module, and how much of the checksum database was seen.
#[derive(Default)]
pub(in crate::package) struct Known {
    versions: Mutex<Versions>,
    tree: AtomicU64,
    sums: AtomicBool,
}

#[derive(Default)]
struct Versions {
    named: BTreeMap<String, Module>,
    count: usize,
}

#[derive(Default)]
struct Module {
    /// Something of it was fetched. That a `go.mod` names it says less: its author may name what does not exist.
    is_there: bool,
    versions: BTreeSet<String>,
}

impl Known {
    /// True if something of the module was fetched.
    pub(super) fn is_there(&self, module: &str) -> bool {
        self.versions().named.get(module).is_some_and(|module| module.is_there)
    }

    /// Remembers that something of the module was fetched.
    pub(super) fn found(&self, module: &str) {
        self.versions().named.entry(module.to_owned()).or_default().is_there = true;
    }

    /// True if something names this version.
    pub(super) fn names(&self, module: &str, version: &str) -> bool {
        self.versions().named.get(module).is_some_and(|module| module.versions.contains(version))
    }

    /// Remembers that something names these versions.
    pub(super) fn name(&self, module: &str, versions: impl IntoIterator<Item = String>) {
        let mut known = self.versions();
        if known.count >= PACKAGE_VERSIONS_COUNT {
            // What is still needed is asked for again, or costs a word.
            *known = Versions::default();
        }
        let Versions { named, count } = &mut *known;
        let of_module = &mut named.entry(module.to_owned()).or_default().versions;
        let before = of_module.len();
        of_module.extend(versions);
        *count = count.saturating_add(of_module.len().saturating_sub(before));
    }

    /// Entries of the largest tree that was seen.
    pub(super) fn tree(&self) -> u64 {
        self.tree.load(Ordering::Relaxed)
    }

    /// Looks for a signed tree in an answer of the database.
    pub(super) fn saw_tree(&self, answer: &[u8]) {
        self.tree.fetch_max(file::tree_size(answer).unwrap_or(0), Ordering::Relaxed);
    }

    /// True once a mirror said that it serves the database.
    pub(super) fn has_sums(&self) -> bool {
        self.sums.load(Ordering::Relaxed)
    }

    pub(super) fn found_sums(&self) {
        self.sums.store(true, Ordering::Relaxed);
    }

    fn versions(&self) -> MutexGuard<'_, Versions> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_has_an_end() {
        let known = Known::default();
        known.found("example.org/empty");
        assert!(known.is_there("example.org/empty") && !known.names("example.org/empty", "v1.0.0"));
        let many = (0..PACKAGE_VERSIONS_COUNT).map(|i| format!("v1.0.{i}"));
        known.name("example.org/many", many);
        assert!(known.names("example.org/many", "v1.0.7"));
        known.name("example.org/one", ["v1.0.0".to_owned()]);
        assert!(known.names("example.org/one", "v1.0.0"));
        assert!(!known.is_there("example.org/one"), "it is only named");
        assert!(!known.names("example.org/many", "v1.0.7") && !known.is_there("example.org/empty"));
    }
}
