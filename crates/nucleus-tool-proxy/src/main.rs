//! `nucleus-tool-proxy`: the host-side enforcement process of one task.
//!
//! Started by `nucleus` with a control socket; starts the launcher of pods by executing itself again.

mod agent;
mod agent_pod;
mod approvals;
mod attach;
mod client;
mod control;
mod door;
mod egress;
mod envelope;
mod finish;
mod log;
mod model;
mod opening;
mod packages;
mod payload;
mod publish;
mod reception;
mod runner;
mod session;
mod task;
mod terminal;
mod withheld;
mod world;

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;

use nucleus_wire::control::{Failure, FromProxy};

const USAGE: &str = "\
nucleus-tool-proxy is started by `nucleus run`; it is not meant to be started by hand.
usage: nucleus-tool-proxy --control-fd N [--model-key-fd N] [--webhook-key-fd N] [--client-fd N [--listen-fd N --token-fd N]]";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|first| first == nucleus_sandbox::LAUNCHER) {
        return ExitCode::from(u8::try_from(nucleus_sandbox::launcher_main()).unwrap_or(1));
    }
    if args.iter().any(|arg| arg == "--version") {
        println!("nucleus-tool-proxy {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    let Some(descriptors) = descriptors(&args) else {
        eprintln!("{USAGE}");
        return ExitCode::from(64);
    };
    match serve(descriptors) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nucleus-tool-proxy: {error}");
            ExitCode::from(74)
        }
    }
}

/// What the user's side handed over.
struct Descriptors {
    control: OwnedFd,
    model_key: Option<OwnedFd>,
    client: client::Ends,
    webhook_key: Option<OwnedFd>,
}

fn descriptors(args: &[String]) -> Option<Descriptors> {
    let mut control = None;
    let mut model_key = None;
    let mut client = client::Ends::default();
    let mut webhook_key = None;
    let mut rest = args.iter();
    while let Some(flag) = rest.next() {
        let fd = nucleus_sys::fd::inherit(rest.next()?.parse().ok()?).ok()?;
        match flag.as_str() {
            "--control-fd" => control = Some(fd),
            "--model-key-fd" => model_key = Some(fd),
            "--client-fd" => client.life = Some(fd),
            "--listen-fd" => client.listener = Some(fd),
            "--token-fd" => client.token = Some(fd),
            "--webhook-key-fd" => webhook_key = Some(fd),
            _ => return None,
        }
    }
    Some(Descriptors { control: control?, model_key, client, webhook_key })
}

fn serve(descriptors: Descriptors) -> std::io::Result<()> {
    let (control, reader, spec) = control::Control::accept(UnixStream::from(descriptors.control))?;
    let control = Arc::new(control);
    let session_dir = spec.state_dir.join("sessions").join(&spec.session);
    let handed = (descriptors.model_key, descriptors.client, descriptors.webhook_key);
    let outcome: Result<_, Failure> = task::run(spec, handed, &control, reader);
    let last = match outcome {
        Ok(summary) => FromProxy::Finished(Box::new(summary)),
        Err(failure) => FromProxy::Failed(failure),
    };
    control.part(&last, &session_dir)
}
