//! `nucleus approvals break-glass`: makes the key, and uses it.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use nucleus_wire::approvals::{Ask, BreakGlass, GLASS_SECONDS_DEFAULT, Told};
use nucleus_wire::control::FailureClass;
use nucleus_wire::display::escape;
use nucleus_wire::hex;
use serde_json::json;

use super::args::BreakGlassArgs;
use super::{client, say};
use crate::failure::CliFailure;
use crate::page::json_line;
use crate::secret::read_secret;
use crate::state::State;

/// Name of the key file beside the configuration file.
const KEY_FILE: &str = "break-glass.key";
/// Name of its public half beneath the state directory.
const PUBLIC_FILE: &str = "keys/break-glass.pub";
/// Largest key file, in bytes.
const KEY_BYTES_MAX: u64 = 1024;

pub(super) fn run(state: &State, args: &BreakGlassArgs) -> Result<u8, CliFailure> {
    let beside = state.user_config.parent().unwrap_or(Path::new("/")).join(KEY_FILE);
    let path = args.key.clone().unwrap_or(beside);
    if args.init { init(state, &path, args.json) } else { open(state, &path, args) }
}

fn init(state: &State, path: &Path, as_json: bool) -> Result<u8, CliFailure> {
    let mut seed = [0_u8; 32];
    rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty()).map_err(|error| {
        CliFailure::unavailable(format!("no randomness from the kernel: {error}"))
    })?;
    let pair = pair(&seed)?;
    let public = state.dir.join(PUBLIC_FILE);
    if public.exists() {
        return Err(CliFailure::usage(format!(
            "there is a break-glass key already: {}",
            public.display()
        ))
        .hint("to replace it, remove this file and the key file first"));
    }
    for dir in [path.parent(), public.parent()].into_iter().flatten() {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| {
            CliFailure::unavailable(format!("cannot make {}: {error}", dir.display()))
        })?;
    }
    write_new(path, &hex::encode(&seed))?;
    write_new(&public, &hex::encode(pair.public_key().as_ref()))?;
    say(&if as_json {
        json_line(&json!({"key": path, "public": public}))
    } else {
        format!(
            "{} made; keep it where no agent and no careless hand comes to, it breaks the glass of tasks started from now on\n",
            escape(&path.display().to_string())
        )
    });
    Ok(0)
}

fn open(state: &State, path: &Path, args: &BreakGlassArgs) -> Result<u8, CliFailure> {
    let seed = read_key(path)?;
    let pair = pair(&seed)?;
    let reason = args.reason.clone().unwrap_or_default();
    let seconds = args.seconds.unwrap_or(GLASS_SECONDS_DEFAULT);
    let mut tasks = client::tasks(state, args.session.as_deref())?;
    if tasks.len() > 1 {
        let sessions: Vec<&str> = tasks.iter().map(|task| task.session.as_str()).collect();
        return Err(CliFailure::usage("several tasks run")
            .hint(format!("name one: {}", sessions.join(", "))));
    }
    let task = tasks.first_mut().ok_or_else(|| CliFailure::usage("no task of yours runs"))?;
    let Told::Challenge { session, challenge } = task.ask(&Ask::Challenge)? else {
        return Err(client::unexpected());
    };
    let message = BreakGlass::message(&session, &challenge, seconds, &reason);
    let signature = hex::encode(pair.sign(&message).as_ref());
    let demand = BreakGlass { reason, seconds, challenge, signature };
    let Told::Open { rule, seconds } = task.ask(&Ask::BreakGlass(demand))? else {
        return Err(client::unexpected());
    };
    say(&if args.json {
        json_line(&json!({"session": session, "rule": rule, "seconds": seconds}))
    } else {
        let rule = escape(&rule);
        format!(
            "the glass of session {} is broken for {seconds} s: what asks goes through and is in the log; end it: nucleus approvals revoke {rule}\n",
            escape(&session)
        )
    });
    Ok(0)
}

/// The seed, from a file that only this user can read.
fn read_key(path: &Path) -> Result<[u8; 32], CliFailure> {
    let shown = path.display();
    if let Err(error) = std::fs::metadata(path) {
        return Err(CliFailure::denied(format!("no break-glass key: {shown}: {error}"))
            .hint("make one before you need it: nucleus approvals break-glass --init\nor name the file you keep it in: --key FILE"));
    }
    let text =
        read_secret(path, KEY_BYTES_MAX).map_err(|failure| failure.blamed(FailureClass::Denied))?;
    hex::decode_exact(text.trim())
        .ok_or_else(|| CliFailure::denied(format!("{shown} is not a break-glass key")))
}

fn pair(seed: &[u8; 32]) -> Result<Ed25519KeyPair, CliFailure> {
    Ed25519KeyPair::from_seed_unchecked(seed)
        .map_err(|_| CliFailure::internal("the crypto library refuses the key"))
}

fn write_new(path: &Path, text: &str) -> Result<(), CliFailure> {
    let failed = |error: std::io::Error| {
        CliFailure::unavailable(format!("cannot make {}: {error}", path.display()))
    };
    let mut file = std::fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    writeln!(file, "{text}").and_then(|()| file.sync_all()).map_err(failed)
}
