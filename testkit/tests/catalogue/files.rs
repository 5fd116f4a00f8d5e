//! Rows 1–4, 6, 7, 77: ways out of the workspace by name.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;

use serde_json::json;
use testkit::host::Host;
use testkit::script::{Action, Ending, Step};

use crate::attempt::{Attempt, call, row, run_attack, script};

const CANARY: &str = "canary-4e1d";

/// A file outside the workspace that anybody may read and write, so that only the wall can hold.
fn canary(host: &Host) -> PathBuf {
    let file = host.place().join("outside/secret.txt");
    host.put(host.place(), "outside/secret.txt", CANARY.as_bytes());
    std::fs::set_permissions(file.parent().unwrap(), std::fs::Permissions::from_mode(0o777))
        .unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    file
}

#[test]
fn row_01_a_symlink_out_is_not_followed_by_the_tools() {
    row("row_01_tools", &["resolver"], &["path-policy"], |host| {
        let file = canary(host);
        std::os::unix::fs::symlink(&file, host.workspace().join("notes.txt")).unwrap();
        let read = call("read", json!({"path": "notes.txt"}));
        let outcome = host.script(&script(vec![read]));
        assert_eq!(outcome.steps().len(), 1, "{outcome}");
        Attempt::when(outcome.steps()[0].text.contains(CANARY), outcome)
    });
}

#[test]
fn row_01_a_symlink_out_leads_nowhere_in_a_pod() {
    row("row_01_pod", &["mounts"], &[], |host| {
        let file = canary(host);
        std::os::unix::fs::symlink(&file, host.workspace().join("notes.txt")).unwrap();
        let outcome = host.run(&["cat", "notes.txt"]);
        Attempt::when(outcome.stdout.contains(CANARY), outcome)
    });
}

#[test]
fn row_02_a_sibling_that_shares_the_prefix_is_outside() {
    // The name is refused before anything is opened, so no layer of a pod can be taken away to let it through;
    // the control is the same call inside the workspace, which works.
    let bins = testkit::host::programs();
    for account in testkit::host::Account::all() {
        let host = Host::new(&bins, account);
        host.put(host.place(), "work-evil/secret.txt", CANARY.as_bytes());
        host.file("secret.txt", CANARY);
        let workspace = host.workspace();
        let absolute =
            |path: &str| call("read", json!({"path": format!("{}{path}", workspace.display())}));
        let steps = vec![
            absolute("-evil/secret.txt"),
            call("read", json!({"path": "../work-evil/secret.txt"})),
            call("run", json!({"command": format!("cat {}-evil/secret.txt", workspace.display())})),
            absolute("/secret.txt"),
        ];
        let outcome = host.script(&script(steps));
        let hit: Vec<bool> =
            outcome.steps().iter().map(|step| step.text.contains(CANARY)).collect();
        assert_eq!(hit, [false, false, false, true], "as {account:?}: {outcome}");
    }
}

#[test]
fn rows_03_04_a_swapped_component_is_never_followed() {
    row("rows_03_04", &["resolver"], &["path-policy", "overlay"], |host| {
        // The agent's own job swaps a directory with a symlink to the outside while the tools write beneath it.
        let outside = canary(host);
        let target = outside.parent().unwrap();
        host.file("real/secret.txt", "inside");
        std::os::unix::fs::symlink(target, host.workspace().join("link")).unwrap();
        let mut steps = vec![call(
            "run",
            json!({"command": "./attack swap real link 12000", "background": true}),
        )];
        for n in 0..400 {
            let path = if n % 2 == 0 { "real/secret.txt" } else { "real/new.txt" };
            steps.push(call("write", json!({"path": path, "content": "overwritten"})));
        }
        let outcome = host.script(&script(steps));
        assert!(outcome.steps().len() > 400, "{outcome}");
        let hit =
            std::fs::read_to_string(&outside).unwrap() != CANARY || target.join("new.txt").exists();
        Attempt::when(hit, "the outside is as it was")
    });
}

#[test]
fn row_06_attributes_of_a_file_outside_stay() {
    row("row_06", &["mounts"], &[], |host| {
        let file = canary(host);
        let before = std::fs::metadata(&file).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        let attempt = run_attack(host, &["attributes", file.to_str().unwrap()]);
        let after = std::fs::metadata(&file).unwrap();
        let changed = (before.mtime(), before.mtime_nsec()) != (after.mtime(), after.mtime_nsec());
        assert_eq!(changed, attempt == Attempt::Worked, "{attempt:?}");
        attempt
    });
}

#[test]
fn row_06_the_root_of_a_pod_stays() {
    // Landlock does not see chmod, and the root belongs to the pod's own user: only the read-only mount holds.
    row("row_06_root", &["ro-root"], &[], |host| run_attack(host, &["chmod-root"]));
}

#[test]
fn row_07_magic_links_of_proc_lead_nowhere() {
    row("row_07_tools", &["resolver"], &["path-policy"], |host| {
        let file = canary(host);
        let link = format!("/proc/self/root{}", file.display());
        std::os::unix::fs::symlink(link, host.workspace().join("magic")).unwrap();
        let outcome = host.script(&script(vec![call("read", json!({"path": "magic"}))]));
        Attempt::when(outcome.stdout.contains(CANARY), outcome)
    });
    row("row_07_pod", &["mounts"], &[], |host| {
        let file = canary(host);
        let tries = [
            "/proc/self/root",
            "/proc/1/root",
            "/proc/self/cwd/../../../../../..",
            "/dev/fd/0/../../../../../..",
        ];
        let text: Vec<String> =
            tries.iter().map(|base| format!("cat {base}{} 2>&1", file.display())).collect();
        let outcome = host.run(&["sh", "-c", &text.join("; ")]);
        Attempt::when(outcome.stdout.contains(CANARY), outcome)
    });
}

#[test]
fn row_77_a_call_cannot_choose_its_root() {
    // Refused by the parser; the control is a directory of the workspace, which works.
    let bins = testkit::host::programs();
    for account in testkit::host::Account::all() {
        let host = Host::new(&bins, account);
        let outside = canary(&host);
        host.file("sub/here.txt", "inside");
        let ls =
            |cwd: &str| Step { expect: None, ..call("run", json!({"command": "ls", "cwd": cwd})) };
        let outcome = host.script(&script(vec![
            ls(outside.parent().unwrap().to_str().unwrap()),
            ls("../outside"),
            ls("/"),
            ls("sub/../../outside"),
            ls("sub"),
        ]));
        let steps = outcome.steps();
        assert_eq!(steps.len(), 5, "{outcome}");
        for step in &steps[..4] {
            assert!(
                step.line.contains("Refused") && !step.text.contains("secret.txt"),
                "as {account:?}: {step:?}"
            );
        }
        assert!(steps[4].text.contains("here.txt"), "as {account:?}: {outcome}");
    }
}

#[test]
fn tools_and_commands_act_on_one_tree() {
    // What these rows rely on: a file the tools write is the file a command sees, and the other way round.
    let bins = testkit::host::programs();
    for account in testkit::host::Account::all() {
        let host = Host::new(&bins, account);
        if let Some((uid, gid)) = account.other_ids() {
            chown(host.workspace(), Some(uid), Some(gid)).unwrap();
        }
        let expect = |step: Step, text: &str| Step {
            expect: Some(Ending::Ok),
            contains: Some(text.to_owned()),
            ..step
        };
        let steps = vec![
            call("write", json!({"path": "dir/a.txt", "content": "from a tool\n"})),
            expect(
                call(
                    "run",
                    json!({"command": "cat dir/a.txt && echo from a pod > dir/b.txt && echo ok"}),
                ),
                "from a tool",
            ),
            expect(call("read", json!({"path": "dir/b.txt"})), "from a pod"),
            Step {
                action: Some(Action::Shell("cat dir/a.txt".to_owned())),
                expect: Some(Ending::Refused),
                ..Step::default()
            },
        ];
        host.script(&script(steps)).expect_code(0);
        assert_eq!(host.read("dir/a.txt").as_deref(), Some("from a tool\n"));
        assert_eq!(host.read("dir/b.txt").as_deref(), Some("from a pod\n"));
    }
}
