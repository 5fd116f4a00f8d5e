//! The real clients, as they are on this machine.

use testkit::host::{Host, Outcome};
use testkit::registry::Registry;

use crate::{allow, fetches, hosts, log, run, sample};

/// Nothing arrived outside but what the gate writes itself.
pub(crate) fn nothing_of_the_client(registry: &Registry) {
    for asked in registry.asked() {
        let names: Vec<&str> = asked.headers.keys().map(String::as_str).collect();
        assert_eq!(names, ["accept", "host", "user-agent"], "{asked:?}");
        assert!(asked.headers["user-agent"].starts_with("nucleus-gate/"), "{asked:?}");
        assert!(asked.line.starts_with("GET /") && asked.body.is_empty(), "{asked:?}");
    }
}

/// Every fetch has its intent, its outcome and its price.
fn recorded(host: &Host, expected: &[&str]) {
    assert_eq!(fetches(&log(host), "intent"), expected);
    recorded_in_any_order(host, expected);
}

/// The same of a client that asks for several things at once.
pub(crate) fn recorded_in_any_order(host: &Host, expected: &[&str]) {
    let log = log(host);
    let mut sorted: Vec<&str> = expected.to_vec();
    sorted.sort_unstable();
    for phase in ["intent", "outcome"] {
        let mut found = fetches(&log, phase);
        found.sort();
        assert_eq!(found, sorted, "{phase}");
    }
    let paid =
        |line: &&str| line.contains("package_fetch") && line.contains("\"cost_micro_usd\":100}");
    assert_eq!(log.lines().filter(paid).count(), expected.len());
}

#[test]
fn cargo_builds_with_a_crate_from_the_registry() {
    let mut built = 0;
    for (host, registry) in hosts() {
        let host = host.with_rust();
        sample::tiny_crate(&host, &registry);
        host.file(
            "Cargo.toml",
            "[package]\nname = \"sample\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\ntiny = \"1\"\n",
        );
        host.file("src/main.rs", "fn main() { println!(\"answer {}\", tiny::answer()); }\n");
        if !can(&host, &["cargo", "--version"]) {
            continue; // this account cannot read the toolchain of whoever runs the tests
        }
        built += 1;
        allow(&host, &registry, "\"npm\"", "");
        run(&host, &["cargo", "run"]).expect_code(101);
        assert!(registry.asked().is_empty(), "control: another registry is named");
        allow(&host, &registry, "\"cargo\"", "");
        let outcome = run(&host, &["cargo", "run"]).expect_code(0);
        assert!(outcome.stdout.contains("answer 42"), "{outcome}");
        nothing_of_the_client(&registry);
        recorded(&host, &["cargo config.json", "cargo tiny", "cargo tiny 1.0.0"]);
        let lock = host.read("Cargo.lock").unwrap();
        let public = "registry+https://github.com/rust-lang/crates.io-index";
        assert!(lock.contains(public) && !lock.contains("127.0.0.1"), "{lock}");
    }
    assert!(built > 0, "no account can run cargo in a pod");
}

#[test]
fn npm_installs_a_module_from_the_registry() {
    for (host, registry) in hosts() {
        sample::tiny_module(&host, &registry);
        host.file(
            "package.json",
            "{\"name\":\"s\",\"version\":\"1.0.0\",\"dependencies\":{\"@tiny/answer\":\"^1.0.0\"}}",
        );
        allow(&host, &registry, "\"cargo\"", "");
        let refused = run(&host, &["npm", "install"]);
        assert!(refused.code != Some(0) && registry.asked().is_empty(), "control: {refused}");
        allow(&host, &registry, "\"npm\"", "");
        let script = "npm install && node -e 'console.log(\"answer\", require(\"@tiny/answer\"))'";
        let outcome = run(&host, &["sh", "-c", script]).expect_code(0);
        assert!(outcome.stdout.contains("answer 42"), "{outcome}");
        nothing_of_the_client(&registry);
        recorded(&host, &["npm @tiny/answer", "npm @tiny/answer answer-1.0.0.tgz"]);
        let lock = host.read("package-lock.json").unwrap();
        assert!(!lock.contains("127.0.0.1"), "the lock file is good outside too: {lock}");
        let before = registry.asked().len();
        for args in [
            "publish",
            "search tiny",
            "audit",
            "login --auth-type=legacy </dev/null",
            "unpublish --force @tiny/answer",
            "deprecate @tiny/answer no",
        ] {
            let outcome = run(&host, &["sh", "-c", &format!("npm {args} 2>&1")]);
            assert!(outcome.code != Some(0), "npm {args}: {outcome}");
        }
        let later: Vec<String> = registry.lines().split_off(before);
        assert!(later.iter().all(|line| line == "GET /npm/@tiny%2fanswer"), "{later:?}");
    }
}

#[test]
fn pip_installs_a_wheel_from_the_registry() {
    let mut installed = 0;
    for (host, registry) in hosts() {
        sample::tiny_wheel(&host, &registry);
        if !can(&host, &["python3", "-m", "pip", "--version"]) {
            continue; // this account has no pip
        }
        installed += 1;
        let install = "python3 -m pip install --no-cache-dir --target t 'tiny.Answer==1.0' && PYTHONPATH=t python3 -c 'import tiny_answer; print(\"answer\", tiny_answer.answer)'";
        allow(&host, &registry, "", "");
        let refused = run(&host, &["sh", "-c", install]);
        assert!(refused.code != Some(0) && registry.asked().is_empty(), "control: {refused}");
        allow(&host, &registry, "\"pip\"", "");
        let outcome = run(&host, &["sh", "-c", install]).expect_code(0);
        assert!(outcome.stdout.contains("answer 42"), "{outcome}");
        nothing_of_the_client(&registry);
        recorded(&host, &["pip tiny-answer", "pip tiny-answer tiny_answer-1.0-py3-none-any.whl"]);
    }
    assert!(installed > 0, "no account can run pip in a pod");
}

/// Whether a program of the host works in a pod of this account.
pub(crate) fn can(host: &Host, argv: &[&str]) -> bool {
    let outcome: Outcome = host.run(argv);
    outcome.code == Some(0)
}
