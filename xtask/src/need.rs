//! What a task needs on this machine: listed, asked for and installed by the distribution's own client.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::Command;

use crate::Options;

/// Something a task cannot do without.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Need {
    /// Name for the list.
    pub name: &'static str,
    /// What it is for.
    pub why: &'static str,
    present: fn() -> bool,
    install: Install,
}

#[derive(Debug, Clone, Copy)]
enum Install {
    Debian(&'static [&'static str]),
    Cargo { krate: &'static str, version: &'static str },
}

/// A C compiler: linking Rust programs, and the attack programs of the black-box tests.
pub(crate) const CC: Need = Need {
    name: "cc",
    why: "links programs and builds the attack programs of the tests",
    present: || on_path("cc"),
    install: Install::Debian(&["gcc", "libc6-dev"]),
};
/// Git: sample repositories.
pub(crate) const GIT: Need = Need {
    name: "git",
    why: "makes the sample repositories",
    present: || on_path("git"),
    install: Install::Debian(&["git"]),
};
/// `setpriv`: rootless runs when the tests run as root.
pub(crate) const SETPRIV: Need = Need {
    name: "setpriv",
    why: "runs the suites as an unprivileged user",
    present: || on_path("setpriv"),
    install: Install::Debian(&["util-linux"]),
};
/// Python: some attack programs, and one of the toolchains the pods offer.
pub(crate) const PYTHON: Need = Need {
    name: "python3 with pip",
    why: "one of the toolchains the tests run in pods; runs the protocol's official client",
    present: || {
        let asked = ["-c", "import ensurepip, pip, venv"];
        Command::new("python3").args(asked).output().is_ok_and(|output| output.status.success())
    },
    install: Install::Debian(&["python3", "python3-venv", "python3-pip"]),
};
/// npm: fetches the agents; Node runs one of them.
pub(crate) const NPM: Need = Need {
    name: "npm",
    why: "fetches the pinned agents",
    present: || on_path("npm"),
    install: Install::Debian(&["npm"]),
};
/// Go: one of the toolchains the pods offer, and the client of its module mirrors.
pub(crate) const GO: Need = Need {
    name: "go",
    why: "one of the toolchains the tests run in pods; fetches modules through the gate",
    present: || on_path("go"),
    install: Install::Debian(&["golang-go"]),
};
/// Chromium: shows the pages that `nucleus report` writes.
pub(crate) const CHROMIUM: Need = Need {
    name: "chromium",
    why: "shows the pages that `nucleus report` writes",
    present: || on_path("chromium"),
    install: Install::Debian(&["chromium"]),
};
/// bubblewrap: a floor of the benchmarks.
pub(crate) const BWRAP: Need = Need {
    name: "bwrap",
    why: "the floor `run true` is measured beside",
    present: || on_path("bwrap"),
    install: Install::Debian(&["bubblewrap"]),
};
/// cargo-deny: holds the dependency policy.
pub(crate) const CARGO_DENY: Need = Need {
    name: "cargo-deny",
    why: "holds the dependency policy of deny.toml",
    present: || on_path("cargo-deny") || cargo_bin("cargo-deny"),
    install: Install::Cargo { krate: "cargo-deny", version: "0.20.2" },
};

/// Lists the needs and installs what is missing, after asking.
pub(crate) fn ensure(needs: &[Need], options: Options) -> Result<(), String> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !(need.present)()).collect();
    for need in needs {
        let state = if missing.iter().any(|m| m.name == need.name) { "missing" } else { "present" };
        eprintln!("need  {:<11} {state:<8} {}", need.name, need.why);
    }
    if missing.is_empty() {
        return Ok(());
    }
    if !options.yes && !agreed()? {
        return Err("not installing; run again with --yes, or install them yourself".to_owned());
    }
    let packages: Vec<&str> = missing
        .iter()
        .filter_map(|need| match need.install {
            Install::Debian(packages) => Some(packages),
            Install::Cargo { .. } => None,
        })
        .flatten()
        .copied()
        .collect();
    if !packages.is_empty() {
        install_debian(&packages)?;
    }
    for need in &missing {
        if let Install::Cargo { krate, version } = need.install {
            let spec = format!("{krate}@{version}");
            run(Command::new("cargo").args(["install", "--locked", &spec]))?;
        }
    }
    match missing.iter().find(|need| !(need.present)()) {
        None => Ok(()),
        Some(need) => Err(format!("{} is still missing after its installation", need.name)),
    }
}

/// True when a program of this name is in PATH.
pub(crate) fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// Runs a command to its end; anything but success is an error that names it.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let line = describe(command);
    eprintln!("+ {line}");
    let status = command.status().map_err(|error| format!("{line}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{line}: {status}")) }
}

fn describe(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|arg| arg.to_string_lossy().into_owned()));
    words.join(" ")
}

fn install_debian(packages: &[&str]) -> Result<(), String> {
    let privileged = |args: &[&str]| {
        let mut command = if is_root() { Command::new("apt-get") } else { Command::new("sudo") };
        if !is_root() {
            command.arg("apt-get");
        }
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
        run(&mut command)
    };
    privileged(&["update", "-qq"])?;
    let mut install = vec!["install", "-y", "-qq", "--no-install-recommends"];
    install.extend(packages);
    privileged(&install)
}

pub(crate) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

fn cargo_bin(program: &str) -> bool {
    std::env::var_os("CARGO_HOME")
        .map(std::path::PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))
        .is_some_and(|home| home.join("bin").join(program).is_file())
}

fn agreed() -> Result<bool, String> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    eprint!("Install what is missing? [y/N] ");
    std::io::stderr().flush().map_err(|error| error.to_string())?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|error| error.to_string())?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}
