use super::*;
use proptest::prelude::*;

fn agent(text: &str) -> Typed {
    Typed::Agent(text.as_bytes().to_vec())
}

/// Everything typed in one piece, and then nothing more.
fn split(bytes: &[u8]) -> Vec<Typed> {
    in_pieces(&[bytes])
}

fn in_pieces(pieces: &[&[u8]]) -> Vec<Typed> {
    let mut keys = Keys::default();
    let mut all = Vec::new();
    for piece in pieces {
        all.extend(keys.feed(piece));
    }
    all.extend(keys.idle());
    let mut joined = Vec::new();
    for typed in all {
        match typed {
            Typed::Agent(bytes) => super::agent(&bytes, &mut joined),
            own => joined.push(own),
        }
    }
    joined
}

/// Every form of Ctrl-] and of what stands in for it.
const FORMS: [&str; 13] = [
    "\x1d",
    "\x1b[93;5u",
    "\x1b[93;5:1u",
    "\x1b[93:125;69u",
    "\x1b[93;133;93u",
    "\x1b[27;5;93~",
    // Ctrl-5.
    "\x1b[53;5u",
    "\x1b[53:37;5u",
    "\x1b[27;5;53~",
    // A German, a Russian and a French keyboard, and one with the bracket above another key.
    "\x1b[43::93;5u",
    "\x1b[1098:1066:93;5u",
    "\x1b[40:53:53;5u",
    "\x1b[56:93;6u",
];

/// What is the agent's.
const OTHERS: [&str; 18] = [
    "\x1b[A",
    "\x1b",
    "\x1b\x1b",
    "\x1b[",
    "\x1b[93",
    "\x1b[93u",
    "\x1b[93;3u",
    "\x1b[93:125;6u",
    "\x1b[53u",
    "\x1b[27;5;54~",
    "\x1b[5~",
    "\x1b[<0;1;1M",
    "\x1b[93;5R",
    "\x1b[121::122;5u",
    "\x1bO5",
    "é\x03\x04",
    "\x1b[200~x\x1b[201~",
    "\x1b[200~a\x1db\x1ac\x1b[93;5ud\x1b[\x1b[201~",
];

#[test]
fn own_keys_are_found_in_every_form_and_all_else_passes() {
    for form in FORMS {
        let typed = split(format!("ab{form}cd").as_bytes());
        assert_eq!(typed, [agent("ab"), Typed::Takeover, agent("cd")], "{form:?}");
    }
    assert_eq!(split(b"\x1a\x1b[122;5u"), [Typed::Suspend, Typed::Suspend]);
    assert_eq!(split("\x1b[1103::122;5u".as_bytes()), [Typed::Suspend], "a Russian keyboard");
    for text in OTHERS {
        assert_eq!(split(text.as_bytes()), [agent(text)], "{text:?}");
    }
}

#[test]
fn what_begins_inside_of_another_sequence_counts() {
    assert_eq!(split(b"\x1b\x1d"), [agent("\x1b"), Typed::Takeover]);
    assert_eq!(split(b"\x1b[9\x1b[93;5u"), [agent("\x1b[9"), Typed::Takeover]);
    assert_eq!(split(b"\x1b\x1b[93;5u"), [agent("\x1b"), Typed::Takeover]);
    let long = format!("\x1b[{}", "1".repeat(200));
    assert_eq!(split(format!("{long}\x1d").as_bytes()), [agent(&long), Typed::Takeover]);
}

#[test]
fn a_key_that_repeats_or_is_let_go_is_nobodys() {
    assert_eq!(split(b"\x1b[93;5:2u\x1b[93;5:3ux"), [agent("x")]);
}

#[test]
fn a_paste_is_the_agents_and_keys_after_it_are_not() {
    let pasted = "\x1b[200~one\x1dtwo\x1a\x1b[93;5uthree\x1b[201~";
    let typed = split(format!("{pasted}\x1d").as_bytes());
    assert_eq!(typed, [agent(pasted), Typed::Takeover]);
}

#[test]
fn a_lone_escape_waits_a_moment_and_a_lost_end_of_a_paste_not_for_ever() {
    let mut keys = Keys::default();
    assert_eq!((keys.feed(b"a"), keys.patience()), (vec![agent("a")], None));
    assert_eq!((keys.feed(b"\x1b"), keys.patience()), (vec![], Some(KEY_PATIENCE)));
    assert_eq!((keys.idle(), keys.patience()), (vec![agent("\x1b")], None));
    assert_eq!((keys.feed(b"\x1b[93;"), keys.patience()), (vec![], Some(SEQUENCE_PATIENCE)));
    assert_eq!(keys.feed(b"5u"), [Typed::Takeover]);
    assert_eq!(keys.feed(b"\x1b[200~x\x1d"), [agent("\x1b[200~x\x1d")]);
    assert_eq!((keys.patience(), keys.idle()), (Some(PASTE_PATIENCE), vec![]));
    assert_eq!(keys.feed(b"\x1d"), [Typed::Takeover]);
}

proptest! {
    #[test]
    fn the_pieces_in_which_typing_comes_do_not_matter(
        words in prop::collection::vec(
            prop_oneof![
                prop::sample::select(FORMS.to_vec()).prop_map(|form| form.as_bytes().to_vec()),
                prop::sample::select(OTHERS.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
                prop::sample::select(vec![PASTE.to_vec(), PASTE_END.to_vec()]),
                prop::collection::vec(prop::sample::select(b"\x1b[0159372;:~u\x1a\x1dx".to_vec()), 0..12),
                prop::collection::vec(any::<u8>(), 0..8),
            ],
            0..8,
        ),
        cuts in prop::collection::vec(0_usize..200, 0..20),
    ) {
        let bytes = words.concat();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect();
        let whole = split(&bytes);
        prop_assert_eq!(&in_pieces(&pieces), &whole);
        // Nothing is lost but own keys: with none there, the agent gets every byte.
        let kept: usize = whole.iter().map(|t| if let Typed::Agent(b) = t { b.len() } else { 0 }).sum();
        prop_assert!(kept <= bytes.len());
        if !bytes.iter().any(|byte| [TAKEOVER, SUSPEND, b'u', b'~'].contains(byte)) {
            prop_assert_eq!(kept, bytes.len());
        }
    }
}
