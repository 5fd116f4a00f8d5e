//! The scripted agent: a fixed list of calls, for demonstrations and tests.

use nucleus_wire::control::{Failure, FailureClass};

use super::{Intake, Launch, base_env, gate};

/// Where the script is inside the pod.
const SCRIPT: &str = "/run/nucleus/script.json";

/// Builds the command line and environment.
///
/// # Errors
/// The user's side sent no script.
pub(super) fn launch(intake: &Intake<'_>) -> Result<Launch, Failure> {
    let script = intake.input.ok_or_else(|| Failure {
        class: FailureClass::Usage,
        message: "a scripted agent needs a script".to_owned(),
        hint: Some("nucleus run --agent scripted --script FILE …".to_owned()),
    })?;
    let mut env = base_env(intake);
    env.push(("ANTHROPIC_BASE_URL".to_owned(), gate()));
    Ok(Launch {
        argv: vec![intake.program.to_owned(), SCRIPT.to_owned()],
        env,
        files: vec![(SCRIPT.to_owned(), script.as_bytes().to_vec())],
    })
}
