//! A picture for an agent with a terminal: a file of the workspace, named.

use serde_json::json;
use testkit::script::{Action, Ending, Step};

use crate::{UP, hosts, interactive, shell};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";

#[test]
fn a_picture_put_into_the_workspace_while_the_agent_works_can_be_read() {
    for host in hosts() {
        let call = |name: &str, args, contains: &str| Step {
            action: Some(Action::Tool { name: name.to_owned(), args }),
            expect: Some(Ending::Ok),
            contains: Some(contains.to_owned()),
            ..Step::default()
        };
        let steps = vec![
            // It has looked around before: that must not keep what comes later from it.
            call("run", json!({"command": "ls -la && echo looked"}), "looked"),
            call("glob", json!({"pattern": "*.txt"}), "before.txt"),
            shell("printf 'which one?' >/dev/tty; read -r name </dev/tty"),
            call("read", json!({"path": "shot.png"}), "PNG picture"),
            call(
                "run",
                json!({"command": "test -s shot.png && echo a command too"}),
                "a command too",
            ),
        ];
        host.file("before.txt", "before\n");
        let mut terminal = host.at_full_terminal(&interactive(&host, steps, &[]));
        terminal.wait_for(UP);
        terminal.wait_for("which one?");
        host.file("shot.png", PNG);
        terminal.enter("shot.png\r");
        terminal.wait_for("PNG picture");
        terminal.wait_for("a command too");
        terminal.outcome().expect_code(0);
    }
}
