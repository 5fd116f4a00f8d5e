//! What the user of a test's host has installed: Rust, and agents from npm; and the repository an agent works on.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Account, Host};

/// A library whose test fails.
pub const ISSUE: &str = include_str!("../../../xtask/demo/repo/src/lib.rs");
const MANIFEST: &str = include_str!("../../../xtask/demo/repo/Cargo.toml");

impl Host {
    /// Puts the library [`ISSUE`] into `sub` of the workspace, and context files beside it.
    #[must_use]
    pub fn with_issue(self) -> Self {
        self.file("sub/Cargo.toml", MANIFEST);
        self.file("sub/src/lib.rs", ISSUE);
        for name in ["CLAUDE.md", "AGENTS.md", "GEMINI.md"] {
            self.file(name, "Answer briefly.\n");
        }
        self
    }

    /// Lets the user have the tester's own Rust: where it lies, or lent when that place is closed to the user.
    ///
    /// # Panics
    /// When there is no Rust to lend.
    #[must_use]
    pub fn with_rust(mut self) -> Self {
        let output = Command::new("rustc").args(["--print", "sysroot"]).output().expect("rustc");
        let toolchain = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        if self.account.other_ids().is_some() && !open_to_all(&toolchain) {
            let rustup = self.place.path().join("rustup");
            let lent = rustup.join("toolchains/lent");
            for part in ["bin", "lib", "libexec"] {
                lend(&toolchain.join(part), &lent.join(part));
            }
            return self.env("RUSTUP_HOME", &rustup.display().to_string());
        }
        for (name, place) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            let default = || std::env::var("HOME").map(|home| format!("{home}/{place}"));
            if let Ok(dir) = std::env::var(name).or_else(|_| default()) {
                self = self.env(name, &dir);
            }
        }
        self
    }

    /// Puts `command`, a file of an npm installation, into the user's PATH as `name`; Node too.
    ///
    /// # Panics
    /// When it cannot be put there.
    #[must_use]
    pub fn with_agent(self, name: &str, command: &Path) -> Self {
        let links = self.place.path().join("links");
        std::fs::create_dir_all(&links).expect("a directory");
        let node = std::env::var_os("PATH")
            .iter()
            .flat_map(std::env::split_paths)
            .map(|dir| dir.join("node"))
            .find_map(|node| node.canonicalize().ok());
        let command = self.reachable(command);
        symlink(command, links.join(name)).expect("a link");
        if let Some(node) = node.filter(|_| !links.join("node").exists()) {
            symlink(self.reachable(&node), links.join("node")).expect("a link");
        }
        let path = std::env::var("PATH").unwrap_or_default();
        self.env("PATH", &format!("{}:{path}", links.display()))
    }

    /// Files that agents keep in their homes, by a part of their path and the end of their name.
    #[must_use]
    pub fn of_agents(&self, part: &str, ending: &str) -> Vec<PathBuf> {
        let mut dirs = vec![self.state().join("homes")];
        let mut found = Vec::new();
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok) {
                let path = entry.path();
                let text = path.to_string_lossy();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    dirs.push(path);
                } else if text.contains(part) && text.ends_with(ending) {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }

    /// A file of an installation where the user can reach it: in place, or lent with the packages around it.
    fn reachable(&self, file: &Path) -> PathBuf {
        if self.account == Account::Root || open_to_all(file) {
            return file.to_path_buf();
        }
        let around = file.ancestors().find(|dir| dir.ends_with("node_modules"));
        let around = around.unwrap_or(file);
        let lent = self.place.path().join("lent").join(around.file_name().expect("a name"));
        if !lent.exists() {
            lend(around, &lent);
        }
        match file.strip_prefix(around) {
            Ok(rest) if rest != Path::new("") => lent.join(rest),
            _ => lent,
        }
    }
}

/// True when everybody can read this and reach it.
fn open_to_all(path: &Path) -> bool {
    let Ok(real) = path.canonicalize() else { return false };
    real.ancestors().all(|part| {
        std::fs::metadata(part).is_ok_and(|meta| meta.permissions().mode() & 0o005 == 0o005)
    })
}

/// A second name for everything in a tree, or a copy where the file system has no second names for it.
fn lend(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().expect("a parent")).expect("a directory");
    let copy = |how: &str| {
        let mut command = Command::new("cp");
        command.args(["--recursive", "--no-target-directory", "--preserve=mode,links", how]);
        command.arg(from).arg(to).output().is_ok_and(|output| output.status.success())
    };
    let lent = copy("--link") || {
        let _partial = std::fs::remove_dir_all(to);
        copy("--reflink=auto")
    };
    assert!(lent, "{} cannot be lent", from.display());
}
