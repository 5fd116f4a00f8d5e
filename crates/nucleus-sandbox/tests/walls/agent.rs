//! The agent pod.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nucleus_sandbox::toolchain::RoBind;
use nucleus_sandbox::{AgentPodSpec, DOOR, Driver, HOME, Pod, PodEnd, PodSpec};

use super::stage::Session;
use super::{Outcome, Stage};

pub(crate) fn agent_pod(stage: &Stage) -> Outcome {
    let session = stage.open();
    let home = home(stage);
    let (read, write) = rustix::pipe::pipe().expect("pipe");
    let mut pod = spawn(stage, &session, &home, write);
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
    let reached = door.accept().is_ok() && gate.accept().is_ok() && asked.join().expect("asked");
    drop(pod);
    // The tool pods go on when the agent's pod is gone, and have no door.
    let after = session.shell("ls /run; cat plain.txt").text;
    let good = end == Some(PodEnd::Code(0))
        && reached
        && seen_as_meant(stage, &home, &text)
        && after == "plain\n";
    Outcome::of(!good, format!("{end:?}\n{text}\n{after}"))
}

fn seen_as_meant(stage: &Stage, home: &Path, text: &str) -> bool {
    text.contains("context one\ncontext two\nmineplain\nplain\n")
        && !stage.outside.join("skill").exists()
        // The only successes are the two connections that are meant to work.
        && text.matches("BROKEN").count() == 2
        && text.contains("BROKEN connect")
        && text.contains("BROKEN tcp")
        && fs::read_to_string(home.join("made")).is_ok_and(|made| made == "kept\n")
}

fn home(stage: &Stage) -> PathBuf {
    let home = stage.directory.join("agent-home");
    fs::create_dir_all(home.join("d")).expect("home");
    fs::write(home.join("settings"), "mine").expect("settings");
    // What an agent of an earlier task may have left in the way of the host's own mounts.
    std::os::unix::fs::symlink(&stage.outside, home.join(".agent")).expect("link");
    std::os::unix::fs::symlink(stage.canary(), home.join("d/context")).expect("link");
    if stage.ids.base.is_some() {
        for path in [&home, &home.join("d")] {
            let (uid, gid) = (Some(stage.ids.uid), Some(stage.ids.gid));
            std::os::unix::fs::chown(path, uid, gid).expect("owner");
        }
    }
    home
}

fn spawn(stage: &Stage, session: &Session, home: &Path, output: OwnedFd) -> Pod {
    let script = format!(
        "cat CLAUDE.md docs/AGENTS.md; cat ~/settings; cat ~/.agent/skill ~/d/context; \
         echo kept > ~/made; cat plain.txt && echo BROKEN plain; echo x > f && echo BROKEN write; \
         echo x > CLAUDE.md && echo BROKEN context; ls {0}; \
         /opt/nucleus/attack unix {DOOR}; /opt/nucleus/attack tcp 3128 0; \
         getent hosts example.com; true",
        stage.workspace.display()
    );
    let bind =
        |host: PathBuf, inside: &str| RoBind { host, inside: inside.into(), directory: false };
    let plain = || stage.workspace.join("plain.txt");
    let agent = AgentPodSpec {
        home_dir: home.to_path_buf(),
        context_files: vec![
            ("CLAUDE.md".into(), b"context one\n".to_vec()),
            ("docs/AGENTS.md".into(), b"context two\n".to_vec()),
        ],
        binds: vec![
            bind(stage.directory.join("attack"), "/opt/nucleus/attack"),
            bind(plain(), "/home/agent/.agent/skill"),
            bind(plain(), "/home/agent/d/context"),
        ],
        door: true,
        gate_port: Some(3128),
        terminal: false,
        dns: true,
    };
    let spec = PodSpec {
        argv: vec!["sh".into(), "-c".into(), script],
        env: vec![("PATH".into(), "/usr/bin:/bin".into()), ("HOME".into(), HOME.into())],
        cwd: session.cwd.clone(),
        stdin: File::open("/dev/null").expect("null").into(),
        stdout: output.try_clone().expect("clone"),
        stderr: output,
        agent: Some(agent),
    };
    session.driver.spawn(spec).expect("agent pod")
}
