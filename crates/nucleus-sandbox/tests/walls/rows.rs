//! The scenes.

use std::fs::{self, File};
use std::io::Read;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::time::Duration;

use nucleus_sandbox::{Driver, PodEnd};

use super::harness::Test;
use super::{CANARY, Outcome, Stage};

const fn test(
    name: &'static str,
    scene: fn(&Stage) -> Outcome,
    layers: &'static [&'static str],
) -> Test {
    Test { name, scene, layers }
}

pub(crate) const TESTS: &[Test] = &[
    test("ordinary_commands_work", ordinary, &[]),
    test("row_06_attributes_outside", attributes, &["mounts"]),
    test("row_06_attributes_of_the_root", root_attributes, &["ro-root"]),
    test("row_07_magic_links", magic_links, &["mounts"]),
    test("row_16_inherited_descriptors", descriptors, &["fds", "landlock"]),
    test("row_25_environment", environment, &["env"]),
    test("row_31_network_from_a_child", network, &["netns"]),
    test("row_32_terminal", terminal, &["seccomp", "session"]),
    test("row_33_survivors", survivors, &["pidns", "cgroup"]),
    test("row_34_fork_bomb", fork_bomb, &["rlimits", "cgroup"]),
    test("row_34_memory_bomb", memory_bomb, &["cgroup"]),
    test("row_34_file_size", file_size, &["rlimits"]),
    test("row_34_descriptors", open_files, &["rlimits"]),
    test("row_35_host_socket", host_socket, &["mounts"]),
    test("row_36_abstract_socket", abstract_socket, &["netns", "landlock"]),
    test("row_37_datagram_socket", datagram_socket, &["mounts"]),
    test("row_40_mptcp", mptcp, &["seccomp", "netns"]),
    test("row_41_io_uring", io_uring, &["seccomp"]),
    test("row_44_x32", x32, &["seccomp"]),
    test("row_44_i386", i386, &["seccomp"]),
    test("row_45_environment_of_a_sibling", sibling_environment, &["pidns", "landlock"]),
    test("row_45_trace_a_sibling", sibling_trace, &["pidns", "landlock", "seccomp"]),
    test("row_47_shared_memory_of_the_host", shared_memory, &["ipcns"]),
    test("row_34_full_disk", full_disk, &[]),
    test("masked_proc_is_explained", masked_proc, &[]),
    test("garbage_ends_the_launcher", garbage, &[]),
    test("row_48_kernel_surface", kernel_surface, &["seccomp"]),
    test("row_55_signal_a_sibling", sibling_signal, &["pidns", "landlock"]),
    test("row_29_memory_file", memory_file, &["memfd"]),
    test("row_78_environment_of_init", init_environment, &["env", "dumpable"]),
    test("withheld_file_is_masked", masked, &["masks"]),
    test("workspace_changes_stay_in_the_session", overlay, &["overlay"]),
    test("kill_ends_the_whole_tree", kill_tree, &["kill"]),
    test("nothing_survives_the_launcher", launcher_death, &[]),
    test("nothing_survives_the_host", host_death, &[]),
    test("agent_pod_has_its_door_and_nothing_else", agent_pod, &[]),
    test("cargo_test_works_offline", cargo_test, &[]),
    test("copy_where_no_overlay_is_possible", copy_mode, &[]),
    test("bad_workspaces_are_refused", bad_workspaces, &[]),
    test("missing_layers_refuse_the_session", requirements, &[]),
    test("many_pods_at_once", many_pods, &[]),
    test("self_test_refuses_a_broken_wall", self_test, &[]),
];

fn ordinary(stage: &Stage) -> Outcome {
    let session = stage.open();
    let script = "set -e; cat plain.txt; echo new > made; mkdir d; mv made d/; ls d; \
                  printf '#!/bin/sh\\necho ran' > d/s; chmod +x d/s; ./d/s; \
                  cp d/s /tmp/s; /tmp/s; echo x > ~/y || true; echo hi > /dev/stderr; \
                  cat /dev/null; head -c 8 /dev/urandom | wc -c; echo $$ > /dev/shm/p; id -u; sleep 0.01";
    let output = session.shell(script);
    if output.end != PodEnd::Code(0) || !output.text.contains("ran\nran\n") {
        return Outcome::Broken(format!("{:?} {}", output.end, output.text));
    }
    let ends = [
        (session.shell("exit 7").end, PodEnd::Code(7)),
        (session.shell("kill -9 $$").end, PodEnd::Signal(9)),
        (session.run(&["/nonexistent"]).end, PodEnd::NotExecuted(2)),
    ];
    if let Some((found, expected)) = ends.into_iter().find(|(found, expected)| found != expected) {
        return Outcome::Broken(format!("{found:?} instead of {expected:?}"));
    }
    // The host sees and makes files in the merged tree, as the pod's user.
    let mut text = String::new();
    let read = nucleus_sys::fs::with_fs_ids(stage.ids.uid, stage.ids.gid, || {
        let file = open_in(&session.handles.merged, "d/s", false)?;
        File::from(file).read_to_string(&mut text)?;
        let made = open_in(&session.handles.merged, "by-host", true)?;
        std::io::Write::write_all(&mut File::from(made), b"from the host\n")
    });
    if let Err(error) = read.and_then(|inner| inner) {
        return Outcome::Broken(format!("host access: {error}"));
    }
    let seen = session.shell("cat by-host; stat -c %U by-host");
    Outcome::of(seen.text != "from the host\nagent\n", seen.text)
}

fn open_in(directory: &OwnedFd, path: &str, create: bool) -> std::io::Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags, ResolveFlags};
    let flags = if create { OFlags::CREATE | OFlags::WRONLY } else { OFlags::RDONLY };
    Ok(rustix::fs::openat2(
        directory,
        path,
        flags | OFlags::CLOEXEC,
        if create { Mode::from_raw_mode(0o644) } else { Mode::empty() },
        ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
    )?)
}

fn attributes(stage: &Stage) -> Outcome {
    let canary = stage.canary();
    let output = stage.open().attack(&["attributes", &canary.to_string_lossy()]);
    let metadata = fs::metadata(&canary).expect("canary");
    let changed = metadata.permissions().mode() & 0o777 != 0o640 || metadata.mtime() == 1;
    Outcome::of(changed || output.text.contains("BROKEN"), output.text)
}

fn root_attributes(stage: &Stage) -> Outcome {
    let session = stage.open();
    let mut text = session.attack(&["attributes", "/"]).text;
    text += &session.shell("echo x > /evil && echo BROKEN write").text;
    Outcome::of(text.contains("BROKEN"), text)
}

fn magic_links(stage: &Stage) -> Outcome {
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

fn descriptors(stage: &Stage) -> Outcome {
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
fn with_hostile_environment(stage: &Stage, scene: fn(&Stage) -> Outcome) -> Outcome {
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

fn environment(stage: &Stage) -> Outcome {
    with_hostile_environment(stage, |stage| {
        let text = stage.open().run(&["/usr/bin/env"]).text;
        let leaked = HOSTILE.iter().any(|(name, _)| text.contains(&format!("{name}=")));
        Outcome::of(leaked, text)
    })
}

fn init_environment(stage: &Stage) -> Outcome {
    with_hostile_environment(stage, |stage| {
        // The payload's own environment is exact in any case; init's is what its ancestors were given.
        let text =
            stage.open().shell("tr '\\0' '\\n' < /proc/1/environ; grep -a . /proc/1/cmdline").text;
        Outcome::of(text.contains(CANARY), text)
    })
}

fn network(stage: &Stage) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listener");
    let port = listener.local_addr().expect("address").port().to_string();
    // By a program that an allowed program starts.
    let script = format!(
        "printf 'all:\\n\\t./attack tcp {port} 0\\n' > Makefile; sh -c 'make -s 2>&1 || ./attack tcp {port} 0'"
    );
    stage.open().shell(&script).outcome()
}

fn mptcp(stage: &Stage) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listener");
    let port = listener.local_addr().expect("address").port().to_string();
    stage.open().attack(&["tcp", &port, "262"]).outcome()
}

fn terminal(stage: &Stage) -> Outcome {
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
            _ => panic!("{text}{}", String::from_utf8_lossy(&output.stderr)),
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

fn survivors(stage: &Stage) -> Outcome {
    let session = stage.open();
    let output = session.attack(&["survivor", "survived"]);
    if output.end != PodEnd::Code(0) {
        return Outcome::Broken(format!("{:?} {}", output.end, output.text));
    }
    std::thread::sleep(Duration::from_millis(1_200));
    let text = session.shell("ls").text;
    Outcome::of(text.contains("survived"), text)
}

fn fork_bomb(stage: &Stage) -> Outcome {
    stage.open().attack(&["forks", "150"]).outcome()
}

fn memory_bomb(stage: &Stage) -> Outcome {
    let session = stage.open();
    if session.handles.enforcement.strength(nucleus_sandbox::Layer::Cgroup)
        != nucleus_sandbox::Strength::Full
        && !weakened()
    {
        return Outcome::Skipped("no control group with a memory limit for this user".to_owned());
    }
    session.attack(&["memory", "600"]).outcome()
}

fn weakened() -> bool {
    std::env::var("NUCLEUS_WEAKEN").is_ok()
}

fn file_size(stage: &Stage) -> Outcome {
    stage.open().attack(&["file-size", "/tmp/large", "100"]).outcome()
}

fn open_files(stage: &Stage) -> Outcome {
    stage.open().attack(&["open-files", "600"]).outcome()
}

fn host_socket(stage: &Stage) -> Outcome {
    let path = stage.outside.join("s");
    let _listener = UnixListener::bind(&path).expect("listener");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("mode");
    stage.open().attack(&["unix", &path.to_string_lossy()]).outcome()
}

fn datagram_socket(stage: &Stage) -> Outcome {
    let path = stage.outside.join("d");
    let _socket = UnixDatagram::bind(&path).expect("socket");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("mode");
    stage.open().attack(&["unix-datagram", &path.to_string_lossy()]).outcome()
}

fn abstract_socket(stage: &Stage) -> Outcome {
    let name = format!("nucleus-walls-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("name");
    let _listener = UnixListener::bind_addr(&address).expect("listener");
    stage.open().attack(&["abstract", &name]).outcome()
}

fn io_uring(stage: &Stage) -> Outcome {
    stage.open().attack(&["uring"]).outcome()
}

fn x32(stage: &Stage) -> Outcome {
    foreign(stage, "x32")
}

fn i386(stage: &Stage) -> Outcome {
    foreign(stage, "i386")
}

fn foreign(stage: &Stage, which: &str) -> Outcome {
    if !cfg!(target_arch = "x86_64") {
        return Outcome::Skipped("another architecture has no second system call table".to_owned());
    }
    stage.open().attack(&[which]).outcome()
}

fn kernel_surface(stage: &Stage) -> Outcome {
    stage.open().attack(&["kernel"]).outcome()
}

fn shared_memory(stage: &Stage) -> Outcome {
    let key = std::process::id().to_string();
    let made = std::process::Command::new(stage.workspace.join("attack"))
        .args(["make-shared-memory", &key, CANARY])
        .status();
    assert!(made.is_ok_and(|status| status.success()), "the host's segment");
    let outcome = stage.open().attack(&["shared-memory", &key]).outcome();
    let _ = std::process::Command::new("ipcrm").args(["-M", &key]).status();
    outcome
}

fn full_disk(stage: &Stage) -> Outcome {
    // Everything that is free now but for some 300 MiB must stay free.
    let stat = rustix::fs::statvfs(&stage.session_dir).expect("space");
    let mut spec = stage.spec();
    spec.limits.file_bytes = u64::MAX;
    spec.limits.free_bytes = (stat.f_bavail * stat.f_frsize).saturating_sub(300 << 20);
    let session = stage.open_with(&spec);
    let output = session.attack(&["fill", "/tmp/large"]);
    if output.end != PodEnd::Killed {
        return Outcome::Broken(format!("{:?} {}", output.end, output.text));
    }
    let refused = session.try_start(&["true"]).err().map(|error| error.to_string());
    Outcome::of(
        !refused.as_deref().is_some_and(|text| text.contains("no space left")),
        format!("{refused:?}"),
    )
}

fn masked_proc(stage: &Stage) -> Outcome {
    if !rustix::process::geteuid().is_root() {
        return Outcome::Skipped("covering a file of /proc needs root".to_owned());
    }
    if std::env::var("MASKED").is_err() {
        stage.clear();
        let words: Vec<String> = std::env::args().collect();
        let script = "mount --bind /dev/null /proc/version && exec \"$@\"";
        let output = std::process::Command::new("unshare")
            .args(["-m", "sh", "-c", script, "sh"])
            .args(words)
            .env("MASKED", "1")
            .output()
            .expect("unshare");
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        return Outcome::of(output.status.code() != Some(0), text);
    }
    match stage.prepare(&stage.spec()) {
        Err(error) if error.to_string().contains("systempaths=unconfined") => Outcome::Held,
        Err(error) => Outcome::Broken(error.to_string()),
        Ok(_) => Outcome::Broken("a fresh /proc beside a covered one?".to_owned()),
    }
}

fn garbage(_stage: &Stage) -> Outcome {
    let long = [u32::MAX.to_le_bytes().as_slice(), b"x"].concat();
    let texts: [&[u8]; 6] =
        [b"", b"\x01", b"\x05\0\0\0hello", b"\x02\0\0\0{}", &long, b"\x0e\0\0\0{\"Hold\":[1,2]}"];
    for text in texts {
        let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().expect("socket");
        let mut launcher = std::process::Command::new("/proc/self/exe")
            .arg(nucleus_sandbox::LAUNCHER)
            .env_clear()
            .stdin(OwnedFd::from(theirs))
            .spawn()
            .expect("launcher");
        std::io::Write::write_all(&mut ours, text).expect("write");
        ours.shutdown(std::net::Shutdown::Write).expect("shutdown");
        let mut patience = 300;
        let status = loop {
            match launcher.try_wait().expect("wait") {
                Some(status) => break Some(status),
                None if patience == 0 => break None,
                None => std::thread::sleep(Duration::from_millis(10)),
            }
            patience -= 1;
        };
        let expected = i32::from(!text.is_empty());
        if status.and_then(|status| status.code()) != Some(expected) {
            launcher.kill().expect("kill");
            return Outcome::Broken(format!("{text:?}: {status:?}"));
        }
    }
    // A request for a holder that never was is answered, not fatal.
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("socket");
    let mut launcher = std::process::Command::new("/proc/self/exe")
        .arg(nucleus_sandbox::LAUNCHER)
        .env_clear()
        .stdin(OwnedFd::from(theirs))
        .spawn()
        .expect("launcher");
    let request = br#"{"Run":{"holder":7,"plan":{"argv":["x"],"env":[],"cwd":"/"}}}"#;
    nucleus_sys::fd::send(&ours, request, &[], 4096).expect("send");
    let answer = nucleus_sys::fd::receive(&ours, 4096).expect("answer").expect("not closed");
    drop(ours);
    launcher.wait().expect("wait");
    let text = String::from_utf8_lossy(&answer.0).into_owned();
    Outcome::of(!text.contains("Failed"), text)
}

fn memory_file(stage: &Stage) -> Outcome {
    let session = stage.open();
    let layer = nucleus_sandbox::Layer::MemfdNoexec;
    if session.handles.enforcement.strength(layer) == nucleus_sandbox::Strength::None && !weakened()
    {
        return Outcome::Skipped("the kernel (before 6.3) cannot forbid it, and says so".to_owned());
    }
    session.attack(&["memory-file"]).outcome()
}

/// Plays an attack beside a sibling pod of the same task.
fn beside_a_victim(stage: &Stage, attack: &str) -> Outcome {
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

fn sibling_environment(stage: &Stage) -> Outcome {
    beside_a_victim(stage, "environments")
}

fn sibling_trace(stage: &Stage) -> Outcome {
    beside_a_victim(stage, "trace")
}

fn sibling_signal(stage: &Stage) -> Outcome {
    beside_a_victim(stage, "signal")
}

fn masked(stage: &Stage) -> Outcome {
    let session = stage.open();
    let text = session
        .shell("cat .env; cp .env x && cat x; chmod 777 .env; cat .env; mv .env y && cat y; rm -f .env; cat .env; ln .env z && cat z; tar c .env | cat; cat plain.txt")
        .text;
    if !text.contains("plain") {
        return Outcome::Broken(format!("other files must be readable: {text}"));
    }
    Outcome::of(text.contains(CANARY), text)
}

fn overlay(stage: &Stage) -> Outcome {
    let session = stage.open();
    let output = session.shell("echo changed > plain.txt; echo new > made; cat plain.txt");
    let host = fs::read_to_string(stage.workspace.join("plain.txt")).expect("file");
    let made = stage.workspace.join("made").exists();
    if !output.text.contains("changed") {
        return Outcome::Skipped(format!("could not write at all: {}", output.text));
    }
    Outcome::of(host != "plain\n" || made, host)
}

fn kill_tree(stage: &Stage) -> Outcome {
    let session = stage.open();
    let null = || File::open("/dev/null").expect("null").into();
    let script = "(setsid sh -c 'sleep 1; touch late' &) ; trap '' TERM; sleep 30";
    let (pod, _out) = session.start(&["sh", "-c", script], null());
    std::thread::sleep(Duration::from_millis(200));
    pod.kill();
    let end = pod.wait(Some(Duration::from_millis(500))).expect("wait");
    std::thread::sleep(Duration::from_millis(1_200));
    let text = session.shell("ls").text;
    Outcome::of(text.contains("late") || end != Some(PodEnd::Killed), format!("{end:?} {text}"))
}

/// Processes on the host whose command line holds `needle`.
fn processes(needle: &str) -> usize {
    let entries = fs::read_dir("/proc").expect("proc").flatten();
    entries
        .filter(|entry| {
            fs::read(entry.path().join("cmdline"))
                .is_ok_and(|text| String::from_utf8_lossy(&text).contains(needle))
        })
        .count()
}

fn launcher_death(stage: &Stage) -> Outcome {
    let session = stage.open();
    let null = File::open("/dev/null").expect("null").into();
    let length = format!("27.{}", std::process::id());
    let (pod, _out) =
        session.start(&["sh", "-c", &format!("setsid sleep {length} & sleep {length}")], null);
    let mut patience = 100;
    while processes(&length) < 2 && patience > 0 {
        std::thread::sleep(Duration::from_millis(10));
        patience -= 1;
    }
    if processes(&length) < 2 {
        return Outcome::Broken("the sleepers did not start".to_owned());
    }
    for pid in children() {
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("kill");
    }
    let end = pod.wait(Some(Duration::from_secs(2))).expect("wait");
    let left = processes(&length);
    let refused = session.driver.kill_all().is_err();
    Outcome::of(left != 0 || end != Some(PodEnd::Killed) || !refused, format!("{left} {end:?}"))
}

fn self_test(stage: &Stage) -> Outcome {
    if !cfg!(feature = "weaken") {
        return Outcome::Skipped("needs --features weaken".to_owned());
    }
    for layer in ["seccomp", "netns", "masks", "ro-root", "caps"] {
        // Single-threaded so far, and nothing else reads it.
        let mut command = std::process::Command::new("/proc/self/exe");
        let place = stage.directory.join(format!("again-{layer}"));
        fs::create_dir(&place).expect("place");
        fs::copy(stage.directory.join("attack"), place.join("attack")).expect("attack");
        command.args(["--scene", "ordinary_commands_work"]).arg(&place);
        let output = command.env("NUCLEUS_WEAKEN", layer).output().expect("again");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() || !text.contains("the self-test broke through") {
            return Outcome::Broken(format!("without {layer} the self-test must refuse: {text}"));
        }
    }
    Outcome::Held
}

/// Process ids of the children of this process.
fn children() -> Vec<rustix::process::Pid> {
    let pid = std::process::id();
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("children");
    let pids = text.split_whitespace().filter_map(|pid| pid.parse().ok());
    pids.filter_map(rustix::process::Pid::from_raw).collect()
}

fn host_death(stage: &Stage) -> Outcome {
    if let Ok(length) = std::env::var("SLEEP_LENGTH") {
        let session = stage.open();
        let null = File::open("/dev/null").expect("null").into();
        let script = format!("setsid sleep {length} & sleep {length}");
        let (_pod, _out) = session.start(&["sh", "-c", &script], null);
        std::thread::sleep(Duration::from_secs(60));
        return Outcome::Broken("was not killed".to_owned());
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    for round in 0..5_u64 {
        stage.clear();
        let length = format!("29.{}{round}", std::process::id());
        let groups = control_groups();
        let mut host = std::process::Command::new("/proc/self/exe")
            .args(&args)
            .env("SLEEP_LENGTH", &length)
            .spawn()
            .expect("again");
        let mut patience = 300;
        // At varying points: sometimes while the session is being built.
        let wanted = if round == 4 { 0 } else { 2 };
        while processes(&format!("sleep\0{length}")) < wanted && patience > 0 {
            std::thread::sleep(Duration::from_millis(10));
            patience -= 1;
        }
        std::thread::sleep(Duration::from_millis(round * 7));
        host.kill().expect("kill");
        host.wait().expect("wait");
        if patience == 0 {
            return Outcome::Broken("the sleepers did not start".to_owned());
        }
        std::thread::sleep(Duration::from_millis(400));
        let left = processes(&length);
        let kept = control_groups().len().saturating_sub(groups.len());
        if left != 0 || kept != 0 {
            return Outcome::Broken(format!("{left} processes and {kept} control groups are left"));
        }
    }
    Outcome::Held
}

/// Control groups of dead launchers anywhere on this host.
fn control_groups() -> Vec<std::path::PathBuf> {
    let output = std::process::Command::new("find")
        .args(["/sys/fs/cgroup", "-type", "d", "-name", "nucleus-*"])
        .output()
        .expect("find");
    let text = String::from_utf8_lossy(&output.stdout);
    let dead = |path: &&str| {
        let pid = path.rsplit('/').next().and_then(|name| name.split('-').nth(2)).unwrap_or("");
        !std::path::Path::new("/proc").join(pid).exists()
    };
    text.lines().filter(dead).map(Into::into).collect()
}

fn agent_pod(stage: &Stage) -> Outcome {
    use nucleus_sandbox::toolchain::RoBind;
    use nucleus_sandbox::{AgentPodSpec, DOOR, PodSpec};
    let session = stage.open();
    let home = stage.directory.join("agent-home");
    fs::create_dir(&home).expect("home");
    fs::write(home.join("settings"), "mine").expect("settings");
    // What an agent of an earlier task may have left in the way of the host's own mounts.
    std::os::unix::fs::symlink(&stage.outside, home.join(".agent")).expect("link");
    fs::create_dir(home.join("d")).expect("directory");
    std::os::unix::fs::symlink(stage.canary(), home.join("d/context")).expect("link");
    if stage.ids.base.is_some() {
        for path in [&home, &home.join("d")] {
            std::os::unix::fs::chown(path, Some(stage.ids.uid), Some(stage.ids.gid))
                .expect("owner");
        }
    }
    let script = format!(
        "cat CLAUDE.md docs/AGENTS.md; cat ~/settings; cat ~/.agent/skill ~/d/context; echo kept > ~/made; \
         cat plain.txt && echo BROKEN plain; echo x > f && echo BROKEN write; \
         echo x > CLAUDE.md && echo BROKEN context; ls {0}; \
         /opt/nucleus/attack unix {DOOR}; /opt/nucleus/attack tcp 3128 0; getent hosts example.com; true",
        stage.workspace.display()
    );
    let (read, write) = rustix::pipe::pipe().expect("pipe");
    let mut pod = session
        .driver
        .spawn(PodSpec {
            argv: vec!["sh".into(), "-c".into(), script],
            env: vec![
                ("PATH".into(), "/usr/bin:/bin".into()),
                ("HOME".into(), nucleus_sandbox::HOME.into()),
            ],
            cwd: session.cwd.clone(),
            stdin: File::open("/dev/null").expect("null").into(),
            stdout: write.try_clone().expect("clone"),
            stderr: write,
            agent: Some(AgentPodSpec {
                home_dir: home.clone(),
                context_files: vec![
                    ("CLAUDE.md".into(), b"context one\n".to_vec()),
                    ("docs/AGENTS.md".into(), b"context two\n".to_vec()),
                ],
                binds: vec![
                    RoBind {
                        host: stage.directory.join("attack"),
                        inside: "/opt/nucleus/attack".into(),
                        directory: false,
                    },
                    RoBind {
                        host: stage.workspace.join("plain.txt"),
                        inside: "/home/agent/.agent/skill".into(),
                        directory: false,
                    },
                    RoBind {
                        host: stage.workspace.join("plain.txt"),
                        inside: "/home/agent/d/context".into(),
                        directory: false,
                    },
                ],
                door: true,
                gate_port: Some(3128),
                dns: true,
            }),
        })
        .expect("agent pod");
    let door = pod.door.take().expect("door");
    let gate = pod.gate.take().expect("gate");
    let (udp, _tcp) = pod.dns.take().expect("dns");
    udp.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
    let asked = std::thread::spawn(move || udp.recv_from(&mut [0; 512]).is_ok());
    let end = pod.wait(Some(Duration::from_secs(30))).expect("wait");
    let mut text = String::new();
    File::from(read).read_to_string(&mut text).expect("output");
    door.set_nonblocking(true).expect("door");
    gate.set_nonblocking(true).expect("gate");
    let good = end == Some(PodEnd::Code(0))
        && door.accept().is_ok()
        && gate.accept().is_ok()
        && asked.join().expect("asked")
        && text.contains("context one\ncontext two\nmineplain\nplain\n")
        && !stage.outside.join("skill").exists()
        // The only successes are the two connections that are meant to work.
        && text.matches("BROKEN").count() == 2
        && text.contains("BROKEN connect")
        && text.contains("BROKEN tcp")
        && fs::read_to_string(home.join("made")).is_ok_and(|made| made == "kept\n");
    drop(pod);
    // The tool pods go on when the agent's pod is gone, and have no door.
    let after = session.shell("ls /run; cat plain.txt").text;
    Outcome::of(!good || after != "plain\n", format!("{end:?}\n{text}\n{after}"))
}

fn cargo_test(stage: &Stage) -> Outcome {
    use nucleus_sandbox::toolchain::{self, HostEnv};
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let vars = [("PATH", variable("HOST_PATH")), ("HOME", variable("HOST_HOME"))];
    let vars = vars.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let toolchains = toolchain::discover(&HostEnv { vars, workspace: stage.workspace.clone() });
    let Some(_) = toolchains.iter().find(|tools| tools.name == "rust") else {
        return Outcome::Skipped("this user has no Rust toolchain".to_owned());
    };
    fs::create_dir(stage.workspace.join("src")).expect("src");
    let manifest = "[package]\nname = \"inside\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
    fs::write(stage.workspace.join("Cargo.toml"), manifest).expect("manifest");
    let code = "/// ```\n/// assert_eq!(inside::two(), 2);\n/// ```\npub fn two() -> u8 { 2 }\n\
                #[test]\nfn loopback() { std::net::TcpListener::bind(\"127.0.0.1:0\").unwrap(); }\n";
    fs::write(stage.workspace.join("src/lib.rs"), code).expect("code");
    let mut path: Vec<String> = Vec::new();
    let mut env: Vec<(String, String)> = Vec::new();
    for tools in &toolchains {
        path.extend(tools.path.iter().cloned());
        env.extend(tools.env.iter().cloned());
    }
    path.extend(toolchain::base().path);
    env.push(("PATH".into(), path.join(":")));
    env.push(("HOME".into(), nucleus_sandbox::HOME.into()));
    let mut spec = stage.spec();
    spec.toolchains = toolchains;
    spec.cache_dir = Some(stage.directory.join("caches"));
    spec.limits = nucleus_sandbox::Limits::default();
    let session = stage.open_with(&spec);
    let output = session.run_with(&["cargo", "test"], env, Duration::from_secs(120));
    let passed = output.end == PodEnd::Code(0) && output.text.matches("1 passed").count() == 2;
    Outcome::of(!passed, format!("{:?} {}", output.end, output.text))
}

fn copy_mode(stage: &Stage) -> Outcome {
    if !rustix::process::geteuid().is_root() {
        return Outcome::Skipped(
            "making a file system that cannot be overlaid needs root".to_owned(),
        );
    }
    if std::env::var("IN_OVERLAY").is_err() {
        // An overlay cannot be the upper layer of another one.
        let place = stage.directory.join("place");
        for part in ["lower", "upper", "work"] {
            fs::create_dir_all(place.join(part)).expect("place");
        }
        fs::copy(stage.directory.join("attack"), place.join("lower/attack")).expect("attack");
        let script = "mount -t tmpfs none /mnt && cp -a \"$1/lower\" /mnt/l && mkdir /mnt/u /mnt/w && \
                      mount -t overlay none \"$1\" -o lowerdir=/mnt/l,upperdir=/mnt/u,workdir=/mnt/w && \
                      exec \"$2\" --scene copy_where_no_overlay_is_possible \"$1\"";
        let output = std::process::Command::new("unshare")
            .args(["-m", "sh", "-c", script, "sh"])
            .arg(&place)
            .arg(stage.directory.join("walls"))
            .env("IN_OVERLAY", "1")
            .output()
            .expect("unshare");
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        return match output.status.code() {
            Some(0) => Outcome::Held,
            _ => Outcome::Broken(text),
        };
    }
    let session = stage.open();
    if session.handles.workspace_mode != nucleus_sandbox::WorkspaceMode::Copy {
        return Outcome::Broken("an overlay over an overlay?".to_owned());
    }
    let text = session.shell("cat plain.txt .env; echo changed > plain.txt; cat plain.txt").text;
    let host = fs::read_to_string(stage.workspace.join("plain.txt")).expect("file");
    let good = host == "plain\n" && text.starts_with("plain\n") && text.ends_with("changed\n");
    Outcome::of(!good || text.contains(CANARY), text)
}

fn bad_workspaces(stage: &Stage) -> Outcome {
    use nucleus_sandbox::SandboxError;
    let link = stage.directory.join("link");
    std::os::unix::fs::symlink(&stage.workspace, &link).expect("link");
    let file = stage.workspace.join("plain.txt");
    let missing = stage.directory.join("missing");
    let bad: [(&std::path::Path, &str); 9] = [
        (&link, "not a canonical"),
        (&file, "not a directory"),
        (&missing, "does not exist"),
        (&stage.directory, "Nucleus's own state"),
        (&stage.session_dir, "Nucleus's own state"),
        (std::path::Path::new("/"), "choose a directory below"),
        (std::path::Path::new("/usr"), "choose a directory below"),
        (std::path::Path::new("/home"), "choose a directory below"),
        (std::path::Path::new("/etc/ssl"), "choose a directory below"),
    ];
    for (path, expected) in bad {
        let mut spec = stage.spec();
        spec.workspace = path.to_path_buf();
        match stage.prepare(&spec) {
            Err(error @ SandboxError::Path { .. }) if error.to_string().contains(expected) => {}
            Err(error) => return Outcome::Broken(format!("{}: {error}", path.display())),
            Ok(_) => return Outcome::Broken(format!("{} was accepted", path.display())),
        }
    }
    Outcome::Held
}

fn requirements(stage: &Stage) -> Outcome {
    use nucleus_sandbox::{Layer, SandboxError, Strength};
    let probed = stage.probe();
    let mut spec = stage.spec();
    spec.required = Layer::ALL.into_iter().collect();
    let missing = probed.missing(&spec.required);
    match (stage.prepare(&spec), missing.is_empty()) {
        (Ok(session), true) => {
            let weak = Layer::ALL
                .into_iter()
                .find(|layer| session.handles.enforcement.strength(*layer) != Strength::Full);
            Outcome::of(weak.is_some(), format!("{weak:?}"))
        }
        (Err(SandboxError::Requirement { missing: named }), false) => {
            Outcome::of(named != missing, format!("{named:?} {missing:?}"))
        }
        (Ok(_), false) => Outcome::Broken(format!("accepted without {missing:?}")),
        (Err(error), _) => Outcome::Broken(error.to_string()),
    }
}

fn many_pods(stage: &Stage) -> Outcome {
    let session = std::sync::Arc::new(stage.open());
    let before = children().len();
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let session = std::sync::Arc::clone(&session);
            std::thread::spawn(move || {
                (0..10).all(|round| {
                    let word = format!("{thread}-{round}");
                    let output = session.run(&["echo", &word]);
                    output.end == PodEnd::Code(0) && output.text == format!("{word}\n")
                })
            })
        })
        .collect();
    let good = threads.into_iter().all(|thread| thread.join().expect("thread"));
    Outcome::of(!good || children().len() != before, "an answer was lost or mixed up")
}
