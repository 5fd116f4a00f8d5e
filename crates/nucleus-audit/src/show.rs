//! `nucleus-audit show`

use std::io::{self, Write};
use std::path::PathBuf;

use nucleus_log::{Entry, entries};
use serde_json::Value;

use crate::text::escaped;
use crate::{Failure, UNREADABLE};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The log.
    log: PathBuf,
}

/// Prints one line per entry: number, time, type, phase, agent, tool, target, result, rule.
pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let all = entries(&args.log).map_err(|error| Failure::unreadable(&error))?;
    for entry in all {
        match entry {
            Ok(entry) => writeln!(out, "{}", line(&entry))?,
            Err(error) => {
                out.flush()?;
                return Err(Failure::Message(UNREADABLE, error.to_string()));
            }
        }
    }
    out.flush()?;
    Ok(0)
}

fn line(entry: &Entry) -> String {
    let members = entry.members();
    let mut line = format!("{:>6} {}", entry.sequence, entry.timestamp);
    for name in ["type", "phase", "agent_id", "tool", "target", "result", "decision", "rule"] {
        let shown = match members.get(name) {
            None => continue,
            Some(Value::String(text)) => escaped(text),
            Some(other) => escaped(&other.to_string()),
        };
        line.push_str("  ");
        line.push_str(&shown);
    }
    line
}
