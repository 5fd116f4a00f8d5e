//! Developer tasks: `cargo xtask demo | test | bench`.

mod agents;
mod bench;
mod cargo;
mod demo;
mod need;
mod sdk;
mod suite;
mod test;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <task> [options]

tasks:
  demo            build Nucleus and run its main job on a sample repository
  test            everything the gate runs: format, lints, unit and black-box tests, controls, policy
  bench           each promise beside its floor, measured in one run

options:
  --yes           install what is missing without asking
  --quick         test: unit tests only, under a minute once built
  --json          bench: print JSON";

/// Options all tasks share.
#[derive(Debug, Clone, Copy, Default)]
struct Options {
    yes: bool,
    quick: bool,
    json: bool,
}

fn main() -> ExitCode {
    let mut task = None;
    let mut options = Options::default();
    for arg in std::env::args().skip(1) {
        match arg.as_str() {
            "--yes" | "-y" => options.yes = true,
            "--quick" => options.quick = true,
            "--json" => options.json = true,
            "--help" | "-h" => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            name if task.is_none() && !name.starts_with('-') => task = Some(name.to_owned()),
            other => {
                eprintln!("xtask: unknown argument {other:?}\n\n{USAGE}");
                return ExitCode::from(64);
            }
        }
    }
    let result = match task.as_deref() {
        Some("demo") => demo::run(options),
        Some("test") => test::run(options),
        Some("bench") => bench::run(options),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(64);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
