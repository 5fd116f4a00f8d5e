//! The black-box suites: they drive the programs as built, as root and rootless, each wall with its control.

use std::path::Path;
use std::process::Command;

use crate::agents::Installed;
use crate::cargo::{cargo, target_dir};
use crate::need;

/// Where the suites find the programs under test.
const BINS: &str = "NUCLEUS_TEST_BINS";
/// Where they find the builds whose layers can be switched off.
const WEAKENED_BINS: &str = "NUCLEUS_TEST_WEAKENED_BINS";
/// Where they find an agent; its name follows.
const AGENT: &str = "NUCLEUS_TEST_";
/// Where they find a Python with the official client of the protocol.
const PYTHON_MCP: &str = "NUCLEUS_TEST_PYTHON_MCP";
/// File they append the name of every skipped test to.
const SKIPPED: &str = "NUCLEUS_TEST_SKIPPED";
/// Tests that may be skipped, one name a line: the committed list.
const MAY_SKIP: &str = include_str!("../../testkit/may-skip.txt");
/// Feature of the test targets that need built programs; without it they are not built at all.
pub(crate) const FEATURE: &str = "testkit/black-box";
/// Variable of the weakened builds, which no shipped program may know.
const SWITCH: &[u8] = b"NUCLEUS_WEAKEN";
/// Programs that ship.
const SHIPPED: [&str; 4] = ["nucleus", "nucleus-tool-proxy", "nucleus-mcp", "nucleus-audit"];
/// The suites of the testkit that need no agent from a registry.
const SUITES: [&str; 12] = [
    "approvals",
    "catalogue",
    "faults",
    "task",
    "interactive",
    "jobs",
    "mcp",
    "packages",
    "report",
    "refusals",
    "readme",
    "login",
];
/// The one that takes real minutes and hardly any processor: it runs beside the others.
const BESIDE: &str = "patience";

/// Runs the suites.
pub(crate) fn run_all(bins: &Path, weakened: &Path) -> Result<(), String> {
    // Built before anything runs: two builds at once would only wait for each other.
    need::run(&mut cargo(&[
        "test",
        "--package",
        "testkit",
        "--features",
        FEATURE,
        "--no-run",
        "--quiet",
    ]))?;
    std::thread::scope(|scope| {
        let beside = scope.spawn(|| need::run(black_box(BESIDE, "--quiet").env(BINS, bins)));
        let others = comparing_skipped(|skipped| {
            // All of them, even after a failure: one run shows everything.
            let results = SUITES.map(|suite| {
                let mut command = black_box(suite, "--test-threads=2");
                command.env(BINS, bins).env(WEAKENED_BINS, weakened).env(SKIPPED, skipped);
                need::run(&mut command)
            });
            let failed: Vec<String> = results.into_iter().filter_map(Result::err).collect();
            if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
        });
        let beside = beside.join().unwrap_or_else(|_| Err(format!("{BESIDE}: panicked")));
        others.and(beside)
    })
}

/// The positive controls inside the crates: an attack works once the one layer that holds it is gone.
pub(crate) fn walls() -> Result<(), String> {
    comparing_skipped(|skipped| {
        [
            ["nucleus", "nucleus/weaken", "--lib", "--quiet"],
            ["nucleus-sandbox", "nucleus-sandbox/weaken", "--test", "walls"],
        ]
        .iter()
        .try_for_each(|[package, feature, which, last]| {
            let args = ["test", "--package", package, "--features", feature, which, last];
            let target = target_dir().join("weaken");
            need::run(cargo(&args).env("CARGO_TARGET_DIR", target).env(SKIPPED, skipped))
        })
    })
}

/// Runs the suite of a real agent.
pub(crate) fn agent(name: &str, bins: &Path, installed: &Installed) -> Result<(), String> {
    let mut command = black_box(name, "--test-threads=1");
    let variable = format!("{AGENT}{}", name.to_uppercase());
    command.env(BINS, bins).env(variable, &installed.command);
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let dirs = installed.interpreter_dir.clone().into_iter().chain(std::env::split_paths(&rest));
    command.env("PATH", std::env::join_paths(dirs).map_err(|error| error.to_string())?);
    need::run(&mut command)
}

/// Runs the suite with the official Python client of the protocol.
pub(crate) fn sdk(bins: &Path, python: &Path) -> Result<(), String> {
    need::run(black_box("sdk", "--test-threads=1").env(BINS, bins).env(PYTHON_MCP, python))
}

/// Shows that the switches are in the weakened builds and not in the others.
pub(crate) fn lacks_switches(bins: &Path, weakened: &Path) -> Result<(), String> {
    for name in SHIPPED {
        if holds(&bins.join(name), SWITCH)? {
            return Err(format!("{name} knows the switches of test builds"));
        }
    }
    if !holds(&weakened.join("nucleus-tool-proxy"), SWITCH)? {
        return Err(
            "the weakened build lacks the switches: this check would find nothing".to_owned()
        );
    }
    Ok(())
}

fn black_box(suite: &str, threads: &str) -> Command {
    cargo(&["test", "--package", "testkit", "--features", FEATURE, "--test", suite, "--", threads])
}

/// Runs tests that note what they skip, and holds that to the committed list.
fn comparing_skipped(tests: impl FnOnce(&Path) -> Result<(), String>) -> Result<(), String> {
    let skipped = target_dir().join("skipped.txt");
    let at = |error: std::io::Error| format!("{}: {error}", skipped.display());
    std::fs::create_dir_all(target_dir()).map_err(at)?;
    std::fs::write(&skipped, "").map_err(at)?;
    tests(&skipped)?;
    compare_skipped(&std::fs::read_to_string(&skipped).map_err(at)?)
}

fn compare_skipped(skipped: &str) -> Result<(), String> {
    let mut surprising: Vec<&str> = skipped.lines().filter(|name| !may_skip(name)).collect();
    surprising.sort_unstable();
    surprising.dedup();
    if surprising.is_empty() {
        Ok(())
    } else {
        Err(format!("skipped, and may not be: {}", surprising.join(", ")))
    }
}

/// True when the committed list lets this test be skipped by whoever runs the suites.
fn may_skip(name: &str) -> bool {
    let lines = MAY_SKIP.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines.into_iter().any(|line| match line.strip_prefix("rootless ") {
        Some(listed) => listed == name && !need::is_root(),
        None => line == name,
    })
}

fn holds(file: &Path, needle: &[u8]) -> Result<bool, String> {
    let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(bytes.windows(needle.len()).any(|window| window == needle))
}
