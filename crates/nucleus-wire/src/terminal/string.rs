//! Which operating system commands (`ESC ] …`) pass, and in which words.

use crate::display::deceives;

use super::Query;
use super::control::Verdict;

/// Longest title, in characters.
const TITLE_CHARS_MAX: usize = 120;
/// Longest address of a link, in bytes.
const ADDRESS_BYTES_MAX: usize = 2_048;
/// Longest name that joins the parts of a link, in bytes.
const ID_BYTES_MAX: usize = 64;

/// Judges a complete command.
pub(super) fn judge(text: &[u8]) -> Option<Verdict> {
    let text = String::from_utf8_lossy(text);
    let (number, rest) = text.split_once(';').unwrap_or((&text, ""));
    match number {
        "0" | "2" => Some(Verdict::Pass(title(number, rest))),
        "8" => Some(Verdict::Pass(link(rest))),
        "9" => progress(rest).map(Verdict::Pass),
        "10" if rest == "?" => Some(Verdict::Ask(Query::Foreground)),
        "11" if rest == "?" => Some(Verdict::Ask(Query::Background)),
        _ => None,
    }
}

/// Plain text of bounded length.
fn title(number: &str, text: &str) -> String {
    let plain: String = text.chars().filter(|c| !deceives(*c)).take(TITLE_CHARS_MAX).collect();
    format!("\x1b]{number};{plain}\x1b\\")
}

/// A link to the web; one to anything else ends the link before it.
fn link(rest: &str) -> String {
    let (parameters, address) = rest.split_once(';').unwrap_or(("", ""));
    let web = ["https://", "http://"].iter().any(|scheme| {
        address.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    let printable = address.bytes().all(|byte| byte.is_ascii_graphic());
    if !web || !printable || address.len() > ADDRESS_BYTES_MAX {
        return "\x1b]8;;\x1b\\".to_owned();
    }
    let id = parameters
        .split(':')
        .filter_map(|parameter| parameter.strip_prefix("id="))
        .find(|id| {
            let word =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            !id.is_empty() && id.len() <= ID_BYTES_MAX && id.bytes().all(word)
        })
        .map(|id| format!("id={id}"))
        .unwrap_or_default();
    format!("\x1b]8;{id};{address}\x1b\\")
}

/// A progress bar in the task list: a state and a percentage.
fn progress(rest: &str) -> Option<String> {
    let mut fields = rest.split(';');
    let (kind, state) = (fields.next()?, fields.next()?);
    let percent = fields.next().unwrap_or("");
    let good = kind == "4"
        && matches!(state, "0" | "1" | "2" | "3" | "4")
        && percent.len() <= 3
        && percent.bytes().all(|byte| byte.is_ascii_digit())
        && fields.next().is_none_or(str::is_empty);
    good.then(|| format!("\x1b]9;4;{state};{percent}\x1b\\"))
}
