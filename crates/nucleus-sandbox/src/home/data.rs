//! The data file, parsed.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

const TEXT: &str = include_str!("../../data/agents.toml");
/// Version of the file that this code reads.
const VERSION: u32 = 1;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Data {
    pub(super) version: u32,
    pub(super) context: ContextData,
    pub(super) everywhere: EverywhereData,
    pub(super) agent: Vec<AgentData>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ContextData {
    pub(super) names: Vec<String>,
    pub(super) user: Vec<String>,
    pub(super) skip: Vec<String>,
}

/// What holds for the home of every agent.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EverywhereData {
    pub(super) clear: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AgentData {
    pub(super) name: String,
    pub(super) directories: Vec<String>,
    #[serde(default)]
    pub(super) clear: Vec<String>,
    pub(super) strip: Vec<String>,
    pub(super) state: Option<String>,
    pub(super) keep: Vec<String>,
    /// Keys of the state file, and of each project in it, that the pod's own is rid of.
    #[serde(default)]
    pub(super) drop: Vec<String>,
    #[serde(default)]
    pub(super) set: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    pub(super) set_default: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    pub(super) project: BTreeMap<String, serde_json::Value>,
    pub(super) settings: Option<SettingsData>,
    pub(super) mcp: Vec<McpPlace>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SettingsData {
    pub(super) file: String,
    pub(super) keep: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct McpPlace {
    pub(super) file: String,
    pub(super) key: String,
}

/// The data of this build. A test holds that the file parses, so the empty value is never seen.
pub(super) fn data() -> &'static Data {
    static DATA: OnceLock<Data> = OnceLock::new();
    DATA.get_or_init(|| {
        toml::from_str(TEXT).ok().filter(|d: &Data| d.version == VERSION).unwrap_or_default()
    })
}

/// Places in any home that are cleared at each start: user-level context files, which the host's then cover, too.
pub(super) fn everywhere() -> impl Iterator<Item = &'static str> {
    let data = data();
    data.context.user.iter().chain(&data.everywhere.clear).map(String::as_str)
}

pub(super) fn agent(name: &str) -> Option<&'static AgentData> {
    data().agent.iter().find(|a| a.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_parses_and_names_no_credential() {
        let parsed: Data = toml::from_str(TEXT).unwrap();
        assert_eq!(parsed.version, VERSION);
        let words = [
            "credential",
            "oauth",
            "token",
            "apikey",
            "api_key",
            "secret",
            "hook",
            "permission",
            "mcp",
            "provider",
            "url",
        ];
        for agent in &parsed.agent {
            let settings = agent.settings.iter().flat_map(|settings| &settings.keep);
            // The client's word for keys it need not ask about; it names the placeholder.
            let set = agent.set.keys().filter(|key| *key != "customApiKeyResponses");
            let state = agent.keep.iter().chain(set).chain(agent.project.keys());
            for key in state.chain(settings) {
                assert!(words.iter().all(|w| !key.to_lowercase().contains(w)), "{key}");
            }
            let whole = [".claude", ".codex", ".gemini", ".agents", ".config/opencode"];
            for dir in &agent.directories {
                let leaf = dir.rsplit_once('/').is_some_and(|(parent, _)| whole.contains(&parent));
                assert!(leaf, "{dir}: a leaf, not the client's whole directory");
            }
        }
    }
}
