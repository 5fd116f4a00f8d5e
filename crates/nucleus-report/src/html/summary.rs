//! Head, verification, layers and foot of a page.

use crate::amount::{count, dollars};
use crate::proof::{Mark, proof_lines};
use crate::record::Record;
use crate::step::Verdict;

use super::Context;
use super::markup::Markup;

/// Title, banner and the figures at a glance.
pub(super) fn head(m: &mut Markup, record: &Record, context: &Context) {
    m.raw("<header><p class=\"eyebrow\">Nucleus session record</p><h1>");
    m.foreign(record.session.as_deref().unwrap_or("a session without a beginning in its log"));
    m.raw("</h1>\n");
    banner(m, record);
    m.raw("<dl>");
    row(m, "Task", context.task.as_deref().unwrap_or("a single command"));
    row(m, "Workspace", &context.workspace);
    row(m, "State of its changes", &context.status);
    let digest = record.policy_digest.as_deref().unwrap_or("not recorded");
    row(
        m,
        "Policy",
        &format!("{} (sha256 {digest})", record.policy.as_deref().unwrap_or("not recorded")),
    );
    if let (Some(started), Some(ended)) = (&record.started, &record.ended) {
        let to = if record.reaches_end() { "to" } else { "and proved to" };
        row(m, "Time", &format!("{started} {to} {ended}"));
    }
    m.raw("</dl><p class=\"dim\">Task, workspace and state come from the session's own file, not from the log.</p></header>\n");
    m.raw("<section class=\"facts\" aria-label=\"At a glance\">");
    fact(m, &record.ending_words(), &record.duration_words());
    let of = |verdict| record.totals.verdicts.get(&verdict).copied().unwrap_or(0);
    let done = of(Verdict::Allowed).saturating_add(of(Verdict::Approved));
    fact(
        m,
        &count(done),
        &format!("calls done, {} of them after approval", count(of(Verdict::Approved))),
    );
    fact(
        m,
        &count(of(Verdict::Denied)),
        &format!("refused, and {} malformed", count(of(Verdict::Malformed))),
    );
    let others = of(Verdict::Failed).saturating_add(of(Verdict::Unfinished));
    fact(
        m,
        &count(others),
        &format!(
            "failed or unfinished, {} stopped, {} asked for approval",
            count(of(Verdict::Stopped)),
            count(of(Verdict::Waiting))
        ),
    );
    let limit = record.limits.cost_micro_usd.map(|limit| format!("of {} allowed", dollars(limit)));
    fact(m, &dollars(record.totals.cost_micro_usd), &limit.unwrap_or_else(|| "spent".to_owned()));
    let changes = &record.changes;
    match (changes.applied, changes.held, changes.conflicts) {
        (None, ..) => fact(
            m,
            &context.status,
            "state of the changes; nothing was written to the workspace when the task ended",
        ),
        (Some(applied), held, conflicts) => {
            let (held, conflicts) = (held.unwrap_or(0), conflicts.unwrap_or(0));
            fact(
                m,
                &count(applied),
                &format!("paths changed in the workspace, {held} held, {conflicts} in conflict"),
            );
        }
    }
    m.raw("</section>\n");
}

fn banner(m: &mut Markup, record: &Record) {
    let good = record.is_verified();
    m.raw(if good {
        "<p class=\"banner good\">"
    } else {
        "<p class=\"banner bad\" role=\"alert\">"
    });
    let lines = proof_lines(&record.verification, record.trusted_entries);
    for (index, line) in lines.iter().take(if good { 1 } else { 2 }).enumerate() {
        m.raw(if index == 0 { "" } else { "<span>" });
        m.raw(if index > 0 {
            ""
        } else if good {
            "✓ "
        } else {
            "✗ "
        });
        m.text(&line.text);
        m.raw(if index == 0 { "" } else { "</span>" });
    }
    m.raw("</p>\n");
}

/// What verification found, and how to do it again.
pub(super) fn proof(m: &mut Markup, record: &Record, context: &Context) {
    m.raw("<section id=\"verification\"><h2>Verification</h2><ul class=\"proof\">");
    for line in proof_lines(&record.verification, record.trusted_entries) {
        let class = match line.mark {
            Mark::Good => "good",
            Mark::Bad => "bad",
            Mark::Note => "note",
        };
        m.raw("<li").attribute("class", class).raw("><span>").text(&line.text).raw("</span></li>");
    }
    if let Some(why) = &record.unreadable {
        m.raw("<li class=\"bad\"><span>reading ended early: ").foreign(why).raw("</span></li>");
    }
    m.raw("</ul><dl>");
    row(m, "Log", record.verification.origin.as_deref().unwrap_or("unnamed"));
    if let Some(head) = &record.verification.head {
        row(m, "Digest of its last entry", &head.to_string());
    }
    m.raw("</dl><p>This page is a rendering and proves nothing by itself. To check it, verify the log it was made from:</p><pre>nucleus-audit verify ");
    m.foreign(&context.log);
    m.raw("</pre><p class=\"dim\">The checkpoint's root above must be the one that command prints. Keep the checkpoint, or a pin made with ");
    m.raw("<code>--pin FILE</code>, elsewhere: then a later rollback shows.</p></section>\n");
}

/// What held the session in.
pub(super) fn layers(m: &mut Markup, record: &Record) {
    m.raw("<section id=\"enforcement\"><h2>Enforcement</h2>");
    if record.layers.is_empty() {
        m.raw("<p>The log does not say which layers held: it has no beginning of a session.</p></section>\n");
        return;
    }
    if let Some(scope) = &record.scope {
        m.raw("<p class=\"banner bad\">").foreign(scope).raw("</p>");
    }
    m.raw("<p>As probed on the host when the session began, driver <b>");
    m.foreign(record.driver.as_deref().unwrap_or("not recorded"));
    m.raw("</b>.</p><ul class=\"layers\">");
    for (layer, level) in &record.layers {
        let class = if level == "full" { "v allowed" } else { "v waiting" };
        m.raw("<li><span>").foreign(layer).raw("</span>");
        let (word, reason) = level.split_once(':').unwrap_or((level, ""));
        m.raw("<span").attribute("class", class).raw(">").foreign(word).raw("</span>");
        if !reason.is_empty() {
            m.raw("<small>").foreign(reason.trim()).raw("</small>");
        }
        m.raw("</li>");
    }
    m.raw("</ul></section>\n");
}

/// Who made the page.
pub(super) fn foot(m: &mut Markup, context: &Context) {
    m.raw("<footer>Made by nucleus ").text(&context.version).raw(" at ").text(&context.made);
    m.raw(" from the session's verified log. Text that an agent made is escaped: control, invisible and direction-changing characters show as ");
    m.raw("<code>\\u{…}</code>. Times are UTC.</footer>\n");
}

fn row(m: &mut Markup, term: &'static str, value: &str) {
    m.raw("<dt>").raw(term).raw("</dt><dd>").foreign(value).raw("</dd>");
}

fn fact(m: &mut Markup, figure: &str, words: &str) {
    m.raw("<div><b>").foreign(figure).raw("</b><span>").text(words).raw("</span></div>");
}
