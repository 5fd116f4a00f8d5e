//! One small package for each registry, made by the tools of this machine.

use std::path::Path;
use std::process::Command;

use testkit::host::Host;
use testkit::registry::{Answer, Registry};

pub(crate) fn tool(dir: &Path, program: &str, args: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(args).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
    output.stdout
}

fn sum(dir: &Path, file: &str) -> String {
    let line = String::from_utf8(tool(dir, "sha256sum", &[file])).unwrap();
    line.split(' ').next().unwrap().to_owned()
}

/// Crate `tiny` 1.0.0, whose one function gives 42.
pub(crate) fn tiny_crate(host: &Host, registry: &Registry) {
    let dir = host.place().join("made");
    let file =
        |path: &str, text: &str| host.put(&dir, &format!("tiny-1.0.0/{path}"), text.as_bytes());
    file("Cargo.toml", "[package]\nname = \"tiny\"\nversion = \"1.0.0\"\nedition = \"2021\"\n");
    file("src/lib.rs", "pub fn answer() -> u32 { 42 }\n");
    tool(&dir, "tar", &["czf", "tiny.crate", "tiny-1.0.0"]);
    let line = format!(
        "{{\"name\":\"tiny\",\"vers\":\"1.0.0\",\"deps\":[],\"cksum\":\"{}\",\"features\":{{}},\"yanked\":false}}\n",
        sum(&dir, "tiny.crate")
    );
    let origin = registry.origin();
    let settings = format!("{{\"dl\":\"{origin}/crates/{{crate}}-{{version}}.crate\"}}");
    registry.serve("/index/config.json", Answer::new("application/json", settings));
    registry.serve("/index/ti/ny/tiny", Answer::new("text/plain", line));
    let bytes = std::fs::read(dir.join("tiny.crate")).unwrap();
    registry.serve("/crates/tiny-1.0.0.crate", Answer::new("application/gzip", bytes));
}

/// Package `@tiny/answer` 1.0.0 of npm.
pub(crate) fn tiny_module(host: &Host, registry: &Registry) {
    let dir = host.place().join("made");
    let file = |path: &str, text: &str| host.put(&dir, &format!("package/{path}"), text.as_bytes());
    file("package.json", "{\"name\":\"@tiny/answer\",\"version\":\"1.0.0\",\"main\":\"index.js\"}");
    file("index.js", "module.exports = 42;\n");
    tool(&dir, "tar", &["czf", "answer.tgz", "package"]);
    let origin = registry.origin();
    let list = format!(
        "{{\"name\":\"@tiny/answer\",\"dist-tags\":{{\"latest\":\"1.0.0\"}},\"versions\":{{\"1.0.0\":{{\"name\":\"@tiny/answer\",\
         \"version\":\"1.0.0\",\"dist\":{{\"tarball\":\"{origin}/npm/@tiny/answer/-/answer-1.0.0.tgz\"}}}}}}}}"
    );
    registry.serve("/npm/@tiny%2fanswer", Answer::new("application/json", list));
    let bytes = std::fs::read(dir.join("answer.tgz")).unwrap();
    let file = Answer::new("application/octet-stream", bytes);
    registry.serve("/npm/@tiny/answer/-/answer-1.0.0.tgz", file);
}

/// Wheel `tiny_answer` 1.0, in the older form of the index.
pub(crate) fn tiny_wheel(host: &Host, registry: &Registry) {
    let dir = host.place().join("made");
    let info = "tiny_answer-1.0.dist-info";
    let file = |path: &str, text: &str| host.put(&dir, path, text.as_bytes());
    file("tiny_answer.py", "answer = 42\n");
    file(&format!("{info}/METADATA"), "Metadata-Version: 2.1\nName: tiny-answer\nVersion: 1.0\n");
    file(
        &format!("{info}/WHEEL"),
        "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    );
    file(
        &format!("{info}/RECORD"),
        &format!("tiny_answer.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"),
    );
    let wheel = "tiny_answer-1.0-py3-none-any.whl";
    tool(&dir, "python3", &["-m", "zipfile", "-c", wheel, "tiny_answer.py", info]);
    let page = format!(
        "<!DOCTYPE html><html><body><a href=\"../../files/{wheel}#sha256={}\" data-requires-python=\"&gt;=3.0\">{wheel}</a></body></html>",
        sum(&dir, wheel)
    );
    registry.serve("/simple/tiny-answer/", Answer::new("text/html", page));
    let bytes = std::fs::read(dir.join(wheel)).unwrap();
    registry.serve(&format!("/files/{wheel}"), Answer::new("application/octet-stream", bytes));
}
