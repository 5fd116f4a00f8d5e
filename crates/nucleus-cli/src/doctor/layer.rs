//! The walls: built, tested from inside and torn down.

use std::path::Path;

use nucleus_sandbox::{Layer, Rehearsal, Strength, WorkspaceMode, rehearse};

use super::check::{Check, Verdict};
use crate::proxy;
use crate::state::State;

/// One line per layer, or one that says why no wall stands.
pub(super) fn checks(state: &State, bin_dir: &Path) -> Vec<Check> {
    let program = match proxy::companion(bin_dir, "nucleus-tool-proxy") {
        Ok(program) => program,
        Err(failure) => {
            return vec![
                Check::new("walls", Verdict::Broken, failure.message())
                    .mend("install it from the same source: cargo install nucleus-tool-proxy"),
            ];
        }
    };
    match rehearse(&state.dir, program) {
        Ok(found) => layers(&found),
        Err(error) => {
            let text = error.to_string();
            let (found, mend) = text.split_once('\n').unwrap_or((&text, ""));
            let check = Check::new("walls", Verdict::Broken, found)
                .without("no run begins: the local driver has no walls to build");
            let mend = if mend.is_empty() { "see what the system said" } else { mend };
            vec![check.mend(format!("{mend}\nor let Nucleus do what it can: nucleus doctor --fix"))]
        }
    }
}

fn layers(found: &Rehearsal) -> Vec<Check> {
    let mut checks: Vec<Check> = found
        .enforcement
        .iter()
        .map(|(layer, finding)| match finding.strength {
            Strength::Full => Check::good(layer.name(), format!("full: {}", finding.evidence)),
            other => {
                let found = format!("{other}: {}", finding.evidence);
                let check = Check::new(layer.name(), Verdict::Weaker, found);
                check.without(without(layer)).mend(mend(layer))
            }
        })
        .collect();
    checks.push(match found.workspace_mode {
        WorkspaceMode::Overlay => {
            Check::good("overlay", "a workspace is overlaid, not copied")
        }
        WorkspaceMode::Copy => Check::new("overlay", Verdict::Weaker, "a workspace is copied")
            .without("the start of a task takes as long as copying the workspace does; nothing is less safe")
            .mend("keep the state directory on ext4, xfs or btrfs: set XDG_STATE_HOME; a kernel from 5.11 on"),
    });
    checks
}

fn without(layer: Layer) -> &'static str {
    match layer {
        Layer::User => {
            "a program that broke out of every other wall would have your own rights on this host"
        }
        Layer::Cgroup => {
            "a command can use all memory, and its processes are counted with your others"
        }
        Layer::Landlock => {
            "the mounts alone decide which files a pod reaches: there is no second wall behind them"
        }
        Layer::MemfdNoexec => {
            "code can be run from anonymous memory: no wall is lowered, but one is missing"
        }
        _ => "one of the walls does not stand; a policy with [isolation] may refuse to run here",
    }
}

fn mend(layer: Layer) -> &'static str {
    match layer {
        Layer::User => {
            "only root can give a pod a user id of its own; as an ordinary user this is all there is"
        }
        Layer::Cgroup => {
            "nucleus doctor --fix (systemd), or run under: systemd-run --user --scope nucleus run …"
        }
        Layer::Landlock => {
            "a kernel from 6.12 on, with `landlock` in its lsm= list (cat /sys/kernel/security/lsm)"
        }
        Layer::MemfdNoexec => "a kernel from 6.3 on",
        _ => "see docs/HOSTS.md",
    }
}
