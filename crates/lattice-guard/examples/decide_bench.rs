//! Measures `decide` with 100 path rules and 50 command rules, beside the cost of reading the clock, which every
//! figure contains; prints one JSON object.
//!
//! `cargo run --release -p lattice-guard --example decide_bench`. One decision is timed at a time, so that the tail
//! is a decision's own and not an average's.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use lattice_guard::{
    Action, BudgetLimits, BudgetView, Classifier, CommandLattice, CommandPattern, Decision,
    Envelope, GateMode, Label, PathPattern, Paths, Permissions, PodContext, RelPath, Request,
    ResolvedProgram, split_command,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

const PATH_RULES: usize = 100;
const COMMAND_RULES: usize = 50;
const WARM_UP: usize = 2_000;
const ROUNDS: usize = 100_000;
const POD: PodContext = PodContext { network: false, credentials: false, overlay_only: true };

fn main() -> Outcome<()> {
    let (envelope, _authority) = envelope()?;
    // Neither rule list knows these: every rule is looked at.
    let read = Request::new(Action::Read { path: path("crates/core/src/parse/expr.rs")? }, POD);
    let edit = Request::new(Action::Edit { path: path("crates/core/src/parse/expr.rs")? }, POD);
    let run = run("cargo test --package core -- parse::expr");
    let now = u64::try_from(PATH_RULES)?;
    let budget = BudgetView::whole(&BudgetLimits::top());
    let mut clock: Vec<Duration> = (0..ROUNDS).map(|_| Instant::now().elapsed()).collect();
    let mut all = Vec::with_capacity(ROUNDS * 3);
    let mut parts = Vec::new();
    for (name, request) in [("read", &read), ("edit", &edit), ("run", &run)] {
        let mut times = Vec::with_capacity(ROUNDS);
        for round in 0..WARM_UP + ROUNDS {
            let begun = Instant::now();
            let decision = decide(&envelope, request, now, &budget);
            let took = begun.elapsed();
            if !matches!(decision, Decision::Allow(_)) {
                return Err(format!("{name}: {decision:?}").into());
            }
            if round >= WARM_UP {
                times.push(took);
            }
        }
        parts.push(format!("\"{name}\":{}", figures(&mut times)));
        all.append(&mut times);
    }
    println!(
        "{{\"path_rules\":{PATH_RULES},\"command_rules\":{COMMAND_RULES},\"decide\":{},{},\"clock\":{}}}",
        figures(&mut all),
        parts.join(","),
        figures(&mut clock)
    );
    Ok(())
}

fn decide(envelope: &Envelope, request: &Request, now: u64, budget: &BudgetView) -> Decision {
    black_box(lattice_guard::decide(
        black_box(envelope),
        Label::default(),
        black_box(request),
        now,
        budget,
    ))
}

fn envelope() -> Outcome<(Envelope, lattice_guard::GrantAuthority)> {
    let classifier = Classifier::default();
    let mut allowed = vec![PathPattern::parse("crates/")?];
    let mut blocked = Vec::new();
    for n in 1..PATH_RULES / 2 {
        allowed.push(PathPattern::parse(&format!("services/s{n}/**/*.rs"))?);
        blocked.push(PathPattern::parse(&format!("vendor/v{n}/**/secret-{n}.*"))?);
    }
    blocked.push(PathPattern::parse("*.pem")?);
    let mut commands = CommandLattice::nothing();
    commands.allow_rule(CommandPattern::parse("cargo test *")?);
    for n in 1..COMMAND_RULES / 2 {
        commands.allow_rule(CommandPattern::parse(&format!("tool-{n} build *"))?);
        commands.block_rule(CommandPattern::parse(&format!("tool-{n} publish *"))?);
    }
    commands.block_rule(CommandPattern::parse("cargo publish *")?);
    let permissions = Permissions {
        paths: Paths::from_rules(Some(allowed), blocked, &classifier),
        commands,
        ..lattice_guard::Permissions::top()
    };
    // No network in the permissions: the gate stays open, as under the profile for ordinary work.
    let levels = permissions
        .levels
        .clone()
        .with(lattice_guard::Operation::GitPush, lattice_guard::Level::Never);
    Ok(Envelope::new(Permissions { levels, ..permissions }, classifier, GateMode::Exposure))
}

fn path(text: &str) -> Outcome<RelPath> {
    Ok(RelPath::parse(text)?)
}

fn run(line: &str) -> Request {
    let argv = split_command(line).into_argv();
    let program = ResolvedProgram::new("/usr/bin/cargo", "/usr/bin/cargo", false);
    Request::new(Action::Run { argv, program }, POD)
}

/// Percentiles in nanoseconds.
fn figures(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |percent: usize| times.get(times.len() * percent / 100).map_or(0, Duration::as_nanos);
    format!("{{\"p50_ns\":{},\"p99_ns\":{}}}", at(50), at(99))
}
