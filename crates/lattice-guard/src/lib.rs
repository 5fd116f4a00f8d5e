//! lattice-guard
