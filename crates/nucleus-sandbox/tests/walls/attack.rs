//! Attacks from inside, by rows of the catalogue.

use std::fs::{self, File};
use std::io::Read;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::time::Duration;

use super::{CANARY, Outcome, Stage};

pub(crate) fn attributes(stage: &Stage) -> Outcome {
    let canary = stage.canary();
    let output = stage.open().attack(&["attributes", &canary.to_string_lossy()]);
    let metadata = fs::metadata(&canary).expect("canary");
    let changed = metadata.permissions().mode() & 0o777 != 0o640 || metadata.mtime() == 1;
    Outcome::of(changed || output.text.contains("BROKEN"), output.text)
}

pub(crate) fn root_attributes(stage: &Stage) -> Outcome {
    let session = stage.open();
    let mut text = session.attack(&["attributes", "/"]).text;
    text += &session.shell("echo x > /evil && echo BROKEN write").text;
    Outcome::of(text.contains("BROKEN"), text)
}

pub(crate) fn magic_links(stage: &Stage) -> Outcome {
    let session = stage.open();
    let canary = stage.canary().to_string_lossy().into_owned();
    let mut text = String::new();
    for prefix in
        ["", "/proc/self/root", "/proc/thread-self/root", "/proc/1/root", "/proc/1/cwd/../../../.."]
    {
        text += &session.attack(&["read", &format!("{prefix}{canary}")]).text;
    }
    text +=
        &session.shell(&format!("ln -s {canary} link; cat link; cat /dev/fd/../../{canary}")).text;
    Outcome::of(text.contains(CANARY), text)
}

pub(crate) fn descriptors(stage: &Stage) -> Outcome {
    // As a careless supervisor would: a directory outside, open without close-on-exec.
    let directory = File::open(&stage.outside).expect("outside");
    rustix::io::fcntl_setfd(&directory, rustix::io::FdFlags::empty()).expect("flags");
    let output = stage.open().attack(&["descriptors", "canary"]);
    Outcome::of(output.text.contains(CANARY), output.text)
}

/// Variables that make allowed programs do something else, and a secret.
const HOSTILE: [(&str, &str); 4] = [
    ("LD_PRELOAD", "/tmp/evil.so"),
    ("GIT_SSH_COMMAND", "evil"),
    ("BASH_ENV", "/tmp/evil"),
    ("API_KEY", CANARY),
];

/// Plays the rest of a scene in a copy of this process with a hostile environment.
pub(crate) fn with_hostile_environment(stage: &Stage, scene: fn(&Stage) -> Outcome) -> Outcome {
    if std::env::var("API_KEY").is_ok() {
        return scene(stage);
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    stage.clear();
    let mut command = std::process::Command::new("/proc/self/exe");
    command.args(args).envs(HOSTILE);
    let output = command.output().expect("again");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.code() {
        Some(0) => Outcome::Held,
        Some(42) => Outcome::Broken(text),
        _ => panic!("{text}{}", String::from_utf8_lossy(&output.stderr)),
    }
}

pub(crate) fn environment(stage: &Stage) -> Outcome {
    with_hostile_environment(stage, |stage| {
        let text = stage.open().run(&["/usr/bin/env"]).text;
        let leaked = HOSTILE.iter().any(|(name, _)| text.contains(&format!("{name}=")));
        Outcome::of(leaked, text)
    })
}

pub(crate) fn init_environment(stage: &Stage) -> Outcome {
    with_hostile_environment(stage, |stage| {
        // The payload's own environment is exact in any case; init's is what its ancestors were given.
        let text =
            stage.open().shell("tr '\\0' '\\n' < /proc/1/environ; grep -a . /proc/1/cmdline").text;
        Outcome::of(text.contains(CANARY), text)
    })
}

pub(crate) fn network(stage: &Stage) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listener");
    let port = listener.local_addr().expect("address").port().to_string();
    // By a program that an allowed program starts.
    let script = format!(
        "printf 'all:\\n\\t./attack tcp {port} 0\\n' > Makefile; sh -c 'make -s 2>&1 || ./attack tcp {port} 0'"
    );
    stage.open().shell(&script).outcome()
}

pub(crate) fn mptcp(stage: &Stage) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listener");
    let port = listener.local_addr().expect("address").port().to_string();
    stage.open().attack(&["tcp", &port, "262"]).outcome()
}

pub(crate) fn terminal(stage: &Stage) -> Outcome {
    use std::io::IsTerminal;
    if !std::io::stdin().is_terminal() {
        // Once more with a controlling terminal of our own.
        stage.clear();
        let words: Vec<String> = std::env::args().collect();
        let output = std::process::Command::new("script")
            .args(["-qec", &words.join(" "), "/dev/null"])
            .stdin(std::process::Stdio::null())
            .output();
        let Ok(output) = output else { return Outcome::Skipped("no `script` here".to_owned()) };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        return match output.status.code() {
            Some(0) => Outcome::Held,
            Some(42) => Outcome::Broken(text),
            _ => match String::from_utf8_lossy(&output.stderr) {
                error if error.contains("pseudo-terminal") => Outcome::Skipped(error.into_owned()),
                error => panic!("{text}{error}"),
            },
        };
    }
    let session = stage.open();
    let stdin = rustix::io::dup(std::io::stdin()).expect("terminal");
    let (pod, mut out) = session.start(&["./attack", "terminal"], stdin);
    pod.wait(Some(Duration::from_secs(10))).expect("wait").expect("an end");
    drop(pod);
    let mut text = String::new();
    out.read_to_string(&mut text).expect("output");
    Outcome::of(text.contains("BROKEN"), text)
}

pub(crate) fn fork_bomb(stage: &Stage) -> Outcome {
    stage.open().attack(&["forks", "150"]).outcome()
}

pub(crate) fn memory_bomb(stage: &Stage) -> Outcome {
    let session = stage.open();
    if session.handles.enforcement.strength(nucleus_sandbox::Layer::Cgroup)
        != nucleus_sandbox::Strength::Full
        && !weakened()
    {
        return Outcome::Skipped("no control group with a memory limit for this user".to_owned());
    }
    session.attack(&["memory", "600"]).outcome()
}

pub(crate) fn weakened() -> bool {
    std::env::var("NUCLEUS_WEAKEN").is_ok()
}

pub(crate) fn file_size(stage: &Stage) -> Outcome {
    stage.open().attack(&["file-size", "/tmp/large", "100"]).outcome()
}

pub(crate) fn open_files(stage: &Stage) -> Outcome {
    stage.open().attack(&["open-files", "600"]).outcome()
}

pub(crate) fn host_socket(stage: &Stage) -> Outcome {
    let path = stage.outside.join("s");
    let _listener = UnixListener::bind(&path).expect("listener");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("mode");
    stage.open().attack(&["unix", &path.to_string_lossy()]).outcome()
}

pub(crate) fn datagram_socket(stage: &Stage) -> Outcome {
    let path = stage.outside.join("d");
    let _socket = UnixDatagram::bind(&path).expect("socket");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("mode");
    stage.open().attack(&["unix-datagram", &path.to_string_lossy()]).outcome()
}

pub(crate) fn abstract_socket(stage: &Stage) -> Outcome {
    let name = format!("nucleus-walls-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("name");
    let _listener = UnixListener::bind_addr(&address).expect("listener");
    stage.open().attack(&["abstract", &name]).outcome()
}

pub(crate) fn io_uring(stage: &Stage) -> Outcome {
    stage.open().attack(&["uring"]).outcome()
}

pub(crate) fn x32(stage: &Stage) -> Outcome {
    foreign(stage, "x32")
}

pub(crate) fn i386(stage: &Stage) -> Outcome {
    foreign(stage, "i386")
}

pub(crate) fn foreign(stage: &Stage, which: &str) -> Outcome {
    if !cfg!(target_arch = "x86_64") {
        return Outcome::Skipped("another architecture has no second system call table".to_owned());
    }
    stage.open().attack(&[which]).outcome()
}

pub(crate) fn kernel_surface(stage: &Stage) -> Outcome {
    stage.open().attack(&["kernel"]).outcome()
}

pub(crate) fn shared_memory(stage: &Stage) -> Outcome {
    let key = std::process::id().to_string();
    let made = std::process::Command::new(stage.workspace.join("attack"))
        .args(["make-shared-memory", &key, CANARY])
        .status();
    assert!(made.is_ok_and(|status| status.success()), "the host's segment");
    let outcome = stage.open().attack(&["shared-memory", &key]).outcome();
    let _ = std::process::Command::new("ipcrm").args(["-M", &key]).status();
    outcome
}

pub(crate) fn memory_file(stage: &Stage) -> Outcome {
    let session = stage.open();
    let layer = nucleus_sandbox::Layer::MemfdNoexec;
    if session.handles.enforcement.strength(layer) == nucleus_sandbox::Strength::None && !weakened()
    {
        return Outcome::Skipped(
            "the kernel (before 6.3) cannot forbid it, and says so".to_owned(),
        );
    }
    session.attack(&["memory-file"]).outcome()
}

/// Plays an attack beside a sibling pod of the same task.
pub(crate) fn beside_a_victim(stage: &Stage, attack: &str) -> Outcome {
    let session = stage.open();
    let null = File::open("/dev/null").expect("null").into();
    let (victim, _out) = session.start_with(&["sleep", "31.4159"], null, &[("VICTIM", CANARY)]);
    std::thread::sleep(Duration::from_millis(100));
    let needle = if attack == "environments" { CANARY } else { "31.4159" };
    let output = session.attack(&[attack, needle]);
    let alive = victim.wait(Some(Duration::ZERO)).expect("wait").is_none();
    assert!(alive, "the victim must outlive the attack");
    output.outcome()
}

pub(crate) fn sibling_environment(stage: &Stage) -> Outcome {
    beside_a_victim(stage, "environments")
}

pub(crate) fn sibling_trace(stage: &Stage) -> Outcome {
    beside_a_victim(stage, "trace")
}

pub(crate) fn sibling_signal(stage: &Stage) -> Outcome {
    beside_a_victim(stage, "signal")
}
