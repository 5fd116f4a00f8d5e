//! Who is asked, and through which channels answers come: the terminal of `nucleus run` and the
//! approvals socket.

mod socket;

use std::path::Path;
use std::sync::Arc;

use nucleus::{ApprovalSetup, Approver, BreakGlassKey};
use nucleus_wire::control::{ApprovalMode, Failure, FailureClass, TaskSpec};

use crate::control::Control;
use crate::session;

pub(crate) use socket::Socket;

/// The public half of the user's break-glass key, beneath the state directory.
const BREAK_GLASS_KEY: &str = "keys/break-glass.pub";
/// Largest key read, in bytes.
const KEY_BYTES_MAX: u64 = 4096;

/// How this task asks.
///
/// # Errors
/// A key that cannot be read.
pub(crate) fn setup(spec: &TaskSpec, control: &Arc<Control>) -> Result<ApprovalSetup, Failure> {
    let unavailable = |error: &dyn std::fmt::Display| Failure {
        class: FailureClass::Unavailable,
        message: error.to_string(),
        hint: None,
    };
    let mut setup = match spec.approvals {
        ApprovalMode::None => ApprovalSetup::none().map_err(|error| unavailable(&error))?,
        mode => ApprovalSetup::asking(mode, Arc::clone(control) as Arc<dyn Approver>)
            .map_err(|error| unavailable(&error))?,
    };
    setup.break_glass = break_glass_key(&spec.state_dir)?;
    Ok(setup)
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

fn read(file: std::fs::File) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    file.take(KEY_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}
