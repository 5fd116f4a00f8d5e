//! Reads the user's answers from the controlling terminal, never from standard input that a pipe could feed.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::mpsc::Sender;

use rustix::termios::{QueueSelector, tcflush};

/// The terminal, when a human is at it.
#[derive(Debug)]
pub(crate) struct Prompt {
    terminal: File,
}

/// What the user typed at an approval question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The request id: approve once.
    Approve,
    /// A refusal, with the words to give the agent.
    Refuse(Option<String>),
    /// Neither: ask again.
    Unclear,
}

impl Prompt {
    /// The controlling terminal; `None` when there is none (a pipe, a service, CI).
    pub(crate) fn open() -> Option<Self> {
        let terminal = File::options().read(true).write(true).open("/dev/tty").ok()?;
        rustix::termios::tcgetattr(&terminal).ok()?;
        Some(Self { terminal })
    }

    /// Sends each typed line to `lines` from a thread of its own, wrapped by `wrap`.
    pub(crate) fn watch<T: Send + 'static>(
        &self,
        lines: Sender<T>,
        wrap: impl Fn(String) -> T + Send + 'static,
    ) -> std::io::Result<()> {
        let reader = BufReader::new(self.terminal.try_clone()?);
        std::thread::Builder::new().name("terminal".to_owned()).spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                if lines.send(wrap(line)).is_err() {
                    return;
                }
            }
        })?;
        Ok(())
    }

    /// The terminal itself.
    pub(crate) fn into_terminal(self) -> File {
        self.terminal
    }

    /// Drops what was typed before the question was on screen (DESIGN section 8).
    pub(crate) fn flush_type_ahead(&self) {
        // A terminal that cannot flush still needs the id typed, which nobody types by accident.
        let _unflushed = tcflush(&self.terminal, QueueSelector::IFlush);
    }
}

/// Reads an answer to the request `id`.
pub(crate) fn parse_answer(id: &str, line: &str) -> Answer {
    let line = line.trim();
    if line == id {
        return Answer::Approve;
    }
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    match word.to_ascii_lowercase().as_str() {
        "n" | "no" | "deny" => {
            let reason = rest.trim();
            Answer::Refuse((!reason.is_empty()).then(|| reason.to_owned()))
        }
        _ => Answer::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_id_approves() {
        assert_eq!(parse_answer("k7f2", "k7f2"), Answer::Approve);
        for line in ["", "y", "yes", "k7f", "k7f2 please", "K7F2", "a1b2"] {
            assert_eq!(parse_answer("k7f2", line), Answer::Unclear, "{line:?}");
        }
    }

    #[test]
    fn a_refusal_may_carry_words_for_the_agent() {
        assert_eq!(parse_answer("k7f2", "no"), Answer::Refuse(None));
        assert_eq!(
            parse_answer("k7f2", "no use a branch"),
            Answer::Refuse(Some("use a branch".to_owned()))
        );
    }
}
