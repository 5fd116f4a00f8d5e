//! What the user can do when a tool misses a dependency offline.

use super::data::{HintData, data};

/// Advice for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// What is missing.
    pub text: String,
    /// The command to run on the host, in the workspace.
    pub command: String,
}

/// Only the end of long output is searched.
const OUTPUT_BYTES: usize = 64 * 1024;
/// Longest package name passed on.
const NAME_BYTES: usize = 128;

/// Finds a missing dependency in a tool's output. A name from the output is put into the command only if it is a plain
/// package name: the output is the agent's to write, and the user may paste the command.
#[must_use]
pub fn offline_hint(output: &str) -> Option<Hint> {
    let start = output.len().saturating_sub(OUTPUT_BYTES);
    let start = (start..output.len()).find(|at| output.is_char_boundary(*at)).unwrap_or(0);
    let output = output.get(start..)?;
    data().hint.iter().find_map(|hint| matched(hint, output))
}

fn matched(hint: &HintData, output: &str) -> Option<Hint> {
    let plain = Hint { text: hint.text.clone(), command: hint.plain.clone() };
    let Some((before, after)) = hint.pattern.split_once("{name}") else {
        return output.contains(&hint.pattern).then_some(plain);
    };
    for (at, _) in output.match_indices(before) {
        let rest = output.get(at.checked_add(before.len())?..)?;
        let line = rest.lines().next().unwrap_or_default();
        let name = match after {
            "" => Some(line.split_whitespace().next().unwrap_or_default()),
            after => line.split_once(after).map(|(name, _)| name),
        };
        let Some(name) = name else { continue };
        let name = name.split(['=', '<', '>', '!', '~', ' ', ';', '(']).next().unwrap_or_default();
        return Some(match &hint.command {
            Some(command) if is_plain(name) => {
                Hint { text: hint.text.clone(), command: command.replace("{name}", name) }
            }
            _ => plain,
        });
    }
    None
}

/// A name that no shell and no option parser gives a meaning to.
fn is_plain(name: &str) -> bool {
    let plain =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/' | b'@' | b':');
    !name.is_empty()
        && name.len() <= NAME_BYTES
        && name.bytes().all(plain)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '@')
        && !name.contains("..")
        && !name.contains("://")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(output: &str) -> String {
        offline_hint(output).map(|h| h.command).unwrap_or_default()
    }

    #[test]
    fn each_tool_has_its_command() {
        assert_eq!(
            command("error: no matching package named `left-pad` found\n"),
            "cargo add left-pad && cargo fetch"
        );
        assert_eq!(command("npm error code ENOTCACHED"), "npm install --ignore-scripts");
        assert_eq!(
            command("ERROR: No matching distribution found for requests==2.0"),
            "python3 -m pip install --only-binary :all: requests"
        );
        assert_eq!(
            command("go: github.com/a/b@v1.2.3: module lookup disabled by GOPROXY=off"),
            "go mod download github.com/a/b@v1.2.3"
        );
        assert_eq!(offline_hint("test result: ok"), None);
    }

    #[test]
    fn hostile_names_never_reach_the_command() {
        for name in [
            "x; rm -rf ~",
            "$(id)",
            "-r/etc/passwd",
            "`id`",
            "a\u{202e}b",
            "../x",
            "https://evil",
            "a|b",
            "",
        ] {
            let said = command(&format!("no matching package named `{name}` found"));
            assert!(
                said.is_empty() || said == "cargo fetch" || said == "cargo add x && cargo fetch",
                "{name:?}: {said}"
            );
        }
    }
}
