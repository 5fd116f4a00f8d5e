//! A program at a terminal, with a person who types.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};

use super::Outcome;

/// No question of a test takes longer to appear.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a terminal is asked, and what this one says: that it is a VT220, and where its cursor is.
const ANSWERS: [(&str, &str); 2] = [("\x1b[c", "\x1b[?62;22c"), ("\x1b[6n", "\x1b[1;1R")];

/// A program that has a terminal of its own as controlling terminal, standard input, output and error.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    keyboard: File,
    screen: Arc<Mutex<Vec<u8>>>,
    read_up_to: usize,
    waited_up_to: usize,
    started: Instant,
}

impl Terminal {
    /// Starts `command` at a new terminal.
    ///
    /// # Panics
    /// When this host has no terminals.
    #[must_use]
    pub fn start(command: &Command) -> Self {
        Self::start_as(command, "dumb")
    }

    /// Starts `command` at a new terminal that full-screen programs can use: of 30 rows and 100 columns, and it answers
    /// what it is asked.
    ///
    /// # Panics
    /// As [`Terminal::start`].
    #[must_use]
    pub fn full(command: &Command) -> Self {
        Self::start_as(command, "xterm-256color")
    }

    fn start_as(command: &Command, term: &str) -> Self {
        let main = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&main).expect("a terminal");
        unlockpt(&main).expect("a terminal");
        let name = ptsname(&main, Vec::new()).expect("a terminal's name");
        tcsetwinsize(&main, size(30, 100)).expect("a terminal");
        let other: OwnedFd = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty())
            .expect("a terminal");
        let stream = || Stdio::from(other.try_clone().expect("a descriptor"));
        // `setsid --ctty` makes its standard input the controlling terminal, as a login shell has one.
        let mut wrapped = Command::new("setsid");
        wrapped.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        wrapped
            .env_clear()
            .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        wrapped.env("TERM", term).current_dir(command.get_current_dir().expect("a directory"));
        wrapped.stdin(stream()).stdout(stream()).stderr(stream());
        let child = wrapped.spawn().expect("setsid of util-linux");
        let keyboard = File::from(main);
        let screen = Arc::new(Mutex::new(Vec::new()));
        let (mut reader, shown) =
            (keyboard.try_clone().expect("a descriptor"), Arc::clone(&screen));
        let mut answers = keyboard.try_clone().expect("a descriptor");
        let asked = term != "dumb";
        std::thread::spawn(move || {
            let mut bytes = [0_u8; 4096];
            // The last program at the terminal is gone when reading fails.
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                let text = String::from_utf8_lossy(bytes.get(..count).unwrap_or_default());
                for (question, answer) in ANSWERS {
                    if asked && text.contains(question) {
                        // Nobody is there any more, as above.
                        let _gone = answers.write_all(answer.as_bytes());
                    }
                }
                shown
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend(bytes.iter().take(count));
            }
        });
        Self { child, keyboard, screen, read_up_to: 0, waited_up_to: 0, started: Instant::now() }
    }

    /// Types.
    ///
    /// # Panics
    /// When nobody is at the terminal.
    pub fn enter(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).expect("a terminal");
    }

    /// Waits until `text` appears after what was read before, and gives everything up to the end of its line.
    ///
    /// # Panics
    /// With the screen, when it does not appear.
    #[track_caller]
    pub fn read_until(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            let new = screen.get(self.read_up_to..).unwrap_or_default();
            let line_end = new
                .split_once(text)
                .and_then(|(before, rest)| Some(before.len() + text.len() + rest.find('\n')? + 1));
            if let Some(shown) = line_end.and_then(|end| new.get(..end)) {
                self.read_up_to += shown.len();
                return shown.to_owned();
            }
            assert!(Instant::now() < deadline, "{text:?} never appeared on:\n{screen}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until `text` appears after what was waited for before. Colours, moves of the cursor and blanks do not count:
    /// full-screen programs put words where they like.
    ///
    /// # Panics
    /// With the screen, when it does not appear.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        let wanted: String = text.split_whitespace().collect();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let shown = plain(&self.screen());
            if let Some(at) = shown.get(self.waited_up_to..).and_then(|new| new.find(&wanted)) {
                self.waited_up_to += at + wanted.len();
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{text:?} never appeared after byte {} of:\n{shown}\n{:?}",
                self.waited_up_to,
                self.screen()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Gives the terminal another size, as a window does that is dragged.
    ///
    /// # Panics
    /// When it is gone.
    pub fn resize(&self, rows: u16, columns: u16) {
        tcsetwinsize(&self.keyboard, size(rows, columns)).expect("a terminal");
    }

    /// How the terminal is set, to be compared.
    ///
    /// # Panics
    /// When it is gone.
    #[must_use]
    pub fn settings(&self) -> String {
        let now = tcgetattr(&self.keyboard).expect("a terminal");
        format!(
            "{:?} {:?} {:?} {:?}",
            now.input_modes, now.output_modes, now.local_modes, now.special_codes
        )
    }

    /// Waits until it is set as it was: a guard does that, a moment after the end.
    ///
    /// # Panics
    /// When it never is.
    #[track_caller]
    pub fn comes_back_to(&self, before: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.settings() != before {
            assert!(Instant::now() < deadline, "{} is not {before}", self.settings());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The first process at it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// True when the first process has ended.
    pub fn ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Everything shown so far.
    #[must_use]
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap_or_else(PoisonError::into_inner))
            .into_owned()
    }

    /// Waits for the end; the screen is the standard output.
    ///
    /// # Panics
    /// When it does not end.
    pub fn outcome(mut self) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a status") {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(2));
        };
        // What was written last is still on its way through the terminal.
        std::thread::sleep(Duration::from_millis(20));
        Outcome {
            code: status.code(),
            stdout: self.screen(),
            stderr: String::new(),
            took: self.started.elapsed(),
        }
        .sound()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has ended, as a rule.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// The text alone, without sequences and blanks.
fn plain(screen: &str) -> String {
    let mut out = String::new();
    let mut chars = screen.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\x1b', Some('[')) => {
                chars.next();
                let _last = chars.find(|c| matches!(c, '\x40'..='\x7e'));
            }
            ('\x1b', Some(']')) => {
                let mut before = ' ';
                let _last =
                    chars.find(|c| *c == '\x07' || std::mem::replace(&mut before, *c) == '\x1b');
            }
            ('\x1b', _) => {
                let _kind = chars.next();
            }
            (c, _) if c.is_whitespace() || c.is_control() => {}
            (c, _) => out.push(c),
        }
    }
    out
}
