//! The picture and the state of `nucleus approvals watch`, without any terminal.

use std::collections::BTreeSet;

use nucleus_wire::approvals::RequestView;
use nucleus_wire::display::{escape, escape_short};

use super::described;
use super::keys::Key;
use crate::reading::{COLUMNS_MIN, Reading, cut};
use crate::screen::style::Style;

/// Requests shown in the list at a time.
const LIST_ROWS: usize = 6;
/// Longest answer typed, in characters.
const TYPED_MAX: usize = 500;
/// Rows that are neither list nor request: title, two rules, what can be typed, a message.
const FRAME_ROWS: usize = 5;
/// Rows of the request that come before a longer list.
const DETAIL_ROWS: usize = 6;
/// Widest line painted.
const COLUMNS_MAX: usize = 200;

/// A request and the session it is of.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub session: String,
    pub request: RequestView,
}

impl Item {
    fn key(&self) -> Name {
        (self.session.clone(), self.request.view.id.clone())
    }
}

/// Session and id.
type Name = (String, String);

/// What the person wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Nothing,
    Quit,
    Decide { session: String, id: String, approve: bool, reason: Option<String> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Mode {
    Browse,
    /// A yes was begun too early: the id that follows by habit is no command.
    Unread,
    /// The id is being typed; the request was chosen when `a` was pressed and does not change under the fingers.
    Approve(Name, String),
    Deny(Name, String),
}

/// Everything on the screen.
#[derive(Debug)]
pub(super) struct Board {
    items: Vec<Item>,
    selected: Option<Name>,
    mode: Mode,
    /// The request that is on the screen.
    open: Option<Open>,
    /// Requests of which every line was on the screen.
    read: BTreeSet<Name>,
    known: BTreeSet<Name>,
    message: String,
    style: Style,
}

/// A request that is being read.
#[derive(Debug)]
struct Open {
    name: Name,
    complete: bool,
    reading: Reading,
}

impl Board {
    pub(super) fn new(style: Style) -> Self {
        Self {
            items: Vec::new(),
            selected: None,
            mode: Mode::Browse,
            open: None,
            read: BTreeSet::new(),
            known: BTreeSet::new(),
            message: String::new(),
            style,
        }
    }

    /// Takes the requests that wait now; gives those that were not there before.
    pub(super) fn update(&mut self, items: Vec<Item>) -> Vec<Item> {
        let new: Vec<Item> =
            items.iter().filter(|item| !self.known.contains(&item.key())).cloned().collect();
        self.known = items.iter().map(Item::key).collect();
        self.items = items;
        let gone = |name: &Name| !self.known.contains(name);
        if let Mode::Approve(name, _) | Mode::Deny(name, _) = &self.mode
            && gone(name)
        {
            self.message = format!("request {} does not wait any more", escape(&name.1));
            self.mode = Mode::Browse;
        }
        if self.selected.as_ref().is_none_or(gone) {
            self.selected = self.items.first().map(Item::key);
        }
        new
    }

    /// Says something in the last line.
    pub(super) fn say(&mut self, message: &str) {
        self.message = escape_short(message, 300);
    }

    /// One key.
    pub(super) fn press(&mut self, key: Key) -> Action {
        match std::mem::replace(&mut self.mode, Mode::Browse) {
            Mode::Browse => self.browse(key),
            Mode::Unread => match key {
                Key::Char(c) if c != ' ' => self.stay(Mode::Unread),
                Key::Enter | Key::Escape | Key::Erase => Action::Nothing,
                key => self.browse(key),
            },
            Mode::Approve(name, typed) => match typing(typed, key) {
                Typed::More(typed) => self.stay(Mode::Approve(name, typed)),
                Typed::Left => Action::Nothing,
                Typed::Done(typed) if typed == name.1 => {
                    let (session, id) = name;
                    Action::Decide { session, id, approve: true, reason: None }
                }
                Typed::Done(_) => {
                    self.message = format!("nothing approved: type {} exactly", escape(&name.1));
                    Action::Nothing
                }
            },
            Mode::Deny(name, typed) => match typing(typed, key) {
                Typed::More(typed) => self.stay(Mode::Deny(name, typed)),
                Typed::Left => Action::Nothing,
                Typed::Done(typed) => {
                    let (session, id) = name;
                    let reason = Some(typed.trim().to_owned()).filter(|reason| !reason.is_empty());
                    Action::Decide { session, id, approve: false, reason }
                }
            },
        }
    }

    fn stay(&mut self, mode: Mode) -> Action {
        self.mode = mode;
        Action::Nothing
    }

    fn browse(&mut self, key: Key) -> Action {
        self.message.clear();
        match key {
            Key::Char('q') | Key::Interrupt => return Action::Quit,
            Key::Up | Key::Char('k') => self.select(-1),
            Key::Down | Key::Char('j') => self.select(1),
            Key::PageUp | Key::Char('b') => self.turn(Reading::back),
            Key::PageDown | Key::Char(' ') => self.turn(Reading::forward),
            Key::Char('a') => match self.selected.clone() {
                Some(name) if self.read.contains(&name) => {
                    return self.stay(Mode::Approve(name, String::new()));
                }
                Some(_) => {
                    self.message = "read it to its end first (space)".to_owned();
                    return self.stay(Mode::Unread);
                }
                None => {}
            },
            Key::Char('d') => {
                if let Some(name) = self.selected.clone() {
                    return self.stay(Mode::Deny(name, String::new()));
                }
            }
            _ => {}
        }
        Action::Nothing
    }

    fn turn(&mut self, how: impl Fn(&mut Reading)) {
        if let Some(open) = &mut self.open {
            how(&mut open.reading);
        }
    }

    fn place(&self) -> usize {
        let here = |item: &Item| Some(item.key()) == self.selected;
        self.items.iter().position(here).unwrap_or(0)
    }

    fn select(&mut self, step: isize) {
        let last = self.items.len().saturating_sub(1);
        let next = self.place().saturating_add_signed(step).min(last);
        self.selected = self.items.get(next).map(Item::key);
    }

    /// The lines of the screen: at most `rows` of at most `columns`.
    pub(super) fn paint(&mut self, rows: usize, columns: usize) -> Vec<String> {
        let wide_enough = columns >= COLUMNS_MIN;
        let columns = columns.clamp(COLUMNS_MIN, COLUMNS_MAX);
        let mut lines =
            vec![cut(&format!("nucleus approvals: {} waiting", self.items.len()), columns)];
        // The list makes room for the request, not the other way round.
        let listed = rows.saturating_sub(FRAME_ROWS).saturating_sub(DETAIL_ROWS);
        let listed = listed.clamp(1, LIST_ROWS);
        let place = self.place();
        let first = place.saturating_sub(listed.saturating_sub(1));
        for (index, item) in self.items.iter().enumerate().skip(first).take(listed) {
            let mark = if index == place { '>' } else { ' ' };
            let view = &item.request.view;
            lines.push(cut(
                &format!(
                    "{mark} {}  {:>3} s  {:<12} {}  {}",
                    escape(&view.id),
                    view.expires_in_s,
                    escape(&view.operation),
                    escape(&item.session),
                    escape(&view.target)
                ),
                columns,
            ));
        }
        lines.push("─".repeat(columns));
        let room = rows.saturating_sub(lines.len()).saturating_sub(3);
        lines.extend(self.detail(place, if wide_enough { room } else { 0 }, columns));
        lines.push("─".repeat(columns));
        lines.push(cut(&self.prompt(), columns));
        lines.push(cut(&self.message, columns));
        lines.truncate(rows);
        lines
    }

    /// The chosen request, wrapped, as far as it is being read. Nothing is cut off at the right, and what would not be on
    /// the screen is not counted as read.
    fn detail(&mut self, place: usize, room: usize, columns: usize) -> Vec<String> {
        let Some(item) = self.items.get(place) else {
            return vec!["nobody asks for anything".to_owned()];
        };
        // The last line says what is below.
        let room = room.saturating_sub(1);
        if room == 0 {
            return vec![cut("make this window larger to read the request", columns)];
        }
        let (name, complete) = (item.key(), item.request.view.complete);
        let same = |open: &Open| {
            open.name == name && open.complete == complete && open.reading.columns() == columns
        };
        if !self.open.as_ref().is_some_and(same) {
            let reading = Reading::new(&described(&item.session, &item.request), columns, complete);
            self.open = Some(Open { name: name.clone(), complete, reading });
        }
        let Some(open) = &mut self.open else { return Vec::new() };
        let mut lines = open.reading.show(room, self.style);
        if open.reading.is_read() {
            self.read.insert(name);
        }
        let below = match open.reading.below() {
            0 if complete => String::new(),
            0 => "this is not all of it, so it cannot be approved here".to_owned(),
            hidden => format!("… {hidden} lines more: space"),
        };
        lines.push(cut(&below, columns));
        lines
    }

    fn prompt(&self) -> String {
        match &self.mode {
            Mode::Browse | Mode::Unread => {
                "a approve  d deny  ↑↓ choose  space/b read on/back  q quit".to_owned()
            }
            Mode::Approve((_, id), typed) => {
                format!(
                    "type {} and return to approve once (esc: leave it): {}",
                    escape(id),
                    escape(typed)
                )
            }
            Mode::Deny((_, id), typed) => {
                format!(
                    "deny {}: words for the agent, or just return (esc: leave it): {}",
                    escape(id),
                    escape(typed)
                )
            }
        }
    }
}

/// What a key does to a line that is being typed.
enum Typed {
    More(String),
    Done(String),
    Left,
}

fn typing(mut typed: String, key: Key) -> Typed {
    match key {
        Key::Enter => return Typed::Done(typed),
        Key::Escape | Key::Interrupt => return Typed::Left,
        Key::Erase => {
            typed.pop();
        }
        Key::Char(c) if typed.chars().count() < TYPED_MAX => typed.push(c),
        _ => {}
    }
    Typed::More(typed)
}

#[cfg(test)]
mod tests;
