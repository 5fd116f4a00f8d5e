//! What a program under test did.

use std::process::Command;
use std::time::{Duration, Instant};

/// Status and output of a finished program.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output, lossy.
    pub stdout: String,
    /// Standard error, lossy.
    pub stderr: String,
    /// Wall time.
    pub took: Duration,
}

/// How one step of a script ended, read from the agent's output.
#[derive(Debug, Clone)]
pub struct StepResult {
    /// The line that names the step and its ending.
    pub line: String,
    /// What the agent got to see.
    pub text: String,
}

impl Outcome {
    /// Runs `command` to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn of(command: &mut Command) -> Self {
        let started = Instant::now();
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            took: started.elapsed(),
        }
        .sound()
    }

    /// A panic of a program under test is a defect whatever came of it: a build that unwinds may go on where one that
    /// ships would have ended. Panics of a payload (a failing test, say) name files of their own.
    #[must_use]
    #[track_caller]
    pub(crate) fn sound(self) -> Self {
        let of_ours = ["panicked at crates/", "panicked at /rustc/"];
        assert!(!of_ours.iter().any(|words| self.says(words)), "it panicked: {self}");
        self
    }

    /// Asserts the exit code and gives the outcome back.
    ///
    /// # Panics
    /// With everything the program printed when the code is another.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// True when `text` is anywhere in what it printed.
    #[must_use]
    pub fn says(&self, text: &str) -> bool {
        self.stdout.contains(text) || self.stderr.contains(text)
    }

    /// True when the user was told what to do with a session that is kept.
    #[must_use]
    pub fn shows_the_way_on(&self) -> bool {
        ["apply", "review", "discard"].iter().all(|word| self.says(&format!("nucleus {word}")))
    }

    /// The steps of a scripted agent.
    #[must_use]
    pub fn steps(&self) -> Vec<StepResult> {
        let mut steps: Vec<StepResult> = Vec::new();
        for line in self.stdout.lines() {
            if let Some(text) = line.strip_prefix("    ") {
                if let Some(step) = steps.last_mut() {
                    step.text.push_str(text);
                    step.text.push('\n');
                }
            } else if line.contains(" -> ") {
                steps.push(StepResult { line: line.to_owned(), text: String::new() });
            }
        }
        steps
    }
}

impl StepResult {
    /// The size of the result, when the step asked for that.
    #[must_use]
    pub fn measured(&self) -> Option<u64> {
        self.text.trim().strip_suffix(" bytes")?.parse().ok()
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "exit {:?} after {:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.code, self.took, self.stdout, self.stderr
        )
    }
}
