//! What a host offers and refuses.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use nucleus_sandbox::workspace::{MaskPolicy, MaskReason};
use nucleus_sandbox::{PodEnd, SessionSpec};

use super::{CANARY, Outcome, Stage};

pub(crate) fn ordinary(stage: &Stage) -> Outcome {
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

pub(crate) fn open_in(directory: &OwnedFd, path: &str, create: bool) -> std::io::Result<OwnedFd> {
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

pub(crate) fn full_disk(stage: &Stage) -> Outcome {
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

pub(crate) fn masked_proc(stage: &Stage) -> Outcome {
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

pub(crate) fn masked(stage: &Stage) -> Outcome {
    let session = stage.open();
    let text = session
        .shell("cat .env; cp .env x && cat x; chmod 777 .env; cat .env; mv .env y && cat y; rm -f .env; cat .env; ln .env z && cat z; tar c .env | cat; cat plain.txt")
        .text;
    if !text.contains("plain") {
        return Outcome::Broken(format!("other files must be readable: {text}"));
    }
    Outcome::of(text.contains(CANARY), text)
}

/// As the stage's, by the last name, so at any depth.
fn by_name(stage: &Stage) -> SessionSpec {
    let withheld = ["server.key", ".env", "withheld"];
    let masks = MaskPolicy::new(move |path| {
        let name = path.rsplit('/').next().unwrap_or(path);
        withheld.contains(&name).then_some(MaskReason::Sensitive)
    });
    SessionSpec { masks, ..stage.spec() }
}

pub(crate) fn closed_directory(stage: &Stage) -> Outcome {
    for (name, mode) in [("closed", 0o000), ("unlisted", 0o300), ("unsearched", 0o600)] {
        let dir = stage.workspace.join(name);
        fs::create_dir(&dir).expect("directory");
        fs::write(dir.join("server.key"), CANARY).expect("file");
        fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).expect("mode");
    }
    let text = stage
        .open_with(&by_name(stage))
        .shell("for d in closed unlisted unsearched; do chmod 700 $d; cat $d/server.key; mv $d moved-$d; cat moved-$d/server.key; done; cat plain.txt")
        .text;
    if !text.contains("plain") {
        return Outcome::Broken(format!("other files must be readable: {text}"));
    }
    Outcome::of(text.contains(CANARY), text)
}

pub(crate) fn late_secret(stage: &Stage) -> Outcome {
    let ws = &stage.workspace;
    fs::create_dir_all(ws.join(".git")).expect("directory");
    let session = stage.open_with(&by_name(stage));
    // Looked for before it is there, and behind a pod that was made ready before it came.
    session.shell("cat withheld; ls; rm -rf replaced; ln -s /tmp replaced");
    fs::write(ws.join("withheld"), CANARY).expect("file");
    fs::create_dir(ws.join("new")).expect("directory");
    fs::write(ws.join("new/.env"), CANARY).expect("file");
    fs::write(ws.join("new/late.txt"), "late\n").expect("file");
    let config = format!("[remote \"o\"]\n\turl = https://u:{CANARY}@example.com/x\n");
    fs::write(ws.join(".git/config"), config).expect("file");
    // Where the task has put a link meanwhile.
    fs::create_dir(ws.join("replaced")).expect("directory");
    fs::write(ws.join("replaced/.env"), CANARY).expect("file");
    let mut text = String::new();
    // Once more, with nothing new: the masks stay.
    for _ in 0..2 {
        text += &session
            .shell("cat withheld; mv withheld y; cat y; cat new/.env new/late.txt; mv new moved; cat moved/.env; cat .git/config replaced/.env; cp -r . /tmp/all; cat /tmp/all/new/.env")
            .text;
    }
    if !text.contains("late") || !text.contains("https://example.com") && !text.contains(CANARY) {
        return Outcome::Broken(format!("what else comes must be readable: {text}"));
    }
    Outcome::of(text.contains(CANARY), text)
}

pub(crate) fn overlay(stage: &Stage) -> Outcome {
    let session = stage.open();
    let output = session.shell("echo changed > plain.txt; echo new > made; cat plain.txt");
    let host = fs::read_to_string(stage.workspace.join("plain.txt")).expect("file");
    let made = stage.workspace.join("made").exists();
    if !output.text.contains("changed") {
        return Outcome::Skipped(format!("could not write at all: {}", output.text));
    }
    Outcome::of(host != "plain\n" || made, host)
}

pub(crate) fn self_test(stage: &Stage) -> Outcome {
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

pub(crate) fn cargo_test(stage: &Stage) -> Outcome {
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

pub(crate) fn copy_mode(stage: &Stage) -> Outcome {
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

pub(crate) fn bad_workspaces(stage: &Stage) -> Outcome {
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
        (std::path::Path::new("/etc/alternatives"), "choose a directory below"),
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

pub(crate) fn requirements(stage: &Stage) -> Outcome {
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
