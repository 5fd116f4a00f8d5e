use nucleus_wire::approvals::RequestView;
use nucleus_wire::control::ApprovalView;

use super::super::keys::Key;
use super::{Action, Board, Item};
use crate::screen::style::Style;

fn item(id: &str, rendering: &str) -> Item {
    let view = ApprovalView {
        id: id.to_owned(),
        operation: "git_push".to_owned(),
        rule: "ask.gate".to_owned(),
        rendering: rendering.to_owned(),
        complete: true,
        digest: "aa".to_owned(),
        expires_in_s: 300,
        principal: "agent:claude@s".to_owned(),
        target: "git push".to_owned(),
        nonce: String::new(),
    };
    let request = RequestView { view, state: "pending".to_owned(), reason: None };
    Item { session: "s1".to_owned(), request }
}

fn type_in(board: &mut Board, text: &str) -> Action {
    for c in text.chars() {
        assert_eq!(board.press(Key::Char(c)), Action::Nothing);
    }
    board.press(Key::Enter)
}

fn decided(id: &str, approve: bool, reason: Option<&str>) -> Action {
    let reason = reason.map(str::to_owned);
    Action::Decide { session: "s1".to_owned(), id: id.to_owned(), approve, reason }
}

#[test]
fn only_the_id_of_the_chosen_request_approves_it() {
    let mut board = Board::new(Style::new(false, None));
    assert_eq!(board.update(vec![item("aaaa", "x"), item("bbbb", "y")]).len(), 2);
    board.paint(40, 80);
    board.press(Key::Char('a'));
    assert_eq!(type_in(&mut board, "bbbb"), Action::Nothing);
    board.press(Key::Char('a'));
    assert_eq!(type_in(&mut board, "y"), Action::Nothing);
    board.press(Key::Char('a'));
    assert_eq!(type_in(&mut board, "aaaa"), decided("aaaa", true, None));
    board.press(Key::Char('d'));
    assert_eq!(type_in(&mut board, "not now"), decided("aaaa", false, Some("not now")));
}

#[test]
fn a_new_request_does_not_slip_under_the_fingers() {
    let mut board = Board::new(Style::new(false, None));
    board.update(vec![item("bbbb", "y")]);
    board.paint(40, 80);
    board.press(Key::Char('a'));
    let new = board.update(vec![item("aaaa", "x"), item("bbbb", "y")]);
    assert_eq!(new.len(), 1);
    board.paint(40, 80);
    assert_eq!(type_in(&mut board, "bbbb"), decided("bbbb", true, None));
    // And one that is gone cannot be answered any more.
    board.press(Key::Char('a'));
    board.update(vec![item("aaaa", "x")]);
    assert!(board.paint(40, 80).iter().any(|line| line.contains("does not wait any more")));
    assert_eq!(board.press(Key::Enter), Action::Nothing);
}

#[test]
fn what_was_not_read_to_its_end_cannot_be_approved() {
    let mut board = Board::new(Style::new(false, None));
    let long: String = (0..60).map(|n| format!("line {n}\n")).collect();
    board.update(vec![item("aaaa", &long)]);
    let shown = board.paint(20, 80);
    assert!(shown.iter().any(|line| line.contains("lines more: space")), "{shown:?}");
    board.press(Key::Char('a'));
    assert_eq!(type_in(&mut board, "aaaa"), Action::Nothing);
    for _ in 0..20 {
        board.press(Key::Char(' '));
        board.paint(20, 80);
    }
    board.press(Key::Char('a'));
    assert_eq!(type_in(&mut board, "aaaa"), decided("aaaa", true, None));
}

#[test]
fn nothing_leaves_the_screen_and_nothing_moves_the_cursor() {
    let mut board = Board::new(Style::new(false, None));
    let evil = format!("agent text │ {}\u{1b}[2J\u{202e}漢字{}", "Z".repeat(300), "é".repeat(99));
    board.update(vec![item("aaaa", &evil)]);
    for (rows, columns) in [(24, 80), (10, 40), (3, 5), (60, 132)] {
        let lines = board.paint(rows, columns);
        assert!(lines.len() <= rows);
        for line in &lines {
            assert!(line.chars().count() <= columns.max(20), "{line}");
            assert!(!line.contains(['\u{1b}', '\u{202e}', '\n', '\r']), "{line:?}");
        }
    }
    let whole = board.paint(60, 80).concat();
    assert_eq!(whole.matches('Z').count(), 300, "wrapped, not cut");
}

/// Reads the chosen request as fast as fingers can and gives every line of its text that was on the screen.
fn read_through(board: &mut Board, rows: usize, text: &str) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for _ in 0..500 {
        for line in board.paint(rows, 80) {
            if line.contains(text) && !seen.contains(&line) {
                seen.push(line);
            }
        }
        board.press(Key::Char('a'));
        if type_in(board, "aaaa") != Action::Nothing {
            return seen;
        }
        board.press(Key::Char(' '));
        board.press(Key::Char(' '));
        board.press(Key::PageDown);
    }
    panic!("it could never be approved: {seen:?}")
}

#[test]
fn in_a_small_window_every_line_was_on_the_screen_before_a_yes_counts() {
    let long: String = (0..60).map(|n| format!("line {n:02}\n")).collect();
    for waiting in [1, 5] {
        for rows in [8, 9, 10, 12, 13, 17, 24] {
            let mut board = Board::new(Style::new(false, None));
            let others = ["bbbb", "cccc", "dddd", "eeee"].map(|id| item(id, "other"));
            let mut items = vec![item("aaaa", &long)];
            items.extend(others.into_iter().take(waiting - 1));
            board.update(items);
            let seen = read_through(&mut board, rows, "  │ line ");
            assert_eq!(seen.len(), 60, "{waiting} waiting, {rows} rows: {seen:?}");
        }
    }
}

#[test]
fn an_id_typed_too_early_is_no_command() {
    let mut board = Board::new(Style::new(false, None));
    let long: String = (0..60).map(|n| format!("line {n}\n")).collect();
    // `q` would end the board, `d` begin a refusal.
    for id in ["qqqq", "d2qa"] {
        board.update(vec![item(id, &long)]);
        board.paint(20, 80);
        assert_eq!(board.press(Key::Char('a')), Action::Nothing);
        assert_eq!(type_in(&mut board, id), Action::Nothing);
        assert!(board.paint(20, 80).iter().any(|line| line.contains("read it to its end first")));
    }
    board.press(Key::Char('a'));
    board.press(Key::Char(' '));
    assert_eq!(board.press(Key::Char('q')), Action::Quit, "reading on is reading on");
}

#[test]
fn what_no_window_held_was_not_read() {
    let mut board = Board::new(Style::new(false, None));
    board.update(["aaaa", "bbbb", "cccc", "dddd", "eeee"].map(|id| item(id, "short")).to_vec());
    for (rows, columns) in [(1, 80), (5, 80), (7, 80), (24, 19), (24, 5)] {
        for _ in 0..30 {
            board.paint(rows, columns);
            board.press(Key::Char(' '));
        }
        board.press(Key::Char('a'));
        assert_eq!(type_in(&mut board, "aaaa"), Action::Nothing, "{rows} rows, {columns} columns");
    }
    let mut partial = item("aaaa", "its beginning");
    partial.request.view.complete = false;
    board.update(vec![partial]);
    assert!(board.paint(40, 80).iter().any(|line| line.contains("not all of it")));
    board.press(Key::Char('a'));
    assert_eq!(type_in(&mut board, "aaaa"), Action::Nothing);
    // Control: all of it, in a window that holds it.
    board.update(vec![item("aaaa", "its beginning and its end")]);
    board.paint(40, 80);
    board.press(Key::Char('a'));
    assert_eq!(type_in(&mut board, "aaaa"), decided("aaaa", true, None));
}
