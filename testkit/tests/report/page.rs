//! The page in a browser.

use std::path::PathBuf;

use serde_json::Value;
use testkit::browser::Browser;
use testkit::host::Host;

use crate::session::{hostile, hosts, replay};

/// The narrow and the wide window.
const WIDTHS: [u32; 2] = [390, 1440];

fn report(host: &Host) -> PathBuf {
    let outcome = host.nucleus(&["report", "--html"]).expect_code(0);
    PathBuf::from(outcome.stdout.trim())
}

fn number(browser: &mut Browser, expression: &str) -> u64 {
    let value = browser.evaluate(expression);
    value.as_u64().unwrap_or_else(|| panic!("{expression}: {value}"))
}

#[test]
fn a_browser_shows_all_of_it_and_obeys_none_of_it() {
    for host in hosts() {
        hostile(&host);
        let file = report(&host);
        let record = replay(&host);
        let steps = record["steps"].as_array().unwrap();
        let mut browser = Browser::start();
        for width in WIDTHS {
            browser.open(&file, width);
            let asked = browser.requests();
            assert_eq!(asked, [format!("file://{}", file.display())], "it asks for nothing else");
            assert_eq!(browser.complaints(), Vec::<String>::new());
            let wide = number(&mut browser, "document.documentElement.scrollWidth");
            assert!(wide <= u64::from(width), "{wide} of {width} pixels");
            assert_eq!(number(&mut browser, "document.scripts.length + document.images.length"), 0);
            assert_eq!(
                browser.evaluate("document.title.startsWith('Nucleus session 20')"),
                Value::Bool(true)
            );
            let rows = number(&mut browser, "document.querySelectorAll('tr.step').length");
            assert_eq!(rows, u64::try_from(steps.len()).unwrap());
            for verdict in ["allowed", "denied", "failed"] {
                let of = |step: &&Value| step["verdict"] == verdict;
                let there = steps.iter().filter(of).count();
                assert!(there > 0, "{verdict}: {record:#}");
                let selector = format!("document.querySelectorAll('tr.step .v.{verdict}').length");
                assert_eq!(number(&mut browser, &selector), u64::try_from(there).unwrap());
            }
        }
        let text = browser.evaluate("document.body.innerText");
        let text = text.as_str().unwrap();
        for shown in [
            "deny.path.sensitive",
            "exit 3",
            "<script>document.title='owned'</script>",
            "a\\u{202e}txt.<img src=x onerror=alert(1)>",
            "-    println!(\"old\");",
            "+    println!(\"new\");",
            "a new directory with 80 paths in it",
            "of the diff shown",
            "verified: all",
        ] {
            assert!(text.contains(shown), "{shown}: {text}");
        }
        assert!(!text.contains("canary"), "a withheld file is not in the record");
    }
}

#[test]
fn pills_keep_their_height_whatever_stands_beside_them() {
    let host = hosts().remove(0);
    hostile(&host);
    let file = report(&host);
    let mut browser = Browser::start();
    for width in WIDTHS {
        browser.open(&file, width);
        // Layers with a reason, long and short, whatever this host can enforce.
        let reasons = "document.querySelectorAll('ul.layers li').forEach((li, i) => { if (i % 2 == 0) {\
                       const why = document.createElement('small');\
                       why.textContent = 'because this host is not like others '.repeat(1 + i); li.append(why); } }),\
                       document.querySelectorAll('ul.layers small').length";
        assert!(number(&mut browser, reasons) >= 3);
        let pills =
            "[...document.querySelectorAll('.v')].map(pill => pill.getBoundingClientRect())";
        let heights = browser.evaluate(&format!(
            "(heights => [Math.min(...heights), Math.max(...heights)])({pills}.map(box => Math.round(box.height)))"
        ));
        let (low, high) = (heights[0].as_u64().unwrap(), heights[1].as_u64().unwrap());
        assert!(low > 10 && high <= low + 2, "{low} to {high} pixels at {width}");
    }
}

#[test]
fn it_reads_in_the_dark_and_on_paper() {
    let host = hosts().remove(0);
    hostile(&host);
    let file = report(&host);
    let mut browser = Browser::start();
    browser.open(&file, 1440);
    // Luminance of background and text, as far as black and white need it.
    let colours = "[document.body, document.body].map((e, i) => getComputedStyle(e)[i ? 'color' : 'backgroundColor']\
                   .match(/\\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0))";
    let mut seen = Vec::new();
    for medium in ["light", "dark", "print"] {
        browser.medium(medium);
        let pair = browser.evaluate(colours);
        let (back, ink) = (pair[0].as_u64().unwrap(), pair[1].as_u64().unwrap());
        assert!(back.abs_diff(ink) > 500, "{medium}: {pair}");
        seen.push(back > ink);
    }
    assert_eq!(seen, [true, false, true], "dark on light, light on dark, dark on paper");
    let pdf = browser.pdf();
    assert!(pdf.starts_with("JVBERi0") && pdf.len() > 50_000, "{} bytes", pdf.len());
}
