//! The agent's own terminal: one end of a pair made for its pod. The other end stays here; the user's terminal is never
//! in a pod. What the agent shows passes the filter, and its questions are answered here.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use nucleus_wire::control::FromProxy;
use nucleus_wire::terminal::{Facts, Filter, Piece, Query};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::control::{AtTerminal, Control};

const CHUNK_BYTES: usize = 32 * 1024;
/// How much of what was shown is kept for a user who comes back, in bytes.
const KEPT_BYTES_MAX: usize = 256 * 1024;
/// How many pieces of typing wait for an agent that does not read; more are dropped.
const KEYS_MAX: usize = 256;
/// How many things done at a terminal that is not there yet are kept.
const EARLY_MAX: usize = 64;
/// How long a program sees another size when it is to draw itself again: two changes at once would be none.
const NUDGE: Duration = Duration::from_millis(120);
/// Largest and smallest terminal: beyond these programs fail.
const SIZE: std::ops::RangeInclusive<u16> = 2..=2_000;

/// Our end.
#[derive(Debug)]
pub(crate) struct Terminal {
    leader: File,
    keys: SyncSender<Vec<u8>>,
    screen: Mutex<Screen>,
    control: Arc<Control>,
}

#[derive(Debug)]
struct Screen {
    filter: Filter,
    facts: Facts,
    /// The user's side shows it.
    watched: bool,
    kept: VecDeque<String>,
    kept_bytes: usize,
}

impl Terminal {
    /// Makes the pair and begins to serve it; also gives the end for the pod and the thread that ends with the pod.
    ///
    /// # Errors
    /// This host has no terminals left, or no threads.
    pub(crate) fn open(
        facts: &Facts,
        control: Arc<Control>,
    ) -> std::io::Result<(Arc<Self>, OwnedFd, JoinHandle<()>)> {
        let leader = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&leader)?;
        unlockpt(&leader)?;
        let name = ptsname(&leader, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let follower = rustix::fs::open(name, flags, Mode::empty())?;
        let leader = File::from(leader);
        let (keys, typed) = sync_channel::<Vec<u8>>(KEYS_MAX);
        let mut writer = leader.try_clone()?;
        // A thread of its own: writing waits for an agent that does not read.
        std::thread::Builder::new().name("keys".to_owned()).spawn(move || {
            while let Ok(bytes) = typed.recv() {
                if writer.write_all(&bytes).is_err() {
                    return;
                }
            }
        })?;
        let facts = bounded(facts);
        let screen = Screen {
            filter: Filter::new(),
            facts: facts.clone(),
            watched: true,
            kept: VecDeque::new(),
            kept_bytes: 0,
        };
        let terminal = Arc::new(Self { leader, keys, screen: Mutex::new(screen), control });
        terminal.set_size(facts.rows, facts.columns);
        let served = Arc::clone(&terminal);
        let thread = std::thread::Builder::new()
            .name("terminal".to_owned())
            .spawn(move || served.serve())?;
        Ok((terminal, follower, thread))
    }

    /// Does what the user's side did.
    pub(crate) fn act(self: &Arc<Self>, act: AtTerminal) {
        match act {
            AtTerminal::Keys(bytes) => self.type_in(bytes),
            AtTerminal::Size(rows, columns) => self.resize(rows, columns),
            AtTerminal::Watch(on) => self.watch(on),
            AtTerminal::Attach(facts) => {
                self.screen().facts = bounded(&facts);
                self.watch(true);
            }
        }
    }

    /// Types for the agent.
    fn type_in(&self, bytes: Vec<u8>) {
        // A full queue drops typing, as a terminal does whose program does not read.
        let _dropped = self.keys.try_send(bytes);
    }

    fn resize(&self, rows: u16, columns: u16) {
        let mut screen = self.screen();
        screen.facts.rows = rows;
        screen.facts.columns = columns;
        screen.facts = bounded(&screen.facts);
        self.set_size(screen.facts.rows, screen.facts.columns);
    }

    /// Shows or does not show it. Who begins to gets what is on it, and the agent draws itself again.
    fn watch(self: &Arc<Self>, on: bool) {
        let mut screen = self.screen();
        screen.watched = on;
        if !on {
            return;
        }
        let text = screen.again();
        self.control.send(&FromProxy::Screen { text });
        let rows = screen.facts.rows;
        self.set_size(if rows > *SIZE.start() { rows - 1 } else { rows + 1 }, screen.facts.columns);
        drop(screen);
        let later = Arc::clone(self);
        // Without the thread the size stays one row off until the next change.
        let _unnudged = std::thread::Builder::new().name("nudge".to_owned()).spawn(move || {
            std::thread::sleep(NUDGE);
            let screen = later.screen();
            later.set_size(screen.facts.rows, screen.facts.columns);
        });
    }

    fn serve(&self) {
        let Ok(mut leader) = self.leader.try_clone() else { return };
        let mut chunk = vec![0_u8; CHUNK_BYTES];
        // Reading fails when the last program at the other end is gone.
        while let Ok(count @ 1..) = leader.read(&mut chunk) {
            let mut screen = self.screen();
            for piece in screen.filter.feed(chunk.get(..count).unwrap_or_default()) {
                match piece {
                    Piece::Show(text) => {
                        screen.keep(&text);
                        self.show(&screen, text);
                    }
                    // Only the user's terminal knows, and what it says of it are two numbers.
                    Piece::Ask(Query::Cursor) if screen.watched && self.control.has_peer() => {
                        self.show(&screen, "\x1b[6n".to_owned());
                    }
                    Piece::Ask(query) => {
                        let answer = screen.facts.answer(query, screen.filter.modes());
                        answer.into_iter().for_each(|text| self.type_in(text.into_bytes()));
                    }
                }
            }
        }
    }

    fn show(&self, screen: &Screen, text: String) {
        if screen.watched {
            self.control.send(&FromProxy::Screen { text });
        }
    }

    fn set_size(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // It fails only for what is no terminal.
        let _same = tcsetwinsize(&self.leader, size);
    }

    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the user's side does at a terminal that is still being made waits for it: another size must not be lost.
#[derive(Debug)]
pub(crate) struct Early {
    terminal: Arc<OnceLock<Arc<Terminal>>>,
    /// There will be one.
    comes: bool,
    acts: Vec<AtTerminal>,
}

impl Early {
    /// For a terminal that comes, or for none.
    pub(crate) fn new(terminal: Arc<OnceLock<Arc<Terminal>>>, comes: bool) -> Self {
        Self { terminal, comes, acts: Vec::new() }
    }

    /// Does it, after what came before it; when there is a terminal to do it at.
    pub(crate) fn act(&mut self, act: AtTerminal) {
        if self.comes && self.acts.len() < EARLY_MAX {
            self.acts.push(act);
        }
        self.catch_up();
    }

    /// Does what has waited, once the terminal is there.
    pub(crate) fn catch_up(&mut self) {
        if let Some(terminal) = self.terminal.get() {
            self.acts.drain(..).for_each(|act| terminal.act(act));
        }
    }
}

impl Screen {
    fn keep(&mut self, text: &str) {
        self.kept_bytes = self.kept_bytes.saturating_add(text.len());
        self.kept.push_back(text.to_owned());
        while self.kept_bytes > KEPT_BYTES_MAX
            && let Some(oldest) = self.kept.pop_front()
        {
            self.kept_bytes = self.kept_bytes.saturating_sub(oldest.len());
        }
    }

    /// What brings an ordinary terminal to this screen, as far as it is kept. The other screen is drawn anew by its program.
    fn again(&self) -> String {
        let modes = self.filter.modes();
        let mut text = String::new();
        if !modes.on_other_screen() {
            text.push_str("\x1b[H\x1b[2J");
            text.extend(self.kept.iter().map(String::as_str));
            let mut replayed = Filter::new();
            let _shown = replayed.feed(text.as_bytes());
            text.push_str(&replayed.modes().leave());
        }
        text.push_str(&modes.enter());
        if modes.on_other_screen() {
            text.push_str("\x1b[H\x1b[2J");
        }
        text
    }
}

fn bounded(facts: &Facts) -> Facts {
    let fit = |size: u16| size.clamp(*SIZE.start(), *SIZE.end());
    Facts { rows: fit(facts.rows), columns: fit(facts.columns), ..facts.clone() }
}
