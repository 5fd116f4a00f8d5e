use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use lattice_guard::RelPath;
use nucleus_wire::tool::ToolCall;
use rustix::process::{Pid, Signal, kill_process_group};

use super::*;
use crate::effect::PathGuard;
use crate::jobs::{JobLimits, Jobs};
use crate::port::{NoProgress, Program, RunSpec, Runner, RunnerError, Running};
use crate::refusal::Refusal;
use crate::tools::perform;
use crate::tools::testing::{Bench, code};

/// Runs commands on the host, in the workspace; remembers what it was asked.
struct HostRunner {
    root: std::path::PathBuf,
    seen: Mutex<Vec<(Vec<String>, String)>>,
}

struct HostRunning(Mutex<Child>, Pid, Option<OwnedFd>, Option<OwnedFd>);

impl Running for HostRunning {
    fn take_stdout(&mut self) -> Option<OwnedFd> {
        self.2.take()
    }

    fn take_stderr(&mut self) -> Option<OwnedFd> {
        self.3.take()
    }

    fn wait(&self, timeout: Duration) -> Result<Option<Exit>, RunnerError> {
        use std::os::unix::process::ExitStatusExt;
        let begun = Instant::now();
        loop {
            if let Some(status) = self.0.lock().unwrap().try_wait()? {
                let exit = status.code().map(Exit::Code);
                return Ok(exit.or(status.signal().map(Exit::Signal)));
            }
            if begun.elapsed() >= timeout {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn kill(&self) {
        let _ = kill_process_group(self.1, Signal::KILL);
    }
}

impl Runner for HostRunner {
    fn resolve(&self, program: &str, _: &str) -> Result<Program, RunnerError> {
        Err(RunnerError::NotFound { program: program.to_owned() })
    }

    fn start(&self, mut spec: RunSpec) -> Result<Box<dyn Running>, RunnerError> {
        self.seen.lock().unwrap().push((spec.argv().to_vec(), spec.cwd().to_owned()));
        let stdin = spec.take_stdin().map_or(Stdio::null(), Stdio::from);
        let mut child = Command::new(&spec.argv()[0])
            .args(&spec.argv()[1..])
            .current_dir(self.root.join(spec.cwd()))
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|_| RunnerError::NotFound { program: spec.argv()[0].clone() })?;
        let group = Pid::from_child(&child);
        let (out, error) =
            (child.stdout.take().map(Into::into), child.stderr.take().map(Into::into));
        Ok(Box::new(HostRunning(Mutex::new(child), group, out, error)))
    }
}

struct Anything;

impl PathGuard for Anything {
    fn admit(&self, _: &RelPath) -> Result<(), Refusal> {
        Ok(())
    }

    fn visible(&self, _: &RelPath) -> bool {
        true
    }
}

struct Room {
    bench: Bench,
    host: Arc<HostRunner>,
    runner: Arc<dyn Runner>,
    jobs: Arc<Jobs>,
}

impl Room {
    fn new() -> Self {
        Self::of(Duration::from_millis(300))
    }

    fn of(foreground: Duration) -> Self {
        let bench = Bench::new();
        let host = Arc::new(HostRunner { root: bench.ws(""), seen: Mutex::default() });
        let jobs = Arc::new(Jobs::new(JobLimits { foreground, ..JobLimits::default() }, None));
        let runner: Arc<dyn Runner> = host.clone();
        Self { bench, host, runner, jobs }
    }

    fn call(&self, tool: &str, arguments: serde_json::Value) -> Result<EffectReport, ToolError> {
        let root = self.bench.ws("");
        let root = nucleus_wire::tool::WorkspaceRoot(root.to_str().unwrap());
        let call = ToolCall::parse(tool, &arguments, root).unwrap();
        let context = EffectContext {
            workspace: self.bench.workspace(),
            runner: &self.runner,
            jobs: &self.jobs,
            paths: &Anything,
            cancel: self.bench.cancel(),
            progress: &NoProgress,
            deadline: Instant::now() + Duration::from_secs(60),
        };
        perform(Warrant { call }, &context)
    }
}

#[test]
fn a_command_runs_as_argv_and_as_text() {
    let room = Room::new();
    room.bench.put("sub/f", "in sub\n");
    let done = room.call("run", serde_json::json!({"argv": ["cat", "f"], "cwd": "sub"})).unwrap();
    assert!(done.text.starts_with("in sub\n[exit 0 after 0."), "{}", done.text);
    assert_eq!(
        (done.detail.as_str(), done.exit, done.is_error),
        ("exit 0", Some(Exit::Code(0)), false)
    );
    let piped =
        room.call("run", serde_json::json!({"command": "cd sub && cat f | wc -l"})).unwrap();
    assert!(piped.text.starts_with("1\n"), "{}", piped.text);
    let failed = room.call("run", serde_json::json!({"command": "false"})).unwrap();
    assert_eq!((failed.exit, failed.is_error), (Some(Exit::Code(1)), false));
    let seen = room.host.seen.lock().unwrap();
    assert_eq!(seen[0], (vec!["cat".into(), "f".into()], "sub".into()));
    assert_eq!(seen[1].0, ["sh", "-c", "cd sub && cat f | wc -l"]);
    assert_eq!(seen[2].0, ["false"], "what needs no shell gets none");
}

#[test]
fn standard_input_is_a_sealed_file() {
    let room = Room::new();
    let done = room.call("run", serde_json::json!({"argv": ["cat"], "stdin": "héllo"})).unwrap();
    assert!(done.text.starts_with("héllo\n[exit 0"), "{}", done.text);
    let none = room.call("run", serde_json::json!({"argv": ["cat"]})).unwrap();
    assert!(none.text.starts_with("[exit 0"), "{}", none.text);
    let mut file = File::from(stdin("abc").unwrap());
    assert!(std::io::Write::write_all(&mut file, b"x").is_err());
    file.rewind().unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "abc");
}

#[test]
fn a_working_directory_outside_is_refused_before_anything_starts() {
    let room = Room::new();
    room.bench.link("out", "../outside").put("file", "").put("d/x", "").link("in", "d");
    let at = |cwd: &str| code(room.call("run", serde_json::json!({"argv": ["true"], "cwd": cwd})));
    assert_eq!(at("out"), "deny.path.escape");
    assert_eq!(at("file"), "path.not_directory");
    assert_eq!(at("none"), "path.not_found");
    assert!(room.host.seen.lock().unwrap().is_empty());
    assert_eq!(at("in"), "done");
    assert_eq!(room.host.seen.lock().unwrap()[0].1, "d", "by its real name");
}

#[test]
fn a_long_command_becomes_a_job_that_can_be_read_and_stopped() {
    let room = Room::new();
    let script = "echo first; sleep 0.6; echo second; sleep 600";
    let begun = Instant::now();
    let background = room.call("run", serde_json::json!({"command": script})).unwrap();
    assert!(begun.elapsed() < Duration::from_millis(600));
    let id = background.job.unwrap();
    assert_eq!(id.as_str(), "job-1");
    assert!(background.text.starts_with("first\n[job-1: running for 0."), "{}", background.text);
    assert!(background.text.contains("job_output with job job-1"));
    let more = room.call("job_output", serde_json::json!({"job": "job-1", "wait_s": 10})).unwrap();
    assert!(more.text.starts_with("second\n[job-1: running for "), "{}", more.text);
    assert!(more.text.contains("next offset 13]"));
    let again = room.call("job_output", serde_json::json!({"job": "job-1", "offset": 0})).unwrap();
    assert!(again.text.starts_with("first\nsecond\n"));
    let stopped = room.call("job_stop", serde_json::json!({"job": "job-1"})).unwrap();
    assert!(stopped.text.starts_with("[job-1: stopped after "), "{}", stopped.text);
    assert_eq!(stopped.detail, "job-1: stopped");
    assert_eq!(code(room.call("job_output", serde_json::json!({"job": "job-7"}))), "job.unknown");
}

#[test]
fn background_and_timeout_are_honoured() {
    let room = Room::new();
    let begun = Instant::now();
    let server = room
        .call("run", serde_json::json!({"argv": ["sleep", "600"], "background": true}))
        .unwrap();
    assert!(begun.elapsed() < Duration::from_millis(250) && server.job.is_some());
    let call = serde_json::json!({"argv": ["sleep", "600"], "background": true, "timeout_s": 1});
    let short = room.call("run", call).unwrap();
    let id = short.job.unwrap();
    let waited =
        room.call("job_output", serde_json::json!({"job": id.as_str(), "wait_s": 20})).unwrap();
    assert!(waited.text.contains("timed out after 1."), "{}", waited.text);
}

#[test]
fn a_command_whose_own_time_ends_first_is_told_so_in_its_own_answer() {
    let room = Room::of(Duration::from_secs(30));
    let begun = Instant::now();
    let call = serde_json::json!({"command": "echo so far; sleep 600", "timeout_s": 1});
    let done = room.call("run", call).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(done.job, None, "{}", done.text);
    assert!(done.text.starts_with("so far\n[timed out after 1."), "{}", done.text);
    assert_eq!((done.detail.as_str(), done.is_error), ("timed out", true));
    assert_eq!(done.exit, Some(Exit::Signal(9)));
    let data = done.structured.unwrap();
    assert_eq!((&data["timed_out"], &data["signal"]), (&true.into(), &9.into()));
    // Control: one that is done in time.
    let done = room.call("run", serde_json::json!({"command": "true", "timeout_s": 1})).unwrap();
    assert_eq!((done.detail.as_str(), done.is_error), ("exit 0", false));
}

#[test]
fn a_cancelled_call_kills_its_command() {
    let room = Room::new();
    room.bench.cancel().cancel();
    let begun = Instant::now();
    let done = room.call("run", serde_json::json!({"argv": ["sleep", "600"]})).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!((done.detail.as_str(), done.is_error), ("cancelled", true));
}

#[test]
fn a_program_that_does_not_exist_leaves_no_job() {
    let room = Room::new();
    for _ in 0..40 {
        assert_eq!(
            code(room.call("run", serde_json::json!({"argv": ["no-such-program"]}))),
            "run.no_program"
        );
    }
    assert_eq!(code(room.call("run", serde_json::json!({"argv": ["true"]}))), "done");
}

#[test]
fn file_tools_report_what_the_feed_shows() {
    let room = Room::new();
    let detail = |tool: &str, arguments| room.call(tool, arguments).unwrap().detail;
    assert_eq!(
        detail("write", serde_json::json!({"path": "a/f.txt", "content": "one\ntwo\n"})),
        "created, 8 B"
    );
    assert_eq!(detail("read", serde_json::json!({"path": "a/f.txt"})), "2 lines");
    let edit = serde_json::json!({"path": "a/f.txt", "old_string": "one", "new_string": "1"});
    assert_eq!(detail("edit", edit), "1 replaced");
    assert_eq!(detail("glob", serde_json::json!({"pattern": "**/*.txt"})), "1 path");
    assert_eq!(detail("grep", serde_json::json!({"pattern": "two"})), "1 match in 1 file");
    assert_eq!(code(room.call("approvals_status", serde_json::json!({}))), "call.no_effect");
}
