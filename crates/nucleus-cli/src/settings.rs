//! Configuration files of the user and of the administrator, and what of the host the proxy may know.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nucleus_wire::config::{AdminConfig, Colour, Config};
use nucleus_wire::control::{FailureClass, PackageSources, PolicyText, WebhookTarget};
use nucleus_wire::limits::WEBHOOK_KEY_MIN_BYTES;

use crate::environment::Environment;
use crate::failure::CliFailure;
use crate::run::read_text;
use crate::secret::read_secret;
use crate::state::State;

/// Largest configuration file, in bytes.
const CONFIG_BYTES_MAX: u64 = 64 * 1024;
/// How to make the key of a webhook.
const WEBHOOK_KEY: &str = "(umask 077; head -c 32 /dev/urandom | base64 > FILE), and name it: [approvals] webhook_key = \"FILE\"";
/// Largest key of a webhook, in bytes.
const KEY_BYTES_MAX: u64 = 4096;
/// Largest price table, in bytes.
const PRICES_BYTES_MAX: u64 = 1024 * 1024;

/// The user's settings; none when there is no file.
pub(crate) fn user(state: &State) -> Result<Config, CliFailure> {
    match read(&state.user_config)? {
        Some(text) => Config::parse(&state.user_config.display().to_string(), &text)
            .map(|config| beside(config, &state.user_config))
            .map_err(|errors| CliFailure::policy(errors.to_string())),
        None => Ok(Config::default()),
    }
}

/// The same settings, the files they name beside the file that names them.
fn beside(mut config: Config, file: &Path) -> Config {
    let dir = file.parent().unwrap_or(Path::new("/"));
    for named in [&mut config.prices, &mut config.webhook_key] {
        *named = named.take().map(|name| dir.join(name).display().to_string());
    }
    config
}

/// What the user's file says of colours. A file that is wrong is told by whoever needs all of it.
pub(crate) fn colour(env: &Environment) -> Option<Colour> {
    let path = crate::state::user_config(env).ok()?;
    let text = read(&path).ok()??;
    Config::parse(&path.display().to_string(), &text).ok()?.colour
}

/// The administrator's settings, and their text for the proxy, which judges by it itself.
pub(crate) fn admin(state: &State) -> Result<(AdminConfig, Option<PolicyText>), CliFailure> {
    let path = &state.admin_config;
    let Some(text) = read(path)? else { return Ok((AdminConfig::default(), None)) };
    refuse_common(path)?;
    let name = path.display().to_string();
    let mut admin = AdminConfig::parse(&name, &text)
        .map_err(|errors| CliFailure::policy(errors.to_string()))?;
    admin.settings = beside(admin.settings, path);
    Ok((admin, Some(PolicyText { name, path: Some(state.admin_config.clone()), text })))
}

/// What both files say together, and whatever they name can be used: a run would find nothing else wrong.
pub(crate) fn usable(state: &State, env: &Environment) -> Result<Config, CliFailure> {
    let (admin, _) = admin(state)?;
    let config = user(state)?.or(&admin.settings);
    prices(&config)?;
    webhook(&config, env)?;
    Ok(config)
}

/// An administrator's file that others could write would be theirs.
fn refuse_common(path: &Path) -> Result<(), CliFailure> {
    let meta = std::fs::metadata(path)
        .map_err(|error| CliFailure::policy(format!("{}: {error}", path.display())))?;
    if meta.uid() == 0 && meta.mode() & 0o022 == 0 {
        return Ok(());
    }
    let shown = path.display();
    Err(CliFailure::policy(format!(
        "{shown} must belong to root and be writable by root alone (it belongs to uid {}, mode {:04o})",
        meta.uid(),
        meta.mode() & 0o7777
    ))
    .hint(format!("chown root:root {shown} && chmod 644 {shown}")))
}

/// The text of the price table the configuration names.
pub(crate) fn prices(config: &Config) -> Result<Option<String>, CliFailure> {
    let Some(named) = &config.prices else { return Ok(None) };
    let text = read_text(Path::new(named), PRICES_BYTES_MAX);
    text.map(Some).map_err(|failure| {
        failure.blamed(FailureClass::Policy).hint("[model] prices names this file")
    })
}

/// Where packages come from, if the policy lets any be fetched.
pub(crate) fn package_sources(config: &Config, env: &Environment) -> PackageSources {
    PackageSources {
        mirrors: config.registries.clone(),
        https_proxy: env.first(&["HTTPS_PROXY", "https_proxy"]),
        no_proxy: env.first(&["NO_PROXY", "no_proxy"]),
        extra_roots: env.first(&["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"]).map(PathBuf::from),
    }
}

/// The webhook that is told of requests, and its key in a sealed memory file.
pub(crate) fn webhook(
    config: &Config,
    env: &Environment,
) -> Result<Option<(WebhookTarget, OwnedFd)>, CliFailure> {
    let Some(url) = config.webhook.clone() else { return Ok(None) };
    let Some(named) = &config.webhook_key else {
        return Err(CliFailure::policy("[approvals] webhook has no webhook_key to sign with")
            .hint(WEBHOOK_KEY));
    };
    let key = read_secret(Path::new(named), KEY_BYTES_MAX).map_err(|failure| {
        let failure = failure.blamed(FailureClass::Policy);
        if failure.has_hint() { failure } else { failure.hint(WEBHOOK_KEY) }
    })?;
    if key.strip_suffix('\n').unwrap_or(&key).len() < WEBHOOK_KEY_MIN_BYTES {
        return Err(CliFailure::policy(format!(
            "{named}: the key of a webhook has at least {WEBHOOK_KEY_MIN_BYTES} bytes"
        ))
        .hint(WEBHOOK_KEY));
    }
    let sealed = nucleus_sys::memfd::sealed(key.as_bytes()).map_err(|error| {
        CliFailure::unavailable(format!("cannot hold the webhook's key in memory: {error}"))
    })?;
    let target = WebhookTarget {
        url,
        https_proxy: env.first(&["HTTPS_PROXY", "https_proxy"]),
        no_proxy: env.first(&["NO_PROXY", "no_proxy"]),
        extra_roots: env.first(&["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"]).map(PathBuf::from),
    };
    Ok(Some((target, sealed)))
}

/// Variables for finding toolchains, and the name the user signs commits with.
pub(crate) fn host_environment(env: &Environment) -> BTreeMap<String, String> {
    let mut vars = env.for_proxy();
    let names = [("GIT_AUTHOR_NAME", "user.name"), ("GIT_AUTHOR_EMAIL", "user.email")];
    let set = names.map(|(name, _)| env.first(&[name]));
    let from_git =
        if set.contains(&None) { git_settings(env).unwrap_or_default() } else { BTreeMap::new() };
    for ((name, key), own) in names.into_iter().zip(set) {
        if let Some(value) = own.or_else(|| from_git.get(key).cloned()) {
            vars.insert(name.to_owned(), value);
        }
    }
    vars
}

/// Settings `user.*` of the user's own git configuration. Git runs at `/` and is told to look at no repository: it must
/// not read what an agent may have written.
fn git_settings(env: &Environment) -> Option<BTreeMap<String, String>> {
    let output = Command::new("git")
        .args(["config", "--global", "--null", "--get-regexp", r"^user\."])
        .current_dir("/")
        .env_clear()
        .env("HOME", env.get("HOME")?)
        .env("PATH", env.get("PATH")?)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let settings = text.split('\0').filter_map(|setting| setting.split_once('\n'));
    let settings = settings.map(|(key, value)| (key.to_owned(), value.trim().to_owned()));
    Some(settings.filter(|(_, value)| !value.is_empty()).collect())
}

/// The text of a file that need not be there. One that is there and cannot be read, or whose directory cannot be looked
/// into, is an error: it may forbid what is about to run.
fn read(path: &Path) -> Result<Option<String>, CliFailure> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    match std::fs::symlink_metadata(path) {
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => Ok(None),
        Ok(_) | Err(_) => read_text(path, CONFIG_BYTES_MAX).map(Some).map_err(|failure| {
            failure
                .blamed(FailureClass::Policy)
                .hint("what it says holds for every run, so it has to be readable")
        }),
    }
}
