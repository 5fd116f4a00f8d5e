//! Pictures: given as they are, judged like any file.

use std::os::unix::fs::symlink;

use serde_json::{Value, json};
use testkit::mcp::{Era, McpClient};

use crate::stage::{client, hosts};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";
const PNG_BASE64: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAA=";

fn read(client: &mut McpClient, path: &str) -> Value {
    let answer = client.ask("tools/call", json!({"name": "read", "arguments": {"path": path}}));
    answer["result"].clone()
}

#[test]
fn a_picture_reaches_the_model_only_if_its_path_may_and_it_is_one() {
    for host in hosts() {
        let outside = host.place().join("outside.png");
        std::fs::write(&outside, PNG).unwrap();
        let big = [PNG, &vec![0; 3 * 1024 * 1024]].concat();
        for (path, content) in
            [("docs/p.png", PNG), (".env.png", PNG), ("big.png", &big), ("lies.jpg", PNG)]
        {
            host.file(path, content);
        }
        symlink(&outside, host.workspace().join("link.png")).unwrap();
        let mut client = client(&host, Era::Stateless);
        let seen = read(&mut client, "docs/p.png");
        assert_eq!(
            seen["content"][1],
            json!({"type": "image", "data": PNG_BASE64, "mimeType": "image/png"}),
            "the control: {seen}"
        );
        for (path, words) in [
            (".env.png", ""),
            ("link.png", "out of the workspace"),
            ("big.png", "at most 3145728"),
            ("lies.jpg", "binary file (PNG image"),
        ] {
            let refused = read(&mut client, path);
            assert_eq!(refused["isError"], true, "{path}: {refused}");
            assert_eq!(refused["content"].as_array().unwrap().len(), 1, "{path}: {refused}");
            assert!(refused["content"][0]["text"].as_str().unwrap().contains(words), "{refused}");
        }
        client.leave().0.expect_code(0);
    }
}
