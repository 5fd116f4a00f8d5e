//! The client's state file.

use std::io::Read as _;
use std::path::Path;

use serde_json::{Map, Value};

use super::data::AgentData;

/// Largest state file read; clients keep histories in them.
const STATE_BYTES: u64 = 64 * 1024 * 1024;

/// Reads a JSON object of the host's; anything else is an empty one.
pub(super) fn read(path: &Path) -> Map<String, Value> {
    let Ok(file) = std::fs::File::open(path) else { return Map::new() };
    if !file.metadata().is_ok_and(|m| m.is_file()) {
        return Map::new();
    }
    parse(file)
}

pub(super) fn parse(file: std::fs::File) -> Map<String, Value> {
    let mut bytes = Vec::new();
    if file.take(STATE_BYTES).read_to_end(&mut bytes).is_err() {
        return Map::new();
    }
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

/// What the pod's state becomes: the pod's own, with the listed plain values of the host's and the fixed ones.
pub(super) fn merge(
    mut own: Map<String, Value>,
    host: &Map<String, Value>,
    agent: &AgentData,
    workspace: &str,
) -> Map<String, Value> {
    for (key, value) in &agent.set_default {
        own.entry(key.clone()).or_insert_with(|| value.clone());
    }
    for key in &agent.keep {
        if let Some(value) =
            host.get(key).filter(|v| v.is_boolean() || v.is_number() || v.is_string())
        {
            own.insert(key.clone(), value.clone());
        }
    }
    for (key, value) in &agent.set {
        own.insert(key.clone(), value.clone());
    }
    if !agent.project.is_empty() {
        let projects = own.entry("projects").or_insert_with(|| Value::Object(Map::new()));
        if !projects.is_object() {
            *projects = Value::Object(Map::new());
        }
        if let Some(projects) = projects.as_object_mut() {
            let project = projects.entry(workspace).or_insert_with(|| Value::Object(Map::new()));
            if !project.is_object() {
                *project = Value::Object(Map::new());
            }
            if let Some(project) = project.as_object_mut() {
                project.extend(agent.project.iter().map(|(k, v)| (k.clone(), v.clone())));
            }
        }
    }
    own
}

/// Names of the objects below a dotted key, in which `{workspace}` is one name.
pub(super) fn names(object: &Map<String, Value>, key: &str, workspace: &str) -> Vec<String> {
    let mut at = object;
    for part in key.split('.') {
        let part = if part == "{workspace}" { workspace } else { part };
        match at.get(part).and_then(Value::as_object) {
            Some(below) => at = below,
            None => return Vec::new(),
        }
    }
    at.keys().cloned().collect()
}
