use nucleus_log::{Durability, Event, Keys, Origin, Phase, VerifyOptions, Writer, entries, verify};
use nucleus_wire::changeset::{ChangeSet, ChangedFile, FORMAT};

use super::{Context, Shown, page};
use crate::Record;

/// Whatever an agent could write to get out of its place.
const HOSTILE: [&str; 7] = [
    "<script>alert(1)</script>",
    "</style><script src=//evil.invalid/x.js></script>",
    "\"><img src=x onerror=alert(1)>",
    "</bdi></td></table><iframe src=https://evil.invalid>",
    "\u{202e}txt.exe\u{2066}\u{200b}\u{feff}",
    "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m",
    "<!-- ]]> &lt;b&gt; &#x3c;script&#x3e; javascript:alert(1)",
];

/// Elements that a page has.
const NAMES: &[&str] = &[
    "",
    "!DOCTYPE",
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "main",
    "header",
    "section",
    "article",
    "footer",
    "h1",
    "h2",
    "h3",
    "p",
    "b",
    "bdi",
    "span",
    "small",
    "code",
    "pre",
    "div",
    "ul",
    "li",
    "dl",
    "dt",
    "dd",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "figure",
    "figcaption",
    "svg",
    "path",
    "line",
    "rect",
];
/// Attributes that they have.
const ATTRIBUTES: &[&str] = &[
    "lang",
    "charset",
    "http-equiv",
    "content",
    "name",
    "class",
    "id",
    "role",
    "aria-label",
    "aria-hidden",
    "colspan",
    "viewBox",
    "preserveAspectRatio",
    "d",
    "x1",
    "x2",
    "y1",
    "y2",
    "width",
    "height",
];

fn hostile_page() -> String {
    let place = tempfile::tempdir().unwrap();
    let keys = Keys::load_or_create(&place.path().join("keys")).unwrap();
    let log = place.path().join("log.jsonl");
    let writer = Writer::create(&log, &keys, Origin::parse("nucleus/session/t").unwrap()).unwrap();
    let megabyte = "n".repeat(1 << 20);
    for text in HOSTILE.iter().copied().chain([megabyte.as_str()]) {
        let some = || Some(text.to_owned());
        let mut event = Event {
            phase: Phase::Decision,
            tool: some(),
            target: some(),
            result: some(),
            rule: some(),
            decision: some(),
            principal: some(),
            approval_id: Some(text.chars().take(60).collect()),
            ..Event::new("tool_execution", "agent")
        };
        event.detail.insert("layer".to_owned(), text.into());
        event.detail.insert(text.chars().take(200).collect(), text.into());
        writer.append(&event, Durability::Written).unwrap();
        let mut start = Event { target: some(), rule: some(), ..Event::new("session_start", "a") };
        start
            .detail
            .insert(format!("layer_{}", text.chars().take(99).collect::<String>()), text.into());
        start.detail.insert("driver".to_owned(), text.into());
        writer.append(&start, Durability::Written).unwrap();
    }
    writer.close().unwrap();
    let report = verify(&log, &keys.verify_keys().unwrap(), &VerifyOptions::default()).unwrap();
    let record =
        Record::of(report, entries(&log).unwrap().map(Result::unwrap), Some(HOSTILE.concat()));
    assert_eq!(record.steps.len(), 16);
    let files = HOSTILE
        .iter()
        .copied()
        .chain([megabyte.as_str()])
        .map(|text| ChangedFile {
            path: text.to_owned(),
            kind: text.to_owned(),
            diff: Some(format!("--- a\n+++ b\n@@ -1 +1 @@\n-{text}\n+{text}\n")),
            note: Some(text.to_owned()),
        })
        .collect();
    let all = HOSTILE.concat();
    let context = Context {
        task: Some(all.clone()),
        workspace: all.clone(),
        status: all.clone(),
        log: all.clone(),
        made: all.clone(),
        version: all.clone(),
    };
    page(
        &record,
        &context,
        &Shown::Unproved(ChangeSet { version: FORMAT, files, left_out: 3 }, all),
    )
}

/// The names of all elements of a page, and the names of all attributes.
fn tags(page: &str) -> (Vec<String>, Vec<String>) {
    let (head, rest) = page.split_once("<style>").unwrap();
    let (_, body) = rest.split_once("</style>").unwrap();
    let (mut names, mut attributes) = (Vec::new(), Vec::new());
    for tag in head.split('<').skip(1).chain(body.split('<').skip(1)) {
        let (inside, _) = tag.split_once('>').unwrap();
        let name: String = inside.chars().take_while(|c| !c.is_whitespace() && *c != '/').collect();
        names.push(name);
        let mut rest = inside;
        while let Some((before, after)) = rest.split_once("=\"") {
            attributes.push(before.rsplit(' ').next().unwrap().to_owned());
            rest = after.split_once('"').unwrap().1;
        }
    }
    (names, attributes)
}

#[test]
fn nothing_an_agent_writes_becomes_markup() {
    let page = hostile_page();
    let (names, attributes) = tags(&page);
    for name in &names {
        assert!(NAMES.contains(&name.as_str()), "{name}");
    }
    for attribute in &attributes {
        assert!(ATTRIBUTES.contains(&attribute.as_str()), "{attribute}");
    }
    // The control: the strings are there, as text.
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(page.contains("\\u{202e}txt.exe"));
    assert_eq!(page.matches("</style>").count(), 1);
    assert_eq!(page.matches("<script").count(), 0);
    let hidden = |c: char| {
        c != '\n' && c != '\t' && nucleus_wire::display::escape(&c.to_string()) != c.to_string()
    };
    assert_eq!(page.chars().find(|c| hidden(*c)), None);
}

#[test]
fn a_page_stays_small_however_long_the_names_are() {
    let page = hostile_page();
    // Only the diffs keep their length: they are bounded where they are made.
    assert!(page.len() < 2 * (1 << 20) + 400_000, "{}", page.len());
    assert!(page.contains("bytes, sha256"), "what was too long for its line is told by digest");
}

#[test]
fn the_policy_forbids_everything_and_names_the_one_style_sheet() {
    let page = hostile_page();
    let (_, rest) = page.split_once("http-equiv=\"Content-Security-Policy\" content=\"").unwrap();
    let (policy, _) = rest.split_once('"').unwrap();
    assert!(policy.starts_with("default-src &#39;none&#39;; style-src &#39;sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(!super::STYLE.contains("url(") && !super::STYLE.contains("@import"));
    assert!(!super::STYLE.contains('<'));
}
