//! An agent without a model: it makes the calls a script lists, in order, from inside the agent pod, with the
//! same means a real agent has: the MCP relay on stdio, its own shell, the model gate, the resolver.
//!
//! Used by `cargo xtask demo` and the black-box tests, where an agent must do the same thing every time.

use std::process::ExitCode;

use testkit::script::{Script, play};

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: nucleus-scripted-agent SCRIPT.json");
        return ExitCode::from(64);
    };
    let script = match std::fs::read(&path)
        .map_err(|e| e.to_string())
        .and_then(|bytes| Script::parse(&bytes))
    {
        Ok(script) => script,
        Err(error) => {
            eprintln!("nucleus-scripted-agent: {path}: {error}");
            return ExitCode::from(65);
        }
    };
    match play(&script) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(unexpected) => {
            eprintln!(
                "nucleus-scripted-agent: {unexpected} steps did not end as the script expects"
            );
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("nucleus-scripted-agent: {error}");
            ExitCode::from(74)
        }
    }
}
