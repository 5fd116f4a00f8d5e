//! Safe wrappers over the Linux calls that build and enter a pod.
//!
//! This is the only crate of the workspace that may hold `unsafe` code; each unsafe block does one
//! operation and says why it is sound. It knows mechanisms (namespaces, mounts, Landlock, seccomp,
//! capabilities, cgroups, descriptors), never policy: which mechanism a pod gets is decided in
//! `nucleus-sandbox`.
//!
//! Calls that create processes take a [`process::SingleThreaded`] token, because a forked child of a
//! threaded process may only use async-signal-safe functions, and ours does more than that.

pub mod attempt;
pub mod caps;
pub mod cgroup;
pub mod fd;
pub mod fs;
pub mod landlock;
pub mod memfd;
pub mod mount;
pub mod net;
pub mod peer;
pub mod private;
pub mod process;
pub mod rlimit;
pub mod seccomp;
pub mod userns;
pub mod weaken;
