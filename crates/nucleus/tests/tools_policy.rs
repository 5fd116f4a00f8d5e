//! The file tools behind the whole pipeline: what policy withholds stays withheld under every name, and nothing
//! outside the workspace is reached by any.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "shared with the tests of the pipeline, which use more of it")]
#[path = "pipeline/support.rs"]
mod support;

use std::fs;
use std::os::unix::fs::symlink;

use lattice_guard::{PathRules, Paths, Permissions};
use nucleus_wire::control::ApprovalMode;
use serde_json::{Value, json};
use support::{Setting, World, free};

const CANARY: &str = "canary-77aa";

/// Nothing sensitive is allowed by name.
fn careful() -> Permissions {
    let paths = Paths { rules: PathRules::top(), sensitive: PathRules::bottom() };
    Permissions { paths, ..free() }
}

fn world(policy: Permissions) -> World {
    let world = World::of(Setting { policy, approvals: ApprovalMode::None, ..Setting::default() });
    world.put(".env", CANARY);
    world.put("deploy/server.pem", CANARY);
    world.put("src/lib.rs", "pub fn ok() {} // canary-free\n");
    fs::write(world.directory.path().join("secret"), CANARY).unwrap();
    for (name, target) in
        [("notes.txt", ".env"), ("keys", "deploy"), ("out.txt", "../secret"), ("up", "..")]
    {
        symlink(target, world.ws().join(name)).unwrap();
    }
    world
}

fn refused(world: &World, tool: &str, arguments: Value) -> String {
    let result = world.call(tool, arguments.clone());
    assert!(result.is_error(), "{tool} {arguments}: {}", result.text);
    assert!(!result.text.contains(CANARY), "{tool} {arguments}: {}", result.text);
    let host = world.directory.path().to_str().unwrap();
    assert!(!result.text.contains(host), "a host path in: {}", result.text);
    format!("{:?}", result.ending)
}

#[test]
fn a_withheld_file_is_withheld_under_every_name() {
    let world = world(careful());
    for path in [".env", "notes.txt", "./notes.txt", "deploy/server.pem", "keys/server.pem"] {
        assert!(fs::read_to_string(world.ws().join(path)).unwrap() == CANARY, "control: {path}");
        refused(&world, "read", json!({"path": path}));
        refused(&world, "grep", json!({"pattern": "canary", "path": path}));
        refused(&world, "edit", json!({"path": path, "old_string": "canary", "new_string": "x"}));
    }
    let found = world.call("grep", json!({"pattern": "canary"}));
    assert!(found.text.contains("src/lib.rs:1:") && !found.text.contains(CANARY), "{}", found.text);
    let listed = world.call("glob", json!({"pattern": "**"}));
    assert!(listed.text.contains("src/lib.rs"), "{}", listed.text);
    for name in [".env", "server.pem", "notes.txt", "keys"] {
        assert!(!listed.text.contains(name), "{name} in {}", listed.text);
    }
    assert_eq!(fs::read_to_string(world.ws().join(".env")).unwrap(), CANARY);
}

#[test]
fn nothing_outside_is_reached() {
    let world = world(careful());
    let outside = world.directory.path().join("secret");
    for path in ["out.txt", "up/secret", "up/ws/src/lib.rs"] {
        assert!(fs::metadata(world.ws().join(path)).is_ok(), "control: {path} exists by name");
        assert!(refused(&world, "read", json!({"path": path})).contains("deny.path.escape"));
        let write = json!({"path": path, "content": "hit"});
        assert!(refused(&world, "write", write).contains("deny.path.escape"));
    }
    for path in ["../secret", "/etc/passwd", "a/../../secret"] {
        refused(&world, "read", json!({"path": path}));
    }
    refused(&world, "run", json!({"argv": ["true"], "cwd": "up"}));
    fs::hard_link(&outside, world.ws().join("hard")).unwrap();
    let write = json!({"path": "hard", "content": "hit"});
    assert!(refused(&world, "write", write).contains("deny.path.hard_link"));
    assert_eq!(fs::read_to_string(outside).unwrap(), CANARY);
    world.closed();
}

/// Where sensitive files are allowed but need a human's word, a search may not give away what a read asks for.
#[test]
fn a_search_never_shows_what_a_read_would_need_approval_for() {
    let world = world(free());
    assert!(refused(&world, "read", json!({"path": ".env"})).contains("pproval"), "control");
    let found = world.call("grep", json!({"pattern": "canary"}));
    assert!(found.text.contains("src/lib.rs:1:") && !found.text.contains(CANARY), "{}", found.text);
    assert!(!world.call("glob", json!({"pattern": "**"})).text.contains(".env"));
}
