//! What the user can do when a tool misses a dependency offline.

use super::data::{HintData, Names, data};

/// Advice for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// What is missing.
    pub text: String,
    /// The command to run on the host, in the workspace.
    pub command: String,
    /// The name in the command that nothing but the output vouches for: whoever writes output can make one up.
    pub printed: Option<String>,
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
    let plain = Hint { text: hint.text.clone(), command: hint.plain.clone(), printed: None };
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
            Some(command) if is_name(name, hint.names) => Hint {
                text: hint.text.clone(),
                command: command.replace("{name}", name),
                printed: Some(name.to_owned()),
            },
            _ => plain,
        });
    }
    None
}

/// Whether this is a name as an ecosystem writes it: no path, no address, nothing that a shell or an option parser gives a
/// meaning to.
fn is_name(name: &str, names: Names) -> bool {
    let word = |word: &str, more: &str| {
        let edge = |c: char| c.is_ascii_alphanumeric();
        word.starts_with(edge)
            && word.ends_with(edge)
            && word.chars().all(|c| edge(c) || matches!(c, '-' | '_') || more.contains(c))
            && !word.contains("..")
    };
    let fits = match names {
        Names::Crate => word(name, ""),
        // What ends like an archive would be one that lies in the workspace.
        Names::Python => {
            let archive = |end: &str| name.to_ascii_lowercase().ends_with(end);
            word(name, ".") && ![".whl", ".zip", ".gz", ".tar", ".txt"].into_iter().any(archive)
        }
        Names::Go => {
            let (path, version) = name.split_once('@').unwrap_or((name, "v0"));
            let host = path.split('/').next().unwrap_or_default();
            let below = path.split('/').skip(1);
            host.contains('.')
                && word(host, ".")
                && below.clone().count() > 0
                && below.into_iter().all(|part| word(part, ".~"))
                && version.starts_with('v')
                && word(version, ".+")
        }
        Names::Maven => {
            let parts = name.split(':');
            (2..=5).contains(&parts.clone().count())
                && parts.into_iter().all(|part| word(part, "."))
        }
    };
    name.len() <= NAME_BYTES && fits
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
            "./evil",
            "evil/x",
            "evil@file:x",
            "",
        ] {
            let said = command(&format!("no matching package named `{name}` found"));
            assert!(
                said.is_empty() || said == "cargo fetch" || said == "cargo add x && cargo fetch",
                "{name:?}: {said}"
            );
        }
    }
    #[test]
    fn what_is_no_package_name_is_not_quoted() {
        let pip = "python3 -m pip install --only-binary :all: ";
        for name in [
            "evil-1.0-py3-none-any.whl",
            "dist/evil.whl",
            "evil@file:dist",
            "file:dist",
            "evil.tar.gz",
            "requirements.txt",
            "-r",
        ] {
            let said = command(&format!("No matching distribution found for {name}"));
            assert_eq!(said, format!("{pip}-r requirements.txt"), "{name}");
        }
        for name in ["zope.interface", "scikit-learn", "x"] {
            let said = command(&format!("No matching distribution found for {name}"));
            assert_eq!(said, format!("{pip}{name}"), "control");
        }
        let go =
            |name: &str| command(&format!("go: {name}: module lookup disabled by GOPROXY=off"));
        for name in ["evil", "../x", "/x/y", "a.b/../c", "github.com/a/b@-x", "file://x"] {
            assert_eq!(go(name), "go mod download", "{name}");
        }
        assert_eq!(go("gopkg.in/yaml.v3"), "go mod download gopkg.in/yaml.v3", "control");
        let maven = |name: &str| {
            command(&format!(" in offline mode and the artifact {name} has not been downloaded"))
        };
        assert_eq!(maven("evil"), "mvn dependency:go-offline");
        assert_eq!(
            maven("a.b:c:jar:1.0"),
            "mvn dependency:get -Dartifact=a.b:c:jar:1.0",
            "control"
        );
    }

    #[test]
    fn a_name_of_the_output_is_marked_as_one() {
        let printed = |output| offline_hint(output).and_then(|hint| hint.printed);
        let of_output = printed("No matching distribution found for evil");
        assert_eq!(of_output.as_deref(), Some("evil"));
        assert_eq!(printed("npm error code ENOTCACHED"), None);
    }
}
