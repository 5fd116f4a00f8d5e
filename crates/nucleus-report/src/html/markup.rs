//! Markup under construction. Only text that stands in this program's source goes in as it is; everything else is escaped.

use nucleus_wire::display::{escape, escape_block, escape_short};

use crate::limits::TEXT_CHARS_MAX;

/// A piece of a page.
#[derive(Debug, Default)]
pub(crate) struct Markup(String);

impl Markup {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Markup of this program's own.
    pub(crate) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Text of this program's own, or numbers.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.entities(&escape(text));
        self
    }

    /// Text that an agent, a file or a model may have made: shortened visibly, isolated from the direction of what is
    /// around it.
    pub(crate) fn foreign(&mut self, text: &str) -> &mut Self {
        self.raw("<bdi>");
        self.entities(&escape_short(text, TEXT_CHARS_MAX));
        self.raw("</bdi>")
    }

    /// A line of a file.
    pub(crate) fn line(&mut self, text: &str) -> &mut Self {
        self.raw("<bdi>");
        self.entities(&escape_block(text));
        self.raw("</bdi>")
    }

    /// One of this program's class names or numbers, as an attribute's value.
    pub(crate) fn attribute(&mut self, name: &'static str, value: &str) -> &mut Self {
        self.raw(" ").raw(name).raw("=\"");
        self.entities(&escape(value));
        self.raw("\"")
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }

    fn entities(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c => self.0.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_foreign_becomes_markup_or_moves_text() {
        let mut m = Markup::new();
        m.foreign("</style><script>alert('1')</script>&\"\u{202e}x\u{200b}\n\u{1b}[2J");
        m.line("\t<b>\u{2066}");
        m.raw("<i").attribute("title", "\" onclick=\"x").raw(">");
        let text = m.into_string();
        let expected = "<bdi>&lt;/style&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;\\u{202e}x\\u{200b}\\n\\u{1b}[2J</bdi>\
                        <bdi>\t&lt;b&gt;\\u{2066}</bdi><i title=\"&quot; onclick=&quot;x\">";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_megabyte_is_cut_visibly() {
        let mut m = Markup::new();
        m.foreign(&"n".repeat(1 << 20));
        let text = m.into_string();
        assert!(text.len() < 2 * TEXT_CHARS_MAX, "{}", text.len());
        assert!(text.contains("(1048576 bytes in all)"));
    }
}
