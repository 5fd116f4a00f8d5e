//! How pods end, and that nothing outlives its task.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::time::Duration;

use nucleus_sandbox::{Driver, PodEnd};

use super::{Outcome, Stage};

pub(crate) fn survivors(stage: &Stage) -> Outcome {
    let session = stage.open();
    let output = session.attack(&["survivor", "survived"]);
    if output.end != PodEnd::Code(0) {
        return Outcome::Broken(format!("{:?} {}", output.end, output.text));
    }
    std::thread::sleep(Duration::from_millis(1_200));
    let text = session.shell("ls").text;
    Outcome::of(text.contains("survived"), text)
}

pub(crate) fn garbage(_stage: &Stage) -> Outcome {
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
    let request =
        br#"{"Run":{"holder":7,"plan":{"argv":["x"],"env":[],"cwd":"/","terminal":false}}}"#;
    nucleus_sys::fd::send(&ours, request, &[], 4096).expect("send");
    let answer = nucleus_sys::fd::receive(&ours, 4096).expect("answer").expect("not closed");
    drop(ours);
    launcher.wait().expect("wait");
    let text = String::from_utf8_lossy(&answer.0).into_owned();
    Outcome::of(!text.contains("Failed"), text)
}

pub(crate) fn kill_tree(stage: &Stage) -> Outcome {
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
pub(crate) fn processes(needle: &str) -> usize {
    let entries = fs::read_dir("/proc").expect("proc").flatten();
    entries
        .filter(|entry| {
            fs::read(entry.path().join("cmdline"))
                .is_ok_and(|text| String::from_utf8_lossy(&text).contains(needle))
        })
        .count()
}

pub(crate) fn launcher_death(stage: &Stage) -> Outcome {
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

/// Process ids of the children of this process.
pub(crate) fn children() -> Vec<rustix::process::Pid> {
    let pid = std::process::id();
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("children");
    let pids = text.split_whitespace().filter_map(|pid| pid.parse().ok());
    pids.filter_map(rustix::process::Pid::from_raw).collect()
}

pub(crate) fn host_death(stage: &Stage) -> Outcome {
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
pub(crate) fn control_groups() -> Vec<std::path::PathBuf> {
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

pub(crate) fn many_pods(stage: &Stage) -> Outcome {
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
