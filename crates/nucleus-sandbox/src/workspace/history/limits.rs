//! Limits of looking through a history, units in the names. More than this holds the repository for review.

/// Largest commit, tree or tag that is read, and largest delta chain.
pub(super) const OBJECT_BYTES: usize = 64 << 20;
/// Most bytes that all new objects together may inflate to.
pub(super) const NEW_OBJECT_BYTES: u64 = 4 << 30;
/// Most new objects.
pub(super) const NEW_OBJECTS: usize = 200_000;
/// Most packs of one store.
pub(super) const PACKS: usize = 256;
/// Most stores: the repository's own and its alternates.
pub(super) const PLACES: usize = 16;
/// Most tags that name another tag.
pub(super) const TAGS_OF_TAGS: usize = 16;
/// Most entries of trees kept while looking.
pub(super) const CACHED_ENTRIES: usize = 1 << 20;
/// Most entries of trees compared.
pub(super) const COMPARED_ENTRIES: usize = 1 << 20;
/// Most commits that become part of a branch.
pub(super) const NEW_COMMITS: usize = 20_000;
/// Most commits of the user's walked to find where new ones start.
pub(super) const WALKED_COMMITS: usize = 50_000;
/// Most trees of the user's in which a path is looked up.
pub(super) const KNOWN_TREES: usize = 256;
/// Longest file of references or stores.
pub(super) const TEXT_BYTES: u64 = 64 << 20;
/// Largest index.
pub(super) const INDEX_BYTES: u64 = 256 << 20;
/// Most paths of one commit told to the user.
pub(super) const PATHS_TOLD: usize = 5;
/// Most moved references told to the user.
pub(super) const NAMES_TOLD: usize = 5;
/// Longest subject of a commit told to the user, in characters.
pub(super) const SUBJECT_CHARS: usize = 60;
