//! Configuration files of the user and of the administrator.

use std::process::Command;

use testkit::host::{Account, Host, Outcome, skip};

use crate::aftermath::{hosts, nothing_runs, refused, says};

const RUN: [&str; 5] = ["run", "--profile", "fix-issue", "--", "true"];

#[test]
fn a_bad_configuration_of_the_user_is_told_with_its_place() {
    for host in hosts() {
        for (text, words) in [
            (
                "alow_local_driver = true\n",
                &["config.toml:1:1", "unknown key", "did you mean allow_local_driver?"][..],
            ),
            (
                "allow_local_driver = \"yes\"\n",
                &["config.toml:1:22", "found \"yes\"", "true or false"],
            ),
            (
                "default_profile = \"fixissue\"\n",
                &["config.toml:1:19", "did you mean \"fix-issue\"?"],
            ),
            ("agent = \"codec\"\n", &["config.toml:1:9", "did you mean \"codex\"?"]),
            ("x = [\n", &["config.toml:1:", "not valid TOML"]),
            (
                "allow_local_driver = true\nallow_local_driver = false\n",
                &["config.toml:2:1", "given twice"],
            ),
        ] {
            host.put(&host.home(), ".config/nucleus/config.toml", text.as_bytes());
            refused(&host, &RUN, 65, words);
        }
        host.put(
            &host.home(),
            ".config/nucleus/config.toml",
            b"allow_local_driver = true # \xff\n",
        );
        refused(&host, &RUN, 65, &["config.toml", "UTF-8"]);
        host.put(&host.home(), ".config/nucleus/config.toml", b"allow_local_driver = true\n");
        host.nucleus(&RUN).expect_code(0);
    }
}

/// Runs `nucleus` where the administrator's file has this text: in a mount namespace with an `/etc/nucleus` of its own.
fn administered(host: &Host, text: &str, args: &[&str]) -> Outcome {
    administered_with(host, text, "true", args)
}

/// The same after `change`, a shell command beside the file.
fn administered_with(host: &Host, text: &str, change: &str, args: &[&str]) -> Outcome {
    host.put(host.place(), "admin/config.toml", text.as_bytes());
    let command = host.command("nucleus");
    let mut wrapped = Command::new("unshare");
    wrapped.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    // An overlay gives /etc the directory without touching the machine's own.
    let script = format!(
        "rm -rf \"$0/upper\" && mkdir -p \"$0/upper/nucleus\" \"$0/work\" && cp \"$0/admin/config.toml\" \"$0/upper/nucleus/\" && \
        chmod 755 \"$0/upper\" \"$0/upper/nucleus\" && chmod 644 \"$0/upper/nucleus/config.toml\" && (cd \"$0/upper/nucleus\" && {change}) && \
        mount -t overlay overlay -o lowerdir=/etc,upperdir=\"$0/upper\",workdir=\"$0/work\" /etc && exec \"$@\""
    );
    wrapped
        .args(["--mount", "sh", "-c", &script])
        .arg(host.place())
        .arg(command.get_program())
        .args(command.get_args())
        .args(args);
    Outcome::of(wrapped.current_dir(host.workspace()))
}

#[test]
fn the_administrator_s_word_is_final() {
    for host in hosts() {
        if !Account::all().contains(&Account::Root) {
            skip("admin_config", "an /etc of one's own needs root");
            continue;
        }
        let run = ["run", "--allow-local-driver", "--profile", "fix-issue", "--", "touch", "made"];
        let forbidden = |text: &str, code: i32, words: &[&str]| {
            let outcome = administered(&host, text, &run);
            says(&outcome, code, words);
            assert_eq!(host.read("made"), None, "{outcome}");
            nothing_runs(&host, &outcome);
        };
        forbidden(
            "[forbid]\nlocal_driver = true\n",
            69,
            &["administrator", "forbids the local driver"],
        );
        forbidden(
            "[forbid]\nprofiles = [\"fix-issue\"]\n",
            77,
            &["\"fix-issue\" is forbidden", "/etc/nucleus/config.toml"],
        );
        forbidden("[forbid]\noperations = [\"run_bash\"]\n", 77, &["deny."]);
        forbidden(
            "[forbid]\nprofile = [\"x\"]\n",
            65,
            &["/etc/nucleus/config.toml:2:1", "forbid.profile", "unknown key"],
        );
        // The control: a file that forbids nothing.
        administered(&host, "[forbid]\nprofiles = [\"full\"]\n", &run).expect_code(0);
        assert_eq!(host.read("made").as_deref(), Some(""));
    }
}

#[test]
fn an_administrator_s_file_that_cannot_be_trusted_or_read_lets_nothing_run() {
    for host in hosts() {
        if !Account::all().contains(&Account::Root) {
            skip("admin_config", "an /etc of one's own needs root");
            continue;
        }
        let run = ["run", "--allow-local-driver", "--profile", "fix-issue", "--", "touch", "made"];
        let harmless = "[forbid]\nprofiles = [\"full\"]\n";
        let refused = |change: &str, words: &str| {
            let outcome = administered_with(&host, harmless, change, &run);
            says(&outcome, 65, &["/etc/nucleus/config.toml", words]);
            assert_eq!(host.read("made"), None, "{change}: {outcome}");
            let check = administered_with(&host, harmless, change, &["config", "check"]);
            assert_eq!(check.code, Some(65), "{change}: {check}");
        };
        refused("chmod 646 config.toml", "writable by root alone");
        refused("chown 4711 config.toml", "belong to root");
        refused("ln -sf nowhere config.toml", "No such file");
        if host.account() != Account::Root {
            // Root reads whatever there is.
            refused("chmod 600 config.toml", "Permission denied");
            refused("chmod 700 .", "Permission denied");
        }
        // The control: the same file as it should be.
        administered(&host, harmless, &run).expect_code(0);
    }
}

#[test]
fn who_is_refused_a_command_is_told_by_what_and_what_to_do() {
    for host in hosts() {
        let run = ["run", "--allow-local-driver", "--profile", "fix-issue", "--", "touch", "made"];
        host.file(".nucleus/permissions.toml", "[capabilities]\nread_files = \"always\"\n");
        let outcome = host.nucleus(&run);
        let place = ".nucleus/permissions.toml of this repository";
        says(&outcome, 77, &["`run_bash` is `never`", "deny.capability.never", place]);
        std::fs::remove_file(host.workspace().join(".nucleus/permissions.toml")).unwrap();
        // What takes nothing away is not named.
        let outcome = host.nucleus(&["run", "--allow-local-driver", "--", "touch", "made"]);
        says(&outcome, 77, &["policy restrictive", "--profile NAME"]);
        assert!(!outcome.says("also in force"), "{outcome}");
        host.put(
            host.place(),
            "asks.toml",
            b"[capabilities]\nrun_bash = \"always\"\n[obligations]\napprovals = [\"run_bash\"]\n",
        );
        let file = host.place().join("asks.toml");
        let file = file.to_str().unwrap();
        let outcome =
            host.nucleus(&["run", "--allow-local-driver", "--config", file, "--", "true"]);
        says(&outcome, 77, &["nobody approved it", "--approvals socket", "nucleus approvals"]);
        host.put(
            host.place(),
            "poor.toml",
            b"[capabilities]\nrun_bash = \"always\"\n[budget]\nmax_cost_usd = 0\n",
        );
        let file = host.place().join("poor.toml");
        let file = file.to_str().unwrap();
        let outcome =
            host.nucleus(&["run", "--allow-local-driver", "--config", file, "--", "true"]);
        says(&outcome, 77, &["deny.budget", "[budget]"]);
    }
}
