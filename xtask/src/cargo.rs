//! Building, and where the programs end up.

use std::path::PathBuf;
use std::process::Command;

use crate::need::run;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map(PathBuf::from).unwrap_or(manifest)
}

/// Cargo's target directory.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// `cargo` in the repository's root.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(args);
    command
}

/// Builds every program of the workspace and returns their directory.
pub(crate) fn build(profile: Profile) -> Result<PathBuf, String> {
    let mut args = vec!["build", "--workspace", "--bins"];
    if profile == Profile::Release {
        args.push("--release");
    }
    run(&mut cargo(&args))?;
    Ok(target_dir().join(match profile {
        Profile::Debug => "debug",
        Profile::Release => "release",
    }))
}

/// Builds the programs with the switches that weaken single layers, in a target directory of their own:
/// these are test builds and never ship.
pub(crate) fn build_weakened() -> Result<PathBuf, String> {
    let target = target_dir().join("weaken");
    let mut command = cargo(&[
        "build",
        "--package",
        "nucleus-cli",
        "--package",
        "nucleus-tool-proxy",
        "--package",
        "nucleus-mcp",
        "--package",
        "testkit",
        "--bins",
        "--features",
        "nucleus-cli/weaken,nucleus-tool-proxy/weaken",
    ]);
    run(command.env("CARGO_TARGET_DIR", &target))?;
    Ok(target.join("debug"))
}

/// Which build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Fast to build.
    Debug,
    /// What ships.
    Release,
}
