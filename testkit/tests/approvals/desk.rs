//! A task whose calls park, and somebody who answers elsewhere.

use serde_json::{Value, json};
use testkit::host::{Account, Host, Outcome, Task, programs};
use testkit::script::{Action, Script, Step};

/// Every command asks; files do not.
pub(crate) const ASKING: &str = "\
[capabilities]
read_files = \"always\"
write_files = \"always\"
edit_files = \"always\"
run_bash = \"always\"

[obligations]
approvals = [\"run_bash\"]
";

/// A tool call.
pub(crate) fn call(name: &str, args: Value) -> Step {
    Step { action: Some(Action::Tool { name: name.to_owned(), args }), ..Step::default() }
}

/// A command, word by word.
pub(crate) fn run(argv: &[&str]) -> Step {
    call("run", json!({ "argv": argv }))
}

/// A host for every account there is.
pub(crate) fn hosts() -> Vec<Host> {
    let bins = programs();
    Account::all().into_iter().map(|account| Host::new(&bins, account)).collect()
}

/// Starts a task without a terminal whose questions wait at the socket.
pub(crate) fn park(host: &Host, steps: Vec<Step>) -> Task {
    park_under(host, ASKING, steps, "socket")
}

/// The same under another policy and another word for `--approvals`.
pub(crate) fn park_under(host: &Host, policy: &str, steps: Vec<Step>, who: &str) -> Task {
    host.put(host.place(), "permissions.toml", policy.as_bytes());
    let config = host.place().join("permissions.toml");
    let options = ["--config", config.to_str().unwrap(), "--approvals", who];
    host.start(&mut host.script_command(&Script { steps }, &options))
}

/// `nucleus approvals …` as the user.
pub(crate) fn approvals(host: &Host, args: &[&str]) -> Outcome {
    let mut all = vec!["approvals"];
    all.extend(args);
    host.nucleus(&all)
}

/// The requests there are, as JSON.
pub(crate) fn requests(host: &Host, all: bool) -> Vec<Value> {
    let mut args = vec!["list", "--json"];
    if all {
        args.push("--all");
    }
    let outcome = approvals(host, &args).expect_code(0);
    let listed: Value = serde_json::from_str(&outcome.stdout).unwrap();
    listed["requests"].as_array().unwrap().clone()
}

/// Waits for a request that is not among `known`; gives it.
pub(crate) fn question(host: &Host, task: &mut Task, known: &[String]) -> Value {
    let mut found = None;
    let asked = task.until(|_| {
        found = requests(host, false)
            .into_iter()
            .find(|r| !known.iter().any(|id| r["id"] == id.as_str()));
        found.is_some()
    });
    assert!(asked, "nobody was asked:\n{}", task.printed());
    found.unwrap()
}

/// The id of a request.
pub(crate) fn id(request: &Value) -> String {
    request["id"].as_str().unwrap().to_owned()
}

/// Events of the latest log.
pub(crate) fn events(host: &Host) -> Vec<Value> {
    let text = std::fs::read_to_string(host.logs().last().unwrap()).unwrap();
    text.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["event"].clone()).collect()
}

/// Intents of commands, with the nonce of a grant and without.
pub(crate) fn intents(host: &Host) -> (usize, usize) {
    let events = events(host);
    let intents = events.iter().filter(|e| e["tool"] == "run" && e["phase"] == "intent");
    let (granted, free): (Vec<_>, Vec<_>) = intents.partition(|e| e["grant_nonce"].is_string());
    (granted.len(), free.len())
}
