//! Measurements of single crates: their examples print JSON, this turns it into rows.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::sample::Quantiles;
use super::table::{Row, Unit};

const SPAWN_ROUNDS: &str = "300";

/// `decide` beside reading the clock.
pub(super) fn decide(examples: &Path) -> Result<Vec<Row>, String> {
    let found = json_of(Command::new(examples.join("decide_bench")))?;
    let nanos = |pointer: &str| number(&found, pointer).map(|nanos| nanos / 1_000.0);
    Ok(vec![Row {
        name: "decide, 100 path + 50 command rules",
        unit: Unit::Micros,
        figure: nanos("/decide/p50_ns")?,
        p99: Some(nanos("/decide/p99_ns")?),
        floor: nanos("/clock/p50_ns")?,
        floor_p99: Some(nanos("/clock/p99_ns")?),
        beside: "reading the clock",
    }])
}

/// What starting processes costs here.
#[derive(Debug)]
pub(super) struct Spawn {
    /// A pod of the driver alone, without rooms and log.
    pub pod: Quantiles,
    /// Fork, exec, wait.
    pub bare: Quantiles,
    /// The same through bubblewrap.
    pub wrapped: Quantiles,
}

/// Measures pods beside processes.
pub(super) fn spawn(examples: &Path) -> Result<Spawn, String> {
    let mut command = Command::new(examples.join("spawn_bench"));
    command.arg(SPAWN_ROUNDS);
    let found = json_of(command)?;
    let of = |name: &str| -> Result<Quantiles, String> {
        let at = |percent: &str| number(&found, &format!("/{name}/{percent}_us"));
        Ok(Quantiles { p50: at("p50")?, p99: at("p99")? })
    };
    Ok(Spawn { pod: of("pod")?, bare: of("fork_exec")?, wrapped: of("bubblewrap")? })
}

impl Spawn {
    /// The driver alone beside both.
    pub(super) fn rows(&self) -> Vec<Row> {
        let row = |name, floor: &Quantiles, beside| Row {
            name,
            unit: Unit::Micros,
            figure: self.pod.p50,
            p99: Some(self.pod.p99),
            floor: floor.p50,
            floor_p99: Some(floor.p99),
            beside,
        };
        vec![
            row("true in a pod, driver alone", &self.bare, "fork + exec"),
            row("true in a pod, driver alone", &self.wrapped, "bwrap --unshare-all, same mounts"),
        ]
    }
}

/// Appending and verifying.
pub(super) fn log(examples: &Path, place: &Path) -> Result<Vec<Row>, String> {
    let mut command = Command::new(examples.join("log_bench"));
    command.arg(place);
    let found = json_of(command)?;
    let at = |pointer: &str| number(&found, pointer);
    Ok(vec![
        Row {
            name: "durable append, 64 writers",
            unit: Unit::Micros,
            figure: at("/append/p50_us")?,
            p99: Some(at("/append/p99_us")?),
            floor: at("/append/floor_p50_us")?,
            floor_p99: Some(at("/append/floor_p99_us")?),
            beside: "write of 64 lines + fdatasync",
        },
        Row {
            name: "verify",
            unit: Unit::PerSecond,
            figure: at("/verify/entries_per_s")?,
            p99: None,
            floor: at("/verify/floor_entries_per_s")?,
            floor_p99: None,
            beside: "naive: split, parse, one HMAC, one SHA-256",
        },
    ])
}

fn json_of(mut command: Command) -> Result<Value, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "{command:?}: {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("{command:?}: {error}"))
}

/// A number of a document, or what is wrong with it.
pub(super) fn number(found: &Value, pointer: &str) -> Result<f64, String> {
    found
        .pointer(pointer)
        .and_then(Value::as_f64)
        .ok_or_else(|| format!("no number at {pointer} of {found}"))
}
