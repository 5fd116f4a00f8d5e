//! Time from asking for a pod to its end, for `/bin/true`, beside a bare fork and exec and beside bubblewrap.
//!
//! `spawn_bench [ROUNDS]` prints one JSON object. The log is not part of it: this is the driver alone.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nucleus_sandbox::workspace::MaskPolicy;
use nucleus_sandbox::{
    Driver, LAUNCHER, LauncherConfig, Limits, LocalDriver, PodSpec, SessionSpec,
};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let first = std::env::args().nth(1);
    if first.as_deref() == Some(LAUNCHER) {
        std::process::exit(nucleus_sandbox::launcher_main());
    }
    let rounds = first.map_or(Ok(500), |rounds| rounds.parse())?;
    let workspace = tempfile::Builder::new().prefix("bench-ws-").tempdir_in("/var/tmp")?;
    let session = tempfile::Builder::new().prefix("bench-session-").tempdir_in("/var/tmp")?;
    let driver = LocalDriver::start(&LauncherConfig::default())?;
    let started = Instant::now();
    let handles = driver.prepare(&SessionSpec {
        beside: Vec::new(),
        session_dir: session.path().to_path_buf(),
        workspace: workspace.path().to_path_buf(),
        masks: MaskPolicy::none(),
        toolchains: Vec::new(),
        cache_dir: None,
        gate: None,
        limits: Limits::default(),
        required: Default::default(),
    })?;
    let prepare = started.elapsed();
    let pod = measure(rounds, || run_in_pod(&driver, workspace.path()))?;
    // As in real use: the machine has forgotten the last one.
    let idle = measure_after(rounds.div_ceil(20), Duration::from_millis(300), || {
        run_in_pod(&driver, workspace.path())
    })?;
    let bare = measure(rounds, || run(Command::new("/bin/true")))?;
    let wrapped = measure(rounds, || run(bubblewrap(workspace.path())));
    let layers: Vec<String> = handles
        .enforcement
        .iter()
        .map(|(layer, finding)| format!("\"{layer}\":\"{}\"", finding.strength))
        .collect();
    println!(
        "{{\"rounds\":{rounds},\"prepare_us\":{},\"pod\":{pod},\"pod_after_300ms\":{idle},\"fork_exec\":{bare},\"bubblewrap\":{},\"layers\":{{{}}}}}",
        prepare.as_micros(),
        wrapped.unwrap_or_else(|_| "null".to_owned()),
        layers.join(",")
    );
    Ok(())
}

fn run_in_pod(driver: &LocalDriver, workspace: &std::path::Path) -> Result<(), Failure> {
    let null = || File::options().read(true).write(true).open("/dev/null");
    let pod = driver.spawn(PodSpec {
        argv: vec!["/bin/true".to_owned()],
        env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        cwd: workspace.to_string_lossy().into_owned(),
        stdin: null()?.into(),
        stdout: null()?.into(),
        stderr: null()?.into(),
        agent: None,
    })?;
    match pod.wait(Some(Duration::from_secs(10)))? {
        Some(nucleus_sandbox::PodEnd::Code(0)) => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

fn run(mut command: Command) -> Result<(), Failure> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(format!("{status}").into()) }
}

fn bubblewrap(workspace: &std::path::Path) -> Command {
    let mut command = Command::new("/usr/bin/bwrap");
    command.args(["--unshare-all", "--die-with-parent", "--proc", "/proc", "--dev", "/dev"]);
    for directory in ["/usr", "/etc/alternatives", "/etc/ssl/certs"] {
        command.args(["--ro-bind", directory, directory]);
    }
    for name in ["bin", "lib", "lib64", "sbin"] {
        command.args(["--symlink", &format!("usr/{name}"), &format!("/{name}")]);
    }
    command.arg("--bind").args([workspace, workspace]).args(["--tmpfs", "/tmp", "/bin/true"]);
    command
}

fn measure(
    rounds: usize,
    mut action: impl FnMut() -> Result<(), Failure>,
) -> Result<String, Failure> {
    for _ in 0..10 {
        action()?;
    }
    measure_after(rounds, Duration::ZERO, action)
}

fn measure_after(
    rounds: usize,
    pause: Duration,
    mut action: impl FnMut() -> Result<(), Failure>,
) -> Result<String, Failure> {
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        std::thread::sleep(pause);
        let started = Instant::now();
        action()?;
        times.push(started.elapsed());
    }
    times.sort();
    let at = |part: usize| times.get(times.len() * part / 100).map_or(0, Duration::as_micros);
    Ok(format!("{{\"p50_us\":{},\"p90_us\":{},\"p99_us\":{}}}", at(50), at(90), at(99)))
}
