//! The user's terminal in raw mode, and back on every way out.
//!
//! A small process of its own, the guard, waits beside this one: when this one dies without having set the terminal
//! back (SIGKILL included), the guard does.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nucleus_sys::fd;
use nucleus_sys::process::{self, Child, Fork, Namespaces, SingleThreaded};
use nucleus_wire::terminal::Facts;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::WaitOptions;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use super::keys::{Keys, Typed};

/// Size of a terminal that does not know it.
const ROWS: u16 = 24;
const COLUMNS: u16 = 80;
/// How long a terminal may take to say what it is like: a slow connection is between.
const ANSWER: Duration = Duration::from_secs(1);
/// How often it is looked at whether typing is for this program.
const GLANCE: Duration = Duration::from_millis(100);
/// Longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 1_024;

/// The terminal.
#[derive(Debug)]
pub(crate) struct RawTerminal {
    terminal: File,
    saved: Termios,
    guard: Guard,
    /// What sets modes back, as the guard knows it; empty while the terminal is in order.
    noted: String,
    /// What is typed is for this program.
    reading: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Guard {
    pipe: Option<File>,
    process: Child,
}

impl RawTerminal {
    /// Takes the terminal and starts the guard. Before any thread is.
    ///
    /// # Errors
    /// It is no terminal, or the guard cannot be started.
    pub(crate) fn new(terminal: File) -> std::io::Result<Self> {
        let saved = tcgetattr(&terminal)?;
        let guard = Guard::start(&terminal, &saved)?;
        Ok(Self { terminal, saved, guard, noted: String::new(), reading: Arc::default() })
    }

    /// Every byte typed comes at once and as it is.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(crate) fn enter(&mut self) -> std::io::Result<()> {
        // Colours and links end in any case.
        self.note("\x1b[0m");
        tcsetattr(&self.terminal, OptionalActions::Drain, &raw(&self.saved))?;
        self.reading.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// As it was, after these words. What was typed and not read goes: answers of the terminal may be among it.
    pub(crate) fn leave(&mut self, words: &str) {
        if self.noted.is_empty() {
            return;
        }
        self.reading.store(false, Ordering::SeqCst);
        // A terminal that is gone needs nothing.
        let _gone = self.show(words);
        let _gone = tcsetattr(&self.terminal, OptionalActions::Flush, &self.saved);
        self.note("");
    }

    /// Tells the guard what would have to be written to set the terminal back.
    pub(crate) fn note(&mut self, words: &str) {
        if self.noted != words {
            self.noted = words.to_owned();
            if let Some(pipe) = &mut self.guard.pipe {
                let _gone = pipe.write_all(format!("{words}\n").as_bytes());
            }
        }
    }

    /// Writes.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(crate) fn show(&mut self, text: &str) -> std::io::Result<()> {
        self.terminal.write_all(text.as_bytes())?;
        self.terminal.flush()
    }

    /// Height and width now.
    pub(crate) fn size(&self) -> (u16, u16) {
        match tcgetwinsize(&self.terminal) {
            Ok(size) if size.ws_row > 0 && size.ws_col > 0 => (size.ws_row, size.ws_col),
            _ => (ROWS, COLUMNS),
        }
    }

    /// Drops what was typed before.
    pub(crate) fn flush_typed(&self) {
        // As in the prompt: the id must be typed all the same.
        let _unflushed =
            rustix::termios::tcflush(&self.terminal, rustix::termios::QueueSelector::IFlush);
    }

    /// Asks the terminal what it is like, so that the agent need not.
    pub(crate) fn facts(&mut self, ask: bool) -> Facts {
        let (rows, columns) = self.size();
        let mut facts =
            Facts { rows, columns, keyboard: false, foreground: None, background: None };
        if ask && self.enter().is_ok() && self.show(Facts::QUESTIONS).is_ok() {
            let mut answer = Vec::new();
            let deadline = Instant::now() + ANSWER;
            while facts.learn(&answer).is_none() && answer.len() < ANSWER_BYTES_MAX {
                let left = deadline.saturating_duration_since(Instant::now());
                let mut chunk = [0_u8; 256];
                match process::readable(self.terminal.as_fd(), Some(left)) {
                    Ok(true) => match self.terminal.read(&mut chunk) {
                        Ok(count @ 1..) => answer.extend(chunk.iter().take(count)),
                        _ => break,
                    },
                    _ => break,
                }
            }
        }
        self.leave("");
        facts
    }

    /// Gives what is typed to `typed`, key by key, from a thread of its own, while the terminal is raw: between, it is for
    /// others. Here is where pieces of one key are put together, since here is known when they came.
    ///
    /// # Errors
    /// No descriptors or threads are left.
    pub(crate) fn listen(
        &self,
        mut typed: impl FnMut(Vec<Typed>) -> bool + Send + 'static,
    ) -> std::io::Result<()> {
        let mut terminal = self.terminal.try_clone()?;
        let reading = Arc::clone(&self.reading);
        std::thread::Builder::new().name("keys".to_owned()).spawn(move || {
            let mut bytes = [0_u8; 4_096];
            let mut keys = Keys::default();
            loop {
                let pieces = match process::readable(terminal.as_fd(), keys.patience()) {
                    Ok(true) if reading.load(Ordering::SeqCst) => match terminal.read(&mut bytes) {
                        Ok(count @ 1..) => keys.feed(bytes.get(..count).unwrap_or_default()),
                        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                        // The terminal hung up, which comes as a signal too.
                        Ok(_) | Err(_) => return,
                    },
                    Ok(true) => {
                        // What was begun before is no part of what is typed for this program later.
                        keys = Keys::default();
                        std::thread::sleep(GLANCE);
                        continue;
                    }
                    Ok(false) => keys.idle(),
                    Err(_) => return,
                };
                if !pieces.is_empty() && !typed(pieces) {
                    return;
                }
            }
        })?;
        Ok(())
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let words = std::mem::take(&mut self.noted);
        if !words.is_empty() {
            self.noted.clone_from(&words);
            self.leave(&words);
        }
    }
}

impl Guard {
    fn start(terminal: &File, saved: &Termios) -> std::io::Result<Self> {
        let proof = SingleThreaded::verify()?;
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        match process::fork(&proof, Namespaces::NONE)? {
            Fork::Child => watch(reader, terminal, saved),
            Fork::Parent(process) => Ok(Self { pipe: Some(writer.into()), process }),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // It sees the end of the pipe and goes.
        let _reaped = rustix::process::waitpid(Some(self.process.pid), WaitOptions::empty());
    }
}

/// The guard: remembers the last line of the pipe until the pipe ends, and sets the terminal back unless that was empty.
fn watch(pipe: OwnedFd, terminal: &File, saved: &Termios) -> ! {
    // A group of its own, so that what ends the others does not end it.
    let _own = rustix::process::setpgid(None, None);
    process::ignore_terminal_stops();
    if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        let _closed = fd::set_standard(null.as_fd(), null.as_fd(), null.as_fd());
    }
    if fd::keep_only(&[pipe.as_fd(), terminal.as_fd()]).is_err() {
        process::exit_now(1);
    }
    let mut pipe = File::from(pipe);
    let mut terminal = terminal;
    let (mut line, mut last) = (Vec::new(), Vec::new());
    let mut chunk = [0_u8; 4_096];
    while let Ok(count @ 1..) = pipe.read(&mut chunk) {
        for byte in chunk.iter().take(count) {
            if *byte == b'\n' {
                last = std::mem::take(&mut line);
            } else {
                line.push(*byte);
            }
        }
    }
    if !last.is_empty() {
        last.extend(b"\r\n");
        let _gone = terminal.write_all(&last);
        // A shell that has taken the terminal back already set it as it wants it.
        if tcgetattr(terminal).is_ok_and(|now| same(&now, &raw(saved))) {
            let _gone = tcsetattr(terminal, OptionalActions::Flush, saved);
        }
    }
    process::exit_now(0)
}

fn raw(saved: &Termios) -> Termios {
    let mut raw = saved.clone();
    raw.make_raw();
    raw
}

fn same(one: &Termios, other: &Termios) -> bool {
    one.input_modes == other.input_modes
        && one.output_modes == other.output_modes
        && one.local_modes == other.local_modes
}
