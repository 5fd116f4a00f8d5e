//! `cargo xtask bench`: each promise of `SPECIFICATION.md` beside a floor measured in the same run.
//!
//! It prints and judges nothing: a figure means something only beside its floor and on its machine.

mod floor;
mod machine;
mod part;
mod sample;
mod table;
mod task;

use std::path::Path;

use serde_json::json;

use crate::Options;
use crate::cargo::{Profile, build, cargo, target_dir};
use crate::need::{self, BWRAP, CC};
use machine::Machine;
use table::{Row, Table};

/// Builds everything as it ships, measures, prints.
pub(crate) fn run(options: Options) -> Result<(), String> {
    need::ensure(&[CC, BWRAP], options)?;
    let bins = build(Profile::Release)?;
    build_examples()?;
    // Not the directory for temporary files, which may be memory: logs and overlays are about disks.
    let place = Path::new("/var/tmp").join(format!("nucleus-bench-{}", std::process::id()));
    std::fs::create_dir(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    let measured = measure(&bins, &place);
    let removed =
        std::fs::remove_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()));
    let table = measured?;
    removed?;
    let machine = Machine::look();
    if options.json {
        println!("{}", json!({"machine": machine.to_json(), "rows": table.to_json()}));
    } else {
        print!("\n{table}\n{machine}");
    }
    Ok(())
}

fn build_examples() -> Result<(), String> {
    let packages = ["lattice-guard", "nucleus-log", "nucleus-sandbox"];
    let mut args = vec!["build", "--release", "--examples"];
    packages.iter().for_each(|package| args.extend(["--package", package]));
    need::run(&mut cargo(&args))
}

fn measure(bins: &Path, place: &Path) -> Result<Table, String> {
    let say = |what: &str| eprintln!("measuring: {what}");
    let examples = target_dir().join("release/examples");
    say("decide");
    let mut rows: Vec<Row> = part::decide(&examples)?;
    say("commands in pods");
    let spawn = part::spawn(&examples)?;
    say("one session: reads, commands, an idle proxy");
    rows.extend(task::session(bins, place, &spawn)?);
    say("short tasks from start to end");
    rows.extend(task::starts(bins, place, &spawn)?);
    rows.extend(spawn.rows());
    say("log");
    rows.extend(part::log(&examples, place)?);
    Ok(Table(rows))
}
