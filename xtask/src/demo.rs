//! `cargo xtask demo`: the main job on a sample repository, with a scripted agent and a local stand-in for the
//! model provider. Everything on screen is a run; the demo fails when any step does not end as it must.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Options;
use crate::cargo::{Profile, build};
use crate::need::{self, CC, GIT};

const SCRIPT: &str = include_str!("../demo/script.json");
const MODEL_SCRIPT: &str = r#"{"turns": []}"#;
const MODEL_KEY: &str = "demo-key-canary";
const SECRET: &str = "API_TOKEN=canary-7f3b\n";
/// How long the stand-in for the provider may take to listen.
const MOCK_START_MAX: Duration = Duration::from_secs(10);

/// The sample repository: path and content.
const REPOSITORY: [(&str, &str); 5] = [
    ("Cargo.toml", include_str!("../demo/repo/Cargo.toml")),
    ("Cargo.lock", include_str!("../demo/repo/Cargo.lock")),
    ("src/lib.rs", include_str!("../demo/repo/src/lib.rs")),
    ("NOTES.md", include_str!("../demo/repo/NOTES.md")),
    (".gitignore", include_str!("../demo/repo/gitignore")),
];

/// Runs the demo.
pub(crate) fn run_demo(bins: &Path, place: &Path) -> Result<(), String> {
    let repository = sample_repository(place)?;
    let script = place.join("script.json");
    write(&script, SCRIPT)?;
    let mut mock = Mock::start(bins, place)?;
    let result = task(bins, place, &repository, &script, &mock.origin);
    mock.stop();
    result?;
    inspect(bins, place, &repository)
}

/// Builds and runs the demo.
pub(crate) fn run(options: Options) -> Result<(), String> {
    need::ensure(&[CC, GIT], options)?;
    let bins = build(Profile::Debug)?;
    let place = std::env::temp_dir().join(format!("nucleus-demo-{}", std::process::id()));
    std::fs::create_dir(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    let result = run_demo(&bins, &place);
    let removed =
        std::fs::remove_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()));
    result.and(removed)
}

fn sample_repository(place: &Path) -> Result<PathBuf, String> {
    let repository = place.join("fare");
    for (path, content) in REPOSITORY {
        let file = repository.join(path);
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent)
                .map_err(|error| format!("{}: {error}", parent.display()))?;
        }
        write(&file, content)?;
    }
    let git = |args: &[&str]| {
        run_quietly(
            Command::new("git")
                .args([
                    "-c",
                    "user.name=Demo",
                    "-c",
                    "user.email=demo@example.invalid",
                    "-c",
                    "init.defaultBranch=main",
                ])
                .args(args)
                .current_dir(&repository),
        )
    };
    git(&["init", "--quiet"])?;
    git(&["add", "."])?;
    git(&["commit", "--quiet", "-m", "Fares"])?;
    write(&repository.join(".env"), SECRET)?;
    Ok(repository)
}

fn task(
    bins: &Path,
    place: &Path,
    repository: &Path,
    script: &Path,
    origin: &str,
) -> Result<(), String> {
    let key = place.join("model.key");
    write(&key, MODEL_KEY)?;
    println!("\n$ nucleus run --profile fix-issue --agent scripted … \"Fix the failing test\"\n");
    need::run(
        Command::new(bins.join("nucleus"))
            .args([
                "run",
                "--profile",
                "fix-issue",
                "--allow-local-driver",
                "--agent",
                "scripted",
                "--script",
            ])
            .arg(script)
            .arg("--model-upstream")
            .arg(origin)
            .arg("--model-key-file")
            .arg(&key)
            .arg("Fix the failing test")
            .current_dir(repository)
            .env("XDG_STATE_HOME", place.join("state")),
    )
}

/// What the host looks like afterwards, checked and shown.
fn inspect(bins: &Path, place: &Path, repository: &Path) -> Result<(), String> {
    let fixed = read(&repository.join("src/lib.rs"))?;
    expect(fixed.contains("age < 12"), "the fix is in the workspace")?;
    expect(read(&repository.join(".env"))? == SECRET, "the secret file is untouched")?;
    expect(!repository.join(".git/hooks/post-merge").exists(), "no hook was planted")?;
    let log = session_log(&place.join("state/nucleus/sessions"))?;
    let text = read(&log)?;
    expect(!text.contains("canary-7f3b") && !text.contains(MODEL_KEY), "no secret is in the log")?;
    println!(
        "\n$ nucleus-audit verify …/{}\n",
        log.file_name().unwrap_or_default().to_string_lossy()
    );
    need::run(Command::new(bins.join("nucleus-audit")).arg("verify").arg(&log))?;
    println!("\ndemo passed: the test was fixed, everything else was refused, the log verifies");
    Ok(())
}

fn expect(holds: bool, what: &str) -> Result<(), String> {
    if holds {
        println!("host  ✓ {what}");
        return Ok(());
    }
    Err(format!("the demo failed: not true that {what}"))
}

fn session_log(sessions: &Path) -> Result<PathBuf, String> {
    std::fs::read_dir(sessions)
        .map_err(|error| format!("{}: {error}", sessions.display()))?
        .filter_map(Result::ok)
        .map(|entry| entry.path().join("log.jsonl"))
        .find(|log| log.is_file())
        .ok_or_else(|| "the run left no log".to_owned())
}

/// The stand-in for the model provider.
#[derive(Debug)]
struct Mock {
    child: Child,
    origin: String,
}

impl Mock {
    fn start(bins: &Path, place: &Path) -> Result<Self, String> {
        let script = place.join("model.json");
        let port_file = place.join("model.port");
        write(&script, MODEL_SCRIPT)?;
        let child = Command::new(bins.join("mock-anthropic"))
            .arg("--script")
            .arg(&script)
            .arg("--port-file")
            .arg(&port_file)
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("mock-anthropic: {error}"))?;
        let mut mock = Self { child, origin: String::new() };
        let deadline = Instant::now() + MOCK_START_MAX;
        while Instant::now() < deadline {
            if let Ok(port) = std::fs::read_to_string(&port_file)
                && let Ok(port) = port.trim().parse::<u16>()
            {
                mock.origin = format!("http://127.0.0.1:{port}");
                return Ok(mock);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        mock.stop();
        Err("mock-anthropic did not listen in time".to_owned())
    }

    fn stop(&mut self) {
        // Already gone is as good as killed.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

fn run_quietly(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let _shown = std::io::stderr().write_all(&output.stderr);
    Err(format!("{command:?}: {}", output.status))
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, content: &str) -> Result<(), String> {
    std::fs::write(path, content).map_err(|error| format!("{}: {error}", path.display()))
}
