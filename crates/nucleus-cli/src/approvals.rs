//! `nucleus approvals`: answers requests of running tasks from anywhere on this machine.

pub(crate) mod args;
mod board;
mod client;
mod glass;
mod keys;
mod watch;

use std::io::{Read, Write};
use std::path::Path;

use nucleus_wire::approvals::{Ask, RequestView, RuleView, Similar, Told};
use nucleus_wire::display::{escape, escape_short};
use serde_json::json;

use self::args::{AnswerArgs, ApprovalsCommand, ApproveArgs, DenyArgs, ListArgs, RequestArgs};
use crate::environment::Environment;
use crate::failure::CliFailure;
use crate::page::{Page, json_block, json_line};
use crate::reading::{Line, rendered};
use crate::state::State;

/// Longest target shown in a list, in characters.
const TARGET_CHARS: usize = 60;
/// Largest signed answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Runs the subcommand.
pub(crate) fn run(command: &ApprovalsCommand, env: &Environment) -> Result<u8, CliFailure> {
    let state = State::open(env)?;
    match command {
        ApprovalsCommand::List(args) => list(&state, args),
        ApprovalsCommand::Show(args) => show(&state, args, env),
        ApprovalsCommand::Approve(args) => approve(&state, args),
        ApprovalsCommand::Deny(args) => deny(&state, args),
        ApprovalsCommand::Watch(args) => watch::run(&state, args, env),
        ApprovalsCommand::Rules(args) => rules(&state, args),
        ApprovalsCommand::Revoke(args) => revoke(&state, args),
        ApprovalsCommand::BreakGlass(args) => glass::run(&state, args),
        ApprovalsCommand::Answer(args) => answer(&state, args),
    }
}

fn list(state: &State, args: &ListArgs) -> Result<u8, CliFailure> {
    let mut rows = Vec::new();
    for mut task in client::tasks(state, args.session.as_deref())? {
        let requests = task.requests()?;
        let wanted = requests.into_iter().filter(|r| args.all || r.state == "pending");
        rows.extend(wanted.map(|request| (task.session.clone(), request)));
    }
    if args.json {
        let rows: Vec<_> =
            rows.iter().map(|(session, request)| with_session(session, request)).collect();
        say(&json_block(&json!({ "requests": rows })));
        return Ok(0);
    }
    if rows.is_empty() {
        say("nothing waits\n");
    }
    for (session, request) in rows {
        let view = &request.view;
        let state = match request.state.as_str() {
            "pending" => format!("{:>3} s left", view.expires_in_s),
            state => escape(state),
        };
        say(&format!(
            "{}  {state:<10}  {:<12}  {session}  {}\n",
            escape(&view.id),
            escape(&view.operation),
            escape_short(&view.target, TARGET_CHARS)
        ));
    }
    Ok(0)
}

fn with_session(session: &str, request: &RequestView) -> serde_json::Value {
    let mut value = serde_json::to_value(request).unwrap_or_default();
    if let Some(members) = value.as_object_mut() {
        members.insert("session".to_owned(), session.into());
        // A number for machines that answer; of no use to a reader.
        members.remove("nonce");
    }
    value
}

fn show(state: &State, args: &RequestArgs, env: &Environment) -> Result<u8, CliFailure> {
    let (mut task, _) = client::find(state, &args.id, args.session.as_deref())?;
    let request = task.request(&args.id)?;
    if args.json {
        say(&json_block(&with_session(&task.session, &request)));
        return Ok(0);
    }
    let mut lines = described(&task.session, &request);
    if request.state == "pending" {
        let left = request.view.expires_in_s;
        lines.push(format!("refused in {left} s unless answered").into());
    }
    let page = Page::new(env);
    let rows = lines.iter().flat_map(|line| page.rows(line));
    let mut text = String::new();
    for row in rows {
        text.push_str(&row);
        text.push('\n');
    }
    say(&text);
    Ok(0)
}

/// A request as a person reads it, line by line, everything escaped.
fn described(session: &str, request: &RequestView) -> Vec<Line> {
    let view = &request.view;
    let mut lines = vec![
        format!("request   {} ({})", escape(&view.id), escape(&request.state)).into(),
        format!("session   {}", escape(session)).into(),
        format!("operation {} ({})", escape(&view.operation), escape(&view.rule)).into(),
    ];
    lines.extend(rendered(view));
    lines.push(format!("sha256    {}", escape(&view.digest)).into());
    if let Some(reason) = &request.reason {
        lines.push(format!("reason    {}", escape(reason)).into());
    }
    lines
}

fn approve(state: &State, args: &ApproveArgs) -> Result<u8, CliFailure> {
    let similar = args.similar.then(|| Similar {
        argv: args.argv.clone(),
        path_prefix: args.path_prefix.clone(),
        count: args.count,
        seconds: args.seconds,
    });
    decide(state, &args.request, true, None, similar)
}

fn deny(state: &State, args: &DenyArgs) -> Result<u8, CliFailure> {
    decide(state, &args.request, false, args.reason.clone(), None)
}

fn decide(
    state: &State,
    args: &RequestArgs,
    approve: bool,
    reason: Option<String>,
    similar: Option<Similar>,
) -> Result<u8, CliFailure> {
    let (mut task, _) = client::find(state, &args.id, args.session.as_deref())?;
    let told = task.ask(&Ask::Decide { id: args.id.clone(), approve, reason, similar })?;
    decided(&task.session, &told, args.json)
}

/// Says what was decided.
fn decided(session: &str, told: &Told, as_json: bool) -> Result<u8, CliFailure> {
    let Told::Decided { id, outcome, rule } = told else { return Err(client::unexpected()) };
    if as_json {
        let line = json!({"session": session, "id": id, "outcome": outcome, "rule": rule});
        say(&json_line(&line));
        return Ok(0);
    }
    say(&format!("{} {}\n", escape(id), escape(outcome)));
    if let Some(rule) = rule {
        let rule = escape(rule);
        say(&format!(
            "rule {rule} lets similar calls through; end it: nucleus approvals revoke {rule}\n"
        ));
    }
    Ok(0)
}

fn rules(state: &State, args: &ListArgs) -> Result<u8, CliFailure> {
    let rows = all_rules(state, args.session.as_deref())?;
    if args.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(session, rule)| {
                json!({"session": session, "id": rule.id, "covers": rule.covers, "left": rule.left, "expires_in_s": rule.expires_in_s})
            })
            .collect();
        say(&json_block(&json!({ "rules": rows })));
        return Ok(0);
    }
    if rows.is_empty() {
        say("no rule is in force\n");
    }
    for (session, rule) in rows {
        let left = rule.left.map(|left| format!("{left} calls, ")).unwrap_or_default();
        let id = escape(&rule.id);
        let covers = escape(&rule.covers);
        say(&format!("{id}  {left}{} s left  {session}  {covers}\n", rule.expires_in_s));
    }
    Ok(0)
}

fn all_rules(state: &State, named: Option<&str>) -> Result<Vec<(String, RuleView)>, CliFailure> {
    let mut rows = Vec::new();
    for mut task in client::tasks(state, named)? {
        let Told::Rules { session, rules } = task.ask(&Ask::Rules)? else {
            return Err(client::unexpected());
        };
        rows.extend(rules.into_iter().map(|rule| (session.clone(), rule)));
    }
    Ok(rows)
}

fn revoke(state: &State, args: &RequestArgs) -> Result<u8, CliFailure> {
    for mut task in client::tasks(state, args.session.as_deref())? {
        let Told::Rules { session, rules } = task.ask(&Ask::Rules)? else {
            return Err(client::unexpected());
        };
        if !rules.iter().any(|rule| rule.id == args.id) {
            continue;
        }
        task.ask(&Ask::Revoke { rule: args.id.clone() })?;
        say(&if args.json {
            json_line(&json!({"session": session, "rule": args.id, "revoked": true}))
        } else {
            format!("{} revoked\n", escape(&args.id))
        });
        return Ok(0);
    }
    Err(CliFailure::usage(format!("no rule {} is in force", escape_short(&args.id, 40)))
        .hint("see what is: nucleus approvals rules"))
}

/// Hands a signed answer to the task it names. The task checks it; that it came through here proves nothing.
fn answer(state: &State, args: &AnswerArgs) -> Result<u8, CliFailure> {
    let document = read_answer(args.file.as_deref())?;
    let named: Option<String> = serde_json::from_str::<serde_json::Value>(&document)
        .ok()
        .and_then(|value| value.get("session")?.as_str().map(str::to_owned));
    let Some(named) = named else {
        return Err(CliFailure::usage("the answer is not a JSON object that names its session"));
    };
    let mut tasks = client::tasks(state, Some(&named))?;
    let task = tasks.first_mut().ok_or_else(|| CliFailure::usage("no task of yours runs"))?;
    let told = task.ask(&Ask::Answer { document })?;
    decided(&task.session, &told, args.json)
}

fn read_answer(file: Option<&Path>) -> Result<String, CliFailure> {
    if let Some(path) = file {
        return crate::run::read_text(path, ANSWER_BYTES_MAX);
    }
    let mut text = String::new();
    std::io::stdin()
        .take(ANSWER_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| CliFailure::usage(format!("standard input: {error}")))?;
    Ok(text)
}

fn say(text: &str) {
    // A reader that closed the pipe has seen enough.
    let _gone = std::io::stdout().write_all(text.as_bytes());
}
