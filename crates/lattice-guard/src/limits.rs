//! Every limit of this crate, with its unit in its name.

/// Longest workspace-relative path, in bytes.
pub const PATH_BYTES_MAX: usize = 4_096;
/// Longest component of a path, in bytes (what Linux file systems hold).
pub const PATH_COMPONENT_BYTES_MAX: usize = 255;
/// Longest path pattern, in bytes. Small enough that many of them compile together.
pub const PATH_PATTERN_BYTES_MAX: usize = 1_024;
/// Patterns compiled into one automaton.
pub(crate) const PATH_PATTERNS_PER_SET: usize = 64;
/// Longest host name, in bytes (RFC 1035).
pub const HOST_BYTES_MAX: usize = 253;
/// Longest label of a host name, in bytes (RFC 1035).
pub const HOST_LABEL_BYTES_MAX: usize = 63;
/// Most labels a leading `*.` of a host pattern stands for: a long tail of labels can carry data out by DNS.
pub const HOST_WILDCARD_LABELS_MAX: usize = 3;
/// Longest single label a `*.` stands for, in bytes, for the same reason.
pub const HOST_WILDCARD_LABEL_BYTES_MAX: usize = 40;
/// Longest name of a provider, model or credential, in bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// Launchers looked through one inside the other; beyond, a command is opaque.
pub const LAUNCHER_DEPTH_MAX: usize = 8;
/// Shell texts looked into one inside the other; beyond, a text is opaque.
pub const SHELL_DEPTH_MAX: usize = 4;
/// Simple commands taken from one shell text; beyond, the text is opaque.
pub const SHELL_COMMANDS_MAX: usize = 256;

const _: () = assert!(PATH_COMPONENT_BYTES_MAX < PATH_BYTES_MAX);
const _: () = assert!(HOST_WILDCARD_LABEL_BYTES_MAX <= HOST_LABEL_BYTES_MAX);
