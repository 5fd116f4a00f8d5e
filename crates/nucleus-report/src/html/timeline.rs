//! What was refused, and everything that happened.

use std::collections::BTreeMap;

use crate::amount::{count, dollars, duration};
use crate::limits::PAGE_STEPS_MAX;
use crate::record::Record;
use crate::step::{Step, Verdict};

use super::markup::Markup;

/// Refusals and questions, by rule.
pub(super) fn refusals(m: &mut Markup, record: &Record) {
    m.raw("<section id=\"verdicts\"><h2>Verdicts</h2>");
    let mut rules: BTreeMap<(Verdict, &str, &str), u64> = BTreeMap::new();
    for step in record.steps.iter().filter(|step| step.counts()) {
        if !matches!(step.verdict, Verdict::Allowed | Verdict::Approved | Verdict::Unfinished) {
            let layer = step.layer.as_deref().unwrap_or_default();
            let rule = step.rule.as_deref().unwrap_or("no rule recorded");
            let sum = rules.entry((step.verdict, layer, rule)).or_insert(0);
            *sum = sum.saturating_add(1);
        }
    }
    m.raw("<p>");
    let mut first = true;
    for verdict in Verdict::ALL {
        if let Some(sum) = record.totals.verdicts.get(&verdict) {
            m.raw(if first { "" } else { " · " });
            first = false;
            m.text(&count(*sum)).raw(" ").text(verdict.word());
        }
    }
    m.raw(if first { "Nothing was asked of the envelope.</p>" } else { "</p>" });
    if rules.is_empty() {
        m.raw("<p>Nothing was refused.</p></section>\n");
        return;
    }
    m.raw("<table><thead><tr><th>Verdict</th><th>Rule</th><th>Layer</th><th class=\"n\">Times</th></tr></thead><tbody>");
    for ((verdict, layer, rule), times) in &rules {
        m.raw("<tr><td>");
        chip(m, *verdict);
        m.raw("</td><td class=\"mono\">").foreign(rule).raw("</td><td>").foreign(layer);
        m.raw("</td><td class=\"n\">").text(&count(*times)).raw("</td></tr>");
    }
    m.raw("</tbody></table>");
    if record.totals.suppressed > 0 {
        m.raw("<p>").text(&count(record.totals.suppressed));
        m.raw(" of them came in a flood and were counted, not written one by one.</p>");
    }
    m.raw("</section>\n");
}

/// The timeline.
pub(super) fn steps(m: &mut Markup, record: &Record) {
    m.raw("<section id=\"timeline\"><h2>Timeline</h2>");
    m.raw("<table class=\"steps\"><thead><tr><th>Time</th><th>Operation and target</th><th>Verdict</th><th class=\"n\">Took</th>");
    m.raw("<th class=\"n\">Cost</th><th class=\"n\">Entry</th></tr></thead><tbody>\n");
    let mut edge = true;
    for step in record.steps.iter().take(PAGE_STEPS_MAX) {
        if !step.proved && std::mem::take(&mut edge) {
            m.raw("<tr class=\"edge\"><td colspan=\"6\">✗ From here on nothing is proved: these entries are shown as they stand in the file.</td></tr>");
        }
        row(m, step);
    }
    m.raw("</tbody></table>");
    let more = record.steps.len().saturating_sub(PAGE_STEPS_MAX);
    if more > 0 {
        m.raw("<p>").text(&count(u64::try_from(more).unwrap_or(u64::MAX)));
        m.raw(" more steps are not on this page; <code>nucleus replay</code> shows all.</p>");
    }
    m.raw("</section>\n");
}

fn row(m: &mut Markup, step: &Step) {
    m.raw("<tr")
        .attribute("class", if step.proved { "step" } else { "step unproved" })
        .raw("><td class=\"time mono\">");
    // The date is in the head of the page.
    let time = step.time.get(11..23).unwrap_or(&step.time);
    m.foreign(time).raw("</td><td class=\"what\"><b>").foreign(&step.operation).raw("</b>");
    if let Some(target) = &step.target {
        m.foreign(target);
    }
    if !step.result.is_empty() {
        m.raw("<small>").foreign(&step.result.join(", ")).raw("</small>");
    }
    m.raw("</td><td class=\"verdict\">");
    if step.proved {
        chip(m, step.verdict);
    } else {
        m.raw("<span class=\"v\">").text(step.verdict.word()).raw(", not proved</span>");
    }
    let rule = step.rule.as_deref().filter(|_| step.kind != "session_start");
    if let Some(rule) = rule {
        m.raw("<small class=\"mono\">").foreign(rule).raw("</small>");
    }
    if let Some(layer) = &step.layer {
        m.raw("<small>held by ").foreign(layer).raw("</small>");
    }
    if let Some(approval) = &step.approval {
        m.raw("<small>approval ").foreign(approval).raw("</small>");
    }
    m.raw("</td><td class=\"n\">");
    if let Some(ms) = step.duration_ms {
        m.text(&duration(ms));
    }
    m.raw("</td><td class=\"n\">");
    if let Some(cost) = step.cost_micro_usd.filter(|cost| *cost > 0) {
        m.text(&dollars(cost));
    }
    m.raw("</td><td class=\"n dim\">").text(&step.sequence.to_string());
    m.raw("</td></tr>\n");
}

fn chip(m: &mut Markup, verdict: Verdict) {
    m.raw("<span").attribute("class", &format!("v {}", verdict.word())).raw(">");
    m.text(verdict.sign()).raw(" ").text(verdict.word()).raw("</span>");
}
