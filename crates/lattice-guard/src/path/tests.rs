use super::*;

fn pattern(text: &str) -> PathPattern {
    PathPattern::parse(text).unwrap()
}

fn path(text: &str) -> RelPath {
    RelPath::parse(text).unwrap()
}

fn from_rules(allowed: Option<&[&str]>, blocked: &[&str]) -> (Paths, Classifier) {
    let classifier = Classifier::default();
    let parse = |texts: &[&str]| texts.iter().map(|text| pattern(text)).collect();
    (Paths::from_rules(allowed.map(parse), parse(blocked), &classifier), classifier)
}

#[test]
fn sensitive_paths_are_withheld_unless_named() {
    let (all, classifier) = from_rules(None, &[]);
    assert!(all.admit(&classifier, &path("src/main.rs")).is_ok());
    for text in [".env", "a/b/.env", "certs/server.pem", ".ssh/id_ed25519", "home/.aws/credentials"]
    {
        let refused = all.admit(&classifier, &path(text)).unwrap_err();
        assert_eq!(refused.code(), "deny.path.sensitive", "{text}");
        assert!(all.withholds(&classifier, &path(text)));
    }

    let (named, classifier) = from_rules(Some(&["**", ".env.test", "certs/*.pem"]), &[]);
    assert!(named.admit(&classifier, &path("certs/server.pem")).is_ok());
    assert!(named.admit(&classifier, &path("a/.env.test")).is_ok());
    assert!(named.admit(&classifier, &path(".env")).is_err(), "`**` names nothing");
    assert!(named.admit(&classifier, &path("other/server.pem")).is_err());
}

#[test]
fn wide_patterns_name_no_secrets() {
    for wide in ["**", "*", "src/**", "*.*", "*.rs", ".*", "config/"] {
        let (paths, classifier) = from_rules(Some(&[wide, "config/.env"]), &[]);
        assert!(paths.admit(&classifier, &path("src/.env")).is_err(), "{wide}");
        assert!(paths.admit(&classifier, &path("config/.env")).is_ok(), "positive control");
    }
}

#[test]
fn a_block_wins_over_an_allowance_and_is_named() {
    let (paths, classifier) = from_rules(Some(&["src/", ".env"]), &["src/generated", ".env"]);
    assert!(paths.admit(&classifier, &path("src/a.rs")).is_ok());
    let blocked = paths.admit(&classifier, &path("src/generated/deep/x.rs")).unwrap_err();
    assert_eq!(
        blocked,
        Reason::PathBlocked {
            path: path("src/generated/deep/x.rs"),
            rule: pattern("src/generated")
        }
    );
    assert_eq!(paths.admit(&classifier, &path(".env")).unwrap_err().code(), "deny.path.blocked");
    assert_eq!(
        paths.admit(&classifier, &path("docs/x")).unwrap_err().code(),
        "deny.path.not_allowed"
    );
}

#[test]
fn prefixes_are_not_directories() {
    let (paths, classifier) = from_rules(Some(&["ws/"]), &[]);
    assert!(paths.admit(&classifier, &path("ws/a")).is_ok());
    assert!(paths.admit(&classifier, &path("ws-evil/a")).is_err());
}

#[test]
fn a_search_starts_above_what_it_may_find() {
    let (paths, classifier) = from_rules(Some(&["src/**"]), &["src/private"]);
    assert!(paths.admit_search(&classifier, &path(".")).is_ok());
    assert!(paths.admit_search(&classifier, &path("src")).is_ok());
    assert_eq!(
        paths.admit_search(&classifier, &path("src/private")).unwrap_err().code(),
        "deny.path.blocked"
    );
    assert!(Paths::bottom().admit_search(&classifier, &path(".")).is_err());
    let (nothing, classifier) = from_rules(Some(&[]), &[]);
    assert!(nothing.admit_search(&classifier, &path(".")).is_err());
    assert!(nothing.admit(&classifier, &path("a")).is_err());
}

#[test]
fn masks_never_cover_too_little() {
    let (one, classifier) = from_rules(Some(&["**", ".env.test", ".env.ci"]), &["x"]);
    assert_eq!(one.named_globs(), ["**/.env.ci", "**/.env.test"]);
    assert_eq!(one.blocked_globs(), ["**/x", "**/x/**"]);
    let (other, _) = from_rules(Some(&["**", ".env.test", ".env.dev"]), &[]);
    let both = one.meet(&other);
    assert!(both.admit(&classifier, &path(".env.test")).is_ok());
    assert!(both.admit(&classifier, &path(".env.ci")).is_err());
    assert_eq!(both.named_globs(), ["**/.env.test"]);
    assert_eq!(Paths::top().named_globs(), ["**"]);
    assert!(Paths::bottom().named_globs().is_empty());
}

#[test]
fn mixed_clauses_hold_where_an_atom_does() {
    // Made by analysis, not by files: `src/` or anything that is no secret.
    let mixed: PathRules =
        serde_json::from_str(r#"{"only":[[{"is":"src/"},{"not":"*.key"}]]}"#).unwrap();
    assert!(mixed.permits(&path("src/a.key")) && mixed.permits(&path("docs/a.md")));
    assert!(!mixed.permits(&path("docs/a.key")));
}
