//! A session's record as one self-contained page: no script, no request, no link, a style sheet that the page's own content
//! security policy names by digest.

mod changes;
mod curve;
mod markup;
mod summary;
mod timeline;

use nucleus_log::Digest;
use nucleus_wire::changeset::ChangeSet;

use crate::record::Record;
use markup::Markup;

/// The style sheet.
const STYLE: &str = include_str!("html/style.css");

/// What a page says beside the record. None of it is in the log, and the page says so.
#[derive(Debug, Clone)]
pub struct Context {
    /// What the user asked for.
    pub task: Option<String>,
    /// The workspace.
    pub workspace: String,
    /// How far the session is.
    pub status: String,
    /// Path of the log.
    pub log: String,
    /// When the page is made.
    pub made: String,
    /// Version of the program that makes it.
    pub version: String,
}

/// The changes of a session, and what vouches for them.
#[derive(Debug, Clone)]
pub enum Shown {
    /// As written down when the task ended; the log holds the digest.
    Proved(ChangeSet),
    /// Anything else, with the reason why nothing vouches for it.
    Unproved(ChangeSet, String),
    /// Nothing to show, and why.
    Absent(String),
}

/// The page.
#[must_use]
pub fn page(record: &Record, context: &Context, shown: &Shown) -> String {
    let mut m = Markup::new();
    m.raw("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n");
    m.raw("<meta http-equiv=\"Content-Security-Policy\"");
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        Digest::of(STYLE.as_bytes()).base64()
    );
    m.attribute("content", &policy).raw(">\n");
    m.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    m.raw("<meta name=\"referrer\" content=\"no-referrer\">\n<title>Nucleus session ");
    m.text(record.session.as_deref().unwrap_or("(unnamed)"));
    m.raw("</title>\n<style>").raw(STYLE).raw("</style></head>\n<body><main>\n");
    summary::head(&mut m, record, context);
    summary::proof(&mut m, record, context);
    curve::budget(&mut m, record);
    summary::layers(&mut m, record);
    timeline::refusals(&mut m, record);
    timeline::steps(&mut m, record);
    changes::section(&mut m, record, shown);
    summary::foot(&mut m, context);
    m.raw("</main></body></html>\n");
    m.into_string()
}

#[cfg(test)]
mod tests;
