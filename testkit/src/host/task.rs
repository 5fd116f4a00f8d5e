//! A running `nucleus`, to be disturbed by a test.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Outcome, Witness};

/// How often a running task is looked at.
const GLANCE: Duration = Duration::from_millis(1);
/// No task of a test takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A `nucleus` command that has not ended yet. Dropped, it is killed.
#[derive(Debug)]
pub struct Task {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    started: Instant,
    witness: Witness,
}

impl Task {
    /// Starts `command`; what it prints goes to files beneath `place`.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(command: &mut Command, place: &Path) -> Self {
        let (stdout, stderr) = (place.join("task.out"), place.join("task.err"));
        command.stdout(Stdio::from(File::create(&stdout).expect("a file")));
        command.stderr(Stdio::from(File::create(&stderr).expect("a file")));
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let witness = Witness::of(child.id());
        Self { child, stdout, stderr, started: Instant::now(), witness }
    }

    /// Watches its processes until `ready` says so; `false` when it ended before that.
    pub fn until(&mut self, mut ready: impl FnMut(&Self) -> bool) -> bool {
        loop {
            self.witness.look();
            if ready(self) {
                return true;
            }
            if self.ended() {
                return false;
            }
            assert!(self.started.elapsed() < PATIENCE, "the task hangs: {}", self.printed());
            std::thread::sleep(GLANCE);
        }
    }

    /// Watches its processes for a while.
    pub fn watch(&mut self, time: Duration) {
        let until = Instant::now() + time;
        self.until(|_| Instant::now() >= until);
    }

    /// True when the command itself has ended.
    pub fn ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Time since it was started.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// The process of the command itself.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The enforcement process, once there is one.
    #[must_use]
    pub fn proxy(&self) -> Option<u32> {
        self.witness.named("nucleus-tool-pr")
    }

    /// The parent of its pods, once there is one.
    #[must_use]
    pub fn launcher(&self) -> Option<u32> {
        self.witness.child_of(self.proxy()?)
    }

    /// Everybody who was ever seen of it.
    #[must_use]
    pub fn witness(&self) -> &Witness {
        &self.witness
    }

    /// Both streams so far.
    #[must_use]
    pub fn printed(&self) -> String {
        format!("--- stdout\n{}\n--- stderr\n{}", text(&self.stdout), text(&self.stderr))
    }

    /// Waits for the end of the command, watching.
    ///
    /// # Panics
    /// When it takes longer than a minute.
    pub fn outcome(mut self) -> (Outcome, Witness) {
        self.until(|_| false);
        let status = self.child.wait().expect("a status");
        let outcome = Outcome {
            code: status.code(),
            stdout: text(&self.stdout),
            stderr: text(&self.stderr),
            took: self.started.elapsed(),
        };
        (outcome.sound(), self.witness.clone())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // It has ended, as a rule.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Sends a signal; a process that is gone already is no error.
pub fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a pid");
    let _gone = kill_process(pid, signal);
}

fn text(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}
