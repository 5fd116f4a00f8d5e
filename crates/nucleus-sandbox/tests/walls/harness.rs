//! A harness for tests that need processes of one thread: every scene is a process of its own.
//!
//! It speaks enough of the standard harness's command line for `cargo test` and `cargo nextest`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// How a scene ended.
pub(crate) const HELD: u8 = 0;
pub(crate) const BROKEN: u8 = 42;
pub(crate) const SKIPPED: u8 = 43;

/// One test: the scene is played once per expectation.
pub(crate) struct Test {
    pub(crate) name: &'static str,
    pub(crate) scene: fn(&super::Stage) -> super::Outcome,
    /// Layers that hold it, by the names of the weaken feature; any one of them alone must hold it.
    pub(crate) layers: &'static [&'static str],
}

/// As whom a scene is played.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Host {
    Root,
    Rootless,
}

/// Uid of the rootless scenes; it needs no account.
pub(crate) const ROOTLESS: u32 = 20_000;

pub(crate) fn main(tests: &[Test]) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let hosts: &[Host] = if rustix::process::geteuid().is_root() {
        &[Host::Root, Host::Rootless]
    } else {
        &[Host::Rootless]
    };
    let names = || hosts.iter().flat_map(|host| tests.iter().map(move |test| (*host, test)));
    if args.iter().any(|arg| arg == "--list") {
        if !args.iter().any(|arg| arg == "--ignored") {
            for (host, test) in names() {
                println!("{}: test", full_name(host, test));
            }
        }
        return ExitCode::SUCCESS;
    }
    let exact = args.iter().any(|arg| arg == "--exact");
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let mut failed = 0;
    let mut passed = 0;
    let mut skipped = 0;
    for (host, test) in names() {
        let name = full_name(host, test);
        let wanted = filters.is_empty()
            || filters.iter().any(|filter| {
                if exact { name == **filter } else { name.contains(filter.as_str()) }
            });
        if !wanted {
            continue;
        }
        match judge(host, test) {
            Ok(Judgement::Passed(note)) => {
                passed += 1;
                println!("test {name} ... ok{note}");
            }
            Ok(Judgement::Skipped(part, reason)) => {
                skipped += 1;
                println!("test {name} ... skipped{part}: {reason}");
                note_skipped(&format!("{name}{part}"));
            }
            Err(reason) => {
                failed += 1;
                println!("test {name} ... FAILED\n{reason}");
            }
        }
    }
    println!("\ntest result: {passed} passed; {failed} failed; {skipped} skipped");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn full_name(host: Host, test: &Test) -> String {
    let host = match host {
        Host::Root => "root",
        Host::Rootless => "rootless",
    };
    format!("{host}::{}", test.name)
}

/// What is said of a test that did not fail.
enum Judgement {
    Passed(String),
    /// Which of its plays could not be played here (empty for the scene as built), and why.
    Skipped(&'static str, String),
}

/// Says that a test did not run whole, where the task finds it that compares it with the committed list.
fn note_skipped(name: &str) {
    use std::io::Write;
    let Some(file) = std::env::var_os("NUCLEUS_TEST_SKIPPED") else { return };
    let opened = std::fs::OpenOptions::new().append(true).create(true).open(&file);
    let noted = opened.and_then(|mut file| writeln!(file, "{name}"));
    assert!(noted.is_ok(), "cannot note the skipped test in {}", file.display());
}

/// Plays a scene with every layer; with each claimed layer alone; and, as the positive control, with none of them.
fn judge(host: Host, test: &Test) -> Result<Judgement, String> {
    match play(host, test, &[])? {
        (HELD, _) => {}
        (SKIPPED, text) => return Ok(Judgement::Skipped("", text.trim().to_owned())),
        (_, text) => return Err(format!("with every layer it was not held:\n{text}")),
    }
    if !cfg!(feature = "weaken") {
        return Ok(Judgement::Passed(" (positive control needs --features weaken)".to_owned()));
    }
    // An ordinary user has no control groups unless they are delegated, and `Enforcement` says so: no claim then.
    let unclaimed = |layer: &str| host == Host::Rootless && layer == "cgroup";
    for layer in test.layers.iter().filter(|layer| !unclaimed(layer)) {
        let off: Vec<&str> = test.layers.iter().copied().filter(|other| other != layer).collect();
        match play(host, test, &off)? {
            (HELD, _) => {}
            (SKIPPED, text) => {
                return Ok(Judgement::Skipped(" (single layer)", text.trim().to_owned()));
            }
            (_, text) => return Err(format!("{layer} alone did not hold it:\n{text}")),
        }
    }
    if test.layers.is_empty() {
        return Ok(Judgement::Passed(String::new()));
    }
    match play(host, test, test.layers)? {
        (BROKEN, _) => Ok(Judgement::Passed(format!(
            " (held by {}; control broke through)",
            test.layers.join(", ")
        ))),
        (SKIPPED, text) => Ok(Judgement::Skipped(" (control)", text.trim().to_owned())),
        (_, text) => Err(format!(
            "positive control: without {} the attack must work, but:\n{text}",
            test.layers.join(", ")
        )),
    }
}

fn play(host: Host, test: &Test, off: &[&str]) -> Result<(u8, String), String> {
    let place = Place::new(host).map_err(|error| format!("preparing the scene: {error}"))?;
    let mut command = if host == Host::Rootless && rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args([
            &format!("--reuid={ROOTLESS}"),
            &format!("--regid={ROOTLESS}"),
            "--clear-groups",
            "--inh-caps=-all",
            "--",
        ]);
        command.arg(&place.program);
        command
    } else {
        Command::new(&place.program)
    };
    command.env_clear().env("PATH", "/usr/bin:/bin").current_dir("/");
    for (name, as_name) in [("PATH", "HOST_PATH"), ("HOME", "HOST_HOME")] {
        command.envs(std::env::var(name).map(|value| (as_name, value)));
    }
    if !off.is_empty() {
        command.env("NUCLEUS_WEAKEN", format!("{},self-test", off.join(",")));
    }
    command.args(["--scene", test.name]).arg(&place.directory);
    let output = command.output().map_err(|error| format!("starting the scene: {error}"))?;
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    match output.status.code().and_then(|code| u8::try_from(code).ok()) {
        Some(code @ (HELD | BROKEN | SKIPPED)) => Ok((code, text)),
        _ => Err(format!("the scene failed ({}):\n{text}", output.status)),
    }
}

/// A directory for one scene, with this program and the attacks in it, that the scene's user owns.
struct Place {
    directory: PathBuf,
    program: PathBuf,
}

impl Place {
    fn new(host: Host) -> std::io::Result<Self> {
        use std::os::unix::fs::{PermissionsExt, chown};
        let parent = Path::new(if host == Host::Root { "/var/tmp" } else { "/tmp" });
        let directory =
            tempfile::Builder::new().prefix("nucleus-walls-").tempdir_in(parent)?.keep();
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755))?;
        let program = directory.join("walls");
        std::fs::copy(std::env::current_exe()?, &program)?;
        let attack = directory.join("attack");
        match std::env::var_os("NUCLEUS_WALLS_ATTACK") {
            // For machines without a compiler.
            Some(compiled) => std::fs::copy(compiled, &attack).map(drop)?,
            None => compile(&attack)?,
        }
        if host == Host::Rootless && rustix::process::geteuid().is_root() {
            for path in [&directory, &program, &directory.join("attack")] {
                chown(path, Some(ROOTLESS), Some(ROOTLESS))?;
            }
        }
        Ok(Self { directory, program })
    }
}

fn compile(attack: &Path) -> std::io::Result<()> {
    let source = attack.with_extension("c");
    std::fs::write(&source, include_str!("attack.c"))?;
    let compiled = Command::new("cc").arg("-O1").arg("-o").arg(attack).arg(&source).status()?;
    assert!(compiled.success(), "the attacks must compile");
    Ok(())
}

impl Drop for Place {
    fn drop(&mut self) {
        let _left = std::fs::remove_dir_all(&self.directory);
    }
}
