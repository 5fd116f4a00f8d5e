//! The machine a table was measured on: without it, the figures say nothing.

use std::fmt;
use std::fs::read_to_string;

use serde_json::{Value, json};

/// What is worth knowing.
#[derive(Debug)]
pub(super) struct Machine {
    processor: String,
    cores: usize,
    kernel: String,
    load: String,
    user: &'static str,
}

impl Machine {
    /// Looks around.
    pub(super) fn look() -> Self {
        let field = |file: &str, name: &str| {
            read_to_string(file).unwrap_or_default().lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                (key.trim() == name).then(|| value.trim().to_owned())
            })
        };
        let first_words = |file: &str, count: usize| {
            let text = read_to_string(file).unwrap_or_default();
            text.split_whitespace().take(count).collect::<Vec<_>>().join(" ")
        };
        let root = field("/proc/self/status", "Uid").is_some_and(|ids| ids.starts_with("0\t"));
        Self {
            processor: field("/proc/cpuinfo", "model name")
                .unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: first_words("/proc/sys/kernel/osrelease", 1),
            load: first_words("/proc/loadavg", 3),
            user: if root { "root" } else { "unprivileged" },
        }
    }

    /// For programs.
    pub(super) fn to_json(&self) -> Value {
        json!({"processor": self.processor, "cores": self.cores, "kernel": self.kernel, "load": self.load, "user": self.user})
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processor, cores, kernel, load, user } = self;
        writeln!(
            f,
            "{cores} cores of {processor}, Linux {kernel}, as {user}, load {load} at the end"
        )
    }
}
