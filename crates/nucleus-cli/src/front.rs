//! Where the user is while a task runs.

use nucleus_wire::control::{Summary, TerminalSpec, ToProxy};
use nucleus_wire::terminal::Facts;

use crate::args::RunArgs;
use crate::attach;
use crate::environment::Environment;
use crate::events::{EventLoop, Output};
use crate::failure::CliFailure;
use crate::interactive::{Interactive, RawTerminal};
use crate::prompt::Prompt;
use crate::proxy::Proxy;
use crate::screen::Screen;

/// Height, width and name of a terminal while nobody is at it.
const AWAY: (u16, u16) = (40, 120);
const TERM_AWAY: &str = "xterm-256color";

/// Where the user is while the task runs.
pub(crate) enum Front {
    /// At a terminal that shows lines and answers questions, or behind a pipe.
    Lines(Option<Prompt>),
    /// At a terminal that is the agent's.
    Terminal(RawTerminal),
    /// Away.
    Nowhere,
}

impl Front {
    /// Takes the terminal that the task is to be shown at. Before any thread is.
    pub(crate) fn of(args: &RunArgs) -> Result<Self, CliFailure> {
        if args.detach {
            return Ok(Self::Nowhere);
        }
        let prompt = if args.json { None } else { Prompt::open() };
        match prompt {
            prompt if !args.interactive => Ok(Self::Lines(prompt)),
            Some(prompt) => RawTerminal::new(prompt.into_terminal())
                .map(Self::Terminal)
                .map_err(|error| CliFailure::unavailable(format!("the terminal: {error}"))),
            None => Err(CliFailure::usage("there is no terminal for the agent's interface")
                .hint("nucleus run \"task\" needs none, and neither does --detach")),
        }
    }

    /// Somebody can answer.
    pub(crate) fn has_human(&self) -> bool {
        matches!(self, Self::Lines(Some(_)) | Self::Terminal(_))
    }

    /// The user leaves the task running and goes away.
    pub(crate) fn is_left(&self) -> bool {
        matches!(self, Self::Nowhere)
    }

    /// The same place, where lines are shown and nothing is asked.
    pub(crate) fn unasked(self) -> Self {
        match self {
            Self::Lines(_) => Self::Lines(None),
            other => other,
        }
    }

    /// Shows the task where the user is, to its end or until the user lets it go: `None`.
    pub(crate) fn show(
        self,
        proxy: Proxy,
        start: &ToProxy,
        args: &RunArgs,
        screen: Screen,
    ) -> Result<Option<Summary>, CliFailure> {
        match self {
            Self::Nowhere => attach::leave_behind(proxy, start, (!args.json).then_some(screen)),
            Self::Terminal(terminal) => {
                Interactive::new(proxy, terminal, screen, false)?.run(start)
            }
            Self::Lines(prompt) => {
                let output = if args.json { Output::Json } else { Output::Screen(screen) };
                EventLoop::new(proxy, output, prompt, false)?.run(start)
            }
        }
    }

    /// The agent's own terminal: like the user's, or an ordinary one while nobody is there.
    pub(crate) fn terminal(&mut self, args: &RunArgs, env: &Environment) -> Option<TerminalSpec> {
        let (rows, columns) = AWAY;
        let facts = match self {
            Self::Terminal(terminal) => terminal.facts(env.asks_terminal()),
            _ => Facts { rows, columns, keyboard: false, foreground: None, background: None },
        };
        args.interactive.then(|| TerminalSpec {
            facts,
            term: env.term().unwrap_or(TERM_AWAY).to_owned(),
            colour: env.colour_term().map(str::to_owned),
        })
    }
}
