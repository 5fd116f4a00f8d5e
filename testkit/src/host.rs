//! A host for black-box tests: a home, a state directory and a repository of one user, and the programs under test.

mod account;
mod installed;
mod leftover;
mod outcome;
mod task;
mod terminal;
mod witness;

use std::ffi::OsStr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub use account::Account;
pub use installed::ISSUE;
pub use leftover::{Leftover, leftovers};
pub use outcome::{Outcome, StepResult};
pub use task::{Task, signal};
pub use terminal::Terminal;
pub use witness::Witness;

use crate::script::Script;

/// Where the programs under test are.
pub const BINS: &str = "NUCLEUS_TEST_BINS";
/// Where the builds are whose layers can be switched off.
pub const WEAKENED_BINS: &str = "NUCLEUS_TEST_WEAKENED_BINS";
/// File that names every skipped test.
pub const SKIPPED: &str = "NUCLEUS_TEST_SKIPPED";
/// Variable that switches layers off in those builds.
const SWITCH: &str = "NUCLEUS_WEAKEN";

/// One user's corner of this machine, removed when dropped.
#[derive(Debug)]
pub struct Host {
    place: tempfile::TempDir,
    account: Account,
    bins: PathBuf,
    weakened: Option<String>,
    environment: Vec<(String, String)>,
}

/// Says that a test did not run, where `cargo xtask test` finds it; the caller returns.
pub fn skip(test: &str, reason: &str) {
    eprintln!("SKIPPED {test}: {reason}");
    if let Some(file) = std::env::var_os(SKIPPED) {
        use std::io::Write;
        let appended = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&file)
            .and_then(|mut f| writeln!(f, "{test}"));
        assert!(appended.is_ok(), "cannot note the skipped test in {}", file.display());
    }
}

/// The programs under test.
///
/// # Panics
/// When the suite was not started by `cargo xtask test`, which builds them: nothing can be said of them then.
#[must_use]
pub fn programs() -> PathBuf {
    given(BINS)
}

/// The weakened builds, likewise.
///
/// # Panics
/// As [`programs`].
#[must_use]
pub fn weakened_programs() -> PathBuf {
    given(WEAKENED_BINS)
}

/// What `cargo xtask test` hands to a suite in this variable.
///
/// # Panics
/// As [`programs`].
#[must_use]
pub fn given(variable: &str) -> PathBuf {
    let found = std::env::var_os(variable).map(PathBuf::from);
    assert!(found.is_some(), "{variable} is not set: start this suite by `cargo xtask test`");
    found.unwrap_or_default()
}

impl Host {
    /// A host for `account` with the programs of `bins`.
    ///
    /// # Panics
    /// When the directories cannot be made: the test cannot say anything then.
    #[must_use]
    pub fn new(bins: &Path, account: Account) -> Self {
        // Not /tmp: pods have a /tmp of their own, and a test must not pass because of a name.
        let place = tempfile::Builder::new()
            .prefix("nucleus-test-")
            .tempdir_in("/var/tmp")
            .expect("a directory");
        std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755))
            .expect("mode");
        let bins = account.reachable(bins, place.path());
        let host = Self { place, account, bins, weakened: None, environment: Vec::new() };
        for dir in ["home", "work"] {
            std::fs::create_dir(host.place.path().join(dir)).expect("a directory");
        }
        host.own(&host.home());
        host.own(&host.workspace());
        host
    }

    /// The same host with layers switched off: `bins` must be the weakened builds.
    #[must_use]
    pub fn weakened(bins: &Path, account: Account, layers: &str) -> Self {
        let mut host = Self::new(bins, account);
        host.weakened = Some(layers.to_owned());
        host
    }

    /// Sets a variable of the user's environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Who runs things here.
    #[must_use]
    pub fn account(&self) -> Account {
        self.account
    }

    /// Everything of this host is beneath it.
    #[must_use]
    pub fn place(&self) -> &Path {
        self.place.path()
    }

    /// The user's home.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.place.path().join("home")
    }

    /// The repository.
    #[must_use]
    pub fn workspace(&self) -> PathBuf {
        self.place.path().join("work")
    }

    /// Nucleus's state directory.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.home().join(".local/state/nucleus")
    }

    /// Writes a file of the workspace as the user.
    pub fn file(&self, path: &str, content: impl AsRef<[u8]>) {
        self.put(&self.workspace(), path, content.as_ref());
    }

    /// Writes a file anywhere beneath this host as the user.
    pub fn put(&self, base: &Path, path: &str, content: &[u8]) {
        let file = base.join(path);
        let mut missing: Vec<PathBuf> = file
            .ancestors()
            .skip(1)
            .take_while(|dir| !dir.exists())
            .map(Path::to_path_buf)
            .collect();
        missing.reverse();
        for dir in missing {
            std::fs::create_dir(&dir).expect("a directory");
            self.own(&dir);
        }
        std::fs::write(&file, content).expect("a file");
        self.own(&file);
    }

    /// Reads a file of the workspace; `None` when it is not there.
    #[must_use]
    pub fn read(&self, path: &str) -> Option<String> {
        std::fs::read(self.workspace().join(path))
            .ok()
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A program of the installation, as the user, in the workspace, with a plain environment.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.account.command(&self.bins.join(program));
        command.env_clear().current_dir(self.workspace()).stdin(Stdio::null());
        command
            .env("HOME", self.home())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LANG", "C.UTF-8");
        for (name, value) in &self.environment {
            command.env(name, value);
        }
        if let Some(layers) = &self.weakened {
            command.env(SWITCH, layers);
        }
        command
    }

    /// Where a program of the installation is.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.bins.join(name)
    }

    /// `nucleus` with these arguments, to its end.
    pub fn nucleus<S: AsRef<OsStr>>(&self, args: &[S]) -> Outcome {
        let mut command = self.command("nucleus");
        command.args(args);
        Outcome::of(&mut command)
    }

    /// `nucleus run -- CMD…` under `fix-issue` on the local driver.
    pub fn run(&self, argv: &[&str]) -> Outcome {
        let mut args = vec!["run", "--profile", "fix-issue", "--allow-local-driver", "--"];
        args.extend(argv);
        self.nucleus(&args)
    }

    /// A scripted agent under `fix-issue` on the local driver.
    pub fn script(&self, script: &Script) -> Outcome {
        self.script_with(script, &["--profile", "fix-issue"])
    }

    /// A scripted agent with other options.
    pub fn script_with(&self, script: &Script, options: &[&str]) -> Outcome {
        Outcome::of(&mut self.script_command(script, options))
    }

    /// The command line of a scripted agent.
    #[must_use]
    pub fn script_command(&self, script: &Script, options: &[&str]) -> Command {
        let file = self.place.path().join("script.json");
        std::fs::write(&file, serde_json::to_vec(script).expect("a script")).expect("a file");
        let mut command = self.command("nucleus");
        command.args(["run", "--allow-local-driver", "--agent", "scripted", "--script"]).arg(file);
        command.args(options).arg("the task");
        command
    }

    /// Starts a command of this host, to be disturbed while it runs.
    pub fn start(&self, command: &mut Command) -> Task {
        Task::start(command, self.place.path())
    }

    /// Starts a command of this host at a terminal of its own.
    pub fn at_terminal(&self, command: &Command) -> Terminal {
        Terminal::start(command)
    }

    /// Starts a command of this host at a terminal of its own that full-screen programs can use.
    pub fn at_full_terminal(&self, command: &Command) -> Terminal {
        Terminal::full(command)
    }

    /// Forgets everything: an empty workspace and a home without state.
    pub fn reset(&self) {
        for dir in [self.home(), self.workspace()] {
            remove_tree(&dir).expect("an emptied directory");
            std::fs::create_dir(&dir).expect("a directory");
            self.own(&dir);
        }
    }

    /// Directories of all sessions, oldest first.
    #[must_use]
    pub fn sessions(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.state().join("sessions"));
        let mut sessions: Vec<PathBuf> = entries
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .collect();
        sessions.sort();
        sessions
    }

    /// Logs of all sessions, oldest first.
    #[must_use]
    pub fn logs(&self) -> Vec<PathBuf> {
        self.sessions()
            .into_iter()
            .map(|dir| dir.join("log.jsonl"))
            .filter(|log| log.is_file())
            .collect()
    }

    /// `nucleus-audit verify` on a log.
    pub fn verify(&self, log: &Path) -> Outcome {
        let mut command = self.command("nucleus-audit");
        command.arg("verify").arg(log);
        Outcome::of(&mut command)
    }

    fn own(&self, path: &Path) {
        if let Some((uid, gid)) = self.account.other_ids() {
            chown(path, Some(uid), Some(gid)).expect("chown");
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // An overlay leaves a directory that its own owner cannot enter; what still stays is removed with the place.
        let _removed = remove_tree(&self.home());
    }
}

/// Removes a tree, directories closed to their owner included.
fn remove_tree(dir: &Path) -> std::io::Result<()> {
    if std::fs::remove_dir_all(dir).is_ok() {
        return Ok(());
    }
    let mut open = vec![dir.to_path_buf()];
    while let Some(next) = open.pop() {
        let _closed = std::fs::set_permissions(&next, std::fs::Permissions::from_mode(0o700));
        let entries = std::fs::read_dir(&next).into_iter().flatten().filter_map(Result::ok);
        open.extend(
            entries
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path()),
        );
    }
    std::fs::remove_dir_all(dir)
}
