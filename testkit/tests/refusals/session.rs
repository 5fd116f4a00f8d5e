//! Sessions that cannot be applied, reviewed or discarded.

use testkit::script::{Action, Script, Step};

use crate::aftermath::{hosts, refused};

#[test]
fn sessions_that_are_not_there_are_told() {
    for host in hosts() {
        for command in ["apply", "review", "discard"] {
            refused(
                &host,
                &[command, "20200101-000000-abcd"],
                64,
                &["no session 20200101-000000-abcd", "nucleus review --list"],
            );
            refused(&host, &[command, "../../keys"], 64, &["no session"]);
            refused(&host, &[command], 64, &["no session of", "name one"]);
        }
        host.run(&["touch", "one"]).expect_code(0);
        host.run(&["touch", "two"]).expect_code(0);
        let ids: Vec<String> = host
            .sessions()
            .iter()
            .map(|dir| dir.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        refused(&host, &["apply", "20"], 64, &["fits 2 sessions", "more of the id"]);
        refused(&host, &["discard", &ids[0]], 64, &[&ids[0], "applied"]);
        std::fs::write(host.sessions()[1].join("session.json"), "{\"version\":1,").unwrap();
        let outcome = refused(&host, &["apply", &ids[1]], 74, &["session.json"]);
        assert!(!outcome.says("kind:"), "{outcome}");
        std::fs::write(host.sessions()[1].join("session.json"), "{\"version\":99}").unwrap();
        refused(&host, &["apply", &ids[1]], 74, &["99"]);
    }
}

#[test]
fn a_running_session_is_left_alone() {
    for host in hosts() {
        let script = Script {
            steps: vec![Step {
                action: Some(Action::Shell("sleep 30".to_owned())),
                ..Step::default()
            }],
        };
        let mut command = host.script_command(&script, &["--profile", "fix-issue"]);
        let mut child = command
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        let id = loop {
            let logs = host.logs();
            // The log grows when the walls stand.
            if logs
                .first()
                .is_some_and(|log| std::fs::metadata(log).is_ok_and(|meta| meta.len() > 0))
            {
                break logs[0].parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
            }
            assert!(std::time::Instant::now() < deadline, "the task does not start");
            std::thread::sleep(std::time::Duration::from_millis(20));
        };
        for command in ["apply", "review", "discard"] {
            let outcome = host.nucleus(&[command, &id]);
            crate::aftermath::says(&outcome, 64, &[&id, "running"]);
        }
        let listed = host.nucleus(&["review", "--list"]).expect_code(0);
        assert!(listed.stdout.contains(&id) && listed.stdout.contains("running"), "{listed}");
        testkit::host::signal(child.id(), rustix::process::Signal::INT);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        let listed = host.nucleus(&["review", "--list"]).expect_code(0);
        assert!(listed.stdout.contains("interrupted"), "{listed}");
        host.nucleus(&["discard", &id]).expect_code(0);
        crate::command_line::nothing_waits(&host);
        crate::aftermath::nothing_runs(&host, &listed);
    }
}
