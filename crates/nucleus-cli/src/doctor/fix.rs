//! `nucleus doctor --fix`: two files of the system that only root can write, shown before they are.

use std::fs;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::Command;

use super::host::program;
use crate::failure::CliFailure;
use crate::page::print;

/// The profile that lets the launcher make user namespaces.
pub(super) const PROFILE: &str = "/etc/apparmor.d/nucleus-tool-proxy";
/// The drop-in that gives every user's services control groups of their own.
const DELEGATE: &str = "/etc/systemd/system/user@.service.d/nucleus-delegate.conf";
const DELEGATE_TEXT: &str = "\
# Written by `nucleus doctor --fix`: lets rootless tasks have limits on memory and processes.
[Service]
Delegate=cpu cpuset io memory pids
";

/// One file to write, and what makes it count.
struct Mend {
    why: &'static str,
    path: &'static str,
    text: String,
    then: Vec<&'static str>,
}

/// Shows what would be done, asks, does it.
pub(super) fn run(bin_dir: &Path, yes: bool) -> Result<u8, CliFailure> {
    let mends = plan(bin_dir)?;
    if mends.is_empty() {
        print(
            "nothing to mend here: no restriction that a profile would lift, no systemd without delegation\n",
        );
        return Ok(0);
    }
    for mend in &mends {
        print(&format!("{}\n  write {}\n", mend.why, mend.path));
        for line in mend.text.lines() {
            print(&format!("    │ {line}\n"));
        }
        print(&format!("  run   {}\n", mend.then.join(" ")));
    }
    if !rustix::process::geteuid().is_root() {
        return Err(CliFailure::usage("this needs root; nothing was changed")
            .hint("sudo nucleus doctor --fix"));
    }
    if !yes && !agreed()? {
        print("nothing was changed\n");
        return Ok(0);
    }
    for mend in &mends {
        apply(mend)?;
    }
    Ok(0)
}

fn plan(bin_dir: &Path) -> Result<Vec<Mend>, CliFailure> {
    let mut mends = Vec::new();
    let restricted = fs::read_to_string("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
        .is_ok_and(|text| text.trim() == "1");
    if restricted {
        let launcher = crate::proxy::companion(bin_dir, "nucleus-tool-proxy")?;
        mends.push(Mend {
            why: "AppArmor restricts user namespaces: a profile allows them to Nucleus's launcher alone",
            path: PROFILE,
            text: profile(&launcher)?,
            then: vec!["apparmor_parser", "--replace", "--write-cache", PROFILE],
        });
    }
    let systemd = Path::new("/run/systemd/system").is_dir();
    let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let written = fs::read_to_string(DELEGATE).is_ok_and(|text| text == DELEGATE_TEXT);
    if systemd && unified && !written {
        mends.push(Mend {
            why: "rootless tasks get limits on memory and processes when systemd delegates control groups to users (log in again afterwards)",
            path: DELEGATE,
            text: DELEGATE_TEXT.to_owned(),
            then: vec!["systemctl", "daemon-reload"],
        });
    }
    Ok(mends)
}

/// A profile that confines nothing and allows user namespaces, for this one file.
fn profile(launcher: &Path) -> Result<String, CliFailure> {
    let path = fs::canonicalize(launcher)
        .map_err(|error| CliFailure::unavailable(format!("{}: {error}", launcher.display())))?;
    let path = path.to_str().filter(|path| plain(path)).ok_or_else(|| {
        CliFailure::usage(format!("{} cannot be named in a profile", path.display()))
            .hint("install Nucleus where the path has no space and none of *?[]{}^\"\\,")
    })?;
    Ok(format!(
        "\
# Written by `nucleus doctor --fix`: lets Nucleus's launcher make user namespaces, the walls of its pods.
abi <abi/4.0>,
include <tunables/global>

profile nucleus-tool-proxy {path} flags=(unconfined) {{
  userns,

  include if exists <local/nucleus-tool-proxy>
}}
"
    ))
}

/// Whether a path means itself in AppArmor's language.
fn plain(path: &str) -> bool {
    path.starts_with('/')
        && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+@".contains(&b))
}

fn agreed() -> Result<bool, CliFailure> {
    if !std::io::stdin().is_terminal() {
        return Err(CliFailure::usage("nobody can be asked; nothing was changed")
            .hint("nucleus doctor --fix --yes"));
    }
    print("Do this? [y/N] ");
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    Ok(read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn apply(mend: &Mend) -> Result<(), CliFailure> {
    let path = Path::new(mend.path);
    let failed = |error: std::io::Error| {
        CliFailure::unavailable(format!("cannot write {}: {error}", path.display()))
    };
    let dir = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(dir).map_err(failed)?;
    // Written whole, then moved in place: a half-written profile would be worse than none.
    let new = path.with_extension("nucleus-new");
    let mut file = fs::File::create(&new).map_err(failed)?;
    file.write_all(mend.text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&new, path).map_err(failed)?;
    print(&format!("wrote {}\n", mend.path));
    let (Some(name), rest) = (mend.then.first(), mend.then.get(1..).unwrap_or_default()) else {
        return Ok(());
    };
    let Some(found) = program(name) else {
        return Err(CliFailure::unavailable(format!(
            "{name} is not installed; {} counts from the next start on",
            mend.path
        )));
    };
    let status = Command::new(found).args(rest).status().map_err(failed)?;
    if status.success() {
        print(&format!("ran {}\n", mend.then.join(" ")));
        return Ok(());
    }
    Err(CliFailure::unavailable(format!("{} ended with {status}", mend.then.join(" ")))
        .hint(format!("the file stays; remove {} to take this back", mend.path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_names_one_program_and_no_pattern() {
        let own = std::env::current_exe().unwrap();
        let text = profile(&own).unwrap();
        let named = format!("profile nucleus-tool-proxy {} flags=(unconfined) {{", own.display());
        assert!(text.contains(&named) && text.contains("\n  userns,\n"), "{text}");
        for path in ["/opt/a b/x", "/opt/*/x", "relative", "/opt/{a,b}", "/opt/\"x"] {
            assert!(!plain(path), "{path}");
        }
    }
}
