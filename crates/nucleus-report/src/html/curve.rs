//! The budget: a curve over time, and how much of each limit was used.

use crate::amount::{count, dollars, duration, percent};
use crate::limits::CURVE_POINTS_MAX;
use crate::record::Record;

use super::markup::Markup;

/// Width of the drawing, in its own units.
const WIDTH: u64 = 1_000;
/// Height of the drawing, in its own units.
const HEIGHT: u64 = 200;

/// The section.
pub(super) fn budget(m: &mut Markup, record: &Record) {
    m.raw("<section id=\"budget\"><h2>Budget</h2>");
    let points = points(record);
    let spent = record.totals.cost_micro_usd;
    if spent == 0 {
        m.raw("<p>Nothing was spent.</p>");
    } else {
        curve(m, record, &points, spent);
    }
    m.raw("<figure>");
    let totals = &record.totals;
    bar(m, "Cost", spent, record.limits.cost_micro_usd, dollars);
    bar(m, "Input tokens, uncached", totals.input_tokens, record.limits.input_tokens, count);
    bar(m, "Output tokens", totals.output_tokens, record.limits.output_tokens, count);
    m.raw("<p class=\"axis\"><span>Input tokens from or to a cache (priced, not limited)</span><span>");
    m.text(&count(totals.cached_input_tokens)).raw("</span></p></figure></section>\n");
}

/// Time since the beginning and what had been spent by then.
fn points(record: &Record) -> Vec<(u64, u64)> {
    let mut booked: Vec<(u64, u64)> = record
        .steps
        .iter()
        .filter(|step| step.proved)
        .filter_map(|step| Some((step.end_offset_us?, step.cost_micro_usd.filter(|c| *c > 0)?)))
        .collect();
    booked.sort_unstable_by_key(|(time, _)| *time);
    let mut sum = 0_u64;
    for point in &mut booked {
        sum = sum.saturating_add(point.1);
        point.1 = sum;
    }
    let step = booked.len().div_ceil(CURVE_POINTS_MAX).max(1);
    let last = booked.last().copied();
    let mut thinned: Vec<(u64, u64)> = booked.into_iter().step_by(step).collect();
    thinned.extend(last.filter(|last| thinned.last() != Some(last)));
    thinned
}

fn curve(m: &mut Markup, record: &Record, points: &[(u64, u64)], spent: u64) {
    let end =
        record.duration_us.unwrap_or(0).max(points.last().map_or(0, |(time, _)| *time)).max(1);
    // A limit far above what was spent would flatten the curve: then it is told and not drawn.
    let limit = record.limits.cost_micro_usd.filter(|limit| *limit <= spent.saturating_mul(8));
    let top = limit.unwrap_or(0).max(spent).saturating_add(spent / 10).max(1);
    let x = |time: u64| scale(time, end, WIDTH);
    let y = |cost: u64| HEIGHT.saturating_sub(scale(cost, top, HEIGHT));
    let mut path = format!("M0 {HEIGHT}");
    for (time, cost) in points {
        path.push_str(&format!("H{}V{}", x(*time), y(*cost)));
    }
    path.push_str(&format!("H{WIDTH}"));
    let told = format!(
        "Cost over time: {} after {}{}",
        dollars(spent),
        duration(end / 1_000),
        match (record.limits.cost_micro_usd, limit) {
            (Some(limit), Some(_)) =>
                format!("; the dashed line is the limit of {}", dollars(limit)),
            (Some(limit), None) =>
                format!("; the limit of {} lies above this picture", dollars(limit)),
            (None, _) => String::new(),
        }
    );
    m.raw("<figure><figcaption>").text(&told).raw("</figcaption><p class=\"axis\"><span>");
    m.text(&dollars(top))
        .raw("</span></p><svg class=\"curve\" role=\"img\" preserveAspectRatio=\"none\"");
    m.attribute("viewBox", &format!("0 0 {WIDTH} {HEIGHT}"))
        .attribute("aria-label", &told)
        .raw(">");
    m.raw("<path class=\"area\"").attribute("d", &format!("{path}V{HEIGHT}Z")).raw("/>");
    m.raw("<path class=\"cost\"").attribute("d", &path).raw("/>");
    if let Some(limit) = limit {
        let at = y(limit).to_string();
        m.raw("<line class=\"limit\" x1=\"0\"").attribute("x2", &WIDTH.to_string());
        m.attribute("y1", &at).attribute("y2", &at).raw("/>");
    }
    let floor = HEIGHT.to_string();
    m.raw("<line class=\"base\" x1=\"0\"").attribute("x2", &WIDTH.to_string());
    m.attribute("y1", &floor).attribute("y2", &floor).raw("/></svg>");
    m.raw("<p class=\"axis\"><span>start</span><span>")
        .text(&duration(end / 1_000))
        .raw("</span></p></figure>");
}

fn bar(m: &mut Markup, name: &'static str, used: u64, limit: Option<u64>, show: fn(u64) -> String) {
    m.raw("<p class=\"axis\"><span>").raw(name).raw("</span><span>").text(&show(used));
    let Some(limit) = limit else {
        m.raw("</span></p>");
        return;
    };
    m.text(&format!(" of {} ({})", show(limit), percent(used, limit))).raw("</span></p>");
    m.raw("<svg class=\"bar\" aria-hidden=\"true\" preserveAspectRatio=\"none\"");
    m.attribute("viewBox", &format!("0 0 {WIDTH} 10"));
    m.raw("><rect class=\"track\" height=\"10\"").attribute("width", &WIDTH.to_string()).raw("/>");
    let width = scale(used.min(limit), limit.max(1), WIDTH);
    m.raw("<rect class=\"fill\" height=\"10\"")
        .attribute("width", &width.to_string())
        .raw("/></svg>");
}

/// `part` of `whole`, as a part of `size`.
fn scale(part: u64, whole: u64, size: u64) -> u64 {
    let scaled = u128::from(part).saturating_mul(u128::from(size)).checked_div(u128::from(whole));
    scaled.and_then(|scaled| u64::try_from(scaled).ok()).unwrap_or(0).min(size)
}
