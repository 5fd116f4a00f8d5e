//! Modules of Go: the real client, and what a mirror or a pod cannot do.

use std::process::Command;

use testkit::host::{Host, Outcome};
use testkit::registry::{Answer, Registry};

use crate::client::{can, nothing_of_the_client, recorded_in_any_order};
use crate::refusal::{ask, get, request};
use crate::sample::tool;
use crate::sums::{Record, Sums};
use crate::{allow, fetches, hosts, log, run};

/// Where the stand-in has its mirror.
const MIRROR: &str = "/goproxy";
const ANSWER: &str = "example.org/Tiny/answer";
const HALF: &str = "example.org/half";
/// Version of a commit, which no list names.
const PSEUDO: &str = "v0.0.0-20200101000000-abcdefabcdef";

/// A path or version as addresses have it.
pub(crate) fn escaped(text: &str) -> String {
    let mark = |c: char| match c {
        'A'..='Z' => format!("!{}", c.to_ascii_lowercase()),
        other => other.to_string(),
    };
    text.chars().map(mark).collect()
}

/// A version of a module: its `go.mod` behind the first line, and its one file of source.
struct Made<'a> {
    module: &'a str,
    version: &'a str,
    requires: &'a str,
    source: &'a str,
}

impl Made<'_> {
    fn at(&self, file: &str) -> String {
        format!("{MIRROR}/{}/@v/{}{file}", escaped(self.module), escaped(self.version))
    }

    /// Makes its files, serves them, and gives its sums as Go itself computes them.
    fn serve(&self, host: &Host, registry: &Registry) -> Record {
        let Self { module, version, requires, source } = self;
        let dir = host.place().join("made");
        let go_mod = format!("module {module}\n\ngo 1.19\n{requires}");
        let inside = format!("{module}@{version}");
        host.put(&dir, &format!("{inside}/go.mod"), go_mod.as_bytes());
        host.put(&dir, &format!("{inside}/tiny.go"), source.as_bytes());
        let pack = "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1], 'w'); [z.write(f) for f in sys.argv[2:]]";
        let files = [format!("{inside}/go.mod"), format!("{inside}/tiny.go")];
        tool(&dir, "python3", &["-c", pack, "module.zip", &files[0], &files[1]]);
        let info = format!("{{\"Version\":\"{version}\",\"Time\":\"2020-01-01T00:00:00Z\"}}");
        let zip = std::fs::read(dir.join("module.zip")).unwrap();
        // The same as a tree of files, from which Go computes the sums.
        for (ending, body) in
            [(".info", info.as_bytes()), (".mod", go_mod.as_bytes()), (".zip", &zip)]
        {
            host.put(&dir, &format!("tree{}", self.at(ending)), body);
            registry.serve(&self.at(ending), Answer::new("application/octet-stream", body));
        }
        let mut command = Command::new("go");
        command.args(["mod", "download", "-json", &inside]).current_dir(&dir).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("GOSUMDB", "off");
        command.env("HOME", &dir).env("GOFLAGS", "-modcacherw");
        command.env("GOPROXY", format!("file://{}/tree{MIRROR}", dir.display()));
        let cache = tempfile::tempdir_in(&dir).unwrap();
        command.env("GOPATH", cache.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let sum = |name: &str| said[name].as_str().unwrap().to_owned();
        let lines = format!(
            "{module} {version} {}\n{module} {version}/go.mod {}\n",
            sum("Sum"),
            sum("GoModSum")
        );
        Record { module: (*module).to_owned(), version: (*version).to_owned(), lines }
    }
}

/// A module with a capital in its name, which needs one of which there is only a commit; and their sums.
fn tiny_modules(host: &Host, registry: &Registry) -> Sums {
    let half = Made {
        module: HALF,
        version: PSEUDO,
        requires: "",
        source: "package half\n\nfunc Half() int { return 21 }\n",
    };
    let answer = Made {
        module: ANSWER,
        version: "v1.0.0",
        requires: &format!("\nrequire {HALF} {PSEUDO}\n"),
        source: "package answer\n\nimport \"example.org/half\"\n\nfunc Answer() int { return 2 * half.Half() }\n",
    };
    registry.serve(&format!("{MIRROR}/{HALF}/@v/list"), Answer::new("text/plain", ""));
    let list = format!("{MIRROR}/{}/@v/list", escaped(ANSWER));
    registry.serve(&list, Answer::new("text/plain", "v1.0.0\n"));
    let sums = Sums::of(vec![half.serve(host, registry), answer.serve(host, registry)]);
    sums.serve(registry, MIRROR);
    sums
}

/// A program that needs the module, and a test of it.
fn program(host: &Host, requires: &str) {
    host.file("go.mod", format!("module example.org/sample\n\ngo 1.19\n{requires}"));
    host.file(
        "main.go",
        format!(
            "package main\n\nimport (\n\t\"fmt\"\n\n\t\"{ANSWER}\"\n)\n\nfunc main() {{ fmt.Println(\"answer\", answer.Answer()) }}\n"
        ),
    );
    host.file(
        "main_test.go",
        format!(
            "package main\n\nimport (\n\t\"testing\"\n\n\t\"{ANSWER}\"\n)\n\nfunc TestAnswer(t *testing.T) {{\n\tif answer.Answer() != 42 {{\n\t\tt.Fatal()\n\t}}\n}}\n"
        ),
    );
}

/// Runs a line of shell in a pod, with the key of a checksum database.
fn shell(host: &Host, sums: &str, line: &str) -> Outcome {
    run(host, &["sh", "-c", &format!("export GOSUMDB='{sums}'; {line} 2>&1")])
}

/// Hosts whose account can run Go in a pod, and there is one.
fn hosts_with_go() -> Vec<(Host, Registry)> {
    let mut hosts = hosts();
    hosts.retain(|(host, _)| can(host, &["go", "version"]));
    assert!(!hosts.is_empty(), "no account can run go in a pod");
    hosts
}

#[test]
fn go_builds_with_modules_of_the_registry() {
    for (host, registry) in hosts_with_go() {
        let sums = tiny_modules(&host, &registry).verifier();
        program(&host, "");
        allow(&host, &registry, "\"npm\"", "");
        let refused = shell(&host, &sums, "go mod tidy");
        assert!(refused.code != Some(0) && registry.asked().is_empty(), "control: {refused}");
        allow(&host, &registry, "\"go\"", "");
        let outcome = shell(&host, &sums, "go mod tidy && go run . && go test ./...");
        let outcome = outcome.expect_code(0);
        assert!(outcome.says("answer 42") && outcome.says("ok  \texample.org/sample"), "{outcome}");
        nothing_of_the_client(&registry);
        let half = format!("go {HALF} {PSEUDO}");
        recorded_in_any_order(
            &host,
            &[
                // Every beginning of the import path is looked for.
                "go example.org",
                "go example.org/Tiny",
                "go example.org/Tiny/answer",
                "go example.org/Tiny/answer v1.0.0.info",
                "go example.org/Tiny/answer v1.0.0.mod",
                "go example.org/Tiny/answer v1.0.0",
                &format!("{half}.info"),
                &format!("{half}.mod"),
                &half,
                "go sum.golang.org supported",
                "go sum.golang.org example.org/Tiny/answer@v1.0.0",
                &format!("go sum.golang.org {HALF}@{PSEUDO}"),
                "go sum.golang.org tile/8/0/000.p/2",
            ],
        );
        let (module, sum) = (host.read("go.mod").unwrap(), host.read("go.sum").unwrap());
        assert!(module.contains("require example.org/Tiny/answer v1.0.0"), "{module}");
        assert!(sum.contains(&format!("{HALF} {PSEUDO} h1:")), "{sum}");
        let before = registry.asked().len();
        shell(&host, &sums, "go run . && go vet ./...").expect_code(0);
        assert_eq!(registry.asked().len(), before, "what is there is not fetched again");
    }
}

#[test]
fn a_mirror_that_lies_is_found_out_by_the_checksum_database() {
    for (host, registry) in hosts_with_go() {
        let sums = tiny_modules(&host, &registry).verifier();
        program(&host, "");
        // The same version with other source: the mirror alone has changed it.
        let requires = format!("\nrequire {HALF} {PSEUDO}\n");
        let source = "package answer\n\nimport \"example.org/half\"\n\nfunc Answer() int { return 1 + half.Half() }\n";
        let lie = Made { module: ANSWER, version: "v1.0.0", requires: &requires, source };
        lie.serve(&host, &registry);
        allow(&host, &registry, "\"go\"", "");
        let held = shell(&host, &sums, "go mod tidy");
        assert!(held.code != Some(0) && held.says("checksum mismatch"), "{held}");
        let strange = Sums::of(Vec::new()).verifier();
        let held = shell(&host, &strange, "go clean -modcache; go mod tidy");
        assert!(held.code != Some(0) && held.says("no verifiable signatures"), "{held}");
        // Control: without the database the lie is built.
        let built = shell(&host, "off", "go clean -modcache; go mod tidy && go run .");
        assert!(built.expect_code(0).says("answer 22"));
    }
}

#[test]
fn what_the_mirror_does_not_name_is_refused_in_words() {
    for (host, registry) in hosts_with_go() {
        let sums = tiny_modules(&host, &registry).verifier();
        // The commit is named by the workspace alone: it is fetched, and costs a word.
        host.file(
            "go.mod",
            format!("module example.org/sample\n\ngo 1.19\n\nrequire {HALF} {PSEUDO}\n"),
        );
        host.file(
            "main.go",
            format!(
                "package main\n\nimport \"{HALF}\"\n\nfunc main() {{ println(half.Half()) }}\n"
            ),
        );
        allow(&host, &registry, "\"go\"", "");
        let fetched = shell(&host, &sums, "go mod download && go mod tidy && go run .");
        assert!(fetched.expect_code(0).says("21"));
        let before = registry.asked().len();
        for (asked, said) in [
            (format!("{ANSWER}@master"), "not branches, commits"),
            (format!("{ANSWER}@abcdefabcdef"), "not branches, commits"),
            (format!("{ANSWER}@v1.6.6"), "lists no such version"),
            ("golang.org/toolchain@latest".to_owned(), "toolchains of Go are not fetched"),
            ("example.org/nowhere@latest".to_owned(), "knows no package of this name"),
        ] {
            let outcome = shell(&host, &sums, &format!("go get '{asked}'"));
            assert!(outcome.code != Some(0) && outcome.says(said), "{asked}: {outcome}");
        }
        let later = registry.lines().split_off(before);
        let words = ["master", "abcdefabcdef", "v1.6.6", "toolchain"];
        let left = |line: &&String| words.iter().any(|word| line.contains(word));
        assert_eq!(later.iter().find(left), None, "{later:?}");
    }
}

#[test]
fn a_mirror_without_the_checksum_database_serves_what_go_sum_has() {
    for (host, registry) in hosts_with_go() {
        let requires = format!("\nrequire {HALF} {PSEUDO}\n");
        let source = "package answer\n\nimport \"example.org/half\"\n\nfunc Answer() int { return 2 * half.Half() }\n";
        let half = "package half\n\nfunc Half() int { return 21 }\n";
        let half = Made { module: HALF, version: PSEUDO, requires: "", source: half };
        let answer = Made { module: ANSWER, version: "v1.0.0", requires: &requires, source };
        let list = format!("{MIRROR}/{}/@v/list", escaped(ANSWER));
        registry.serve(&list, Answer::new("text/plain", "v1.0.0\n"));
        let sums = [half.serve(&host, &registry), answer.serve(&host, &registry)];
        program(&host, &format!("\nrequire {ANSWER} v1.0.0\n{requires}"));
        allow(&host, &registry, "\"go\"", "");
        let refused = shell(&host, "sum.golang.org", "go mod tidy");
        assert!(refused.code != Some(0), "{refused}");
        assert!(refused.says("does not serve the checksum database"), "{refused}");
        assert!(!refused.says("✗ dns"), "nobody else is asked: {refused}");
        // Control: sums that the repository has are enough.
        host.file("go.sum", format!("{}{}", sums[0].lines, sums[1].lines));
        let built = shell(&host, "sum.golang.org", "go run .").expect_code(0);
        assert!(built.says("answer 42"), "{built}");
    }
}

#[test]
fn only_what_is_named_leaves() {
    for (host, registry) in hosts() {
        let _sums = tiny_modules(&host, &registry);
        allow(&host, &registry, "\"go\"", "");
        let body = "Content-Length: 6\r\n";
        let at = |path: &str| get(&format!("/go/{path}"));
        let refused = [
            request("PUT", "/go/example.org/half/@v/v1.0.0.zip", body, "secret"),
            request("POST", "/go/example.org/half/@v/list", body, "secret"),
            request("GET", "/go/example.org/half/@v/list", body, "secret"),
            request("DELETE", "/go/example.org/half/@v/list", "", ""),
            at("example.org/half/@v/list?secret"),
            at("example.org/half?go-get=1"),
            at("example.org/half/@v/secret.info"),
            at("example.org/half/@v/v1.info"),
            at("example.org/half/@v/v1.0.0.secret"),
            at("example.org/half/@secret"),
            at("example.org/Half/@v/list"),
            at("example.org/../half/@v/list"),
            at("example.org/%2e%2e/half/@v/list"),
            at("secret/@v/list"),
            at("github.com/secret/@v/list"),
            at(&format!("example.org/{}/@v/list", "s".repeat(100))),
            at("golang.org/toolchain/@v/v0.0.1-go1.24.0.linux-amd64.zip"),
            at("sumdb/evil.example/supported"),
            at("sumdb/sum.golang.org/lookup/secret@v1.0.0"),
            at("sumdb/sum.golang.org/lookup/example.org/half@secret"),
            at("sumdb/sum.golang.org/tile/8/data/000"),
            at("index?since=secret"),
            at("cached-only/example.org/half/@v/list"),
        ];
        let statuses = ask(&host, &refused);
        for (status, request) in statuses.iter().zip(&refused) {
            assert!(["403", "404", "405"].contains(&status.as_str()), "{status} for {request:?}");
        }
        assert_eq!(statuses.len(), refused.len());
        assert!(registry.asked().is_empty(), "nothing of it left: {:?}", registry.lines());
        // Versions that no list names, and tiles that no signed tree has, are not asked for. Control: the others are.
        let answer = "example.org/!tiny/answer/@v/";
        let statuses = ask(
            &host,
            &[
                at(&format!("{answer}v6.6.6-secret.zip")),
                at("sumdb/sum.golang.org/lookup/example.org/!tiny/answer@v6.6.6-secret"),
                at("sumdb/sum.golang.org/tile/8/0/x123/456"),
                at("sumdb/sum.golang.org/tile/8/0/000.p/3"),
                at(&format!("{answer}v1.0.0.zip")),
                at("sumdb/sum.golang.org/lookup/example.org/!tiny/answer@v1.0.0"),
                at("sumdb/sum.golang.org/tile/8/0/000.p/2"),
                request("HEAD", &format!("/go/{answer}v1.0.0.zip"), "", ""),
            ],
        );
        assert_eq!(statuses, ["404", "404", "404", "404", "200", "200", "200", "200"]);
        let lines = registry.lines();
        let left = |line: &&String| line.contains("secret") || line.contains("123");
        assert_eq!(lines.iter().find(left), None, "{lines:?}");
        assert!(lines.contains(&format!("GET {MIRROR}/{answer}v1.0.0.zip")), "{lines:?}");
    }
}

#[test]
fn versions_that_nothing_names_are_counted() {
    for (host, registry) in hosts() {
        let _sums = tiny_modules(&host, &registry);
        allow(&host, &registry, "\"go\"", "");
        let commit = |i: usize| format!("/go/{HALF}/@v/v0.0.0-20200101000000-{i:012x}.info");
        // Some of them exist: they are as much of the pod's choosing.
        for i in 0..20 {
            let made = Made { module: HALF, version: "", requires: "", source: "" };
            let path = made.at(&format!("v0.0.0-20200101000000-{i:012x}.info"));
            let info = format!("{{\"Version\":\"v0.0.0-20200101000000-{i:012x}\"}}");
            registry.serve(&path, Answer::new("application/json", info));
        }
        let asked: Vec<String> = (0..80).map(|i| get(&commit(i))).collect();
        let statuses = ask(&host, &asked);
        let of = |status: &str| statuses.iter().filter(|found| *found == status).count();
        assert_eq!((of("200"), of("404"), of("403")), (20, 44, 16));
        assert_eq!(registry.asked().len(), 64);
        // Control: a version that a fetched go.mod names costs none, however many there are.
        let required: String =
            (0..80).map(|i| format!("require {HALF} v0.0.0-20200101000000-{i:012x}\n")).collect();
        let naming = Made {
            module: "example.org/naming",
            version: "v1.0.0",
            requires: &required,
            source: "package naming\n",
        };
        registry.serve(&naming.at(".mod"), Answer::new("text/plain", required.clone()));
        let list = format!("{MIRROR}/example.org/naming/@v/list");
        registry.serve(&list, Answer::new("text/plain", "v1.0.0\n"));
        let before = registry.asked().len();
        let named = [vec![get("/go/example.org/naming/@v/v1.0.0.mod")], asked].concat();
        let statuses = ask(&host, &named);
        assert_eq!(statuses.iter().filter(|status| *status == "200").count(), 21);
        // What is named and not there is counted like any name: 60 are.
        assert_eq!(registry.asked().len(), before + 82);
        assert_eq!(fetches(&log(&host), "outcome").len(), 82);
    }
}

#[test]
fn a_hostile_mirror_leads_nowhere() {
    for (host, registry) in hosts() {
        let elsewhere = Registry::start().unwrap();
        let away = |path: &str| Answer::redirect(&format!("{}{path}", elsewhere.origin()));
        let at = |path: &str| format!("{MIRROR}/example.org/{path}");
        let list = |lines: &str| Answer::new("text/html", lines);
        registry.serve(&at("moved/@v/list"), away("/moved"));
        registry.serve(&at("kept/@v/list"), list("v1.0.0\n"));
        registry.serve(&at("kept/@v/v1.0.0.zip"), away("/kept"));
        registry.serve(&at("kept/@v/v1.0.0.mod"), away("/kept"));
        registry.serve(&at("page/@v/list"), list("<html>\nv1.0.0/../../x\nmaster\nv1\n"));
        registry.serve(&at("other/@v/list"), list("v1.0.0\n"));
        let other = "{\"Version\":\"v2.0.0\"}";
        registry.serve(&at("other/@v/v1.0.0.info"), Answer::new("application/json", other));
        registry
            .serve(&at("other/@latest"), Answer::new("application/json", "{\"Version\":\"../x\"}"));
        registry.serve(&at("large/@v/list"), list(&"v1.0.0\n".repeat(1 << 20)));
        registry.serve(&at("good/@v/list"), list("v1.0.0\n"));
        registry.serve(
            &at("good/@latest"),
            Answer::new("application/json", "{\"Version\":\"v1.0.0\"}"),
        );
        allow(&host, &registry, "\"go\"", "");
        let asked = [
            ("moved/@v/list", "502"),
            ("kept/@v/v1.0.0.zip", "502"),
            ("kept/@v/v1.0.0.mod", "502"),
            ("page/@v/list", "200"),
            ("page/@v/v1.0.0.zip", "404"),
            ("other/@v/v1.0.0.info", "502"),
            ("other/@latest", "502"),
            ("large/@v/list", "502"),
            ("good/@v/list", "200"),
            ("good/@latest", "200"),
        ];
        let requests = asked.map(|(path, _)| get(&format!("/go/example.org/{path}")));
        assert_eq!(ask(&host, &requests), asked.map(|(_, status)| status));
        assert!(elsewhere.asked().is_empty(), "{:?}", elsewhere.lines());
    }
}
