//! One request made many times in one conversation, and how long its answers took.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{DoorClient, Ending};

/// Sends the request `times` times and tells percentiles as JSON, in microseconds.
pub(super) fn repeat(
    door: &mut DoorClient,
    method: &str,
    params: &Value,
    times: u32,
) -> std::io::Result<(Ending, String)> {
    let mut took = Vec::new();
    let mut failed = 0_u32;
    let mut first_at_us = 0;
    for _ in 0..times {
        let begun = Instant::now();
        let answer = door.request(method, params)?;
        took.push(begun.elapsed());
        if took.len() == 1 {
            first_at_us = unix_us();
        }
        let refused = answer.pointer("/result/isError").and_then(Value::as_bool).unwrap_or(false);
        if refused || answer.get("error").is_some() {
            failed = failed.saturating_add(1);
        }
    }
    let first = took.first().copied().unwrap_or_default();
    took.sort_unstable();
    let figures = json!({
        "times": times,
        "failed": failed,
        "first_at_us": first_at_us,
        "first_us": micros(first),
        "p50_us": quantile(&took, 50),
        "p99_us": quantile(&took, 99),
    });
    Ok((if failed == 0 { Ending::Ok } else { Ending::Refused }, figures.to_string()))
}

fn quantile(sorted: &[Duration], percent: usize) -> f64 {
    let at = sorted.len().saturating_mul(percent) / 100;
    sorted.get(at).copied().map_or(0.0, micros)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// The wall clock, which host and pod share.
fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
