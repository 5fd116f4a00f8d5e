//! Agents in their own terminal interface: the user's terminal and the pod's, detached tasks, the relay's own screen.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a fixture that cannot be set up ends its test"
)]

#[path = "interactive/away.rs"]
mod away;
#[path = "interactive/picture.rs"]
mod picture;
#[path = "interactive/screen.rs"]
mod screen;
#[path = "interactive/takeover.rs"]
mod takeover;
#[path = "interactive/terminal.rs"]
mod terminal;

use std::process::Command;

use testkit::host::{Account, Host, programs};
use testkit::script::{Action, Script, Step};

/// What the relay says when the terminal is about to be the agent's.
const UP: &str = "Ctrl-] calls up Nucleus itself";

/// A host for every account there is.
fn hosts() -> Vec<Host> {
    let bins = programs();
    Account::all().into_iter().map(|account| Host::new(&bins, account)).collect()
}

/// A command of the agent's own shell, whose terminal is `/dev/tty`.
fn shell(text: &str) -> Step {
    Step { action: Some(Action::Shell(text.to_owned())), ..Step::default() }
}

/// A scripted agent with a terminal of its own.
fn interactive(host: &Host, steps: Vec<Step>, options: &[&str]) -> Command {
    let mut options: Vec<&str> = options.to_vec();
    if !options.contains(&"--config") {
        options.extend(["--profile", "fix-issue"]);
    }
    options.push("--interactive");
    host.script_command(&Script { steps }, &options)
}
