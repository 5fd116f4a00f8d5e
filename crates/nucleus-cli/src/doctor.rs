//! `nucleus doctor`: what this host can enforce, what is weaker than it could be, and how to mend it.

mod check;
mod fix;
mod host;
mod layer;
mod setup;

use nucleus_wire::control::FailureClass;
use nucleus_wire::display::escape;
use serde_json::json;

use crate::args::DoctorArgs;
use crate::environment::Environment;
use crate::failure::CliFailure;
use crate::page::{Page, json_block, print};
use crate::proxy;
use crate::screen::style::Tone;
use crate::state::State;
use check::{Check, Verdict};

/// Probes, and mends what may be mended.
pub(crate) fn run(args: &DoctorArgs, env: &Environment) -> Result<u8, CliFailure> {
    let state = State::open(env)?;
    let bin_dir = proxy::bin_dir()?;
    if args.fix {
        return fix::run(&bin_dir, args.yes);
    }
    let mut checks = layer::checks(&state, &bin_dir);
    checks.extend(host::checks(&state));
    checks.extend(setup::checks(&state, &bin_dir, env));
    let broken = checks.iter().any(|check| check.verdict == Verdict::Broken);
    let code = if broken { FailureClass::Isolation.exit_code() } else { 0 };
    if args.json {
        let list: Vec<_> = checks.iter().map(Check::as_json).collect();
        print(&json_block(&json!({"works": !broken, "checks": list})));
        return Ok(code);
    }
    let page = Page::new(env);
    for check in &checks {
        print(&shown(page, check));
    }
    let weaker = checks.iter().filter(|check| check.verdict == Verdict::Weaker).count();
    let verdict = match (broken, weaker) {
        (true, _) => page.paint(Tone::Bad, "`nucleus run` cannot work here yet"),
        (false, 0) => page.paint(Tone::Good, "everything holds in full"),
        (false, n) => format!("`nucleus run` works; {n} weaker than it could be"),
    };
    print(&format!("\n{verdict}\n"));
    Ok(code)
}

fn shown(page: Page, check: &Check) -> String {
    let (mark, tone) = match check.verdict {
        Verdict::Good => ("✓", Tone::Good),
        Verdict::Weaker => ("~", Tone::Ask),
        Verdict::Broken => ("✗", Tone::Bad),
        Verdict::Note => ("·", Tone::Dim),
    };
    let mut text =
        format!("{} {:<16} {}\n", page.paint(tone, mark), check.name, escape(&check.found));
    let more = [("weaker", &check.without), ("mend", &check.mend)];
    for (title, words) in more {
        for (at, line) in words.iter().flat_map(|words| words.lines()).enumerate() {
            let title = if at == 0 { title } else { "" };
            text.push_str(&format!(
                "  {:16} {} {}\n",
                "",
                page.cell(Tone::Dim, title, 6),
                escape(line)
            ));
        }
    }
    text
}
