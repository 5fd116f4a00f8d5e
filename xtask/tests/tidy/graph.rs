//! The direction of dependencies between the crates of the workspace (DESIGN section 3).

use serde_json::Value;

/// Tier of each crate; a crate may depend on lower tiers only, and within its tier on what is listed beside it.
const TIERS: [(&str, u8, &[&str]); 14] = [
    ("lattice-guard", 0, &[]),
    ("nucleus-sys", 0, &[]),
    ("nucleus-log", 1, &[]),
    ("nucleus-wire", 1, &[]),
    ("nucleus", 2, &[]),
    ("nucleus-gate", 2, &[]),
    ("nucleus-report", 2, &[]),
    ("nucleus-sandbox", 2, &[]),
    ("nucleus-audit", 3, &[]),
    ("nucleus-cli", 3, &[]),
    ("nucleus-mcp", 3, &[]),
    ("nucleus-tool-proxy", 3, &[]),
    ("testkit", 4, &[]),
    ("xtask", 4, &[]),
];

/// What lattice-guard may depend on at all.
const LATTICE_GUARD_DEPENDENCIES: [&str; 2] = ["globset", "serde"];

pub(crate) fn upward_edges(metadata: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, tier, siblings)) = TIERS.iter().find(|(known, ..)| *known == name) else {
            problems
                .push(format!("{name}: no tier; add it here and to ARCHITECTURE.md, with an ADR"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            if !dependency["kind"].is_null() {
                continue; // development and build dependencies do not ship
            }
            let other = dependency["name"].as_str().unwrap_or_default();
            if name == "lattice-guard" && !LATTICE_GUARD_DEPENDENCIES.contains(&other) {
                problems.push(format!("lattice-guard depends on {other}"));
            }
            let Some((_, other_tier, _)) = TIERS.iter().find(|(known, ..)| *known == other) else {
                continue;
            };
            if other_tier >= tier && !siblings.contains(&other) {
                problems
                    .push(format!("{name} (tier {tier}) depends on {other} (tier {other_tier})"));
            }
        }
    }
    problems
}

mod broken {
    use serde_json::json;

    use super::*;

    fn graph(name: &str, dependency: &str) -> Value {
        json!({"packages": [{"name": name, "dependencies": [{"name": dependency, "kind": null}]}]})
    }

    #[test]
    fn an_upward_edge_is_found() {
        assert!(!upward_edges(&graph("nucleus-wire", "nucleus")).is_empty());
        assert!(!upward_edges(&graph("nucleus-gate", "nucleus-sandbox")).is_empty());
        assert!(upward_edges(&graph("nucleus", "nucleus-wire")).is_empty());
    }

    #[test]
    fn an_unknown_crate_and_a_foreign_dependency_are_found() {
        assert!(!upward_edges(&graph("common", "serde")).is_empty());
        assert!(!upward_edges(&graph("lattice-guard", "regex")).is_empty());
    }
}
