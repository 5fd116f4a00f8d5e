//! Packages fetched in pods through the gate: by the registries' own clients, and by nobody else for anything else.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says what broke by ending there"
)]

#[path = "packages/client.rs"]
mod client;
#[path = "packages/module.rs"]
mod module;
#[path = "packages/refusal.rs"]
mod refusal;
#[path = "packages/sample.rs"]
mod sample;
#[path = "packages/sums.rs"]
mod sums;

use testkit::host::{Account, Host, Outcome, programs};
use testkit::registry::Registry;

/// Where pods find the gate.
pub(crate) const GATE: &str = "127.0.0.1:61080";

/// A host for every account there is, each with a registry of its own.
pub(crate) fn hosts() -> Vec<(Host, Registry)> {
    let bins = programs();
    let all = Account::all().into_iter();
    all.map(|account| (Host::new(&bins, account), Registry::start().unwrap())).collect()
}

/// A policy that lets commands run and packages of `registries` be fetched, and mirrors at the stand-in.
pub(crate) fn allow(host: &Host, registry: &Registry, registries: &str, more: &str) {
    let policy = format!(
        "[capabilities]\nread_files = \"always\"\nwrite_files = \"low_risk\"\nrun_bash = \"low_risk\"\n[network]\npackages = [{registries}]\n{more}"
    );
    host.put(host.place(), "policy.toml", policy.as_bytes());
    let origin = registry.origin();
    let mirrors = format!(
        "[network.registries]\ncargo = \"{origin}/index\"\nnpm = \"{origin}/npm\"\npip = \"{origin}/simple\"\ngo = \"{origin}/goproxy\"\n"
    );
    host.put(&host.home(), ".config/nucleus/config.toml", mirrors.as_bytes());
}

/// Runs a command in a pod under that policy.
pub(crate) fn run(host: &Host, argv: &[&str]) -> Outcome {
    let mut command = host.command("nucleus");
    command.args(["run", "--allow-local-driver", "--config"]).arg(host.place().join("policy.toml"));
    command.arg("--").args(argv);
    Outcome::of(&mut command)
}

/// The log of the last task, verified.
pub(crate) fn log(host: &Host) -> String {
    // Sessions of one second have no order by name.
    let written =
        |log: &std::path::PathBuf| log.metadata().and_then(|meta| meta.modified()).unwrap();
    let log = host.logs().into_iter().max_by_key(written).unwrap();
    host.verify(&log).expect_code(0);
    std::fs::read_to_string(log).unwrap()
}

/// Entries about packages: (phase or decision, target).
pub(crate) fn fetches(log: &str, phase: &str) -> Vec<String> {
    let about = |line: &&str| {
        line.contains("\"type\":\"package_fetch\"")
            && line.contains(&format!("\"phase\":\"{phase}\""))
    };
    let target = |line: &str| {
        let text = line.split("\"target\":\"").nth(1)?;
        Some(text.split('"').next()?.to_owned())
    };
    log.lines().filter(about).filter_map(target).collect()
}
