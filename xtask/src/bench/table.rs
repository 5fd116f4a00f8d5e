//! What is printed.

use std::fmt;

use serde_json::{Value, json};

/// What a figure is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Time; less is better.
    Micros,
    /// Rate; more is better.
    PerSecond,
    /// Size; less is better.
    KiB,
}

/// One promise: a figure and its floor.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// Stable name, as in `SPECIFICATION.md`.
    pub name: &'static str,
    /// What it counts in.
    pub unit: Unit,
    /// The middle value, or the only one.
    pub figure: f64,
    /// 99th percentile, where there is one.
    pub p99: Option<f64>,
    /// The floor's middle value.
    pub floor: f64,
    /// The floor's 99th percentile.
    pub floor_p99: Option<f64>,
    /// What the floor is.
    pub beside: &'static str,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Table(pub Vec<Row>);

impl Row {
    /// How often the floor fits into the figure.
    fn ratio(&self) -> f64 {
        self.figure / self.floor
    }
}

impl Table {
    /// The table for programs.
    pub(super) fn to_json(&self) -> Value {
        let row = |row: &Row| {
            json!({"name": row.name, "unit": row.unit.name(), "figure": row.figure, "p99": row.p99, "floor": row.floor,
                   "floor_p99": row.floor_p99, "ratio": row.ratio(), "floor_is": row.beside})
        };
        self.0.iter().map(row).collect()
    }
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Micros => "us",
            Self::PerSecond => "per_s",
            Self::KiB => "kib",
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::Micros if value < 10.0 => format!("{value:.2} µs"),
            Self::Micros if value < 1_000.0 => format!("{value:.0} µs"),
            Self::Micros => format!("{:.2} ms", value / 1_000.0),
            Self::PerSecond => format!("{value:.0} /s"),
            Self::KiB => format!("{:.1} MiB", value / 1_024.0),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<38} {:>11} {:>11}   {:>11} {:>11} {:>7}   floor",
            "", "p50", "p99", "floor p50", "floor p99", "ratio"
        )?;
        for row in &self.0 {
            let optional =
                |value: Option<f64>| value.map(|value| row.unit.show(value)).unwrap_or_default();
            writeln!(
                f,
                "{:<38} {:>11} {:>11}   {:>11} {:>11} {:>7.2}   {}",
                row.name,
                row.unit.show(row.figure),
                optional(row.p99),
                row.unit.show(row.floor),
                optional(row.floor_p99),
                row.ratio(),
                row.beside
            )?;
        }
        Ok(())
    }
}
