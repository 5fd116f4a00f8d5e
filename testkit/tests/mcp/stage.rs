//! Hosts with a small repository, and servers on them.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::host::{Account, Host, programs};
use testkit::mcp::{Era, McpClient};

/// Longest that something killed may take to be gone.
const PATIENCE: Duration = Duration::from_secs(60);

/// A host for each account.
pub(crate) fn hosts() -> Vec<Host> {
    let bins = programs();
    let hosts = Account::all().into_iter().map(|account| Host::new(&bins, account));
    hosts.inspect(|host| host.file("README.md", "# A repository\n")).collect()
}

/// `nucleus mcp serve` under `fix-issue`.
pub(crate) fn command(host: &Host) -> Command {
    with(host, &["--profile", "fix-issue"])
}

/// `nucleus mcp serve` with other options.
pub(crate) fn with(host: &Host, options: &[&str]) -> Command {
    let mut command = host.command("nucleus");
    command.args(["mcp", "serve", "--allow-local-driver"]).args(options);
    command
}

/// A client of it.
pub(crate) fn client(host: &Host, era: Era) -> McpClient {
    McpClient::start(&mut command(host), era)
}

/// Whether any process of this machine has `mark` in its command line.
pub(crate) fn runs(mark: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    processes
        .filter(|entry| entry.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit()))
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .any(|line| String::from_utf8_lossy(&line).contains(mark))
}

/// Waits until `done` says so.
#[track_caller]
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The events of the only log.
pub(crate) fn events(host: &Host) -> Vec<Value> {
    let text = std::fs::read_to_string(host.logs().last().unwrap()).unwrap();
    text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].clone()).collect()
}
