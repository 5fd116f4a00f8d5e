//! Measurements of whole tasks: the shipped programs, a scripted agent in its pod, calls through its relay.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::floor;
use super::part::{Spawn, number};
use super::sample::{Quantiles, measure, micros};
use super::table::{Row, Unit};

const FILE: &str = "four-kib.txt";
const FILE_BYTES: usize = 4_096;
const READS: u32 = 2_000;
const COMMANDS: u32 = 200;
const STARTS: usize = 20;
/// What the agent says when it begins to do nothing.
const IDLE: &str = "idle";
const IDLE_MS: u64 = 3_000;
/// After this long in idleness memory is looked at.
const SETTLE: Duration = Duration::from_secs(1);
/// The kernel's names of processes end after 15 bytes.
const PROXY: &str = "nucleus-tool-pr";
/// The proxy executes itself again, as `/proc/self/exe`.
const LAUNCHER: &str = "exe";

/// A directory to work on, and state of its own.
struct Place {
    bins: PathBuf,
    workspace: PathBuf,
    state: PathBuf,
    script: PathBuf,
}

/// One session with many calls.
pub(super) fn session(bins: &Path, place: &Path, spawn: &Spawn) -> Result<Vec<Row>, String> {
    let place = Place::make(bins, place, "session")?;
    let call = |name: &str, args: Value| json!({"name": name, "arguments": args});
    let repeat = |method: &str, params: Value, times: u32| json!({"do": {"repeat": {"method": method, "params": params, "times": times}}, "expect": "ok"});
    let steps = json!([
        repeat("ping", json!({}), READS),
        repeat("tools/call", call("read", json!({"path": FILE})), READS),
        repeat("tools/call", call("run", json!({"argv": ["true"]})), COMMANDS),
        {"say": IDLE, "do": {"sleep": IDLE_MS}},
    ]);
    let ran = place.run_script(&steps)?;
    let [ping, read, run] = ran.figures.as_slice() else {
        return Err(format!("the agent told {} of three figures", ran.figures.len()));
    };
    let floor = floor::relayed_read(&place.workspace.join(FILE), FILE_BYTES)?;
    let times = |name, figure: &Value, floor: Quantiles, beside| -> Result<Row, String> {
        Ok(Row {
            name,
            unit: Unit::Micros,
            figure: number(figure, "/p50_us")?,
            p99: Some(number(figure, "/p99_us")?),
            floor: floor.p50,
            floor_p99: Some(floor.p99),
            beside,
        })
    };
    let relay = Quantiles { p50: number(ping, "/p50_us")?, p99: number(ping, "/p99_us")? };
    let memory = ran.memory.ok_or("the proxy was gone before it was idle")?;
    let size = |name, figure, floor| Row {
        name,
        unit: Unit::KiB,
        figure,
        p99: None,
        floor,
        floor_p99: None,
        beside: "the launcher: same program, nothing loaded",
    };
    Ok(vec![
        times("read 4 KiB over MCP", read, floor, "pipe, socket, pread, and back")?,
        times("read 4 KiB over MCP", read, relay, "MCP ping through the same relay")?,
        times("run true over MCP", run, spawn.bare, "fork + exec")?,
        times("run true over MCP", run, spawn.wrapped, "bwrap --unshare-all, same mounts")?,
        size("idle proxy, RSS", memory.proxy.rss, memory.launcher.rss),
        size("idle proxy, memory of its own", memory.proxy.own, memory.launcher.own),
    ])
}

/// Tasks from their start.
pub(super) fn starts(bins: &Path, place: &Path, spawn: &Spawn) -> Result<Vec<Row>, String> {
    let place = Place::make(bins, place, "starts")?;
    let empty = place.script("empty", &json!([]))?;
    let agent = measure(STARTS, || {
        finished(Command::new(bins.join("nucleus-scripted-agent")).arg(&empty))
    })?;
    let steps = json!([{"do": {"repeat": {"method": "tools/call", "params": {"name": "read", "arguments": {"path": FILE}}, "times": 1}}, "expect": "ok"}]);
    let mut first = Vec::new();
    for _ in 0..STARTS {
        let ran = place.run_script(&steps)?;
        let at = ran.figures.first().ok_or("the agent told no figure")?;
        let answered = Duration::from_micros(
            at.pointer("/first_at_us").and_then(Value::as_u64).unwrap_or_default(),
        );
        let own = Duration::from_secs_f64(agent.p50 / 1e6);
        first.push(answered.saturating_sub(ran.began).saturating_sub(own));
    }
    let command = measure(STARTS, || {
        finished(
            place.nucleus().args(["--quiet", "--", "true"]).env("XDG_STATE_HOME", &place.state),
        )
    })?;
    let row = |name, times: Quantiles, floor: Quantiles, beside| Row {
        name,
        unit: Unit::Micros,
        figure: times.p50,
        p99: Some(times.p99),
        floor: floor.p50,
        floor_p99: Some(floor.p99),
        beside,
    };
    Ok(vec![
        row(
            "start to first call answered, less agent",
            Quantiles::of(first),
            agent,
            "start and end of the agent, subtracted",
        ),
        row(
            "nucleus run -- true, whole",
            command,
            spawn.wrapped,
            "bwrap --unshare-all, same mounts",
        ),
    ])
}

/// What a run of a script told.
struct Ran {
    /// Since the epoch.
    began: Duration,
    /// What its repetitions told, in order.
    figures: Vec<Value>,
    memory: Option<Memory>,
}

#[derive(Debug, Clone, Copy)]
struct Memory {
    proxy: Usage,
    launcher: Usage,
}

/// In KiB.
#[derive(Debug, Clone, Copy)]
struct Usage {
    rss: f64,
    own: f64,
}

impl Place {
    fn make(bins: &Path, place: &Path, name: &str) -> Result<Self, String> {
        let made = Self {
            bins: bins.to_owned(),
            workspace: place.join(name).join("workspace"),
            state: place.join(name).join("state"),
            script: place.join(name).join("script.json"),
        };
        let failed = |error: std::io::Error| format!("{}: {error}", made.workspace.display());
        std::fs::create_dir_all(&made.workspace).map_err(failed)?;
        // As many lines as code has, as long as those of code are.
        let text: String = (0..FILE_BYTES / 64).map(|n| format!("{n:063}\n")).collect();
        std::fs::write(made.workspace.join(FILE), text).map_err(failed)?;
        Ok(made)
    }

    fn script(&self, name: &str, steps: &Value) -> Result<PathBuf, String> {
        let path = self.script.with_file_name(format!("{name}.json"));
        let text = json!({"steps": steps}).to_string();
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }

    fn nucleus(&self) -> Command {
        let mut command = Command::new(self.bins.join("nucleus"));
        command
            .args(["run", "--allow-local-driver", "--profile", "fix-issue"])
            .current_dir(&self.workspace)
            .env("XDG_STATE_HOME", &self.state)
            .stdin(Stdio::null());
        command
    }

    /// Runs a script to its end.
    fn run_script(&self, steps: &Value) -> Result<Ran, String> {
        let script = self.script("script", steps)?;
        let mut command = self.nucleus();
        command.args(["--json", "--agent", "scripted", "--script"]).arg(script).arg("measure");
        let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut child =
            command.stdout(Stdio::piped()).spawn().map_err(|error| format!("nucleus: {error}"))?;
        let told = listen(&mut child);
        let status = child.wait().map_err(|error| format!("nucleus: {error}"))?;
        let (figures, memory) = told?;
        if !status.success() {
            return Err(format!("the measured task ended with {status}"));
        }
        Ok(Ran { began, figures, memory })
    }
}

/// Reads events; collects what repetitions told, and looks at memory when the agent is idle.
fn listen(child: &mut Child) -> Result<(Vec<Value>, Option<Memory>), String> {
    let stdout = child.stdout.take().ok_or("nucleus has no output")?;
    let mut text = String::new();
    let mut memory = None;
    let mut refused = Vec::new();
    for line in BufReader::new(stdout).lines() {
        let line = line.map_err(|error| format!("nucleus: {error}"))?;
        let event: Value =
            serde_json::from_str(&line).map_err(|error| format!("nucleus: {error}: {line}"))?;
        match event.pointer("/type").and_then(Value::as_str) {
            Some("output") => {
                text.push_str(event.pointer("/text").and_then(Value::as_str).unwrap_or_default());
                if memory.is_none() && text.contains(&format!("# {IDLE}\n")) {
                    std::thread::sleep(SETTLE);
                    memory = look(child.id());
                }
            }
            Some("failed") => return Err(format!("the measured task failed: {line}")),
            Some("feed") if line.contains("\"denied\"") => refused.push(line),
            _ => {}
        }
    }
    if let Some(line) = refused.first() {
        return Err(format!("{} measured calls were refused, such as {line}", refused.len()));
    }
    let figures = text.lines().filter_map(|line| serde_json::from_str(line.trim()).ok()).collect();
    Ok((figures, memory))
}

/// Memory of the proxy that is a child of `nucleus`, and of the launcher that is a child of it.
fn look(nucleus: u32) -> Option<Memory> {
    let proxy = child_of(nucleus, PROXY)?;
    let launcher = child_of(proxy, LAUNCHER)?;
    Some(Memory { proxy: usage(proxy)?, launcher: usage(launcher)? })
}

fn child_of(parent: u32, name: &str) -> Option<u32> {
    let processes = std::fs::read_dir("/proc").ok()?;
    processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).find(
        |pid| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            field(&status, "PPid:") == Some(f64::from(parent))
                && status.starts_with(&format!("Name:\t{name}"))
        },
    )
}

fn usage(pid: u32) -> Option<Usage> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(Usage { rss: field(&status, "VmRSS:")?, own: field(&status, "RssAnon:")? })
}

/// The number behind a name.
fn field(status: &str, name: &str) -> Option<f64> {
    status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

/// Runs a program that says nothing.
fn finished(command: &mut Command) -> Result<(), String> {
    let begun = Instant::now();
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{command:?}: {} after {:.0} µs: {text}", output.status, micros(begun.elapsed())))
}
