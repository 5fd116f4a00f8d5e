//! `permissions.toml`: what it means, and every way it can be wrong.
#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeSet;
use std::fmt::Write as _;

use lattice_guard::{
    Host, IsolationLevel, Layer, Level, MicroUsd, Name, Operation, Packages, Permissions, Registry,
    RelPath, Tokens,
};
use nucleus_wire::file::FileErrorKind;
use nucleus_wire::limits::{POLICY_FILE_MAX_BYTES, POLICY_LIST_MAX_ITEMS, POLICY_MAX_ERRORS};
use nucleus_wire::permissions::{BudgetLimit, Defaults, PolicyFile, parse};
use proptest::prelude::*;

const START_MS: u64 = 1_800_000_000_000;
const HOUR_MS: u64 = 3_600_000;

/// The example of the project's README, as it stands there.
const EXAMPLE: &str = r#"
[capabilities]
read_files = "always"
write_files = "low_risk"
edit_files = "low_risk"
run_bash = "low_risk"
git_commit = "low_risk"
git_push = "never"        # Blocked entirely
web_fetch = "never"       # No untrusted content

[obligations]
approvals = ["run_bash"]  # Requires approval token

[budget]
max_cost_usd = 2.0
max_input_tokens = 50000
max_output_tokens = 5000

[time]
valid_hours = 1           # Expires after 1 hour
"#;

fn file(text: &str) -> PolicyFile {
    parse("permissions.toml", text).unwrap_or_else(|errors| panic!("{text}\n{errors}"))
}

fn defaults() -> Defaults {
    Defaults::new(Some(Name::parse("anthropic").unwrap()))
}

fn envelope(text: &str) -> Permissions {
    file(text).envelope(START_MS, &defaults())
}

fn path(text: &str) -> RelPath {
    RelPath::parse(text).unwrap()
}

fn messages(text: impl AsRef<[u8]>) -> String {
    parse("permissions.toml", text).unwrap_err().to_string()
}

#[test]
fn the_documented_example_means_what_it_says() {
    let p = envelope(EXAMPLE);
    for (operation, level) in [
        (Operation::ReadFiles, Level::Always),
        (Operation::WriteFiles, Level::LowRisk),
        (Operation::EditFiles, Level::LowRisk),
        (Operation::RunBash, Level::Ask),
        (Operation::GitCommit, Level::LowRisk),
        (Operation::GitPush, Level::Never),
        (Operation::WebFetch, Level::Never),
        // Not named.
        (Operation::GlobSearch, Level::Never),
        (Operation::CreatePr, Level::Never),
        (Operation::SpawnAgent, Level::Never),
    ] {
        assert_eq!(p.levels.get(operation), level, "{operation}");
    }
    assert_eq!(p.budget.max_cost, MicroUsd::new(2_000_000));
    assert_eq!(p.budget.max_input_tokens, Tokens::new(50_000));
    assert_eq!(p.budget.max_output_tokens, Tokens::new(5_000));
    assert_eq!(p.time.not_before_ms(), START_MS);
    assert_eq!(p.time.not_after_ms(), START_MS + HOUR_MS);
    assert!(p.commands.can_execute("anything at all"));
    assert!(p.network.is_bottom());
    assert_eq!(p.isolation.minimum, IsolationLevel::Process);
    assert!(p.model.providers.permits(&Name::parse("anthropic").unwrap()));
    assert!(!p.model.providers.permits(&Name::parse("openai").unwrap()));
}

#[test]
fn an_empty_file_allows_nothing() {
    let p = envelope("");
    for operation in Operation::ALL {
        assert_eq!(p.levels.get(operation), Level::Never);
    }
    assert!(p.network.is_bottom());
    assert_eq!(p.budget, defaults().budget);
    assert_eq!(p.time.not_after_ms(), START_MS + defaults().valid_minutes * 60_000);
}

#[test]
fn an_empty_list_allows_nothing_and_an_absent_one_everything() {
    let none = envelope(
        "[paths]\nallowed = []\n[commands]\nallow = []\n[network]\nallow = []\n[model]\nallow = []",
    );
    assert!(!none.paths.rules.permits(&path("a")));
    assert!(!none.commands.can_execute("true"));
    assert!(none.network.is_bottom());
    assert!(!none.model.providers.permits(&Name::parse("anthropic").unwrap()));

    let all = envelope("[paths]\nblocked = [\"secrets/\"]\n[commands]\nblock = [\"curl *\"]");
    assert!(all.paths.rules.permits(&path("a")) && !all.paths.rules.permits(&path("secrets/x")));
    assert!(all.commands.can_execute("true") && !all.commands.can_execute("curl x"));
}

#[test]
fn every_section_has_its_effect() {
    let p = envelope(
        r#"
[paths]
allowed = ["src/**", "*.md", ".env.test"]
blocked = ["src/generated/"]
[commands]
allow = ["cargo test *", { argv = ["git", "log", "*", "HEAD"], match = ["git log -1 HEAD"], not_match = ["git log HEAD"] }]
block = [{ rule = "cargo test --release", match = ["cargo test --release"], not_match = ["cargo test"] }]
[network]
allow = ["api.github.com:443", "*.crates.io"]
[model]
allow = ["anthropic", "openai"]
hidden_paths = ["customers/"]
[time]
valid_minutes = 90
[isolation]
minimum = "microvm"
full_layers = ["landlock", "memfd_noexec"]
"#,
    );
    for (allowed, name) in [
        (true, "src/a.rs"),
        (true, "docs/x.md"),
        (false, "src/generated/a.rs"),
        (false, "Makefile"),
    ] {
        assert_eq!(p.paths.rules.permits(&path(name)), allowed, "{name}");
    }
    assert!(p.paths.sensitive.permits(&path(".env.test")), "named");
    assert!(!p.paths.sensitive.permits(&path(".env")), "not named");
    for (allowed, line) in [
        (true, "cargo test"),
        (true, "cargo test -p core"),
        (false, "cargo test --release"),
        (true, "git log -1 HEAD"),
        (false, "git log -1 main"),
        (false, "git push"),
    ] {
        assert_eq!(p.commands.can_execute(line), allowed, "{line}");
    }
    for (allowed, host) in [
        (true, "api.github.com:443"),
        (true, "api.crates.io:443"),
        (false, "crates.io:443"),
        (false, "api.github.com:22"),
    ] {
        assert_eq!(p.network.permits(&Host::parse(host).unwrap()), allowed, "{host}");
    }
    assert!(p.model.providers.permits(&Name::parse("openai").unwrap()));
    assert!(!p.model.visible.permits(&path("customers/list.csv")));
    assert!(p.model.visible.permits(&path("src/a.rs")));
    assert_eq!(p.time.not_after_ms() - START_MS, 90 * 60_000);
    assert_eq!(p.isolation.minimum, IsolationLevel::MicroVm);
    assert_eq!(p.isolation.full_layers, BTreeSet::from([Layer::Landlock, Layer::MemfdNoexec]));
}

#[test]
fn a_ceiling_only_tightens_what_it_speaks_of() {
    let base = envelope(EXAMPLE);
    assert_eq!(file("").ceiling(START_MS), Permissions::top());
    assert_eq!(base.meet(&file("").ceiling(START_MS)), base);

    let ceiling = file(
        "[obligations]\napprovals = [\"write_files\"]\n[budget]\nmax_cost_usd = 0.5\n[paths]\nblocked = [\"x/\"]",
    );
    let met = base.meet(&ceiling.ceiling(START_MS));
    assert!(met.leq(&base));
    assert_eq!(met.levels.get(Operation::WriteFiles), Level::Ask);
    assert_eq!(met.levels.get(Operation::ReadFiles), Level::Always);
    assert_eq!(met.budget.max_cost, MicroUsd::new(500_000));
    assert_eq!(met.budget.max_input_tokens, Tokens::new(50_000));
    assert!(!met.paths.rules.permits(&path("x/y")) && met.paths.rules.permits(&path("y")));

    // A file that asks for more than the envelope gets no more.
    let greedy = file(
        "[capabilities]\nread_files = \"always\"\ngit_push = \"always\"\n[budget]\nmax_cost_usd = 999.0\n[time]\nvalid_hours = 8000\n[network]\nallow = [\"evil.example.com\"]",
    );
    let met = base.meet(&greedy.ceiling(START_MS));
    assert!(met.leq(&base));
    assert_eq!(met.levels.get(Operation::GitPush), Level::Never);
    assert_eq!(met.levels.get(Operation::WriteFiles), Level::Never, "omitted = never");
    assert_eq!(met.budget, base.budget);
    assert_eq!(met.time, base.time);
    assert!(met.network.clauses() == base.network.clauses() || met.network.is_bottom());
}

#[test]
fn a_ceiling_of_blocks_leaves_names_of_sensitive_paths_alone() {
    let base = envelope("[paths]\nallowed = [\"**\", \".env.test\"]");
    let met = base.meet(&file("[paths]\nblocked = [\"x/\"]").ceiling(START_MS));
    assert!(met.paths.sensitive.permits(&path(".env.test")));
    assert!(!met.paths.sensitive.permits(&path(".env")));
}

#[test]
fn money_is_exact() {
    for (written, micros) in [
        ("2.0", 2_000_000),
        ("2", 2_000_000),
        ("0.000001", 1),
        ("0", 0),
        ("0.1", 100_000),
        ("1_000.5", 1_000_500_000),
        ("1000000", 1_000_000_000_000),
    ] {
        let p = envelope(&format!("[budget]\nmax_cost_usd = {written}"));
        assert_eq!(p.budget.max_cost, MicroUsd::new(micros), "{written}");
    }
}

#[test]
fn limits_that_nothing_measures_are_refused_at_their_place() {
    let policy = file(EXAMPLE);
    assert_eq!(
        policy.budget_limits(),
        BTreeSet::from([BudgetLimit::Cost, BudgetLimit::InputTokens, BudgetLimit::OutputTokens])
    );
    assert_eq!(file("").budget_limits(), BTreeSet::new());
    assert_eq!(policy.refuse_unmeasured(&policy.budget_limits()), Ok(()));
    let errors = policy.refuse_unmeasured(&BTreeSet::from([BudgetLimit::Cost])).unwrap_err();
    insta::assert_snapshot!(errors.to_string());
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn every_kind_of_error_is_named_with_its_place() {
    let long = format!("[paths]\nallowed = [\"{}\"]", "a".repeat(1_025));
    let many = format!("[paths]\nallowed = [{}]", "\"a\",".repeat(POLICY_LIST_MAX_ITEMS + 1));
    let deep = format!("[paths]\nallowed = {}{}", "[".repeat(200), "]".repeat(200));
    let cases: Vec<(&str, &str)> = vec![
        ("unknown table", "[capabilites]\nread_files = \"always\""),
        ("unknown key", "[capabilities]\nread_file = \"always\"\nteleport = \"always\""),
        ("key of another table", "[budget]\nvalid_hours = 1"),
        ("stray root key", "read_files = \"always\""),
        (
            "bad level",
            "[capabilities]\nread_files = \"allways\"\nrun_bash = \"Always\"\ngit_push = \"\"",
        ),
        (
            "level of another type",
            "[capabilities]\nread_files = true\nrun_bash = 2\ngit_push = [\"never\"]",
        ),
        ("table of another type", "capabilities = \"all\"\nbudget = 5\npaths = []"),
        ("bad operation", "[obligations]\napprovals = [\"run_bsh\", \"everything\", 3]"),
        ("list of another type", "[obligations]\napprovals = \"run_bash\""),
        (
            "bad paths",
            "[paths]\nallowed = [\"../x\", \"~/.ssh\", \"\", \"[a\", \"!a\", 7]\nblocked = \"secrets\"",
        ),
        ("path too long", &long),
        ("too many", &many),
        (
            "bad hosts",
            "[network]\nallow = [\"127.0.0.1\", \"*.com\", \"a b\", \"x.y:0\", \"https://x.y\", \"*\", \"[::1]\"]",
        ),
        ("bad provider", "[model]\nallow = [\"\", \"a b\"]\nhidden_paths = [\"/../x\"]"),
        ("negative cost", "[budget]\nmax_cost_usd = -2.0"),
        ("cost that is no number", "[budget]\nmax_cost_usd = nan"),
        ("infinite cost", "[budget]\nmax_cost_usd = inf"),
        ("huge cost", "[budget]\nmax_cost_usd = 1000000.000001"),
        ("overflowing cost", "[budget]\nmax_cost_usd = 99999999999999999999999999.0"),
        ("cost in parts too small", "[budget]\nmax_cost_usd = 0.0000001"),
        ("cost as exponent", "[budget]\nmax_cost_usd = 1e3"),
        ("cost as text", "[budget]\nmax_cost_usd = \"2.0\""),
        ("cost in hex", "[budget]\nmax_cost_usd = 0x10"),
        ("negative tokens", "[budget]\nmax_input_tokens = -1\nmax_output_tokens = 1.5"),
        (
            "overflowing tokens",
            "[budget]\nmax_input_tokens = 99999999999999999999\nmax_output_tokens = 1000000000001",
        ),
        ("no time", "[time]\nvalid_hours = 0\n"),
        ("too much time", "[time]\nvalid_hours = 8785"),
        ("two times", "[time]\nvalid_hours = 1\nvalid_minutes = 60"),
        ("time as text", "[time]\nvalid_hours = \"1\""),
        (
            "bad isolation",
            "[isolation]\nminimum = \"vm\"\nfull_layers = [\"selinux\", \"landlok\"]",
        ),
        ("no isolation", "[isolation]\nminimum = \"none\""),
        (
            "bad commands",
            "[commands]\nallow = [\"\", \"*\", \"cargo test | tail\", \"./x\", \"npm run build-*\", 3]\nblock = [\"$(x)\"]",
        ),
        (
            "bad command tables",
            "[commands]\nallow = [{}, { rule = \"a\", argv = [\"a\"] }, { argv = [] }, { argv = [\"x\", 1] }, { argv = [\"*\"] }, { rule = \"a\", matches = [] }]",
        ),
        (
            "examples that fail",
            "[commands]\nallow = [{ rule = \"cargo test\", match = [\"cargo test --release\"], not_match = [\"cargo test\"] }]\nblock = [{ rule = \"git push *\", match = [\"git status\"], not_match = [\"git -C x push\"] }]",
        ),
        ("duplicate key", "[capabilities]\nread_files = \"always\"\nread_files = \"never\""),
        ("duplicate table", "[budget]\nmax_cost_usd = 1.0\n[budget]\nmax_cost_usd = 9.0"),
        (
            "key as table",
            "[capabilities]\nread_files = \"always\"\n[capabilities.read_files]\nx = 1",
        ),
        ("broken syntax", "[capabilities\nread_files = \"always\"\nrun_bash = always\n"),
        ("unclosed text", "[capabilities]\nread_files = \"always\n"),
        ("deep nesting", &deep),
        ("dotted nesting", "capabilities.read_files.a.b = \"always\""),
        (
            "control characters",
            "[capabilities]\nread_files = \"al\\u001b[2Jways\"\n\"a\\u202eb\" = 1",
        ),
        (
            "several at once",
            "[capabilities]\nread_fils = \"always\"\nrun_bash = \"yes\"\n[budget]\nmax_cost_usd = -1\n[tim]\nvalid_hours = 1",
        ),
    ];
    let mut shown = String::new();
    for (title, text) in cases {
        writeln!(shown, "# {title}\n{}\n", messages(text)).unwrap();
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn bytes_that_are_no_text_are_refused_with_their_place() {
    assert_eq!(
        messages(b"[capabilities]\nread_files = \"\xff\""),
        "permissions.toml:2:15: the file is not UTF-8 from here on"
    );
    assert_eq!(messages(b"\xff\xfe"), "permissions.toml:1:1: the file is not UTF-8 from here on");
}

#[test]
fn line_ends_and_byte_order_marks_change_no_meaning() {
    assert_eq!(envelope(&EXAMPLE.replace('\n', "\r\n")), envelope(EXAMPLE));
    assert_eq!(
        messages("[capabilities]\r\nread_files = \"x\"\r\n"),
        messages("[capabilities]\nread_files = \"x\"\n")
    );
    assert_eq!(envelope(&format!("\u{feff}{}", EXAMPLE.trim_start())), envelope(EXAMPLE));
}

#[test]
fn size_is_limited_exactly() {
    let comment = |bytes: usize| format!("#{}", "x".repeat(bytes - 1));
    file(&comment(POLICY_FILE_MAX_BYTES));
    assert_eq!(
        messages(comment(POLICY_FILE_MAX_BYTES + 1)),
        "permissions.toml:1:1: the file has 65537 bytes; allowed: 65536"
    );
}

#[test]
fn very_many_errors_are_counted() {
    let text: String = (0..200).fold("[capabilities]\n".to_owned(), |mut text, n| {
        writeln!(text, "x{n} = 1").unwrap();
        text
    });
    let errors = parse("p", &text).unwrap_err();
    assert_eq!(errors.errors().len(), POLICY_MAX_ERRORS);
    assert!(errors.to_string().ends_with("p: and 150 more errors"));
}

#[test]
fn errors_carry_data_for_programs() {
    let errors = parse("p.toml", "[capabilities]\nread_files = \"allways\"").unwrap_err();
    let [error] = errors.errors() else { panic!("{errors}") };
    assert_eq!((error.position().line, error.position().column), (2, 14));
    assert_eq!(error.key(), "capabilities.read_files");
    let FileErrorKind::Value { suggestion, .. } = error.kind() else { panic!("{error:?}") };
    assert_eq!(suggestion.as_deref(), Some("\"always\""));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse("p", &bytes);
    }

    #[test]
    fn no_toml_panics(
        section in "(capabilities|obligations|paths|commands|network|model|budget|time|isolation|x)",
        key in "(read_files|approvals|allowed|allow|block|max_cost_usd|max_input_tokens|valid_hours|minimum|full_layers|hidden_paths)",
        value in "(true|-?[0-9]{1,22}(\\.[0-9]{1,9})?|\"[a-z*/. $|-]{0,12}\"|\\[(\"[a-z*/. -]{0,9}\",?){0,3}\\]|\\{ ?(rule|argv|match) = (\"[a-z* ]{0,9}\"|\\[\"[a-z*]{0,4}\"\\]) ?\\}|\\[\\{ ?rule = \"[a-z* ]{0,9}\" ?\\}\\]|nan|inf|1979-05-27)",
    ) {
        let text = format!("[{section}]\n{key} = {value}\n");
        match parse("p", &text) {
            Ok(policy) => {
                let p = policy.envelope(START_MS, &defaults());
                prop_assert!(p.meet(&policy.ceiling(START_MS)).leq(&p));
            }
            Err(errors) => prop_assert!(!errors.errors().is_empty()),
        }
    }

    /// What a file says of the operations is what the envelope has, lowered by the obligations.
    #[test]
    fn levels_are_read_as_written(levels in prop::collection::vec(0usize..4, 13), asked in prop::collection::vec(any::<bool>(), 13)) {
        let mut text = String::from("[capabilities]\n");
        for (operation, level) in Operation::ALL.iter().zip(&levels) {
            writeln!(text, "{operation} = \"{}\"", Level::ALL[*level]).unwrap();
        }
        let names: Vec<String> = Operation::ALL
            .iter()
            .zip(&asked)
            .filter(|(_, asked)| **asked)
            .map(|(operation, _)| format!("\"{operation}\""))
            .collect();
        writeln!(text, "[obligations]\napprovals = [{}]", names.join(",")).unwrap();
        let p = envelope(&text);
        for ((operation, level), asked) in Operation::ALL.iter().zip(&levels).zip(&asked) {
            let level = Level::ALL[*level];
            let expected = if *asked { level.min(Level::Ask) } else { level };
            prop_assert_eq!(p.levels.get(*operation), expected);
        }
    }
}

#[test]
fn packages_are_named_one_by_one_and_none_is_the_default() {
    let read = |text: &str| nucleus_wire::permissions::parse("p.toml", text);
    let defaults = Defaults::new(None);
    let envelope = |text: &str| read(text).unwrap().envelope(0, &defaults).packages;
    let ceiling = |text: &str| read(text).unwrap().ceiling(0).packages;
    let both = Packages::only([Registry::Cargo, Registry::Npm]);
    assert_eq!(envelope("[network]\npackages = [\"npm\", \"cargo\"]"), both);
    assert_eq!(envelope(""), Packages::bottom());
    let go = Packages::only([Registry::Go]);
    assert_eq!(envelope("[network]\npackages = [\"go\"]"), go);
    assert_eq!(envelope("[network]\npackages = []"), Packages::bottom());
    assert_eq!(ceiling(""), Packages::top());
    assert_eq!(ceiling("[network]\nallow = []"), Packages::bottom());
    let met = both.meet(&ceiling("[network]\npackages = [\"npm\", \"pip\"]"));
    assert_eq!(met, Packages::only([Registry::Npm]));
    for bad in
        ["packages = [\"Cargo\"]", "packages = \"cargo\"", "packages = [\"maven\"]", "package = []"]
    {
        assert!(read(&format!("[network]\n{bad}")).is_err(), "{bad}");
    }
}
