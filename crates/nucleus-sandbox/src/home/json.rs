//! The client's state file.

use std::io::Read as _;

use serde_json::{Map, Value};

use super::data::AgentData;

/// Largest state file read; clients keep histories in them.
const STATE_BYTES: u64 = 64 * 1024 * 1024;

/// The object in a file of the home; anything else is an empty one.
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

/// What the pod's state becomes: the pod's own without what it would run, with the listed plain values of the host's and the fixed ones.
pub(super) fn merge(
    mut own: Map<String, Value>,
    host: &Map<String, Value>,
    agent: &AgentData,
    workspace: &str,
) -> Map<String, Value> {
    // Its own, too, would be an earlier task's word.
    own.retain(|key, _| !agent.drop.contains(key));
    let projects = own.get_mut("projects").and_then(Value::as_object_mut);
    for project in projects.into_iter().flatten().filter_map(|(_, value)| value.as_object_mut()) {
        project.retain(|key, _| !agent.drop.contains(key));
    }
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
