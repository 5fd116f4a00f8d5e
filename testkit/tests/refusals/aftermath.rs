//! What a refusal must leave: everything as it was.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use testkit::host::{Account, Host, Leftover, Outcome, leftovers, programs};

/// Longest that something killed may take to be gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// A host with a small repository for each account.
pub(crate) fn hosts() -> Vec<Host> {
    let bins = programs();
    let hosts = Account::all().into_iter().map(|account| Host::new(&bins, account));
    hosts.inspect(|host| host.file("README.md", "# A repository\n")).collect()
}

/// Runs `nucleus` and asserts a refusal: the code, the words, one error that is Nucleus's own, and nothing changed.
#[track_caller]
pub(crate) fn refused(host: &Host, args: &[&str], code: i32, words: &[&str]) -> Outcome {
    let mut command = host.command("nucleus");
    command.args(args);
    refused_command(host, &mut command, code, words)
}

/// The same for a command line made by the test. No session may be left that was not there before.
#[track_caller]
pub(crate) fn refused_command(
    host: &Host,
    command: &mut Command,
    code: i32,
    words: &[&str],
) -> Outcome {
    let (workspace, sessions) = (tree(&host.workspace()), host.sessions());
    let outcome = Outcome::of(command);
    says(&outcome, code, words);
    assert_eq!(tree(&host.workspace()), workspace, "the workspace changed: {outcome}");
    assert_eq!(host.sessions(), sessions, "a session is left: {outcome}");
    nothing_runs(host, &outcome);
    outcome
}

/// Asserts the code and the words of a refusal.
#[track_caller]
pub(crate) fn says(outcome: &Outcome, code: i32, words: &[&str]) {
    assert_eq!(outcome.code, Some(code), "{outcome}");
    for word in words {
        assert!(outcome.stderr.contains(word), "{word:?} is not said: {outcome}");
    }
    let own = outcome.stderr.lines().filter(|line| line.starts_with("nucleus: ")).count();
    assert_eq!(own, 1, "one error, told once: {outcome}");
    for technical in ["panicked", "RUST_BACKTRACE", "unwrap"] {
        assert!(!outcome.says(technical), "{outcome}");
    }
}

/// Nothing of the run is alive, mounted or in a control group.
#[track_caller]
pub(crate) fn nothing_runs(host: &Host, outcome: &Outcome) {
    let left = leftovers(host.place(), PATIENCE);
    // Control groups of other tests' runs come and go meanwhile; the suite of faults looks at them.
    let left: Vec<_> =
        left.iter().filter(|left| !matches!(left, Leftover::ControlGroup(_))).collect();
    assert!(left.is_empty(), "{left:?}\n{outcome}");
}

/// Every file beneath a directory with its content.
pub(crate) fn tree(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten().filter_map(Result::ok) {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                found.insert(path.clone(), b"directory".to_vec());
                open.push(path);
            } else {
                let content = std::fs::read_link(&path)
                    .map(|target| target.into_os_string().into_encoded_bytes())
                    .or_else(|_| std::fs::read(&path));
                found.insert(path, content.unwrap_or_default());
            }
        }
    }
    found
}
