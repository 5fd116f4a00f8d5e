//! Configuration of the machine's user (`nucleus/config.toml` in the XDG configuration directory) and of its
//! administrator (`/etc/nucleus/config.toml`).
//!
//! ```toml
//! allow_local_driver = true        # accept namespaces instead of a virtual machine
//! default_profile = "fix-issue"    # when neither --profile nor --config is given
//! agent = "claude"                 # when --agent is not given
//! colour = "auto"                  # or "always", "never"; --color and NO_COLOR win
//! quiet = false                    # show only what asks, fails or is refused
//!
//! [model]
//! upstream = "https://api.anthropic.com"   # of Claude models
//! prices = "prices.toml"           # beside this file, or absolute
//!
//! [network.registries]             # mirrors of package registries, in place of the public ones
//! cargo = "https://mirror.example/crates-index"
//!
//! [approvals]
//! mode = "terminal"                # or "socket": `nucleus approvals` answers; "none": whatever needs approval is refused
//! webhook = "https://hooks.example.com/T0/B0"   # told of every request, signed; shows parts of what is asked about
//! webhook_key = "webhook.key"      # at least 32 bytes, beside this file, or absolute
//!
//! [storage]
//! max_bytes = 21_474_836_480       # of sessions, caches and homes together; a run begins by removing old ones above it
//! keep_days = 30                   # what `nucleus gc` removes when it was not used for so long
//!
//! # the administrator's file only
//! [forbid]
//! local_driver = true
//! profiles = ["full"]
//! operations = ["git_push"]
//!
//! [ceiling.capabilities]           # sections of a permissions file, met with every run
//! read_files = "always"
//! ```
//!
//! The user's settings win over the administrator's, except that what the administrator forbids stays forbidden and the
//! ceiling is met with every run.

use std::collections::{BTreeMap, BTreeSet};

use lattice_guard::{Level, Operation, Permissions, Registry};

use crate::control::ApprovalMode;
use crate::file::{FileErrors, Source, Table};
use crate::limits::URL_MAX_BYTES;
use crate::permissions::{PolicyFile, SECTIONS};
use crate::profile;

const USER_KEYS: [&str; 9] = [
    "allow_local_driver",
    "default_profile",
    "agent",
    "colour",
    "quiet",
    "model",
    "network",
    "approvals",
    "storage",
];
const ADMIN_KEYS: [&str; 11] = [
    "allow_local_driver",
    "default_profile",
    "agent",
    "colour",
    "quiet",
    "model",
    "network",
    "approvals",
    "storage",
    "forbid",
    "ceiling",
];
const COLOURS: [(&str, Colour); 3] =
    [("auto", Colour::Auto), ("always", Colour::Always), ("never", Colour::Never)];
/// Quotas below this would remove what the next run needs.
const STORAGE_BYTES_MIN: u64 = 1024 * 1024;
const KEEP_DAYS_MAX: u64 = 36_500;
const AGENTS: [(&str, &str); 5] = [
    ("claude", "claude"),
    ("codex", "codex"),
    ("gemini", "gemini"),
    ("opencode", "opencode"),
    ("scripted", "scripted"),
];
const APPROVALS: [(&str, ApprovalMode); 3] = [
    ("terminal", ApprovalMode::Terminal),
    ("socket", ApprovalMode::Socket),
    ("none", ApprovalMode::None),
];
const UPSTREAMS: &str = "an origin: \"https://host\" or \"https://host:port\", or \"http://127.0.0.1:port\" for a gateway on this machine";

const WEBHOOKS: &str = "\"https://host[:port]/path\" without a query, or \"http://127.0.0.1:port/path\" for a receiver on this machine";

const MIRRORS: &str = "\"https://host[:port][/path]\", or \"http://127.0.0.1:port[/path]\" for a mirror on this machine";

/// When output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the three words of every command line")]
pub enum Colour {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

impl Colour {
    /// The word in files and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}

/// Settings of one file. What it does not say is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Accept the local driver without its flag.
    pub allow_local_driver: Option<bool>,
    /// Profile of runs that name none.
    pub default_profile: Option<String>,
    /// Agent of runs that name none.
    pub agent: Option<String>,
    /// Origin that calls of Claude models go to. Keys of other providers are never sent there.
    pub upstream: Option<String>,
    /// Path of a price table, absolute or beside the file.
    pub prices: Option<String>,
    /// Who answers approvals.
    pub approvals: Option<ApprovalMode>,
    /// Address that is told when somebody waits for a yes or a no.
    pub webhook: Option<String>,
    /// Path of the key its messages are signed with, absolute or beside the file.
    pub webhook_key: Option<String>,
    /// When output is coloured.
    pub colour: Option<Colour>,
    /// Show less.
    pub quiet: Option<bool>,
    /// Most bytes of sessions, caches and homes together.
    pub storage_max_bytes: Option<u64>,
    /// Days after which what is not used goes.
    pub storage_keep_days: Option<u64>,
    /// Where the packages of a registry come from, in place of the public one.
    pub registries: BTreeMap<Registry, String>,
}

/// An administrator's file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdminConfig {
    /// Settings of users who have none of their own.
    pub settings: Config,
    /// What nobody may do.
    pub forbid: Forbid,
    ceiling: Option<PolicyFile>,
}

/// What an administrator forbids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forbid {
    /// The local driver, whatever flag or setting asks for it.
    pub local_driver: bool,
    /// Profiles of the registry that may not be used by name. A permissions file can say the same as a profile: what
    /// must hold whatever a user writes belongs into the ceiling.
    pub profiles: BTreeSet<String>,
    /// Operations that are `never`.
    pub operations: BTreeSet<Operation>,
}

impl Config {
    /// Reads a user's file.
    ///
    /// # Errors
    /// Everything that is wrong with it; keys of the administrator's file are unknown here.
    pub fn parse(file: &str, source: impl AsRef<[u8]>) -> Result<Self, FileErrors> {
        Source::read(file, source.as_ref(), |root, source| {
            root.only(&USER_KEYS, source);
            settings(&root, source)
        })
    }

    /// These settings, and `other`'s where these say nothing.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        Self {
            allow_local_driver: self.allow_local_driver.or(other.allow_local_driver),
            default_profile: self.default_profile.or_else(|| other.default_profile.clone()),
            agent: self.agent.or_else(|| other.agent.clone()),
            upstream: self.upstream.or_else(|| other.upstream.clone()),
            prices: self.prices.or_else(|| other.prices.clone()),
            approvals: self.approvals.or(other.approvals),
            webhook: self.webhook.or_else(|| other.webhook.clone()),
            webhook_key: self.webhook_key.or_else(|| other.webhook_key.clone()),
            colour: self.colour.or(other.colour),
            quiet: self.quiet.or(other.quiet),
            storage_max_bytes: self.storage_max_bytes.or(other.storage_max_bytes),
            storage_keep_days: self.storage_keep_days.or(other.storage_keep_days),
            registries: other.registries.clone().into_iter().chain(self.registries).collect(),
        }
    }
}

impl AdminConfig {
    /// Reads an administrator's file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(file: &str, source: impl AsRef<[u8]>) -> Result<Self, FileErrors> {
        Source::read(file, source.as_ref(), |root, source| {
            root.only(&ADMIN_KEYS, source);
            let forbid = forbid(&root, source);
            let ceiling = root.table("ceiling", source).map(|table| {
                table.only(&SECTIONS, source);
                PolicyFile::from_table(file, &table, source)
            });
            Self { settings: settings(&root, source), forbid, ceiling }
        })
    }

    /// Whether it has a `[ceiling]`.
    #[must_use]
    pub fn has_ceiling(&self) -> bool {
        self.ceiling.is_some()
    }

    /// What every run is met with, for a task that starts at `started_ms`: the ceiling, and `never` for forbidden
    /// operations.
    #[must_use]
    pub fn ceiling(&self, started_ms: u64) -> Permissions {
        let mut ceiling = match &self.ceiling {
            Some(policy) => policy.ceiling(started_ms),
            None => Permissions::top(),
        };
        ceiling.levels = self
            .forbid
            .operations
            .iter()
            .fold(ceiling.levels, |levels, operation| levels.with(*operation, Level::Never));
        ceiling
    }
}

fn settings(root: &Table<'_, '_>, source: &mut Source<'_>) -> Config {
    let mut config = Config {
        allow_local_driver: root.flag("allow_local_driver", source),
        default_profile: root
            .get("default_profile")
            .and_then(|item| item.word(&profiles(), source))
            .map(str::to_owned),
        agent: root.get("agent").and_then(|item| item.word(&AGENTS, source)).map(str::to_owned),
        colour: root.get("colour").and_then(|item| item.word(&COLOURS, source)),
        quiet: root.flag("quiet", source),
        ..Config::default()
    };
    if let Some(model) = root.table("model", source) {
        model.only(&["upstream", "prices"], source);
        config.upstream = upstream(&model, source);
        config.prices = prices(&model, source);
    }
    if let Some(network) = root.table("network", source) {
        network.only(&["registries"], source);
        config.registries = registries(&network, source);
    }
    if let Some(approvals) = root.table("approvals", source) {
        approvals.only(&["mode", "webhook", "webhook_key"], source);
        let text = |key: &str, source: &mut Source<'_>| {
            approvals.text(key, source).map(|(text, _)| text.to_owned())
        };
        config.webhook = webhook(&approvals, source);
        config.webhook_key = text("webhook_key", source);
        config.approvals = approvals.get("mode").and_then(|item| item.word(&APPROVALS, source));
    }
    if let Some(storage) = root.table("storage", source) {
        storage.only(&["max_bytes", "keep_days"], source);
        let bytes = STORAGE_BYTES_MIN..=u64::MAX / 2;
        config.storage_max_bytes = storage.integer("max_bytes", bytes, source);
        config.storage_keep_days = storage.integer("keep_days", 1..=KEEP_DAYS_MAX, source);
    }
    config
}

fn registries(network: &Table<'_, '_>, source: &mut Source<'_>) -> BTreeMap<Registry, String> {
    let Some(table) = network.table("registries", source) else { return BTreeMap::new() };
    table.only(&Registry::ALL.map(Registry::name), source);
    let mut mirrors = BTreeMap::new();
    for (key, item) in table.entries() {
        let (Ok(registry), Some(text)) = (key.parse(), item.text("text", source)) else { continue };
        match base_url(text) {
            Some(url) => {
                mirrors.insert(registry, url);
            }
            None => source.report_value(&item, MIRRORS),
        }
    }
    mirrors
}

fn webhook(approvals: &Table<'_, '_>, source: &mut Source<'_>) -> Option<String> {
    let (written, item) = approvals.text("webhook", source)?;
    let url = base_url(written);
    if url.is_none() {
        source.report_value(&item, WEBHOOKS);
    }
    url
}

/// An origin with a plain path behind it.
fn base_url(written: &str) -> Option<String> {
    if written.len() > URL_MAX_BYTES {
        return None;
    }
    let rest = written.split_once("://")?.1;
    let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default();
    let path = path.trim_end_matches('/');
    let plain = |name: &str| {
        !name.is_empty()
            && !matches!(name, "." | "..")
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    };
    let names_are_plain = path.is_empty() || path.split('/').skip(1).all(plain);
    let base = written.trim_end_matches('/').strip_suffix(path)?;
    names_are_plain.then_some(())?;
    Some(format!("{}{path}", origin(base)?))
}

fn forbid(root: &Table<'_, '_>, source: &mut Source<'_>) -> Forbid {
    let Some(table) = root.table("forbid", source) else { return Forbid::default() };
    table.only(&["local_driver", "profiles", "operations"], source);
    let named = table.list("profiles", source).unwrap_or_default();
    let operations = Operation::ALL.map(|operation| (operation.name(), operation));
    let listed = table.list("operations", source).unwrap_or_default();
    Forbid {
        local_driver: table.flag("local_driver", source).unwrap_or(false),
        profiles: named
            .iter()
            .filter_map(|item| item.word(&profiles(), source).map(str::to_owned))
            .collect(),
        operations: listed.iter().filter_map(|item| item.word(&operations, source)).collect(),
    }
}

fn profiles() -> Vec<(&'static str, &'static str)> {
    let name = |profile: &'static profile::Profile| profile.info().name.as_str();
    profile::list().iter().map(|profile| (name(profile), name(profile))).collect()
}

fn prices(model: &Table<'_, '_>, source: &mut Source<'_>) -> Option<String> {
    let (path, item) = model.text("prices", source)?;
    if path.is_empty() || path.contains('\0') {
        source.report_value(&item, "the path of a file, absolute or beside this one");
        return None;
    }
    Some(path.to_owned())
}

fn upstream(model: &Table<'_, '_>, source: &mut Source<'_>) -> Option<String> {
    let (written, item) = model.text("upstream", source)?;
    let origin = origin(written);
    if origin.is_none() {
        source.report_value(&item, UPSTREAMS);
    }
    origin
}

/// An origin in its one form: scheme, host, and port if it is written. Plain HTTP only to a loopback address.
fn origin(written: &str) -> Option<String> {
    if written.len() > URL_MAX_BYTES {
        return None;
    }
    let written = written.strip_suffix('/').unwrap_or(written);
    let (scheme, authority) = written.split_once("://")?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !authority.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let port_is_plain = port.is_none_or(|port| {
        port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|p| p > 0)
    });
    let loopback = matches!(host, "127.0.0.1" | "[::1]" | "localhost");
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let host_is_plain = loopback || (host.len() <= 253 && host.split('.').all(label));
    let scheme_fits = scheme == "https" || scheme == "http" && loopback;
    (scheme_fits && host_is_plain && port_is_plain)
        .then(|| format!("{scheme}://{}", authority.to_ascii_lowercase()))
}
