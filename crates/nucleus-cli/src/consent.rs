//! What a user is told who has not accepted the local driver yet.

use std::path::Path;

use crate::failure::CliFailure;
use crate::shell::quote;
use crate::state::State;

/// The refusal: what one gets, what one loses, and the exact commands that accept it.
pub(crate) fn missing(state: &State, forbidden: bool) -> CliFailure {
    let words: Vec<String> =
        std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let message =
        "nothing was run: the local driver has not been accepted, and this version has no other";
    if forbidden {
        return CliFailure::isolation(message).hint("the administrator of this machine forbids it");
    }
    CliFailure::isolation(message).hint(format!(
        "{TERMS}\nAccept it for this run:\n  {}\nAccept it from now on:\n  {}",
        once(&words),
        for_good(&state.user_config)
    ))
}

const TERMS: &str = "\
You get   an agent that reaches this workspace and its model, and nothing else of
          yours: no other files, no network, no keys, no processes. Namespaces,
          seccomp and Landlock hold that; they are probed at every start.
You lose  a second kernel: the agent runs on this one, so a hole in the kernel
          would let it out. A microVM would still hold then.";

/// The command line as typed, with the flag right behind the subcommand that takes it.
fn once(words: &[String]) -> String {
    // Whatever stands first is this program's own name.
    let typed = words.get(1..).unwrap_or_default();
    let behind =
        typed.iter().position(|word| word == "run" || word == "serve").map_or(0, |at| at + 1);
    let mut line = vec!["nucleus".to_owned()];
    line.extend(typed.iter().take(behind).map(|word| quote(word)));
    line.push("--allow-local-driver".to_owned());
    line.extend(typed.iter().skip(behind).map(|word| quote(word)));
    line.join(" ")
}

/// What puts the setting into the configuration file.
fn for_good(file: &Path) -> String {
    let shown = quote(&file.display().to_string());
    if file.exists() {
        return format!("write `allow_local_driver = true` above the first [section] of {shown}");
    }
    let dir = file.parent().map(|dir| quote(&dir.display().to_string())).unwrap_or_default();
    format!("mkdir -p {dir} && echo 'allow_local_driver = true' > {shown}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_command_is_the_typed_one_with_the_flag() {
        let words = ["/usr/bin/nucleus", "run", "--profile", "fix-issue", "Fix it, don't wait"]
            .map(str::to_owned);
        assert_eq!(
            once(&words),
            r"nucleus run --allow-local-driver --profile fix-issue 'Fix it, don'\''t wait'"
        );
        let words = ["nucleus", "mcp", "serve", "--profile", "read-only"].map(str::to_owned);
        assert_eq!(once(&words), "nucleus mcp serve --allow-local-driver --profile read-only");
    }
}
