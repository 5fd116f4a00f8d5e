//! Directories that cannot be a workspace.

use testkit::host::Host;

use crate::aftermath::{hosts, refused, refused_command};

fn at(host: &Host, workspace: &str, words: &[&str]) {
    let args = [
        "run",
        "--allow-local-driver",
        "--profile",
        "fix-issue",
        "--workspace",
        workspace,
        "--",
        "touch",
        "made",
    ];
    refused(host, &args, 64, words);
}

#[test]
fn what_is_no_project_directory_is_refused() {
    for host in hosts() {
        let place = host.place().to_str().unwrap().to_owned();
        let link = format!("{place}/link");
        std::os::unix::fs::symlink(host.workspace(), &link).unwrap();
        at(&host, &link, &["symbolic link to", "name the directory itself"]);
        at(&host, &format!("{link}/"), &["symbolic link"]);
        at(&host, &format!("{link}/."), &["symbolic link"]);
        at(
            &host,
            &format!("{place}/missing"),
            &["does not exist", "name an existing project directory"],
        );
        at(&host, &format!("{place}/missing/below"), &["does not exist"]);
        at(&host, "README.md", &["README.md", "not a directory"]);
        at(&host, "/", &["file system", "project"]);
        at(&host, "/etc", &["belongs to the system"]);
        at(&host, "/var/tmp", &["shared"]);
        let home = host.home().to_str().unwrap().to_owned();
        at(&host, &home, &["home directory", "project directory below it"]);
        at(&host, &place, &["home directory"]);
        at(&host, &format!("{home}/../home"), &["home directory"]);
        std::fs::create_dir(format!("{place}/a:b")).unwrap();
        at(&host, &format!("{place}/a:b"), &["':'", "rename"]);
    }
}

#[test]
fn nucleus_s_own_directories_are_never_in_a_workspace() {
    for host in hosts() {
        let state = host.state();
        host.put(&state, "sessions/keep", b"");
        host.put(&host.home(), ".config/nucleus/keep", b"");
        at(&host, state.to_str().unwrap(), &["Nucleus's own directory"]);
        at(&host, state.join("sessions").to_str().unwrap(), &["Nucleus's own directory"]);
        at(&host, host.home().join(".local/state").to_str().unwrap(), &["Nucleus's own directory"]);
        at(
            &host,
            host.home().join(".config/nucleus").to_str().unwrap(),
            &["Nucleus's own directory"],
        );
        at(&host, host.home().join(".config").to_str().unwrap(), &["Nucleus's own directory"]);
        // Wherever the environment puts them.
        for variable in ["XDG_STATE_HOME", "XDG_CONFIG_HOME"] {
            host.file(".own/nucleus/keep", "");
            let mut command = host.command("nucleus");
            command.env(variable, host.workspace().join(".own"));
            command.args([
                "run",
                "--allow-local-driver",
                "--profile",
                "fix-issue",
                "--",
                "touch",
                "made",
            ]);
            refused_command(&host, &mut command, 64, &["Nucleus's own directory", "work"]);
        }
        // The control: the same workspace with Nucleus's directories elsewhere.
        host.run(&["touch", "made"]).expect_code(0);
        assert_eq!(host.read("made").as_deref(), Some(""));
    }
}

#[test]
fn links_on_the_way_and_dots_mean_what_they_mean_to_the_system() {
    for host in hosts() {
        host.file("sub/x", "");
        host.put(host.place(), "far/keep", b"");
        std::os::unix::fs::symlink(host.workspace().join("sub"), host.place().join("far/near"))
            .unwrap();
        let through = host.place().join("far/near/..");
        let args = [
            "run",
            "--allow-local-driver",
            "--profile",
            "fix-issue",
            "--workspace",
            through.to_str().unwrap(),
            "--",
            "pwd",
        ];
        let outcome = host.nucleus(&args).expect_code(0);
        let real = std::fs::canonicalize(host.workspace()).unwrap();
        assert_eq!(outcome.stdout.trim(), real.to_str().unwrap(), "{outcome}");
    }
}

#[test]
fn a_directory_of_someone_else_is_refused() {
    for host in hosts() {
        if host.account().other_ids().is_none() {
            continue; // root may write anywhere, and without root nobody else's directory can be made
        }
        let theirs = host.place().join("theirs");
        std::fs::create_dir(&theirs).unwrap();
        at(&host, theirs.to_str().unwrap(), &["cannot be written", "Run as its owner"]);
    }
}
