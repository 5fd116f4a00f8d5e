use std::collections::BTreeSet;
use std::fmt::Display;

use lattice_guard::{
    Classifier, HostPattern, Hosts, IsolationFloor, IsolationLevel, Layer, Level, Levels, Models,
    Name, Names, Operation, Packages, PathPattern, PathRules, Paths, Registry,
};

use crate::file::{FileErrorKind, Item, Source, Table};
use crate::limits::POLICY_MAX_VALID_HOURS;

const MINUTES_PER_HOUR: u64 = 60;

pub(super) fn capabilities(root: &Table<'_, '_>, source: &mut Source<'_>) -> Option<Levels> {
    let table = root.table("capabilities", source)?;
    table.only(&Operation::ALL.map(Operation::name), source);
    let levels = Level::ALL.map(|level| (level.name(), level));
    Some(table.entries().fold(Levels::bottom(), |all, (key, item)| {
        let Ok(operation) = key.parse::<Operation>() else { return all };
        match item.word(&levels, source) {
            Some(level) => all.with(operation, level),
            None => all,
        }
    }))
}

pub(super) fn obligations(root: &Table<'_, '_>, source: &mut Source<'_>) -> BTreeSet<Operation> {
    let Some(table) = root.table("obligations", source) else { return BTreeSet::new() };
    table.only(&["approvals"], source);
    let operations = Operation::ALL.map(|operation| (operation.name(), operation));
    let items = table.list("approvals", source).unwrap_or_default();
    items.iter().filter_map(|item| item.word(&operations, source)).collect()
}

/// `[paths]` as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathSection {
    allowed: Option<Vec<PathPattern>>,
    blocked: Vec<PathPattern>,
}

impl PathSection {
    pub(super) fn rules(&self, classifier: &Classifier) -> Paths {
        Paths::from_rules(self.allowed.clone(), self.blocked.clone(), classifier)
    }

    /// As a ceiling, a file that lists no allowed paths leaves the naming of sensitive ones to what it is met with.
    pub(super) fn ceiling(&self, classifier: &Classifier) -> Paths {
        let rules = self.rules(classifier);
        match self.allowed {
            Some(_) => rules,
            None => Paths { sensitive: PathRules::top(), ..rules },
        }
    }
}

pub(super) fn paths(root: &Table<'_, '_>, source: &mut Source<'_>) -> Option<PathSection> {
    let table = root.table("paths", source)?;
    table.only(&["allowed", "blocked"], source);
    Some(PathSection {
        allowed: parsed_list(&table, "allowed", PathPattern::parse, source),
        blocked: parsed_list(&table, "blocked", PathPattern::parse, source).unwrap_or_default(),
    })
}

/// `[network]` as written. Nothing is named that is not listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NetworkSection {
    pub(super) hosts: Hosts,
    pub(super) packages: Packages,
}

pub(super) fn network(root: &Table<'_, '_>, source: &mut Source<'_>) -> Option<NetworkSection> {
    let table = root.table("network", source)?;
    table.only(&["allow", "packages"], source);
    let mut hosts = Vec::new();
    for item in table.list("allow", source).unwrap_or_default() {
        let Some(text) = item.text("text", source) else { continue };
        if text.contains("://") {
            source.report_value(&item, "a host, with a port or without, not a URL");
            continue;
        }
        match HostPattern::parse(text) {
            Ok(host) => hosts.push(host),
            Err(error) => source.report_refused(&item, &error),
        }
    }
    let registries = Registry::ALL.map(|registry| (registry.name(), registry));
    let named = table.list("packages", source).unwrap_or_default();
    Some(NetworkSection {
        hosts: Hosts::only(hosts),
        packages: Packages::only(named.iter().filter_map(|item| item.word(&registries, source))),
    })
}

/// `[model]` as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ModelSection {
    providers: Option<Vec<Name>>,
    hidden: Vec<PathPattern>,
}

impl ModelSection {
    /// The dimension, with `absent` where no provider is listed.
    pub(super) fn models(&self, absent: Names) -> Models {
        let listed = self.providers.as_ref().map(|names| names.iter().cloned().collect());
        Models {
            providers: listed.unwrap_or(absent),
            visible: PathRules::except(self.hidden.iter().cloned()),
        }
    }
}

pub(super) fn model(root: &Table<'_, '_>, source: &mut Source<'_>) -> Option<ModelSection> {
    let table = root.table("model", source)?;
    table.only(&["allow", "hidden_paths"], source);
    let hidden = parsed_list(&table, "hidden_paths", PathPattern::parse, source);
    Some(ModelSection {
        providers: parsed_list(&table, "allow", Name::parse, source),
        hidden: hidden.unwrap_or_default(),
    })
}

pub(super) fn valid_minutes(root: &Table<'_, '_>, source: &mut Source<'_>) -> Option<u64> {
    let table = root.table("time", source)?;
    table.only(&["valid_hours", "valid_minutes"], source);
    if let (Some(_), Some(minutes)) = (table.get("valid_hours"), table.get("valid_minutes")) {
        let kind = FileErrorKind::Conflict { with: "valid_hours" };
        source.report(minutes.span(), minutes.key().to_owned(), kind);
    }
    let most_minutes = POLICY_MAX_VALID_HOURS.saturating_mul(MINUTES_PER_HOUR);
    let hours = table.integer("valid_hours", 1..=POLICY_MAX_VALID_HOURS, source);
    let minutes = table.integer("valid_minutes", 1..=most_minutes, source);
    hours.map(|hours| hours.saturating_mul(MINUTES_PER_HOUR)).or(minutes)
}

/// What a file that does not speak of isolation still demands.
pub(super) fn isolation_default() -> IsolationFloor {
    IsolationFloor { minimum: IsolationLevel::Process, full_layers: BTreeSet::new() }
}

pub(super) fn isolation(root: &Table<'_, '_>, source: &mut Source<'_>) -> Option<IsolationFloor> {
    let table = root.table("isolation", source)?;
    table.only(&["minimum", "full_layers"], source);
    let levels =
        [IsolationLevel::Process, IsolationLevel::MicroVm].map(|level| (level.name(), level));
    let minimum = table.get("minimum").and_then(|item| item.word(&levels, source));
    let layers = Layer::ALL.map(|layer| (layer.name(), layer));
    let full = table.list("full_layers", source).unwrap_or_default();
    Some(IsolationFloor {
        minimum: minimum.unwrap_or(IsolationLevel::Process),
        full_layers: full.iter().filter_map(|item| item.word(&layers, source)).collect(),
    })
}

/// A list of texts, each read by `parse`, whose error says what is allowed.
fn parsed_list<T, E: Display>(
    table: &Table<'_, '_>,
    key: &str,
    parse: impl Fn(&str) -> Result<T, E>,
    source: &mut Source<'_>,
) -> Option<Vec<T>> {
    let items = table.list(key, source)?;
    Some(items.iter().filter_map(|item| parsed(item, &parse, source)).collect())
}

fn parsed<T, E: Display>(
    item: &Item<'_, '_>,
    parse: impl Fn(&str) -> Result<T, E>,
    source: &mut Source<'_>,
) -> Option<T> {
    match parse(item.text("text", source)?) {
        Ok(value) => Some(value),
        Err(error) => {
            source.report_refused(item, &error);
            None
        }
    }
}
