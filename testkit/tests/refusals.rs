//! Bad input: every refusal says what is wrong and what to do, ends with its documented code, and leaves nothing
//! half-done, running or mounted.

#![expect(clippy::unwrap_used, reason = "a test says what broke by ending there")]

#[path = "refusals/aftermath.rs"]
mod aftermath;
#[path = "refusals/agent.rs"]
mod agent;
#[path = "refusals/command_line.rs"]
mod command_line;
#[path = "refusals/door.rs"]
mod door;
#[path = "refusals/host.rs"]
mod host;
#[path = "refusals/output.rs"]
mod output;
#[path = "refusals/policy.rs"]
mod policy;
#[path = "refusals/session.rs"]
mod session;
#[path = "refusals/settings.rs"]
mod settings;
#[path = "refusals/workspace.rs"]
mod workspace;
