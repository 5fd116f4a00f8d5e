//! Attacks from inside a pod on every wall, as root and rootless, each with its positive control.
//!
//! Row numbers are those of the bypass catalogue in `docs/THREATS.md`. With `--features weaken` every attack is played
//! again with each claimed layer alone (must hold) and with none of them (must break through).
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test with its own harness, which the lint does not know for one"
)]

#[path = "walls/agent.rs"]
mod agent;
#[path = "walls/attack.rs"]
mod attack;
#[path = "walls/harness.rs"]
mod harness;
#[path = "walls/host.rs"]
mod host;
#[path = "walls/life.rs"]
mod life;
#[path = "walls/rows.rs"]
mod rows;
#[path = "walls/stage.rs"]
mod stage;

use std::path::Path;
use std::process::ExitCode;

use harness::{BROKEN, HELD, SKIPPED};
pub(crate) use stage::{CANARY, Outcome, Stage};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [nucleus_sandbox::LAUNCHER] => {
            std::process::exit(nucleus_sandbox::launcher_main());
        }
        ["--scene", name, directory] => {
            let test = rows::TESTS.iter().find(|test| test.name == *name).expect("a test");
            let stage = Stage::new(Path::new(directory));
            match (test.scene)(&stage) {
                Outcome::Held => ExitCode::from(HELD),
                Outcome::Broken(text) => {
                    println!("{text}");
                    ExitCode::from(BROKEN)
                }
                Outcome::Skipped(text) => {
                    println!("{text}");
                    ExitCode::from(SKIPPED)
                }
            }
        }
        _ => harness::main(rows::TESTS),
    }
}
