//! The black-box suites: they drive the programs as built, as root and rootless, each wall with its control.

use std::path::Path;

use crate::cargo::{cargo, target_dir};
use crate::need;

/// Where the suites find the programs under test.
const BINS: &str = "NUCLEUS_TEST_BINS";
/// Where they find the builds whose layers can be switched off.
const WEAKENED_BINS: &str = "NUCLEUS_TEST_WEAKENED_BINS";
/// Where they find Claude Code.
const CLAUDE: &str = "NUCLEUS_TEST_CLAUDE";
/// File they append the name of every skipped test to.
const SKIPPED: &str = "NUCLEUS_TEST_SKIPPED";
/// Tests that may be skipped, one name a line: the committed list.
const MAY_SKIP: &str = include_str!("../../testkit/may-skip.txt");
/// Variable of the weakened builds, which no shipped program may know.
const SWITCH: &[u8] = b"NUCLEUS_WEAKEN";
/// Programs that ship.
const SHIPPED: [&str; 4] = ["nucleus", "nucleus-tool-proxy", "nucleus-mcp", "nucleus-audit"];
/// The suites of the testkit that need no agent from a registry.
const SUITES: [&str; 5] = ["catalogue", "faults", "task", "refusals", "readme"];

/// Runs the suites.
pub(crate) fn run_all(bins: &Path, weakened: &Path) -> Result<(), String> {
    let skipped = target_dir().join("skipped.txt");
    std::fs::write(&skipped, "").map_err(|error| format!("{}: {error}", skipped.display()))?;
    for suite in SUITES {
        let mut command =
            cargo(&["test", "--package", "testkit", "--test", suite, "--", "--test-threads=2"]);
        command.env(BINS, bins).env(WEAKENED_BINS, weakened).env(SKIPPED, &skipped);
        need::run(&mut command)?;
    }
    compare_skipped(&std::fs::read_to_string(&skipped).map_err(|error| error.to_string())?)
}

/// Runs the suite with the real agent.
pub(crate) fn claude(bins: &Path, program: &Path) -> Result<(), String> {
    let mut command =
        cargo(&["test", "--package", "testkit", "--test", "claude", "--", "--test-threads=1"]);
    need::run(command.env(BINS, bins).env(CLAUDE, program))
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
