//! A program at a terminal, with a person who types.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::Outcome;

/// No question of a test takes longer to appear.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program that has a terminal of its own as controlling terminal, standard input, output and error.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    keyboard: File,
    screen: Arc<Mutex<Vec<u8>>>,
    read_up_to: usize,
    started: Instant,
}

impl Terminal {
    /// Starts `command` at a new terminal.
    ///
    /// # Panics
    /// When this host has no terminals.
    #[must_use]
    pub fn start(command: &Command) -> Self {
        let main = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&main).expect("a terminal");
        unlockpt(&main).expect("a terminal");
        let name = ptsname(&main, Vec::new()).expect("a terminal's name");
        let other: OwnedFd = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty())
            .expect("a terminal");
        let stream = || Stdio::from(other.try_clone().expect("a descriptor"));
        // `setsid --ctty` makes its standard input the controlling terminal, as a login shell has one.
        let mut wrapped = Command::new("setsid");
        wrapped.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        wrapped
            .env_clear()
            .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        wrapped.env("TERM", "dumb").current_dir(command.get_current_dir().expect("a directory"));
        wrapped.stdin(stream()).stdout(stream()).stderr(stream());
        let child = wrapped.spawn().expect("setsid of util-linux");
        let keyboard = File::from(main);
        let screen = Arc::new(Mutex::new(Vec::new()));
        let (mut reader, shown) =
            (keyboard.try_clone().expect("a descriptor"), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut bytes = [0_u8; 4096];
            // The last program at the terminal is gone when reading fails.
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                shown
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend(bytes.iter().take(count));
            }
        });
        Self { child, keyboard, screen, read_up_to: 0, started: Instant::now() }
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
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has ended, as a rule.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
