//! The loop of `nucleus run`: proxy's lines, the user's keys and signals meet here.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use nucleus_wire::control::{ApprovalView, FeedStatus, FromProxy, Summary, ToProxy};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::failure::CliFailure;
use crate::prompt::{Answer, Prompt, parse_answer};
use crate::proxy::Proxy;
use crate::screen::Screen;

/// How often the screen says what still runs.
const TICK: Duration = Duration::from_secs(1);
/// Most text kept back while a question is on screen, in bytes.
const KEPT_BYTES_MAX: usize = 1 << 20;
/// What a line of the feed counts for.
const FEED_BYTES: usize = 512;

/// Something happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// A line of the proxy; `None` when it closed its end.
    Proxy(Option<Result<Box<FromProxy>, String>>),
    /// A line typed at the terminal.
    Typed(String),
    /// SIGINT, SIGTERM or SIGHUP.
    Signal,
}

/// How events are shown.
#[derive(Debug)]
pub(crate) enum Output {
    /// For a person.
    Screen(Screen),
    /// JSON lines on standard output.
    Json,
}

/// State of the loop.
#[derive(Debug)]
pub(crate) struct EventLoop {
    proxy: Proxy,
    output: Output,
    prompt: Option<Prompt>,
    pending: VecDeque<ApprovalView>,
    asked: Option<String>,
    kept: Kept,
    interrupts: u32,
    /// The payload's own connection: closing it ends the task in order.
    client: Option<UnixStream>,
    reader_gone: bool,
    sender: Sender<Event>,
    events: Receiver<Event>,
}

/// What came while a question was on screen.
#[derive(Debug, Default)]
struct Kept {
    messages: Vec<FromProxy>,
    bytes: usize,
    left_out: usize,
}

impl Kept {
    fn keep(&mut self, message: FromProxy) {
        let size = match &message {
            FromProxy::Output { text, .. } => text.len(),
            _ => FEED_BYTES,
        };
        if self.bytes.saturating_add(size) > KEPT_BYTES_MAX {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        self.bytes = self.bytes.saturating_add(size);
        self.messages.push(message);
    }
}

impl EventLoop {
    /// Starts the listeners.
    pub(crate) fn new(
        proxy: Proxy,
        output: Output,
        prompt: Option<Prompt>,
    ) -> Result<Self, CliFailure> {
        let (sender, events) = channel();
        let listeners = || -> std::io::Result<()> {
            proxy
                .listen(sender.clone(), |item| Event::Proxy(item.map(|line| line.map(Box::new))))?;
            if let Some(prompt) = &prompt {
                prompt.watch(sender.clone(), Event::Typed)?;
            }
            let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
            let on_signal = sender.clone();
            std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
                for _signal in signals.forever() {
                    if on_signal.send(Event::Signal).is_err() {
                        return;
                    }
                }
            })?;
            Ok(())
        };
        listeners()
            .map_err(|error| CliFailure::unavailable(format!("cannot start listening: {error}")))?;
        Ok(Self {
            proxy,
            output,
            prompt,
            pending: VecDeque::new(),
            asked: None,
            kept: Kept::default(),
            interrupts: 0,
            client: None,
            reader_gone: false,
            sender,
            events,
        })
    }

    /// The payload is behind this connection: the first signal closes it, which ends the task in order.
    pub(crate) fn ending_with(mut self, client: UnixStream) -> Self {
        self.client = Some(client);
        self
    }

    /// Runs the task to its end.
    pub(crate) fn run(mut self, start: ToProxy) -> Result<Summary, CliFailure> {
        self.proxy.send(&start).map_err(|error| {
            CliFailure::unavailable(format!("the enforcement process is gone: {error}"))
        })?;
        loop {
            let event = match self.events.recv_timeout(TICK) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => {
                    self.tick();
                    continue;
                }
                // `sender` lives in self, so the channel cannot close under us.
                Err(RecvTimeoutError::Disconnected) => return Err(self.lost("its listener ended")),
            };
            match event {
                Event::Signal => self.interrupt(),
                Event::Typed(line) => self.typed(&line),
                Event::Proxy(Some(Ok(message))) => {
                    if let Some(result) = self.message(*message) {
                        let _status = self.proxy.wait();
                        return result;
                    }
                }
                Event::Proxy(Some(Err(error))) => return Err(self.lost(&error)),
                Event::Proxy(None) => return Err(self.lost("it ended without a summary")),
            }
        }
    }

    fn tick(&mut self) {
        if let Output::Screen(screen) = &mut self.output
            && self.asked.is_none()
        {
            screen.tick();
        }
    }

    fn message(&mut self, message: FromProxy) -> Option<Result<Summary, CliFailure>> {
        if let Output::Json = self.output {
            self.print_json(&message);
        }
        match message {
            FromProxy::Finished(summary) => {
                self.release();
                if let Output::Screen(screen) = &mut self.output {
                    screen.summary(&summary);
                }
                return Some(Ok(*summary));
            }
            FromProxy::Failed(failure) => {
                self.release();
                if let Output::Screen(screen) = &mut self.output {
                    screen.close();
                }
                return Some(Err(CliFailure::from(failure).told()));
            }
            FromProxy::ApprovalRequested(view) => {
                self.pending.push_back(view);
                self.ask_next();
            }
            FromProxy::ApprovalSettled { id, outcome } => {
                if let Output::Screen(screen) = &mut self.output {
                    let operation = self
                        .pending
                        .iter()
                        .find(|view| view.id == id)
                        .map(|view| view.operation.as_str());
                    screen.settled(&id, operation, &outcome);
                }
                self.pending.retain(|view| view.id != id);
                if self.asked.as_deref() == Some(id.as_str()) {
                    self.asked = None;
                    self.release();
                }
                self.ask_next();
            }
            shown if self.asked.is_some() && self.follows_the_question(&shown) => {
                self.kept.keep(shown)
            }
            shown => self.show(&shown),
        }
        None
    }

    /// Whether a message would be shown below the question. Nothing may be: the payload knows the id of its request,
    /// and could scroll the question away and print one of its own in its place.
    fn follows_the_question(&self, message: &FromProxy) -> bool {
        let to_screen = matches!(self.output, Output::Screen(_));
        let to_terminal = match message {
            FromProxy::Output { stream, .. } if stream != "stderr" => {
                std::io::stdout().is_terminal()
            }
            _ => std::io::stderr().is_terminal(),
        };
        to_screen && to_terminal
    }

    /// Shows what was kept back.
    fn release(&mut self) {
        let kept = std::mem::take(&mut self.kept);
        for message in &kept.messages {
            self.show(message);
        }
        if kept.left_out > 0
            && let Output::Screen(screen) = &mut self.output
        {
            screen.say(&format!(
                "… {} more pieces of output came while the question waited",
                kept.left_out
            ));
        }
    }

    fn show(&mut self, message: &FromProxy) {
        let Output::Screen(screen) = &mut self.output else { return };
        match message {
            FromProxy::Started(started) => screen.started(started),
            // The question itself says all of it.
            FromProxy::Feed(event)
                if event.status == FeedStatus::Waiting && self.prompt.is_some() => {}
            FromProxy::Feed(event) => screen.feed(event),
            FromProxy::Output { stream, text, hex } => {
                let bytes = hex.as_deref().and_then(from_hex);
                if screen.output(stream, text, bytes.as_deref().unwrap_or(text.as_bytes())).is_err()
                {
                    self.nobody_reads();
                }
            }
            _ => {}
        }
    }

    /// Shows the oldest unanswered request, if none is on screen.
    fn ask_next(&mut self) {
        if self.asked.is_some() {
            return;
        }
        let Some(view) = self.pending.front() else { return };
        if let Output::Screen(screen) = &mut self.output {
            screen.approval(view, self.prompt.is_some());
        }
        if let Some(prompt) = &self.prompt {
            prompt.flush_type_ahead();
            self.asked = Some(view.id.clone());
        }
    }

    fn typed(&mut self, line: &str) {
        let Some(id) = self.asked.clone() else { return };
        let decision = match parse_answer(&id, line) {
            Answer::Approve => ToProxy::Decide { id, approve: true, reason: None },
            Answer::Refuse(reason) => ToProxy::Decide { id, approve: false, reason },
            Answer::Unclear => {
                if let Output::Screen(screen) = &mut self.output {
                    screen.say(&format!("  type {id} to approve, or `no` to refuse"));
                }
                return;
            }
        };
        self.asked = None;
        self.release();
        // If the proxy is gone, its closed end is the next event and ends the loop.
        let _gone = self.proxy.send(&decision);
    }

    fn interrupt(&mut self) {
        self.interrupts = self.interrupts.saturating_add(1);
        let text = if let Some(client) = self.client.take() {
            let _closed = client.shutdown(std::net::Shutdown::Write);
            "stopping: the client's door is closed, changes are written (again to kill at once)"
        } else if self.interrupts == 1 {
            let _gone = self.proxy.send(&ToProxy::Interrupt);
            "stopping: ending the agent, keeping its changes in the session (again to kill at once)"
        } else {
            let _gone = self.proxy.kill();
            "killed"
        };
        if let Output::Screen(screen) = &mut self.output {
            screen.say(text);
        }
    }

    fn print_json(&mut self, message: &FromProxy) {
        use std::io::Write;
        let Ok(line) = serde_json::to_string(message) else { return };
        if writeln!(std::io::stdout().lock(), "{line}").is_err() {
            self.nobody_reads();
        }
    }

    /// Standard output is a closed pipe: stop as on one Ctrl-C, however many lines follow.
    fn nobody_reads(&mut self) {
        if self.interrupts == 0 && !std::mem::replace(&mut self.reader_gone, true) {
            let _gone = self.sender.send(Event::Signal);
        }
    }

    fn lost(&mut self, why: &str) -> CliFailure {
        let _gone = self.proxy.kill();
        let _status = self.proxy.wait();
        let failure = if self.interrupts > 1 {
            CliFailure::interrupted("killed before the task could end in order")
        } else {
            CliFailure::unavailable(format!("the enforcement process is gone: {why}"))
        };
        failure.hint(
            "every pod of the task died with it; changes that were being written to the workspace are finished or undone by the next command\n\
             keep what the agent did with `nucleus apply`, look at it with `nucleus review`, or drop it with `nucleus discard`",
        )
    }
}

/// The bytes of a hex text; `None` when it is none.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    digits?
        .chunks(2)
        .map(|pair| u8::try_from(pair.iter().fold(0, |byte, digit| byte * 16 + digit)).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_gives_the_bytes_back() {
        assert_eq!(from_hex("61ff0f").as_deref(), Some(b"a\xff\x0f".as_slice()));
        assert_eq!(from_hex("").as_deref(), Some(b"".as_slice()));
        assert_eq!(from_hex("zz"), None);
    }
}
