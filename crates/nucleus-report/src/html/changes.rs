//! What changed, with diffs.

use nucleus_wire::changeset::{ChangeSet, ChangedFile};

use crate::amount::count;
use crate::record::Record;

use super::Shown;
use super::markup::Markup;

/// The section.
pub(super) fn section(m: &mut Markup, record: &Record, shown: &Shown) {
    m.raw("<section id=\"changes\"><h2>Changes</h2>");
    match shown {
        Shown::Absent(why) => {
            m.raw("<p>").foreign(why).raw("</p>");
        }
        Shown::Proved(set) => {
            m.raw("<p>✓ As written down when the task ended, before anything was carried to the workspace. The verified log holds the digest: <code>sha256 ");
            m.foreign(record.changes.sha256.as_deref().unwrap_or_default()).raw("</code></p>");
            files(m, set);
        }
        Shown::Unproved(set, why) => {
            m.raw("<p class=\"banner bad\">✗ The log does not vouch for what follows: ");
            m.foreign(why).raw("</p>");
            files(m, set);
        }
    }
    m.raw("</section>\n");
}

fn files(m: &mut Markup, set: &ChangeSet) {
    if set.files.is_empty() {
        m.raw("<p>Nothing was changed.</p>");
    }
    for changed in &set.files {
        file(m, changed);
    }
    if set.left_out > 0 {
        m.raw("<p>").text(&count(set.left_out)).raw(" more changed paths are not listed.</p>");
    }
}

fn file(m: &mut Markup, changed: &ChangedFile) {
    m.raw("<article class=\"file\"><h3 class=\"mono\">")
        .foreign(&changed.path)
        .raw(" <span class=\"kind\">");
    m.foreign(&changed.kind).raw("</span></h3>");
    if let Some(note) = &changed.note {
        m.raw("<p class=\"dim\">").foreign(note).raw("</p>");
    }
    if let Some(diff) = &changed.diff {
        m.raw("<div class=\"diff\">");
        let mut header = true;
        for line in diff.lines() {
            let hunk = line.starts_with("@@");
            // The two lines with the names stand before the first hunk; after it, a line is what its sign says.
            let class = match line.as_bytes().first() {
                _ if hunk || header => "hunk",
                Some(b'+') => "add",
                Some(b'-') => "del",
                Some(b'\\') => "hunk",
                _ => "same",
            };
            header &= !hunk;
            m.raw("<div").attribute("class", class).raw(">").line(line).raw("</div>");
        }
        m.raw("</div>");
    }
    m.raw("</article>\n");
}
