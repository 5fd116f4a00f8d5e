//! `cargo xtask test`: every check of the gate, in the order in which a mistake is cheapest to find.

use std::time::Instant;

use crate::Options;
use crate::cargo::{Profile, build, build_weakened, cargo, target_dir};
use crate::need::{self, CARGO_DENY, CC, CHROMIUM, GIT, GO, NPM, PYTHON, SETPRIV};
use crate::{agents, sdk, suite};

/// One step: its name and what it does.
type Step = (&'static str, fn() -> Result<(), String>);

const QUICK: [Step; 1] = [("unit tests", unit)];
const ALL: [Step; 14] = [
    ("format", format),
    ("lints", lints),
    ("unit, property, compile-fail and tidy tests", unit),
    ("tests that need root or user namespaces", privileged),
    ("budget under every interleaving (loom)", loom),
    ("dependency policy", deny),
    ("walls and tools with single layers switched off", suite::walls),
    ("black-box suites and their controls", black_box),
    ("shipped programs lack the test switches", shipped),
    ("the official MCP client, both eras", sdk_client),
    ("real Claude Code end to end", || agent("claude")),
    ("real Codex end to end", || agent("codex")),
    ("real Gemini CLI end to end", || agent("gemini")),
    ("real OpenCode end to end", || agent("opencode")),
];

/// Runs the steps; all of them, even after a failure, so that one run shows everything.
fn run_all(steps: &[Step]) -> Result<(), String> {
    let mut failed = Vec::new();
    for (name, step) in steps {
        println!("\n=== {name}");
        let started = Instant::now();
        let result = step();
        let seconds = started.elapsed().as_secs();
        match result {
            Ok(()) => println!("=== {name}: ok ({seconds} s)"),
            Err(error) => {
                println!("=== {name}: FAILED ({seconds} s): {error}");
                failed.push(*name);
            }
        }
    }
    println!("\nsteps: {} passed, {} failed", steps.len() - failed.len(), failed.len());
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

/// Entry of the task.
pub(crate) fn run(options: Options) -> Result<(), String> {
    if options.quick {
        need::ensure(&[CC], options)?;
        return run_all(&QUICK);
    }
    need::ensure(&[CC, GIT, SETPRIV, PYTHON, NPM, GO, CHROMIUM, CARGO_DENY], options)?;
    run_all(&ALL)
}

fn format() -> Result<(), String> {
    need::run(&mut cargo(&["fmt", "--all", "--check"]))
}

fn lints() -> Result<(), String> {
    need::run(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--features",
        suite::FEATURE,
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]))
}

fn unit() -> Result<(), String> {
    need::run(&mut cargo(&["test", "--workspace", "--quiet", "--no-fail-fast"]))
}

/// Tests that a plain `cargo test` shows as ignored, because not every account or host can run them.
fn privileged() -> Result<(), String> {
    let run = |names: &str| {
        let what = ["test", "--workspace", "--quiet", "--no-fail-fast", "--tests"];
        need::run(cargo(&what).args(["--", "--ignored", names]))
    };
    run("needs_userns")?;
    if need::is_root() {
        return run("needs_root");
    }
    println!("SKIPPED: tests named needs_root, this account is not root");
    Ok(())
}

fn loom() -> Result<(), String> {
    let mut command =
        cargo(&["test", "--package", "nucleus", "--test", "loom_budget", "--release"]);
    need::run(
        command.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", target_dir().join("loom")),
    )
}

/// Advisories need a database that is not part of the source; `cargo deny check advisories` adds them online.
///
/// The check reads every crate of the lock, other platforms' too, which no build here has downloaded.
fn deny() -> Result<(), String> {
    need::run(&mut cargo(&["fetch", "--locked", "--quiet"]))?;
    need::run(&mut cargo(&[
        "deny",
        "--offline",
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]))
}

fn black_box() -> Result<(), String> {
    suite::run_all(&build(Profile::Debug)?, &build_weakened()?)
}

fn shipped() -> Result<(), String> {
    suite::lacks_switches(&build(Profile::Debug)?, &build_weakened()?)
}

fn agent(name: &str) -> Result<(), String> {
    let pinned = agents::ALL.iter().find(|agent| agent.name == name);
    let pinned = pinned.ok_or_else(|| format!("no agent {name} is pinned"))?;
    suite::agent(name, &build(Profile::Debug)?, &agents::ensure(pinned)?)
}

fn sdk_client() -> Result<(), String> {
    suite::sdk(&build(Profile::Debug)?, &sdk::ensure()?)
}
