//! The loop of an interactive agent: its terminal on the user's, both ways, and the relay's own screen above it.

mod keys;
mod raw;
mod takeover;

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use nucleus_sys::process;
use nucleus_wire::control::{
    ApprovalView, FeedEvent, FeedStatus, FromProxy, Started, Summary, ToProxy,
};
use nucleus_wire::hex;
use nucleus_wire::terminal::{Filter, Modes, Piece};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGWINCH};

use crate::failure::CliFailure;
use crate::proxy::Proxy;
use crate::reading::Line;
use crate::screen::Screen;
use keys::Typed;
pub(crate) use raw::RawTerminal;
use takeover::{Takeover, Wish};

/// How often it is looked at whether a suspension came to nothing.
const TICK: Duration = Duration::from_millis(300);
/// Most of the agent's output held back behind the relay's screen, in bytes; beyond it the agent draws itself again.
const HELD_BYTES_MAX: usize = 1 << 20;
/// How many calls the relay's screen lists.
const RECENT_MAX: usize = 50;
/// Rings and says in the title that somebody should look.
const CALL_USER: &str = "\x07\x1b]2;nucleus: an approval waits, press Ctrl-]\x1b\\";

/// Something happened.
#[derive(Debug)]
enum Event {
    Proxy(Option<Result<Box<FromProxy>, String>>),
    Typed(Vec<Typed>),
    Signal(i32),
}

/// What covers the agent's terminal.
#[derive(Debug)]
enum Cover {
    /// Nothing: it is shown.
    None,
    /// The envelope is not up yet, or the relay is suspended: the terminal is in order and somebody else's.
    Away { since: Instant, suspended: bool },
    /// The relay's own screen.
    Takeover(Box<Held>),
}

#[derive(Debug)]
struct Held {
    screen: Takeover,
    /// Modes of the agent when it was covered.
    modes: Modes,
    text: String,
    /// Something was dropped.
    stale: bool,
}

/// State of the loop.
#[derive(Debug)]
pub(crate) struct Interactive {
    proxy: Proxy,
    terminal: RawTerminal,
    screen: Screen,
    filter: Filter,
    cover: Cover,
    pending: VecDeque<ApprovalView>,
    recent: VecDeque<FeedEvent>,
    session: String,
    policy: String,
    /// What is printed when the terminal is in order again.
    afterwards: Vec<String>,
    interrupts: u32,
    /// The task goes on when this goes.
    stays: bool,
    sender: Sender<Event>,
    events: Receiver<Event>,
}

impl Interactive {
    /// Starts the listeners. `stays` says that the task goes on without this terminal.
    pub(crate) fn new(
        proxy: Proxy,
        terminal: RawTerminal,
        screen: Screen,
        stays: bool,
    ) -> Result<Self, CliFailure> {
        let (sender, events) = channel();
        let listen = || -> std::io::Result<()> {
            proxy
                .listen(sender.clone(), |item| Event::Proxy(item.map(|line| line.map(Box::new))))?;
            let signals = [SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGCONT, SIGTSTP];
            let mut signals = signal_hook::iterator::Signals::new(signals)?;
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
        listen()
            .map_err(|error| CliFailure::unavailable(format!("cannot start listening: {error}")))?;
        Ok(Self {
            proxy,
            terminal,
            screen,
            filter: Filter::new(),
            cover: Cover::Away { since: Instant::now(), suspended: false },
            pending: VecDeque::new(),
            recent: VecDeque::new(),
            session: String::new(),
            policy: String::new(),
            afterwards: Vec::new(),
            interrupts: 0,
            stays,
            sender,
            events,
        })
    }

    /// Starts a task and runs to its end, or until the user detaches: `None`.
    pub(crate) fn run(mut self, start: &ToProxy) -> Result<Option<Summary>, CliFailure> {
        self.proxy.send(start).map_err(|error| {
            CliFailure::unavailable(format!("the enforcement process is gone: {error}"))
        })?;
        self.follow()
    }

    /// As [`Interactive::run`], for a task that runs already and has said this first.
    pub(crate) fn attached(mut self, first: FromProxy) -> Result<Option<Summary>, CliFailure> {
        match self.message(first) {
            Some(end) => end,
            None => self.follow(),
        }
    }

    fn follow(mut self) -> Result<Option<Summary>, CliFailure> {
        loop {
            let event = match self.events.recv_timeout(TICK) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => {
                    self.not_suspended();
                    continue;
                }
                // The sender lives in self, so the channel cannot close under us.
                Err(RecvTimeoutError::Disconnected) => return Err(self.lost("its listener ended")),
            };
            let end = match event {
                Event::Signal(SIGHUP) if self.stays => Some(Ok(None)),
                Event::Signal(signal) => {
                    self.signal(signal);
                    None
                }
                Event::Typed(pieces) => {
                    self.typed(pieces);
                    None
                }
                Event::Proxy(Some(Ok(message))) => self.message(*message),
                Event::Proxy(Some(Err(error))) => Some(Err(self.lost(&error))),
                Event::Proxy(None) => Some(Err(self.lost("it ended without a summary"))),
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    fn message(&mut self, message: FromProxy) -> Option<Result<Option<Summary>, CliFailure>> {
        match message {
            FromProxy::Started(started) => self.started(&started),
            FromProxy::Screen { text } => self.show(&text),
            FromProxy::Feed(event) => {
                if event.status != FeedStatus::Allowed {
                    self.recent.push_back(event);
                    if self.recent.len() > RECENT_MAX {
                        self.recent.pop_front();
                    }
                }
                self.redraw();
            }
            FromProxy::ApprovalRequested(view) => {
                self.pending.retain(|known| known.id != view.id);
                self.pending.push_back(view);
                if let Cover::None = self.cover {
                    let _gone = self.terminal.show(CALL_USER);
                }
                self.redraw();
            }
            FromProxy::ApprovalSettled { id, outcome } => {
                self.pending.retain(|view| view.id != id);
                if let Cover::Takeover(held) = &mut self.cover {
                    held.screen.say(&format!("{id}: {outcome}"));
                }
                self.redraw();
            }
            // What Nucleus itself says of the payload; the agent's own output is its terminal.
            FromProxy::Output { text, .. } => self.afterwards.push(text),
            FromProxy::Detached { reason } => {
                self.leave();
                self.screen.say(&format!(
                    "detached ({reason}); the task goes on: nucleus attach {}",
                    self.session
                ));
                return Some(Ok(None));
            }
            FromProxy::Finished(summary) => {
                self.leave();
                let _status = self.proxy.wait();
                self.screen.summary(&summary);
                return Some(Ok(Some(*summary)));
            }
            FromProxy::Failed(failure) => {
                self.leave();
                let _status = self.proxy.wait();
                return Some(Err(CliFailure::from(failure).told()));
            }
        }
        None
    }

    /// The envelope stands: from here on the terminal is the agent's.
    fn started(&mut self, started: &Started) {
        self.session.clone_from(&started.session);
        self.policy.clone_from(&started.policy);
        self.screen.started(started);
        self.screen
            .say("  Ctrl-] calls up Nucleus itself: approvals, what was refused, detach, stop");
        self.uncover();
        // It may have changed while the envelope was made.
        self.resized();
        let sender = self.sender.clone();
        let heard = self.terminal.listen(move |pieces| sender.send(Event::Typed(pieces)).is_ok());
        if let Err(error) = heard {
            self.afterwards.push(format!("nothing could be typed: {error}"));
            self.interrupt();
        }
    }

    fn uncover(&mut self) {
        if let Err(error) = self.terminal.enter() {
            self.afterwards.push(format!("the terminal cannot be set: {error}"));
        }
        self.cover = Cover::None;
        self.terminal.note(&self.filter.modes().leave());
    }

    /// Shows what the agent's terminal shows. It was filtered where it came from; here it is again, which also keeps what
    /// must be set back.
    fn show(&mut self, text: &str) {
        let mut shown = String::new();
        for piece in self.filter.feed(text.as_bytes()) {
            match piece {
                Piece::Show(text) => shown.push_str(&text),
                // The one question that the enforcement side leaves to the terminal.
                Piece::Ask(nucleus_wire::terminal::Query::Cursor) => shown.push_str("\x1b[6n"),
                Piece::Ask(_) => {}
            }
        }
        match &mut self.cover {
            Cover::None => {
                self.terminal.note(&self.filter.modes().leave());
                // A terminal that is gone hangs up, which is a signal.
                let _gone = self.terminal.show(&shown);
            }
            Cover::Away { .. } => {}
            Cover::Takeover(held) => {
                held.stale |= held.text.len().saturating_add(shown.len()) > HELD_BYTES_MAX;
                if held.stale {
                    held.text.clear();
                } else {
                    held.text.push_str(&shown.replace("\x1b[6n", ""));
                }
            }
        }
    }

    fn typed(&mut self, pieces: Vec<Typed>) {
        for piece in pieces {
            match (piece, &mut self.cover) {
                (Typed::Agent(bytes), Cover::None) => {
                    // If the proxy is gone, its closed end is the next event and ends the loop.
                    let _gone = self.proxy.send(&ToProxy::Keys { hex: hex::encode(&bytes) });
                }
                (Typed::Takeover, Cover::None) => {
                    self.take_over();
                    // What follows in the same breath was not typed at this screen.
                    return;
                }
                (Typed::Suspend, Cover::None) => return self.suspend(true),
                (Typed::Takeover, Cover::Takeover(_)) => return self.back(),
                (Typed::Agent(bytes), Cover::Takeover(held)) => {
                    let wish = held.screen.typed(&bytes);
                    self.wish(wish);
                }
                (_, Cover::Away { .. } | Cover::Takeover(_)) => {}
            }
        }
    }

    fn wish(&mut self, wish: Wish) {
        match wish {
            Wish::Stay => self.redraw(),
            Wish::Back => self.back(),
            Wish::Decide { approve, reason } => {
                if let Some(view) = self.pending.front() {
                    let decision = ToProxy::Decide { id: view.id.clone(), approve, reason };
                    let _gone = self.proxy.send(&decision);
                }
            }
            Wish::Detach => {
                let _gone = self.proxy.send(&ToProxy::Detach);
            }
            Wish::Stop => {
                self.back();
                self.interrupt();
            }
        }
    }

    fn take_over(&mut self) {
        let modes = self.filter.modes().clone();
        // Everything of the agent's off, then a screen of our own that is not its.
        let words = format!("{}\x1b[?1049h\x1b[?25h", modes.leave());
        let _gone = self.terminal.show(&words);
        self.terminal.note("\x1b[?1049l\x1b[0m");
        self.cover = Cover::Takeover(Box::new(Held {
            screen: Takeover::default(),
            modes,
            text: String::new(),
            stale: false,
        }));
        // Before the question is shown: nobody can have typed an id that was not seen, and a quick answer counts.
        self.terminal.flush_typed();
        self.redraw();
    }

    fn redraw(&mut self) {
        let Cover::Takeover(held) = &mut self.cover else { return };
        let request = self.pending.front();
        let waiting = match self.pending.len() {
            0 => "nothing waits for you".to_owned(),
            1 => "one approval waits".to_owned(),
            n => format!("{n} approvals wait"),
        };
        let head = format!(
            "nucleus · session {} · policy {} · {waiting} · the agent sees nothing of this",
            self.session,
            nucleus_wire::display::escape_short(&self.policy, 40)
        );
        let size = self.terminal.size();
        let recent: Vec<Line> =
            self.recent.iter().map(|event| self.screen.feed_text(event).into()).collect();
        held.screen.turn_to(request, |view| self.screen.question(view), usize::from(size.1));
        let drawn = held.screen.draw(&head, &recent, size, self.screen.style());
        let _gone = self.terminal.show(&drawn);
    }

    /// Back to the agent, with what it showed meanwhile.
    fn back(&mut self) {
        let Cover::Takeover(held) = std::mem::replace(&mut self.cover, Cover::None) else { return };
        let again =
            held.stale || held.modes.on_other_screen() || self.filter.modes().on_other_screen();
        let words = if again {
            self.filter.modes().enter()
        } else {
            format!("{}{}", held.modes.enter(), held.text)
        };
        let _gone = self.terminal.show(&format!("\x1b[2J\x1b[?1049l{words}"));
        self.terminal.note(&self.filter.modes().leave());
        if again {
            let _gone = self.proxy.send(&ToProxy::Watch { on: true });
        }
    }

    /// Gives the terminal back and stops: all of the job, as the terminal itself would for Ctrl-Z, or this process, as
    /// somebody told it to.
    fn suspend(&mut self, whole_job: bool) {
        let _gone = self.proxy.send(&ToProxy::Watch { on: false });
        self.terminal.leave(&self.filter.modes().leave());
        self.cover = Cover::Away { since: Instant::now(), suspended: true };
        let _goes_on = process::stop(whole_job);
    }

    fn resume(&mut self) {
        self.uncover();
        self.resized();
        let _gone = self.proxy.send(&ToProxy::Watch { on: true });
    }

    /// Where no shell waits for it, a suspension does nothing.
    fn not_suspended(&mut self) {
        if let Cover::Away { since, suspended: true } = self.cover
            && since.elapsed() >= TICK
        {
            self.resume();
        }
    }

    fn resized(&mut self) {
        let (rows, columns) = self.terminal.size();
        let _gone = self.proxy.send(&ToProxy::Resize { rows, columns });
    }

    fn signal(&mut self, signal: i32) {
        match signal {
            SIGWINCH => {
                self.resized();
                self.redraw();
            }
            SIGTSTP => match &self.cover {
                Cover::Away { suspended: true, .. } => {}
                // The terminal is in order.
                Cover::Away { .. } => {
                    let _goes_on = process::stop(false);
                }
                Cover::None => self.suspend(false),
                Cover::Takeover(_) => {
                    self.back();
                    self.suspend(false);
                }
            },
            SIGCONT => match &self.cover {
                Cover::Away { suspended: false, .. } => {}
                Cover::Takeover(_) => {
                    let _unset = self.terminal.enter();
                    self.terminal.note("\x1b[?1049l\x1b[0m");
                    self.redraw();
                }
                Cover::None | Cover::Away { .. } => self.resume(),
            },
            _ => self.interrupt(),
        }
    }

    fn interrupt(&mut self) {
        self.interrupts = self.interrupts.saturating_add(1);
        if self.interrupts == 1 {
            let _gone = self.proxy.send(&ToProxy::Interrupt);
        } else {
            let _gone = self.proxy.kill();
        }
    }

    /// The terminal in order, whatever was on it.
    fn leave(&mut self) {
        let words = match std::mem::replace(
            &mut self.cover,
            Cover::Away { since: Instant::now(), suspended: false },
        ) {
            Cover::None => format!("{}\r\n", self.filter.modes().leave()),
            Cover::Takeover(_) => "\x1b[2J\x1b[?1049l\r\n".to_owned(),
            Cover::Away { .. } => String::new(),
        };
        self.terminal.leave(&words);
        for text in std::mem::take(&mut self.afterwards) {
            for line in text.lines() {
                self.screen.say(&nucleus_wire::display::escape(line));
            }
        }
    }

    fn lost(&mut self, why: &str) -> CliFailure {
        self.leave();
        let failure = self.proxy.lost(why, self.interrupts > 1);
        if self.stays { failure.hint("nucleus ps lists what still runs") } else { failure }
    }
}
