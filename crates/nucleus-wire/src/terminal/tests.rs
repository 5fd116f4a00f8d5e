use proptest::prelude::*;

use super::*;

fn through(bytes: &[u8]) -> (String, Vec<Query>) {
    let mut filter = Filter::new();
    let (mut shown, mut asked) = (String::new(), Vec::new());
    for piece in filter.feed(bytes) {
        match piece {
            Piece::Show(text) => shown.push_str(&text),
            Piece::Ask(query) => asked.push(query),
        }
    }
    (shown, asked)
}

fn shown(text: &str) -> String {
    through(text.as_bytes()).0
}

/// Everything that only hostile output uses, and what is left of each.
const HOSTILE: &[(&str, &str)] = &[
    ("a\x1b]52;c;cm0gLXJmIH4=\x07b", "ab"),            // clipboard
    ("a\x1b]52;c;?\x1b\\b", "ab"),                     // clipboard read
    ("a\x1b]4;1;rgb:00/00/00\x07b\x1b]104\x07", "ab"), // palette
    ("a\x1b]4;1;?\x07b", "ab"),                        // palette asked
    ("a\x1b]10;#000000\x07\x1b]11;#000\x1b\\b", "ab"), // invisible text
    ("a\x1b]12;?\x07\x1b]17;?\x07b", "ab"),            // other colours asked
    ("a\x1b[21tb\x1b[20t", "ab"),                      // title reported
    ("a\x1b[8;1;1tb\x1b[2t\x1b[3;0;0t", "ab"),         // window moved, shrunk
    ("a\x1b[22;0tb\x1b[23;0t", "ab"),                  // title stack
    ("a\x1b[5ib\x1b[4i\x1b[?5i", "ab"),                // printer
    ("a\x1bP$qm\x1b\\b", "ab"),                        // DECRQSS
    ("a\x1bP+q544e\x1b\\b", "ab"),                     // XTGETTCAP
    ("a\x1bP0;1|17/rm -rf ~\x1b\\b", "ab"),            // user-defined keys
    ("a\x1bPq#0;2;0;0;0~~~~\x1b\\b", "ab"),            // sixel
    ("a\x1b_Gf=32,s=1;AAAA\x1b\\b", "ab"),             // kitty graphics
    ("a\x1b_Gt=f;L2V0Yy9wYXNzd2Q=\x1b\\b", "ab"),      // kitty file
    ("a\x1b^private\x1b\\b\x1bXstring\x1b\\", "ab"),   // PM, SOS
    ("a\x1b]1337;File=name=eA==;inline=1:AAAA\x07b", "ab"), // iTerm2 file
    ("a\x1b]1337;RunCommand=x\x07b", "ab"),            // iTerm2
    ("a\x1b]777;notify;x;y\x07b\x1b]9;hello\x07", "ab"), // notifications
    ("a\x1b]7;file://host/etc\x07b\x1b]133;A\x07", "ab"), // directory, prompt marks
    ("a\x1b]50;font\x07b\x1b]3;X=1\x07", "ab"),        // font, X property
    ("a\x1b]8;;file:///etc/passwd\x1b\\b", "a\x1b]8;;\x1b\\b"), // link to a file
    ("a\x1b]8;;ssh://-oProxyCommand=x\x1b\\b", "a\x1b]8;;\x1b\\b"),
    ("a\x1b]8;;javascript:x\x1b\\b", "a\x1b]8;;\x1b\\b"),
    ("a\x05b\x00\x13\x11\x7f", "ab"), // answerback, flow control
    ("a\x1bcb\x1b[!p", "ab"),         // resets
    ("a\x1b[3Jb", "ab"),              // the user's scrollback
    ("a\x1b#8b\x1b%@\x1bZ\x1bn\x1b|", "ab"),
    ("a\x1b[?3hb\x1b[?5h\x1b[?1001h\x1b[?1005h\x1b[?69h\x1b[?9001h", "ab"), // modes
    ("a\x1b[20hb\x1b[2h\x1b[12h", "ab"), // new line, locked keyboard
    ("a\x1b[1;2;3;4;5*yb\x1b[1;1;9;9$z", "ab"), // checksums, rectangles
    ("a\x1b[1;1;1;1;1Tb", "ab"),         // highlight tracking hangs
    ("a\x1b[xb\x1b[1x", "ab"),           // parameters asked
    ("a\x1b[?1;3;256Sb", "ab"),          // graphics asked
    ("a\x1b[?1046$sb\x1b[?1s\x1b[?1r", "ab"),
    ("a\x1b[>0qb", "ab"),     // version asked
    ("a\x1b[3gb\x1bH", "ab"), // tab stops
    ("a\u{202e}b\u{2066}c\u{e0041}d\u{9b}31me\u{85}", "abcd31me"), // reading order, tags, C1
    ("a\x1b]0;t\x1b[31m\x1b]52;c;eA==\x07b", "a\x1b[31mb"), // one within the other
    ("a\x1b]2;x\u{9c}\x1b]52;c;eA==\x07b\x07", "ab\x07"),
];

#[test]
fn what_harms_goes() {
    for (hostile, left) in HOSTILE {
        let (out, asked) = through(hostile.as_bytes());
        assert_eq!(&out, left, "{hostile:?}");
        assert!(asked.is_empty(), "{hostile:?} asks {asked:?}");
    }
}

#[test]
fn eight_bit_controls_are_no_controls() {
    assert_eq!(
        through(b"a\x9b31mb\x9d52;c;eA==\x9cc").0,
        "a\u{fffd}31mb\u{fffd}52;c;eA==\u{fffd}c"
    );
}

#[test]
fn full_screen_programs_work() {
    for text in [
        "\x1b[?1049h\x1b[22;1H\x1b[2J\x1b[1;31;48:2::1:2:3mhello\x1b[0m\r\n\t\x08",
        "\x1b[?2004h\x1b[?1000h\x1b[?1006h\x1b[?25l\x1b[?2026h\x1b[?2026l",
        "\x1b[>1u\x1b[<1u\x1b[>4;2m\x1b[>4m\x1b[2 q\x1b7\x1b8\x1bM\x1b=\x1b>",
        "\x1b]0;title\x1b\\\x1b]8;id=a1;https://example.org/x?y\x1b\\link\x1b]8;;\x1b\\\x1b]9;4;1;50\x1b\\",
        "\x1b[4h\x1b[4l\x1b[2;20r\x1b[r\x1b[5S\x1b[3T\x1b[2K\x1b[1P\x1b[4@\x1b[10X\x1b[7b\x1b(0qqq\x1b(B",
        "Ünïcode 漢字 👩‍🚀 \u{e0b0}",
    ] {
        assert_eq!(shown(text), text);
    }
}

#[test]
fn sequences_are_written_anew_and_within_bounds() {
    assert_eq!(shown("\x1b[?1049;52;25h"), "\x1b[?1049h\x1b[?25h");
    assert_eq!(shown("\x1b[99999999999A\x1b[65535b"), "\x1b[9999A\x1b[1000b");
    assert_eq!(shown(&format!("a\x1b[{}mb", "1;".repeat(500))), "ab");
    assert_eq!(shown("\x07\x07\x07a\x07"), "\x07a\x07");
    assert_eq!(
        shown(&format!("\x1b]2;{}\x07", "t".repeat(500))),
        format!("\x1b]2;{}\x1b\\", "t".repeat(120))
    );
    assert_eq!(shown(&format!("a\x1b]2;{}\x07b", "t".repeat(5_000))), "ab");
    // Pops reach the program's own pushes only.
    assert_eq!(shown("\x1b[<9u\x1b[>1u\x1b[>3u\x1b[<9u\x1b[<u"), "\x1b[>1u\x1b[>3u\x1b[<2u");
}

#[test]
fn a_sequence_that_never_ends_shows_nothing_and_keeps_little() {
    let mut filter = Filter::new();
    for begin in ["\x1b]2;", "\x1b[", "\x1bP", "\x1b_"] {
        assert_eq!(filter.feed(begin.as_bytes()), []);
        for _ in 0..64 {
            assert_eq!(filter.feed(&[b'1'; 4_096]), []);
        }
        let kept = match &filter.state {
            State::Control(control) => control.parameters.capacity(),
            State::Command(Some(text)) => text.capacity(),
            _ => 0,
        };
        assert!(kept <= 2 * STRING_BYTES_MAX, "{kept}");
        filter.feed(b"\x18");
        assert_eq!(filter.feed(b"a"), [Piece::Show("a".to_owned())]);
    }
}

#[test]
fn questions_come_out_in_order_and_are_answered_in_fixed_words() {
    let mut filter = Filter::new();
    let pieces = filter.feed(b"\x1b[?2004ha\x1b[6nb\x1b[c\x1b[0c\x1b[>c\x1b[5n\x1b[?u\x1b[?2004$p\x1b[?52$p\x1b]11;?\x07\x1b[18t");
    let asked: Vec<Query> = pieces
        .iter()
        .filter_map(|piece| if let Piece::Ask(query) = piece { Some(*query) } else { None })
        .collect();
    assert_eq!(pieces.get(1), Some(&Piece::Ask(Query::Cursor)));
    let facts = Facts {
        rows: 24,
        columns: 80,
        keyboard: true,
        foreground: None,
        background: Some([0x1111, 0, 0xffff]),
    };
    let answers: Vec<String> =
        asked.iter().filter_map(|query| facts.answer(*query, filter.modes())).collect();
    assert_eq!(
        answers,
        [
            "\x1b[1;1R",
            "\x1b[?62;22c",
            "\x1b[?62;22c",
            "\x1b[>1;10;0c",
            "\x1b[0n",
            "\x1b[?0u",
            "\x1b[?2004;1$y",
            "\x1b[?52;0$y",
            "\x1b]11;rgb:1111/0000/ffff\x1b\\",
            "\x1b[8;24;80t"
        ]
    );
}

#[test]
fn a_terminal_is_left_as_it_was_and_entered_again() {
    let mut filter = Filter::new();
    filter.feed(b"\x1b[?1049h\x1b[?2004h\x1b[?25l\x1b[>5u\x1b[?1003h\x1b[4 q\x1b[?2026h");
    let leave = filter.modes().leave();
    for part in [
        "\x1b[?2026l",
        "\x1b[?2004l",
        "\x1b[?25h",
        "\x1b[<1u",
        "\x1b[?1003l",
        "\x1b[0 q",
        "\x1b[?1049l",
    ] {
        assert!(leave.contains(part), "{part:?} is not in {leave:?}");
    }
    let mut again = Filter::new();
    again.feed(filter.modes().enter().as_bytes());
    assert_eq!(again.modes().leave(), leave.replace("\x1b[?2026l", ""));
    // Left, nothing is changed any more.
    filter.feed(leave.as_bytes());
    assert_eq!(filter.modes(), &Modes::default());
}

#[test]
fn a_terminals_own_answers_are_read_strictly() {
    let mut facts =
        Facts { rows: 1, columns: 1, keyboard: false, foreground: None, background: None };
    assert_eq!(facts.learn(b"\x1b]11;rgb:1e1e/1e/ffff\x1b\\\x1b[?0u\x1b[?62"), None);
    let answer = b"\x1b]11;rgb:1e1e/1e/ffff\x1b\\\x1b[?0u\x1b[?62;4cls\r";
    assert_eq!(facts.learn(answer), Some(answer.len() - 3));
    assert!(facts.keyboard);
    assert_eq!(facts.background, Some([0x1e1e, 0x1e1e, 0xffff]));
    assert_eq!(facts.learn(b"\x1b[?1;2c"), Some(7));
    assert!(!facts.keyboard && facts.background.is_none());
}

fn hostile_bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..12),
        2 => prop::sample::select(HOSTILE).prop_map(|(text, _)| text.as_bytes().to_vec()),
        4 => prop::sample::select(&[
            "\x1b[", "\x1b]", "\x1bP", "\x1b\\", "\x07", "\x1b", "?", ";", ":", "0", "1049", "8;;",
            "https://e.org", "h", "m", "u", "<", ">", "=", "$", " q", "\u{9b}", "漢", "\u{202e}", "4;", "2026h",
        ][..]).prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_comes_out_passes_again_unchanged(bytes in hostile_bytes()) {
        let (once, _) = through(&bytes);
        let (twice, asked) = through(once.as_bytes());
        prop_assert_eq!(&once, &twice);
        prop_assert!(asked.is_empty());
        prop_assert!(once.len() <= bytes.len().saturating_mul(4).saturating_add(64));
    }

    #[test]
    fn where_the_bytes_are_cut_makes_no_difference(bytes in hostile_bytes(), cut in 0_usize..400) {
        let whole = through(&bytes);
        let mut filter = Filter::new();
        let (head, tail) = bytes.split_at(cut.min(bytes.len()));
        let mut shown = String::new();
        for piece in filter.feed(head).into_iter().chain(filter.feed(tail)) {
            if let Piece::Show(text) = piece { shown.push_str(&text) }
        }
        prop_assert_eq!(shown, whole.0);
    }

    #[test]
    fn nothing_but_the_known_comes_out(bytes in hostile_bytes()) {
        let (out, _) = through(&bytes);
        for c in out.chars() {
            let control = c.is_control() && !matches!(c, '\x07' | '\x08' | '\t' | '\n' | '\r' | '\x0e' | '\x0f' | '\x1b');
            prop_assert!(!control, "{c:?} in {out:?}");
        }
        for (at, _) in out.match_indices('\x1b') {
            let next = out.get(at..).and_then(|rest| rest.chars().nth(1));
            prop_assert!(matches!(next, Some('[' | ']' | '\\' | '7' | '8' | 'D' | 'E' | 'M' | '=' | '>' | '(' | ')')), "{next:?}");
        }
        for word in ["]52", "]4;", "]1337", "[5i", "[21t", "[3J", "[c", "[6n"] {
            let sequence = format!("\x1b{word}");
            prop_assert!(!out.contains(&sequence));
        }
    }
}
