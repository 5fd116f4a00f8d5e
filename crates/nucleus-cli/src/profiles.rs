//! `nucleus profiles`.

use std::io::Write;

use nucleus_wire::profile::{self, ProfileStatus};
use serde_json::json;

use crate::args::ProfilesArgs;
use crate::failure::CliFailure;
use crate::page::json_block;

/// Lists the profiles.
pub(crate) fn run(args: &ProfilesArgs) -> Result<u8, CliFailure> {
    let text = if args.json { as_json() } else { as_text() };
    // A reader that closed the pipe has seen enough.
    let _gone = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(0)
}

fn as_text() -> String {
    let mut text = String::from("Available profiles:\n");
    for profile in profile::list() {
        let info = profile.info();
        let mark = match info.status {
            ProfileStatus::Enforced => "✓",
            _ => "~",
        };
        // The default's own summary may say so already.
        let marked = info.name != profile::DEFAULT_PROFILE || info.summary.ends_with("(default)");
        let default = if marked { "" } else { " (default)" };
        text.push_str(&format!("  {mark} {:<14} {}{default}\n", info.name, info.summary));
        if let Some(note) = &info.note {
            text.push_str(&format!("    {:<14} {note}\n", ""));
        }
    }
    text.push_str("\n✓ = every rule is enforced   ~ = policy defined, some of its operations have no tool yet\n");
    text
}

fn as_json() -> String {
    let profiles: Vec<_> = profile::list()
        .iter()
        .map(|profile| {
            let info = profile.info();
            json!({
                "name": info.name,
                "summary": info.summary,
                "status": info.status.as_str(),
                "note": info.note,
                "default": info.name == profile::DEFAULT_PROFILE,
                "permissions_toml": profile.text(),
            })
        })
        .collect();
    json_block(&json!(profiles))
}
