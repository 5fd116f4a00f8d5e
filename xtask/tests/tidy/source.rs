//! Rules over single files.

/// These files, which name what they look for.
const OWN: &str = "xtask/tests/tidy";
const FILE_LINES_MAX: usize = 1_000;
const MAIN_LINES_MAX: usize = 150;

/// Crates of tiers 0 and 1, which do no IO, with the one module of each that may.
const PURE: [(&str, &str); 3] = [
    ("crates/lattice-guard/src/", ""),
    ("crates/nucleus-wire/src/", ""),
    ("crates/nucleus-log/src/", "store"),
];
const IO_NAMES: [&str; 7] = [
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "std::os::unix::net",
    "SystemTime::now",
    "Instant::now",
];

pub(crate) fn too_long(name: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    let max = if name.ends_with("src/main.rs") { MAIN_LINES_MAX } else { FILE_LINES_MAX };
    if lines > max { vec![format!("{name}: {lines} lines, at most {max}")] } else { Vec::new() }
}

pub(crate) fn unsafe_outside_sys(name: &str, text: &str) -> Vec<String> {
    if name.starts_with("crates/nucleus-sys/") || name.starts_with(OWN) {
        return Vec::new();
    }
    matches(name, text, |line| {
        ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"]
            .iter()
            .any(|word| code(line).contains(word))
    })
}

pub(crate) fn io_below_tier_two(name: &str, text: &str) -> Vec<String> {
    let Some((module, exempt)) =
        PURE.iter().find_map(|(prefix, exempt)| Some((name.strip_prefix(prefix)?, *exempt)))
    else {
        return Vec::new();
    };
    if (!exempt.is_empty() && module.starts_with(exempt))
        || name.ends_with("tests.rs")
        || name.contains("/tests/")
    {
        return Vec::new();
    }
    let body = text.split("#[cfg(test)]").next().unwrap_or(text);
    matches(name, body, |line| IO_NAMES.iter().any(|io| code(line).contains(io)))
}

pub(crate) fn stubs(name: &str, text: &str) -> Vec<String> {
    if name.starts_with(OWN) {
        return Vec::new();
    }
    matches(name, text, |line| {
        let line = code(line);
        ["todo!(", "unimplemented!(", "FIXME"].iter().any(|word| line.contains(word))
            || (line.contains("#[ignore") && !run_by_another(line, text) && !run_by_the_gate(line))
    })
}

/// True for a test that another test of the same file starts in a process of its own, as positive controls do.
fn run_by_another(line: &str, text: &str) -> bool {
    let runner = line.split("\"run by ").nth(1).and_then(|rest| rest.split('"').next());
    runner.is_some_and(|runner| text.contains(&format!("fn {runner}(")))
}

/// True for a test that not every account or host can run, which the gate's own step asks for by name.
fn run_by_the_gate(line: &str) -> bool {
    line.contains("\"needs root\"") || line.contains("\"needs user namespaces\"")
}

pub(crate) fn lints_not_inherited(name: &str, text: &str) -> Vec<String> {
    if name == "Cargo.toml" || name.contains("demo/") || text.contains("[lints]\nworkspace = true")
    {
        return Vec::new();
    }
    vec![format!("{name}: does not inherit the workspace lints")]
}

pub(crate) fn weaken_by_default(name: &str, text: &str) -> Vec<String> {
    matches(name, text, |line| line.starts_with("default") && line.contains("weaken"))
}

fn matches(name: &str, text: &str, bad: impl Fn(&str) -> bool) -> Vec<String> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| bad(line))
        .map(|(index, line)| format!("{name}:{}: {}", index + 1, line.trim()))
        .collect()
}

/// The line without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or(line)
}

mod broken {
    use super::*;

    #[test]
    fn a_long_file_is_found() {
        assert!(!too_long("crates/x/src/lib.rs", &"x\n".repeat(1_001)).is_empty());
        assert!(!too_long("crates/x/src/main.rs", &"x\n".repeat(151)).is_empty());
        assert!(too_long("crates/x/src/lib.rs", &"x\n".repeat(151)).is_empty());
    }

    #[test]
    fn unsafe_is_found_outside_sys_only() {
        let text = "fn f() { unsafe { g() } }";
        assert!(!unsafe_outside_sys("crates/nucleus/src/lib.rs", text).is_empty());
        assert!(unsafe_outside_sys("crates/nucleus-sys/src/lib.rs", text).is_empty());
        assert!(unsafe_outside_sys("crates/nucleus/src/lib.rs", "// unsafe { }").is_empty());
    }

    #[test]
    fn io_is_found_in_a_pure_crate_only() {
        let text = "use std::fs::File;";
        assert!(!io_below_tier_two("crates/lattice-guard/src/lib.rs", text).is_empty());
        assert!(!io_below_tier_two("crates/nucleus-log/src/entry.rs", text).is_empty());
        assert!(io_below_tier_two("crates/nucleus-log/src/store.rs", text).is_empty());
        assert!(io_below_tier_two("crates/nucleus/src/lib.rs", text).is_empty());
    }

    #[test]
    fn a_stub_is_found() {
        assert!(!stubs("crates/x/src/lib.rs", "todo!()").is_empty());
        assert!(!stubs("crates/x/src/lib.rs", "#[ignore]").is_empty());
        assert!(!stubs("crates/x/src/lib.rs", "#[ignore = \"run by nobody\"]").is_empty());
        assert!(
            stubs("crates/x/src/lib.rs", "#[ignore = \"run by parent\"]\nfn parent() {}")
                .is_empty()
        );
    }

    #[test]
    fn a_crate_without_the_lints_is_found() {
        assert!(!lints_not_inherited("crates/x/Cargo.toml", "[package]").is_empty());
    }

    #[test]
    fn a_default_weakening_is_found() {
        assert!(!weaken_by_default("crates/x/Cargo.toml", "default = [\"weaken\"]").is_empty());
    }
}
