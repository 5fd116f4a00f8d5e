//! `nucleus-audit verify`

use std::io::{self, Write};
use std::path::PathBuf;

use nucleus_log::{PinState, Report, Verdict, VerifyError, VerifyOptions, verify};

use crate::text::escaped;
use crate::{Failure, USAGE, keys};

/// The exit codes, for `--help`. A test compares them with the library's.
pub(crate) const EXIT_CODES: &str = "\
Exit codes of verify:
   0  ok                 lines, chain, MACs and checkpoints hold
   2  usage              wrong arguments, or no key to verify with
   3  unreadable         a file cannot be read, or a key or pin file is damaged
  10  ok_without_mac_key chain and checkpoints hold; MACs not checked, no MAC key
  11  torn_tail          all holds up to an unfinished last record, as a crash leaves it
  12  broken_chain       a line does not name the digest of the line before it
  13  bad_signature      a MAC or signature is not by the key that it claims
  14  gap                lines are missing
  15  truncated          a checkpoint speaks of more entries than there are
  16  fork               two histories: a line or checkpoint contradicts another
  17  stale              the last checkpoint is older than --max-age
  18  wrong_key          written with another key than the one given
  19  empty              nothing was recorded
  20  missing_sidecar    LOG.d/ or a part of it is missing
  21  malformed          a line, header or checkpoint breaks the format
  22  unpaired           an outcome without intent, or a repeated intent
  23  rolled_back        not an extension of what --pin remembers";

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The log; its sidecar is LOG.d/ beside it.
    log: PathBuf,
    /// Print the report as one JSON object.
    #[arg(long)]
    json: bool,
    /// MAC key (32 bytes). Without --key and --public, the keys of the log's state directory are used.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Public key of the checkpoints (`ed25519:` and 64 hexadecimal digits).
    #[arg(long, value_name = "FILE")]
    public: Option<PathBuf>,
    /// Remember in FILE how far the log has come, and refuse a log that is not an extension of that.
    #[arg(long, value_name = "FILE")]
    pin: Option<PathBuf>,
    /// Fail if the last checkpoint is older than this many seconds.
    #[arg(long, value_name = "S")]
    max_age: Option<u64>,
}

/// Verifies and prints; returns the exit code of the verdict.
pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    let keys = keys::find(&args.log, args.key.as_deref(), args.public.as_deref())?;
    let options = VerifyOptions { pin: args.pin.clone(), max_age_s: args.max_age };
    let report = verify(&args.log, &keys, &options).map_err(|error| match error {
        VerifyError::NoKey => Failure::Message(USAGE, error.to_string()),
        other => Failure::unreadable(&other),
    })?;
    let mut out = io::stdout().lock();
    if args.json {
        let text = serde_json::to_string(&report).map_err(io::Error::from)?;
        writeln!(out, "{text}")?;
    } else {
        print(&mut out, &report, args.pin.is_some())?;
    }
    out.flush()?;
    Ok(report.verdict.exit_code())
}

fn print(out: &mut dyn Write, report: &Report, pinned: bool) -> io::Result<()> {
    let walked = matches!(
        report.verdict,
        Verdict::Ok
            | Verdict::OkWithoutMacKey
            | Verdict::TornTail
            | Verdict::Stale { .. }
            | Verdict::Unpaired { .. }
    );
    if walked {
        writeln!(out, "✓ {} entries verified", report.entries)?;
        writeln!(out, "✓ Hash chain intact")?;
        writeln!(out, "✓ No gaps detected")?;
        proof(out, report)?;
    } else if report.entries > 0 {
        writeln!(out, "  {} entries before the fault hold", report.entries)?;
    }
    if !matches!(report.verdict, Verdict::Ok | Verdict::OkWithoutMacKey) {
        writeln!(out, "✗ {}", report.verdict)?;
    }
    if walked {
        calls(out, report)?;
        end(out, report)?;
        limits(out, report, pinned)?;
    }
    Ok(())
}

fn proof(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    if report.macs_checked {
        writeln!(out, "✓ Every entry's MAC holds")?;
    } else {
        writeln!(out, "– MACs not checked: no MAC key")?;
    }
    let by = if report.public_key_given { "the public key" } else { "the key its header names" };
    if let Some(proved) = &report.proved {
        let (size, time) = (proved.size, &proved.time);
        writeln!(out, "✓ Signed by {by}: entries 1 to {size}, checkpoint of {time}")?;
        writeln!(out, "  root {}", proved.root)?;
    }
    if report.beyond_checkpoint > 0 {
        let holds = if report.macs_checked { "the chain and their MACs" } else { "the chain" };
        let count = report.beyond_checkpoint;
        writeln!(out, "– The last {count} entries are not signed yet; only {holds} hold them")?;
    }
    if report.torn.log_bytes > 0 || report.torn.checkpoint_bytes > 0 {
        let (log, checkpoints) = (report.torn.log_bytes, report.torn.checkpoint_bytes);
        writeln!(out, "– Unfinished: {log} bytes of the log, {checkpoints} of the checkpoints")?;
    }
    Ok(())
}

fn calls(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    if report.interrupted_total == 0 {
        return writeln!(out, "✓ Every intent has its outcome");
    }
    writeln!(out, "– Interrupted, intent without outcome: {}", report.interrupted_total)?;
    for call in report.interrupted.iter().take(20) {
        writeln!(out, "    entry {} request {}", call.sequence, escaped(&call.request_id))?;
    }
    if report.interrupted_total > 20 {
        writeln!(out, "    … all of them: --json")?;
    }
    Ok(())
}

fn end(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let end = match (report.live, report.closed) {
        (true, _) => "is being written",
        (false, true) => "was closed in order",
        (false, false) => "was not closed in order: its writer was killed or failed",
    };
    let origin = report.origin.as_deref().unwrap_or_default();
    writeln!(out, "  Log {origin} {end}")?;
    if report.clock_steps_back > 0 {
        let steps = report.clock_steps_back;
        writeln!(out, "– The clock stepped back {steps} times; order is by sequence")?;
    }
    Ok(())
}

fn limits(out: &mut dyn Write, report: &Report, pinned: bool) -> io::Result<()> {
    match report.pin {
        Some(PinState::Extends { from }) => {
            writeln!(out, "✓ Extends the {from} entries pinned before")
        }
        Some(PinState::First) => writeln!(out, "– First sight of this log; pinned from now on"),
        None if pinned => Ok(()),
        None => writeln!(
            out,
            "  Not proved: that log and sidecar were not rolled back together; use --pin"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_verdict_with_its_code() {
        let verdicts = [
            Verdict::Ok,
            Verdict::OkWithoutMacKey,
            Verdict::TornTail,
            Verdict::BrokenChain { sequence: 1 },
            Verdict::BadSignature { sequence: 1 },
            Verdict::Gap { sequence: 1 },
            Verdict::Truncated { signed: 1, present: 0 },
            Verdict::Fork { sequence: 1 },
            Verdict::Stale { age_s: 1 },
            Verdict::WrongKey,
            Verdict::Empty,
            Verdict::MissingSidecar,
            Verdict::Malformed { sequence: 1 },
            Verdict::Unpaired { sequence: 1 },
            Verdict::RolledBack { pinned: 1 },
        ];
        for verdict in verdicts {
            let json = serde_json::to_value(verdict).unwrap();
            let name = json["verdict"].as_str().unwrap();
            let row = format!("  {:>2}  {name} ", verdict.exit_code());
            assert!(EXIT_CODES.contains(&row), "{row}");
        }
    }
}
