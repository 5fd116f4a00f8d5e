//! Sessions to look at.

use serde_json::{Value, json};
use testkit::host::{Account, Host, Outcome, programs};
use testkit::script::{Action, Script, Step};

/// Markup that an agent would like to see come alive.
pub(crate) const MARKUP: &str = "</style></bdi><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">";
/// The name of a file, with an override of the reading direction in it.
pub(crate) const NAME: &str = "a\u{202e}txt.<img src=x onerror=alert(1)>";

/// A host for every account there is.
pub(crate) fn hosts() -> Vec<Host> {
    let bins = programs();
    Account::all().into_iter().map(|account| Host::new(&bins, account)).collect()
}

/// A tool call.
pub(crate) fn call(name: &str, args: Value) -> Step {
    Step { action: Some(Action::Tool { name: name.to_owned(), args }), ..Step::default() }
}

/// A command in a tool pod.
pub(crate) fn run(command: &str) -> Step {
    call("run", json!({"command": command, "timeout_s": 120}))
}

/// An agent that does some work, is refused some, and writes what it hopes a browser or a terminal obeys.
pub(crate) fn hostile(host: &Host) -> Outcome {
    host.file("src/main.rs", "fn main() {\n    println!(\"old\");\n}\n");
    host.file(".env", "TOKEN=canary\n");
    let steps = vec![
        call("read", json!({"path": "src/main.rs"})),
        call("edit", json!({"path": "src/main.rs", "old_string": "old", "new_string": "new"})),
        call("read", json!({"path": ".env"})),
        call("read", json!({"path": "no-such-file"})),
        run("exit 3"),
        run(&format!(": {MARKUP}; true")),
        run(&format!(": {}", "wide".repeat(2_000))),
        run("printf '\\033[2J\\342\\200\\256' > /dev/null; : '\u{202e}right-to-left\u{1b}[31m'"),
        call(
            "write",
            json!({"path": NAME, "content": format!("{MARKUP}\n\u{202e}{MARKUP}\n\u{1b}]0;x\u{7}\n")}),
        ),
        call("write", json!({"path": "long.txt", "content": "x".repeat(200_000)})),
        run("mkdir many; for i in $(seq 80); do echo $i > many/$i; done"),
    ];
    host.script(&Script { steps }).expect_code(0)
}

/// `nucleus replay --json` of the newest session.
pub(crate) fn replay(host: &Host) -> Value {
    let outcome = host.nucleus(&["replay", "--json"]);
    serde_json::from_str(&outcome.stdout).unwrap()
}
