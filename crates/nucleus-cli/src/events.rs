//! The loop of `nucleus run`: proxy's lines, the user's keys and signals meet here.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use nucleus_wire::control::{ApprovalView, FeedStatus, FromProxy, Summary, ToProxy};
use nucleus_wire::hex;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::failure::CliFailure;
use crate::page::{json_line, print};
use crate::prompt::{Answer, Prompt, parse_answer};
use crate::proxy::Proxy;
use crate::reading::Reading;
use crate::screen::Screen;

/// How often the screen says what still runs.
const TICK: Duration = Duration::from_secs(1);
/// Most text kept back while a question is on screen, in bytes.
const KEPT_BYTES_MAX: usize = 1 << 20;
/// What a line of the feed counts for.
const FEED_BYTES: usize = 512;

/// The line that leaves a task running.
const DETACH: &str = "detach";

/// Something happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// A line of the proxy; `None` when it closed its end.
    Proxy(Option<Result<Box<FromProxy>, String>>),
    /// A line typed at the terminal.
    Typed(String),
    /// SIGINT, SIGTERM or SIGHUP.
    Signal(i32),
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
    asked: Option<Asked>,
    kept: Kept,
    interrupts: u32,
    /// The payload's own connection: closing it ends the task in order.
    client: Option<UnixStream>,
    reader_gone: bool,
    /// The task goes on when this goes.
    stays: bool,
    sender: Sender<Event>,
    events: Receiver<Event>,
}

/// The question that is on screen.
#[derive(Debug)]
struct Asked {
    id: String,
    reading: Reading,
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
        stays: bool,
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
                for signal in signals.forever() {
                    if on_signal.send(Event::Signal(signal)).is_err() {
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
            stays,
            sender,
            events,
        })
    }

    /// The payload is behind this connection: the first signal closes it, which ends the task in order.
    pub(crate) fn ending_with(mut self, client: UnixStream) -> Self {
        self.client = Some(client);
        self
    }

    /// Starts a task and runs it to its end.
    pub(crate) fn run(mut self, start: &ToProxy) -> Result<Option<Summary>, CliFailure> {
        self.proxy.send(start).map_err(|error| {
            CliFailure::unavailable(format!("the enforcement process is gone: {error}"))
        })?;
        self.follow()
    }

    /// Shows a task that runs already, and has said this first, to its end or until the user lets it go: `None`.
    pub(crate) fn attached(mut self, first: FromProxy) -> Result<Option<Summary>, CliFailure> {
        if let Some(end) = self.message(first) {
            return end;
        }
        if let Output::Screen(screen) = &mut self.output {
            screen.say(&format!("  attached: type `{DETACH}` to leave it running, Ctrl-C ends it"));
        }
        self.follow()
    }

    fn follow(mut self) -> Result<Option<Summary>, CliFailure> {
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
                Event::Signal(SIGHUP) if self.stays => return Ok(None),
                Event::Signal(_) => self.interrupt(),
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

    fn message(&mut self, message: FromProxy) -> Option<Result<Option<Summary>, CliFailure>> {
        if let Output::Json = self.output {
            self.print_json(&message);
        }
        match message {
            FromProxy::Finished(summary) => {
                self.release();
                if let Output::Screen(screen) = &mut self.output {
                    screen.summary(&summary);
                }
                return Some(Ok(Some(*summary)));
            }
            FromProxy::Failed(failure) => {
                self.release();
                if let Output::Screen(screen) = &mut self.output {
                    screen.close();
                }
                return Some(Err(CliFailure::from(failure).told()));
            }
            FromProxy::Detached { reason } => {
                self.release();
                if let Output::Screen(screen) = &mut self.output {
                    screen.say(&format!("detached ({reason}); the task goes on: nucleus attach"));
                }
                return Some(Ok(None));
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
                if self.asked.as_ref().is_some_and(|asked| asked.id == id) {
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
            FromProxy::Output { stream, text, hex: digits } => {
                let bytes = digits.as_deref().and_then(hex::decode);
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
        let Output::Screen(screen) = &mut self.output else { return };
        let Some(prompt) = &self.prompt else { return screen.asked_elsewhere(view) };
        // Before the question is shown: nobody can have typed an id that was not seen, and a quick answer counts.
        prompt.flush_type_ahead();
        self.asked = Some(Asked { id: view.id.clone(), reading: screen.ask(view) });
        if self.stays {
            screen.say(&format!("  (`{DETACH}` leaves the task running and this question open)"));
        }
    }

    fn typed(&mut self, line: &str) {
        // Also while a question is open: it waits for whoever attaches next. No id is this word.
        if self.stays && line.trim() == DETACH {
            let _gone = self.proxy.send(&ToProxy::Detach);
            return;
        }
        let (Some(Asked { id, reading }), Output::Screen(screen)) =
            (&mut self.asked, &mut self.output)
        else {
            return;
        };
        let (approve, reason) = match parse_answer(id, line) {
            Answer::Unclear if line.trim().is_empty() && reading.below() > 0 => {
                return screen.part(id, reading);
            }
            Answer::Approve if !reading.is_read() => {
                return screen.say("  read all of it first: return shows the next part");
            }
            Answer::Unclear => {
                let detach = if self.stays { ", `detach` to leave it open" } else { "" };
                return screen.say(&format!("  type {id} to approve, or `no` to refuse{detach}"));
            }
            Answer::Approve => (true, None),
            Answer::Refuse(reason) => (false, reason),
        };
        let decision = ToProxy::Decide { id: id.clone(), approve, reason };
        self.asked = None;
        self.release();
        // If the proxy is gone, its closed end is the next event and ends the loop.
        let _gone = self.proxy.send(&decision);
    }

    fn interrupt(&mut self) {
        self.interrupts = self.interrupts.saturating_add(1);
        let text = match (&self.client, self.interrupts) {
            // Kept open for reading: a connection that is gone altogether is a client that was lost.
            (Some(client), 1) => {
                let _closed = client.shutdown(std::net::Shutdown::Write);
                "stopping: the client's door is closed, changes are written (again to kill at once)"
            }
            (None, 1) => {
                let _gone = self.proxy.send(&ToProxy::Interrupt);
                "stopping: ending the agent, keeping its changes in the session (again to kill at once)"
            }
            _ => {
                let _gone = self.proxy.kill();
                "killed"
            }
        };
        if let Output::Screen(screen) = &mut self.output {
            screen.say(text);
        }
    }

    fn print_json(&mut self, message: &FromProxy) {
        if !print(&json_line(message)) {
            self.nobody_reads();
        }
    }

    /// Standard output is a closed pipe: stop as on one Ctrl-C, however many lines follow.
    fn nobody_reads(&mut self) {
        if self.interrupts == 0 && !std::mem::replace(&mut self.reader_gone, true) {
            let _gone = self.sender.send(Event::Signal(SIGINT));
        }
    }

    fn lost(&mut self, why: &str) -> CliFailure {
        self.proxy.lost(why, self.interrupts > 1)
    }
}
