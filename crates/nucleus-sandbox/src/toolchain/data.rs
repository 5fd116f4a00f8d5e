//! The data file, parsed.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

const TEXT: &str = include_str!("../../data/toolchains.toml");

/// Version of the file that this code reads.
const VERSION: u32 = 1;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Data {
    pub(super) version: u32,
    pub(super) base: BaseData,
    pub(super) toolchain: Vec<ToolchainData>,
    pub(super) rust: RustData,
    pub(super) python: PythonData,
    pub(super) hint: Vec<HintData>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BaseData {
    pub(super) directories: Vec<String>,
    pub(super) below: Vec<String>,
    pub(super) below_except: Vec<String>,
    pub(super) links: Vec<String>,
    pub(super) etc: Vec<String>,
    pub(super) path: Vec<String>,
    pub(super) forbidden: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ToolchainData {
    pub(super) name: String,
    pub(super) programs: Vec<String>,
    pub(super) leaves: Vec<String>,
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    pub(super) forbidden: Vec<String>,
    #[serde(default)]
    pub(super) cache: Vec<CacheData>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CacheData {
    pub(super) name: String,
    /// Variable that tells the tool where the cache is.
    pub(super) env: Option<String>,
    /// Variable of the host that says where it is there.
    pub(super) from_env: Option<String>,
    pub(super) home: Option<String>,
    /// `*` stands for every directory that is not excepted.
    pub(super) leaves: Vec<String>,
    #[serde(default)]
    pub(super) except: Vec<String>,
    /// Variable of the host with a comma-separated list of further exceptions (the first name of each counts).
    pub(super) except_env: Option<String>,
    #[serde(default)]
    pub(super) extra_env: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RustData {
    pub(super) public_registries: Vec<String>,
    pub(super) public_hosts: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) forbidden: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PythonData {
    pub(super) leaves: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) forbidden: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HintData {
    pub(super) pattern: String,
    pub(super) text: String,
    pub(super) command: Option<String>,
    /// What a name looks like that may stand in the command.
    #[serde(default)]
    pub(super) names: Names,
    pub(super) plain: String,
}

/// How an ecosystem writes its names. Nothing of these can be a path, an address or an option.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Names {
    /// Letters, digits, `-` and `_`, as of a crate.
    #[default]
    Crate,
    /// The same with dots within, as of a Python package.
    Python,
    /// A host with a dot, a path below it, and a version behind `@`.
    Go,
    /// Words of that kind, between two and five, with colons between.
    Maven,
}

/// The data of this build. A test holds that the file parses, so the empty value is never seen.
pub(super) fn data() -> &'static Data {
    static DATA: OnceLock<Data> = OnceLock::new();
    DATA.get_or_init(|| {
        toml::from_str(TEXT).ok().filter(|d: &Data| d.version == VERSION).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_parses() {
        let parsed: Data = toml::from_str(TEXT).unwrap();
        assert_eq!(parsed.version, VERSION);
        assert!(data().toolchain.len() >= 4 && !data().base.directories.is_empty());
    }

    #[test]
    fn no_parent_of_secrets_is_a_leaf() {
        let data = data();
        for dir in &data.base.directories {
            assert!(
                !["/", "/usr", "/etc", "/var", "/home", "/root", "/usr/local"]
                    .contains(&dir.as_str()),
                "{dir}"
            );
        }
        for cache in data.toolchain.iter().flat_map(|t| &t.cache) {
            assert!(
                cache.leaves.iter().all(|l| !l.is_empty() && !l.contains("..")),
                "{}",
                cache.name
            );
        }
    }
}
