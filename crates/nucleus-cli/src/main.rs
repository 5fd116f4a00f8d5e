//! `nucleus`: run agents inside an enforced envelope. Wiring only; one file per subcommand.

mod agent;
mod amount;
mod approvals;
mod args;
mod attach;
mod changes;
mod configuration;
mod consent;
mod doctor;
mod environment;
mod events;
mod failure;
mod front;
mod gc;
mod interactive;
mod login;
mod logs;
mod manual;
mod mcp;
mod page;
mod profiles;
mod prompt;
mod provider;
mod proxy;
mod ps;
mod reading;
mod record;
mod replay;
mod report;
mod run;
mod scope;
mod screen;
mod secret;
mod sessions;
mod settings;
mod shell;
mod state;
mod undo;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Agent, Cli, Command};
use environment::Environment;
use failure::CliFailure;

/// Exit code of wrong use, as for every failure of that class.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let wrong_use = error.use_stderr();
            if wrong_use && asks_for_json() {
                let failure = CliFailure::usage(error.to_string().trim());
                let _gone = page::print(&failure.as_json().unwrap_or_default());
            }
            // Nobody reads: there is nothing to say and the code still tells.
            let _gone = error.print();
            return if wrong_use { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let env = Environment::read().with_colour(cli.color.map(Into::into));
    let json = cli.command.wants_json();
    match dispatch(cli.command, &env) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            if json && let Some(line) = failure.as_json() {
                let _gone = page::print(&line);
            }
            // As above: a closed standard error changes nothing about the code.
            let _gone = write!(std::io::stderr(), "{}", failure.render());
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Whether a command line that cannot be understood asks for JSON all the same.
fn asks_for_json() -> bool {
    std::env::args_os().take_while(|arg| arg != "--").any(|arg| arg == "--json")
}

fn dispatch(command: Command, env: &Environment) -> Result<u8, CliFailure> {
    match command {
        Command::Run(args) => run::run(*args, env),
        Command::Claude(args) => run::interactive(Agent::Claude, *args, env),
        Command::Codex(args) => run::interactive(Agent::Codex, *args, env),
        Command::Attach(args) => attach::attach(&args, env),
        Command::Stop(args) => attach::stop(&args, env),
        Command::Login(args) => login::login(&args, env),
        Command::Logout(args) => login::logout(&args, env),
        Command::Approvals(args) => approvals::run(&args.command, env),
        Command::Profiles(args) => profiles::run(&args),
        Command::Mcp(args) => mcp::run(*args, env),
        Command::Apply(args) => sessions::apply(&args, env),
        Command::Review(args) => sessions::review(&args, env),
        Command::Discard(args) => sessions::discard(&args, env),
        Command::Undo(args) => undo::run(&args, env),
        Command::Changes(args) => changes::run(&args, env),
        Command::Ps(args) => ps::run(&args, env),
        Command::Logs(args) => logs::run(&args, env),
        Command::Gc(args) => gc::run(&args, env),
        Command::Doctor(args) => doctor::run(&args, env),
        Command::Config(command) => configuration::run(&command, env),
        Command::Man(args) => manual::run(&args),
        Command::Replay(args) => replay::run(&args, env),
        Command::Report(args) => report::run(&args, env),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "nucleus", &mut script);
            // A reader that closed the pipe has seen enough.
            let _gone = std::io::stdout().write_all(&script);
            Ok(0)
        }
    }
}
