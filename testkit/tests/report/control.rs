//! The controls of the page's tests: the browser would obey, and what would be seen of it is seen.

use testkit::browser::Browser;

use crate::session::MARKUP;

const POLICY: &str = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-x'\">";

fn opened(policy: &str) -> (Browser, bool) {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("control.html");
    let page = format!(
        "<!DOCTYPE html><head>{policy}<title>calm</title><style>b{{width:3000px;display:block}}</style></head><body><b>x</b>{MARKUP}"
    );
    std::fs::write(&file, page).unwrap();
    let mut browser = Browser::start();
    browser.open(&file, 390);
    let owned = browser.evaluate("document.title") == "owned";
    (browser, owned)
}

#[test]
fn without_escape_and_policy_the_browser_obeys() {
    let (mut browser, owned) = opened("");
    assert!(owned, "the script ran");
    assert_eq!(browser.requests().len(), 2, "the page, and the image it names");
    assert_eq!(browser.evaluate("document.scripts.length"), 1);
    assert!(browser.evaluate("document.documentElement.scrollWidth").as_u64().unwrap() > 390);
}

#[test]
fn the_policy_alone_stops_what_was_not_escaped() {
    let (mut browser, owned) = opened(POLICY);
    assert!(!owned, "the script is there and did not run");
    assert_eq!(browser.evaluate("document.scripts.length"), 1);
    assert_eq!(browser.requests().len(), 1, "the image was not asked for");
    assert!(!browser.complaints().is_empty(), "the browser says what it refused");
}
