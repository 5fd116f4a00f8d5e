use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rustix::fs::{CWD, Mode, RenameFlags, renameat_with};

use super::relative;
use crate::tools::bounds::Paths;
use crate::tools::error::{Kind, PathFault, ToolError};
use crate::tools::testing::{Bench, CANARY, Open, Withheld, code};
use crate::tools::write::{WriteArgs, write};

fn read(bench: &Bench, path: &str, paths: &dyn Paths) -> Result<String, ToolError> {
    let mut text = String::new();
    bench.resolver().open_file(path, paths)?.file.read_to_string(&mut text).unwrap();
    Ok(text)
}

fn put(bench: &Bench, path: &str) -> Result<(), ToolError> {
    let args = WriteArgs { path, content: "overwritten" };
    write(&bench.resolver(), &Open, &args, &bench.bounds()).map(drop)
}

/// Rows 1 and 7.
#[test]
fn links_out_of_the_workspace_are_refused_for_reading_and_writing() {
    let bench = Bench::new();
    bench.put("sub/inside", "fine").link("abs", bench.host("outside/secret"));
    bench
        .link("rel", "../outside/secret")
        .link("dir", "../outside")
        .link("sub/up", "../../outside");
    bench.link("magic", "/proc/self/root").link("loop", "loop");
    let held = fs::File::open(bench.host("outside")).unwrap();
    bench.link("fd", format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&held)));
    for path in ["abs", "rel", "dir/secret", "sub/up/secret", "magic/etc/passwd", "fd/secret"] {
        assert!(
            fs::metadata(bench.ws(path)).is_ok(),
            "control: without the resolver {path} is reached"
        );
        assert_eq!(code(read(&bench, path, &Open)), "deny.path.escape", "{path}");
        assert_eq!(code(put(&bench, path)), "deny.path.escape", "{path}");
    }
    assert_eq!(code(put(&bench, "dir/new")), "deny.path.escape");
    assert_eq!(code(read(&bench, "loop", &Open)), "path.too_deep");
    assert_eq!(read(&bench, "sub/inside", &Open).unwrap(), "fine");
    bench.assert_outside_untouched();
}

/// Row 2.
#[test]
fn a_sibling_with_the_same_prefix_is_not_the_workspace() {
    let bench = Bench::new();
    bench.put("a", "mine");
    let evil = bench.host("ws-evil/secret");
    let naive =
        evil.to_str().unwrap().starts_with(bench.ws("").to_str().unwrap().trim_end_matches('/'));
    assert!(naive, "control: a comparison of text would let it through");
    assert_eq!(code(read(&bench, evil.to_str().unwrap(), &Open)), "path.malformed");
    assert_eq!(code(put(&bench, evil.to_str().unwrap())), "path.malformed");
    let own = bench.ws("a");
    assert_eq!(read(&bench, own.to_str().unwrap(), &Open).unwrap(), "mine");
    bench.assert_outside_untouched();
}

#[test]
fn a_link_is_judged_by_what_it_leads_to() {
    let bench = Bench::new();
    bench
        .put(".env", CANARY)
        .put("d/x", "1")
        .link("notes.txt", ".env")
        .link("e", "d")
        .link("f", "notes.txt");
    let policy = Withheld(&[".env", "d/x"]);
    for path in ["notes.txt", "./notes.txt", "f", "e/x", ".env", "d//x", "d/./x"] {
        assert!(
            policy.visible(path) || !path.ends_with("notes.txt"),
            "control: the written name passes"
        );
        assert_eq!(code(read(&bench, path, &policy)), "deny.path.sensitive", "{path}");
    }
    assert_eq!(
        read(&bench, "notes.txt", &Open).unwrap(),
        CANARY,
        "control: without the rule it is read"
    );
    let args = WriteArgs { path: "notes.txt", content: "gone" };
    let result = write(&bench.resolver(), &policy, &args, &bench.bounds());
    assert_eq!(code(result), "deny.path.sensitive");
    assert_eq!(bench.text(".env"), CANARY);
    assert_eq!(bench.resolver().locate("f").unwrap().real, ".env");
}

#[test]
fn links_within_the_workspace_are_followed_like_a_pod_would() {
    let bench = Bench::new();
    bench.put("a/b/file", "deep").put("top", "t").link("a/b/up", "../../top").link("short", "a/b");
    bench.link("whole", bench.ws("a/b/file")).link("dangling", "a/new").link("a/self", "../a");
    for (path, real) in [
        ("short/file", "a/b/file"),
        ("a/b/up", "top"),
        ("whole", "a/b/file"),
        ("a/self/self/b/file", "a/b/file"),
    ] {
        assert_eq!(bench.resolver().locate(path).unwrap().real, real, "{path}");
        assert_eq!(read(&bench, path, &Open).unwrap(), fs::read_to_string(bench.ws(path)).unwrap());
    }
    let dangling = bench.resolver().locate("dangling").unwrap();
    assert_eq!((dangling.real.as_str(), dangling.kind), ("a/new", Kind::Missing));
    assert_eq!(bench.resolver().locate("nowhere/at/all").unwrap().real, "nowhere/at/all");
    assert_eq!(bench.resolver().locate(".").unwrap().kind, Kind::Directory);
    put(&bench, "dangling").unwrap();
    assert_eq!(bench.text("a/new"), "overwritten");
}

/// Row 14.
#[test]
fn special_files_are_refused_at_once() {
    let bench = Bench::new();
    let mode = Mode::from_raw_mode(0o666);
    rustix::fs::mknodat(CWD, bench.ws("pipe"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(bench.ws("socket")).unwrap();
    bench.put("dir/x", "");
    for (path, expected) in [
        ("pipe", "deny.path.special"),
        ("socket", "deny.path.special"),
        ("dir", "path.directory"),
        ("dir/x/y", "path.not_directory"),
        ("dir/x/", "path.not_directory"),
        ("none", "path.not_found"),
    ] {
        assert_eq!(code(read(&bench, path, &Open)), expected, "read {path}");
        if path != "none" {
            assert_ne!(code(put(&bench, path)), "done", "write {path}");
        }
    }
    assert_eq!(code(put(&bench, "new/")), "path.directory");
}

#[test]
fn odd_names_are_names_or_refused() {
    let inside = Path::new("/w/s");
    let ok = |text: &str| relative(inside, text).unwrap();
    assert_eq!(ok("a//b/./c"), "a/b/c");
    assert_eq!(ok("a/"), "a/");
    assert_eq!(ok("/w/s"), "");
    assert_eq!(ok("/w/s/a"), "a");
    assert_eq!(ok("/w//s/./a"), "a");
    assert_eq!(ok("..."), "...");
    assert_eq!(ok("~/x"), "~/x");
    assert_eq!(ok("new\nline\u{202e}"), "new\nline\u{202e}");
    let bad = |text: &str| relative(inside, text).unwrap_err();
    assert_eq!(bad(""), PathFault::Empty);
    assert_eq!(bad("a\0b"), PathFault::Nul);
    assert_eq!(bad(".."), PathFault::Parent);
    assert_eq!(bad("a/../b"), PathFault::Parent);
    assert_eq!(bad("/w/s/../x"), PathFault::Parent);
    assert_eq!(bad("/w/s-evil"), PathFault::Outside);
    assert_eq!(bad("/"), PathFault::Outside);
    assert_eq!(bad("/etc/passwd"), PathFault::Outside);
    assert_eq!(bad(&"a".repeat(256)), PathFault::NameTooLong);
    assert_eq!(bad(&"a/".repeat(3000)), PathFault::TooLong);
}

#[test]
fn a_link_to_bytes_that_are_no_text_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let bench = Bench::new();
    let name = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    fs::write(bench.ws("").join(name), "x").unwrap();
    bench.link("odd", name);
    assert_eq!(code(read(&bench, "odd", &Open)), "path.malformed");
}

/// Row 10: whatever the text, the resolver opens what the kernel would open beneath the root, or nothing.
#[test]
fn agrees_with_the_kernel() {
    let bench = Bench::new();
    bench.put("a/b/file", "1").put("file", "2").put("b/file", "3");
    bench.link("up", "..").link("a/in", "../b");
    let part = prop::sample::select(vec![
        "a", "b", "c", ".", "", "..", "up", "in", "A", "file", "a ", "…",
    ]);
    proptest!(|(parts in prop::collection::vec(part, 1..6), slash in any::<bool>())| {
        let text = format!("{}{}", parts.join("/"), if slash { "/" } else { "" });
        let kernel = rustix::fs::openat2(
            &bench.workspace().root, text.as_str(), rustix::fs::OFlags::RDONLY, Mode::empty(),
            rustix::fs::ResolveFlags::BENEATH,
        ).ok().map(|fd| rustix::fs::fstat(fd).unwrap().st_ino);
        if let Ok(opened) = bench.resolver().open_file(&text, &Open) {
            prop_assert_eq!(Some(opened.stat.st_ino), kernel, "{}", text);
        }
    });
}

struct Flipper<'a> {
    stop: &'a AtomicBool,
    flips: &'a AtomicU64,
}

impl Flipper<'_> {
    fn run(&self, left: &Path, right: &Path) {
        while !self.stop.load(Ordering::Relaxed) {
            if renameat_with(CWD, left, CWD, right, RenameFlags::EXCHANGE).is_ok() {
                self.flips.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Rows 3 and 4: `target` is flipped between an honest thing and a link to outside while `attack` runs: 10,000 times
/// and on until both sides have been met (`attack` says so), for either thread may sleep through the other's turn.
fn race(bench: &Bench, target: &str, other: &str, mut attack: impl FnMut() -> bool) -> u64 {
    let (stop, flips) = (AtomicBool::new(false), AtomicU64::new(0));
    let (left, right) = (bench.ws(target), bench.ws(other));
    let began = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| Flipper { stop: &stop, flips: &flips }.run(&left, &right));
        while flips.load(Ordering::Relaxed) < 3 {
            thread::yield_now();
        }
        let (start, mut tries) = (flips.load(Ordering::Relaxed), 0_u32);
        loop {
            let met = attack();
            tries += 1;
            let flipped = flips.load(Ordering::Relaxed) - start;
            let enough = tries >= 10_000 && met && flipped > 100;
            if enough || began.elapsed() > Duration::from_secs(60) {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    flips.into_inner()
}

#[test]
fn ten_thousand_reads_through_a_swapped_file_or_directory_never_leave() {
    let bench = Bench::new();
    bench.put("f", "honest").put("d/secret", "honest").link("evil-f", bench.host("outside/secret"));
    bench.link("evil-d", "../outside");
    for (target, other, path) in [("f", "evil-f", "f"), ("d", "evil-d", "d/secret")] {
        let (mut honest, mut naive_hits) = (0_u32, 0_u32);
        let flips = race(&bench, target, other, || {
            if let Ok(text) = read(&bench, path, &Open) {
                assert_eq!(text, "honest");
                honest += 1;
            }
            naive_hits +=
                u32::from(fs::read_to_string(bench.ws(path)).is_ok_and(|text| text == CANARY));
            honest > 0 && naive_hits > 0
        });
        assert!(flips > 100, "the race ran");
        assert!(honest > 0, "honest reads pass between the flips");
        assert!(naive_hits > 0, "control: an open by name is led outside ({flips} flips)");
    }
}

/// The control for the race, step by step: a check of the name does not hold until the open.
#[test]
fn check_then_open_by_name_is_beaten_and_the_resolver_is_not() {
    let bench = Bench::new();
    bench.put("d/secret", "honest").link("evil-d", "../outside");
    let path = bench.ws("d/secret");
    let checked = path.canonicalize().unwrap().starts_with(bench.ws("").canonicalize().unwrap());
    let located = bench.resolver().locate("d/secret").unwrap();
    renameat_with(CWD, bench.ws("d"), CWD, bench.ws("evil-d"), RenameFlags::EXCHANGE).unwrap();
    assert!(checked && fs::read_to_string(&path).unwrap() == CANARY, "control");
    assert!(bench.resolver().open_real(&located.real, super::READ).unwrap().is_none());
    assert_eq!(code(read(&bench, "d/secret", &Open)), "deny.path.escape");
}

#[test]
fn ten_thousand_writes_through_a_swapped_file_or_directory_never_leave() {
    let bench = Bench::new();
    bench.put("f", "honest").put("d/secret", "honest").link("evil-f", bench.host("outside/secret"));
    bench.link("evil-d", "../outside");
    for (target, other, path) in
        [("f", "evil-f", "f"), ("d", "evil-d", "d/secret"), ("d", "evil-d", "d/new/x")]
    {
        let mut done = 0_u32;
        let flips = race(&bench, target, other, || {
            done += u32::from(put(&bench, path).is_ok());
            done > 0
        });
        assert!(flips > 100 && done > 0, "{flips} flips, {done} writes");
        bench.assert_outside_untouched();
    }
    fs::write(bench.ws("control"), "").unwrap();
    fs::remove_file(bench.ws("control")).unwrap();
    bench.link("control", "../outside/secret");
    fs::write(bench.ws("control"), "hit").unwrap();
    assert_eq!(
        fs::read_to_string(bench.host("outside/secret")).unwrap(),
        "hit",
        "control: the canary can be hit"
    );
}

/// As root, a tool has the rights of the pod's user and no more.
#[test]
#[ignore = "needs root"]
fn needs_root_a_tool_acts_with_the_ids_of_the_pod() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let bench = Bench::new().with_ids((65_534, 65_534));
    bench.put("private", CANARY).put("open/x", "");
    fs::set_permissions(bench.ws("private"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(bench.ws("open"), fs::Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(bench.host(""), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(fs::read_to_string(bench.ws("private")).unwrap(), CANARY, "control: root may");
    let resolver = bench.resolver();
    assert_eq!(code(resolver.act(|| resolver.open_file("private", &Open))), "io");
    put(&bench, "open/new").unwrap();
    assert_eq!(fs::metadata(bench.ws("open/new")).unwrap().uid(), 65_534);
    assert_eq!(code(put(&bench, "new")), "io");
}

#[cfg(feature = "weaken")]
mod weakened {
    use super::*;

    /// Runs one ignored test of this module in a process of its own, without the named layers.
    fn without(layers: &str, test: &str) {
        let name = format!("tools::resolver::tests::weakened::{test}");
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &name, "--ignored", "--test-threads=1"])
            .env("NUCLEUS_WEAKEN", layers)
            .status()
            .unwrap();
        assert!(
            status.success(),
            "{layers}: the attack did not work, so the tests above show nothing"
        );
    }

    #[test]
    fn without_the_resolver_a_link_leads_out() {
        without("resolver", "child_link_leads_out");
    }

    #[test]
    fn without_path_policy_on_the_real_name_a_link_hides_it() {
        without("path-policy", "child_link_hides_the_name");
    }

    #[test]
    #[ignore = "run by without_the_resolver_a_link_leads_out"]
    fn child_link_leads_out() {
        let bench = Bench::new();
        bench.link("rel", "../outside/secret");
        assert_eq!(read(&bench, "rel", &Open).unwrap(), CANARY);
        put(&bench, "rel").unwrap();
        assert_eq!(fs::read_to_string(bench.host("outside/secret")).unwrap(), "overwritten");
    }

    #[test]
    #[ignore = "run by without_path_policy_on_the_real_name_a_link_hides_it"]
    fn child_link_hides_the_name() {
        let bench = Bench::new();
        bench.put(".env", CANARY).link("notes.txt", ".env");
        assert_eq!(read(&bench, "notes.txt", &Withheld(&[".env"])).unwrap(), CANARY);
    }
}
