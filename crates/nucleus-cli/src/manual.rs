//! `nucleus man`: manual pages, made from the same table of options that parses the command line.

use std::path::Path;

use clap::CommandFactory;
use clap_mangen::Man;

use crate::args::{Cli, ManArgs};
use crate::failure::CliFailure;
use crate::page::print;

/// Prints the first page, or writes all of them.
pub(crate) fn run(args: &ManArgs) -> Result<u8, CliFailure> {
    let pages = pages().map_err(|error| CliFailure::internal(format!("a manual page: {error}")))?;
    let Some(dir) = &args.dir else {
        for (_, text) in pages.iter().take(1) {
            print(&String::from_utf8_lossy(text));
        }
        return Ok(0);
    };
    for (name, text) in &pages {
        write(dir, name, text)?;
    }
    Ok(0)
}

fn write(dir: &Path, name: &str, text: &[u8]) -> Result<(), CliFailure> {
    let path = dir.join(name);
    std::fs::write(&path, text)
        .map_err(|error| CliFailure::usage(format!("cannot write {}: {error}", path.display())))
}

/// Every page: the command's own, then one per subcommand, as file name and roff.
fn pages() -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut root = Cli::command();
    root.build();
    let mut pages = Vec::new();
    add("nucleus", root, &mut pages)?;
    Ok(pages)
}

fn add(
    name: &str,
    command: clap::Command,
    pages: &mut Vec<(String, Vec<u8>)>,
) -> std::io::Result<()> {
    let below: Vec<clap::Command> = command.get_subcommands().cloned().collect();
    let mut text = Vec::new();
    Man::new(command).title(name).render(&mut text)?;
    pages.push((format!("{name}.1"), text));
    for command in below.into_iter().filter(|command| command.get_name() != "help") {
        let name = format!("{name}-{}", command.get_name());
        add(&name, command, pages)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every option of every command that a user can give.
    fn undocumented(command: &clap::Command, path: &str, found: &mut Vec<String>) {
        if command.get_about().is_none() {
            found.push(path.to_owned());
        }
        for arg in command.get_arguments() {
            if arg.get_help().is_none_or(|help| help.to_string().trim().is_empty()) {
                found.push(format!("{path} {}", arg.get_id()));
            }
        }
        for below in command.get_subcommands() {
            undocumented(below, &format!("{path} {}", below.get_name()), found);
        }
    }

    #[test]
    fn every_flag_is_documented_and_on_its_page() {
        let mut root = Cli::command();
        root.build();
        let mut found = Vec::new();
        undocumented(&root, "nucleus", &mut found);
        assert!(found.is_empty(), "no help text: {found:?}");
        let pages = pages().unwrap();
        for command in root.get_subcommands().filter(|c| c.get_subcommands().next().is_none()) {
            let name = format!("nucleus-{}.1", command.get_name());
            let (_, text) = pages.iter().find(|(page, _)| *page == name).expect(&name);
            let text = String::from_utf8_lossy(text).replace("\\-", "-");
            let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
            for long in shown.filter_map(clap::Arg::get_long) {
                assert!(text.contains(&format!("--{long}")), "{name} lacks --{long}");
            }
        }
    }

    #[test]
    fn what_json_prints_is_documented() {
        let documented = include_str!("../../../docs/JSON.md");
        let mut seen = 0;
        let mut commands: Vec<(String, clap::Command)> = vec![(String::new(), Cli::command())];
        while let Some((above, command)) = commands.pop() {
            let named = |below: &clap::Command| format!("{above} {}", below.get_name());
            commands.extend(command.get_subcommands().map(|below| (named(below), below.clone())));
            let mut arguments = command.get_arguments().filter(|arg| !arg.is_hide_set());
            if arguments.any(|arg| arg.get_long() == Some("json")) {
                let row = format!("`{}", above.trim());
                let line =
                    documented.lines().find(|line| line.starts_with("| ") && line.contains(&row));
                assert!(line.is_some(), "{row} is not in docs/JSON.md");
                seen += 1;
            }
        }
        assert!(seen > 20, "{seen} commands print JSON: those below others are not looked at");
    }
}
