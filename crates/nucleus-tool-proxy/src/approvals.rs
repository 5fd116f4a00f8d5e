//! Who is asked, and through which channels answers come: the terminal of `nucleus run`, the approvals socket, a webhook.

mod socket;
mod webhook;

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use nucleus::{ApprovalSetup, Approver, BreakGlassKey, Feed, WebhookKey};
use nucleus_wire::control::{ApprovalMode, ApprovalView, Failure, FailureClass, TaskSpec};

use crate::control::Control;
use crate::session;

pub(crate) use socket::Socket;

/// The public half of the user's break-glass key, beneath the state directory.
const BREAK_GLASS_KEY: &str = "keys/break-glass.pub";
/// Largest key read, in bytes.
const KEY_BYTES_MAX: u64 = 4096;

/// Tells several at once.
struct Everybody(Vec<Arc<dyn Approver>>);

impl Approver for Everybody {
    fn requested(&self, view: ApprovalView) {
        for one in &self.0 {
            one.requested(view.clone());
        }
    }

    fn settled(&self, id: &str, outcome: &'static str) {
        for one in &self.0 {
            one.settled(id, outcome);
        }
    }
}

/// How this task asks.
///
/// # Errors
/// A key that cannot be read, or a webhook that cannot be used: nothing runs half asked.
pub(crate) fn setup(
    spec: &TaskSpec,
    webhook_key: Option<OwnedFd>,
    control: &Arc<Control>,
) -> Result<ApprovalSetup, Failure> {
    let unavailable = |error: &dyn std::fmt::Display| Failure {
        class: FailureClass::Unavailable,
        message: error.to_string(),
        hint: None,
    };
    let mut setup = match spec.approvals {
        ApprovalMode::None => ApprovalSetup::none().map_err(|error| unavailable(&error))?,
        mode => {
            let mut everybody = vec![Arc::clone(control) as Arc<dyn Approver>];
            let mut proof = None;
            if let Some(hook) = &spec.webhook {
                let key = Arc::new(webhook_secret(webhook_key)?);
                let feed = Arc::clone(control) as Arc<dyn Feed>;
                everybody.push(Arc::new(webhook::Webhook::start(hook, spec, &key, feed)?));
                proof = Some(key);
            }
            let told = Arc::new(Everybody(everybody));
            let asking = ApprovalSetup::asking(mode, told).map_err(|error| unavailable(&error))?;
            ApprovalSetup { webhook: proof, ..asking }
        }
    };
    setup.break_glass = break_glass_key(&spec.state_dir)?;
    Ok(setup)
}

fn webhook_secret(key: Option<OwnedFd>) -> Result<WebhookKey, Failure> {
    let bytes = key.map(|fd| read(std::fs::File::from(fd))).transpose();
    let bytes = bytes.map_err(|error| session::io_failure("the webhook's key", &error))?;
    bytes.as_deref().and_then(WebhookKey::from_bytes).ok_or_else(|| Failure {
        class: FailureClass::Policy,
        message: "the webhook's key is missing or shorter than 32 bytes".to_owned(),
        hint: Some(
            "(umask 077; head -c 32 /dev/urandom | base64 > FILE), and name it: [approvals] webhook_key"
                .to_owned(),
        ),
    })
}

fn break_glass_key(state_dir: &Path) -> Result<Option<BreakGlassKey>, Failure> {
    let file = match std::fs::File::open(state_dir.join(BREAK_GLASS_KEY)) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(session::io_failure("the break-glass key", &error)),
    };
    let bytes = read(file).map_err(|error| session::io_failure("the break-glass key", &error))?;
    let key = std::str::from_utf8(&bytes).ok().and_then(BreakGlassKey::parse);
    key.map(Some).ok_or_else(|| Failure {
        class: FailureClass::Unavailable,
        message: format!("{} is not a public key", state_dir.join(BREAK_GLASS_KEY).display()),
        hint: Some(
            "remove it, and make a new one: nucleus approvals break-glass --init".to_owned(),
        ),
    })
}

fn read(mut file: std::fs::File) -> std::io::Result<Vec<u8>> {
    use std::io::{Read, Seek};
    // A sealed memory file keeps its place between processes.
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(KEY_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}
