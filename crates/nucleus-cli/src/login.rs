//! `nucleus login` and `nucleus logout`: a subscription's tokens, kept on the host for the model gate.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};

use nucleus_wire::display::escape;
use nucleus_wire::login::{LOGIN_BYTES_MAX, Login, Subscription};
use serde_json::json;

use crate::amount;
use crate::args::{LoginArgs, LogoutArgs};
use crate::environment::Environment;
use crate::failure::CliFailure;
use crate::page::{json_block, print};
use crate::run::read_limited;
use crate::state::State;

/// The file of a login, whether or not it exists.
pub(crate) fn file(state: &State, subscription: Subscription) -> PathBuf {
    state.dir.join("logins").join(format!("{}.json", subscription.name()))
}

/// The kept login that pays for a provider's calls.
pub(crate) fn for_provider(state: &State, provider: &str) -> Option<(Subscription, PathBuf)> {
    let subscription = Subscription::ALL.into_iter().find(|s| s.provider() == provider)?;
    let path = file(state, subscription);
    path.is_file().then_some((subscription, path))
}

/// Takes a login over, or shows which there are.
pub(crate) fn login(args: &LoginArgs, env: &Environment) -> Result<u8, CliFailure> {
    let state = State::open(env)?;
    let Some(subscription) = args.subscription.filter(|_| !args.status) else {
        return status(&state, args.json);
    };
    let subscription = Subscription::from(subscription);
    let own = match &args.from {
        Some(path) => path.clone(),
        None => own_file(subscription, env)?,
    };
    if !own.is_file() {
        return Err(CliFailure::usage(format!(
            "no login at {}",
            escape(&own.display().to_string())
        ))
        .hint(format!(
            "log in with {} itself first, then run this again; or name its file: --from FILE",
            subscription.name()
        )));
    }
    let bytes = read_limited(&own, LOGIN_BYTES_MAX)?;
    let mut login = Login::from_own_file(subscription, &bytes).map_err(|error| {
        CliFailure::usage(format!("{}: {error}", escape(&own.display().to_string())))
    })?;
    if let Some(url) = &args.token_url {
        login.token_url.clone_from(url);
    }
    if !args.yes && !agreed(subscription, &own)? {
        return Err(CliFailure::usage("nothing was taken over"));
    }
    let path = file(&state, subscription);
    keep(&path, &login)?;
    print(&format!(
        "{} pays for model calls of {} from now on; `nucleus logout {0}` ends that\n",
        subscription.name(),
        subscription.provider()
    ));
    Ok(0)
}

/// Forgets logins.
pub(crate) fn logout(args: &LogoutArgs, env: &Environment) -> Result<u8, CliFailure> {
    let state = State::open(env)?;
    let named = args.subscription.map(Subscription::from);
    for subscription in Subscription::ALL {
        if named.is_some_and(|named| named != subscription) {
            continue;
        }
        let path = file(&state, subscription);
        let word = match std::fs::remove_file(&path) {
            Ok(()) => "forgotten",
            Err(error) if error.kind() == ErrorKind::NotFound => "not logged in",
            Err(error) => {
                let path = escape(&path.display().to_string());
                return Err(CliFailure::unavailable(format!("cannot remove {path}: {error}")));
            }
        };
        print(&format!("{}: {word}\n", subscription.name()));
    }
    Ok(0)
}

fn status(state: &State, as_json: bool) -> Result<u8, CliFailure> {
    let mut rows = Vec::new();
    let now = amount::now_ms() / 1000;
    for subscription in Subscription::ALL {
        let path = file(state, subscription);
        let word = match std::fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => "not logged in",
            Err(_) => "cannot be read",
            Ok(bytes) => match Login::parse(&bytes) {
                Err(_) => "damaged: log in again",
                Ok(login) if login.expires_s == 0 || login.expires_s > now => "logged in",
                Ok(_) => "logged in; renewed at the next call",
            },
        };
        rows.push((subscription, word));
    }
    if as_json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(subscription, word)| {
                json!({"subscription": subscription.name(), "provider": subscription.provider(), "status": word})
            })
            .collect();
        print(&json_block(&json!({"logins": rows})));
    } else {
        for (subscription, word) in rows {
            print(&format!("{:<8} {word}\n", subscription.name()));
        }
    }
    Ok(0)
}

fn own_file(subscription: Subscription, env: &Environment) -> Result<PathBuf, CliFailure> {
    let (name, file) = match subscription {
        Subscription::Claude => ("CLAUDE_CONFIG_DIR", ".credentials.json"),
        Subscription::Codex => ("CODEX_HOME", "auth.json"),
    };
    match env.get(name).filter(|dir| !dir.is_empty()) {
        Some(dir) => Ok(Path::new(dir).join(file)),
        None => Ok(env.home()?.join(subscription.own_file())),
    }
}

/// Asks at the controlling terminal, never on standard input that a pipe could feed.
fn agreed(subscription: Subscription, own: &Path) -> Result<bool, CliFailure> {
    let name = subscription.name();
    let mut terminal =
        std::fs::File::options().read(true).write(true).open("/dev/tty").map_err(|_| {
            CliFailure::usage("there is no terminal to ask at").hint("say it with --yes")
        })?;
    let question = format!(
        "Nucleus will copy the login in {} to its own directory (readable by you only),\n\
         pay for model calls with it, and renew it on this machine. A sandbox never gets it.\n\
         A renewed login ends the old one: {name} itself may ask you to log in again.\n\
         Copy it? [y/N] ",
        escape(&own.display().to_string())
    );
    let failed = |error: std::io::Error| CliFailure::unavailable(format!("the terminal: {error}"));
    terminal.write_all(question.as_bytes()).map_err(failed)?;
    let mut line = String::new();
    BufReader::new(terminal).read_line(&mut line).map_err(failed)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

fn keep(path: &Path, login: &Login) -> Result<(), CliFailure> {
    let failed = |error: std::io::Error| {
        let path = escape(&path.display().to_string());
        CliFailure::unavailable(format!("cannot keep the login at {path}: {error}"))
    };
    if let Some(dir) = path.parent() {
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(dir).map_err(failed)?;
    }
    nucleus_sys::private::replace(path, &login.to_bytes()).map_err(failed)
}
