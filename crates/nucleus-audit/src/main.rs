//! `nucleus-audit`: verifies and shows the audit logs of Nucleus.

mod completions;
mod keys;
mod show;
mod text;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Exit code of a command that was used wrongly, or that has no key to verify with.
const USAGE: u8 = 2;
/// Exit code when a file cannot be read or is not what it should be.
const UNREADABLE: u8 = 3;

/// Verifies and shows the audit logs of Nucleus.
#[derive(Debug, Parser)]
#[command(name = "nucleus-audit", version, about, after_help = verify::EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks every line, the hash chain, the MACs and the signed checkpoints of a log.
    #[command(after_help = verify::EXIT_CODES)]
    Verify(verify::Args),
    /// Prints one line per entry. Verifies nothing.
    Show(show::Args),
    /// Prints the completion script of a shell.
    Completions(completions::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Verify(args) => verify::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Completions(args) => completions::run(&args),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.tell(),
    }
}

/// Why a command came to no verdict.
#[derive(Debug)]
enum Failure {
    /// Told on standard error, with the exit code.
    Message(u8, String),
    /// Whoever read the output has left.
    Output(std::io::Error),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error)
    }
}

impl Failure {
    fn unreadable(error: &dyn std::fmt::Display) -> Self {
        Self::Message(UNREADABLE, error.to_string())
    }

    fn tell(self) -> ExitCode {
        match self {
            Self::Message(code, message) => {
                eprintln!("nucleus-audit: {message}");
                ExitCode::from(code)
            }
            Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                ExitCode::from(UNREADABLE)
            }
            Self::Output(error) => {
                eprintln!("nucleus-audit: cannot write the output: {error}");
                ExitCode::from(UNREADABLE)
            }
        }
    }
}
