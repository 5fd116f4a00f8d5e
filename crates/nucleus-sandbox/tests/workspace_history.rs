//! What a task committed, with real git on both sides: every attack beside the honest work that is like it.

#![expect(clippy::unwrap_used, reason = "a helper of a test that fails, fails the test")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use nucleus_sandbox::workspace::{ApplyReport, HoldReason, review, undo};

mod repository;

use repository::{Task, command, commit_all, git, reasons, task, write};

const WORKFLOW: &str = ".github/workflows/ci.yml";

/// A repository with a history of some commits, packed with differences.
fn prepare(dir: &Path) {
    static MADE: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
        let made = tempfile::tempdir().unwrap();
        git(made.path(), &["init", "-q"]);
        make(made.path());
        made
    });
    let from = MADE.path().join(".");
    let copied = Command::new("cp").arg("-a").arg(from).arg(dir).status().unwrap();
    assert!(copied.success());
}

fn make(dir: &Path) {
    let long: String = (0..400).map(|n| format!("line {n}\n")).collect();
    write(dir, "f", "one\n");
    write(dir, "src/long", &long);
    write(dir, WORKFLOW, "name: honest\n");
    commit_all(dir, "one");
    for n in 0..20 {
        write(dir, "src/long", &long.replace("line 7\n", &format!("line seven {n}\n")));
        for file in 0..30 {
            write(dir, &format!("src/d{file}/g{n}"), "x\n");
        }
        commit_all(dir, &format!("more {n}"));
    }
    git(dir, &["tag", "-a", "v0", "-m", "tag", "HEAD~2"]);
    git(dir, &["branch", "topic", "HEAD~1"]);
    git(dir, &["gc", "-q", "--aggressive"]);
}

fn held(task: &mut Task, reason: HoldReason, words: &[&str]) -> ApplyReport {
    let before = git(&task.workspace, &["for-each-ref"]);
    let report = task.apply();
    let why = why(&report);
    assert!(reasons(&report).contains(&reason), "{reason:?} in {:?}: {why}", reasons(&report));
    for word in words {
        assert!(why.contains(word), "`{word}` in {why}");
    }
    assert_eq!(git(&task.workspace, &["for-each-ref"]), before, "no reference moved");
    git(&task.workspace, &["fsck", "--strict"]);
    let applied = report.applied.iter().filter(|c| c.path.to_string().starts_with(".git/"));
    assert_eq!(applied.count(), 0);
    report
}

fn why(report: &ApplyReport) -> String {
    let mut all: Vec<String> = report.held.iter().map(|h| h.why()).collect();
    all.dedup();
    all.join("\n")
}

fn applied(task: &mut Task) -> ApplyReport {
    let report = task.apply();
    assert_eq!(reasons(&report), [], "{}", why(&report));
    assert_eq!(report.conflicts.len(), 0, "{report:?}");
    git(&task.workspace, &["fsck", "--strict"]);
    report
}

fn change(dir: &Path) {
    write(dir, "f", "two\n");
}

#[test]
fn a_commit_on_a_packed_repository_is_carried_over_and_told() {
    let mut task = task(prepare, |dir| {
        change(dir);
        commit_all(dir, "two");
        write(dir, "src/long", "short\n");
        commit_all(dir, "three");
    });
    let report = applied(&mut task);
    assert_eq!(task.subject(), "three");
    assert_eq!(git(&task.workspace, &["status", "--porcelain"]), "");
    assert_eq!(report.history.as_deref(), Some("2 new commits, branch main moved"));
}

#[test]
fn ordinary_work_is_carried_over() {
    type Work = fn(&Path);
    let works: [(&str, Work); 9] = [
        ("amend", |dir| {
            change(dir);
            git(dir, &["commit", "-q", "-a", "--amend", "-m", "amended"]);
        }),
        ("stash", |dir| {
            change(dir);
            write(dir, "new", "x\n");
            git(dir, &["stash", "-q", "-u"]);
        }),
        ("merge", |dir| {
            git(dir, &["checkout", "-q", "-b", "side", "HEAD~3"]);
            write(dir, "side", "x\n");
            commit_all(dir, "side");
            git(dir, &["checkout", "-q", "main"]);
            git(dir, &["merge", "-q", "--no-ff", "-m", "merged", "side"]);
        }),
        ("rebase", |dir| {
            git(dir, &["checkout", "-q", "-b", "side", "HEAD~3"]);
            write(dir, "side", "x\n");
            commit_all(dir, "side");
            git(dir, &["rebase", "-q", "main"]);
        }),
        ("tag", |dir| {
            git(dir, &["tag", "v1"]);
            git(dir, &["tag", "-a", "v2", "-m", "x", "v0"]);
        }),
        ("branch", |dir| {
            git(dir, &["branch", "old", "HEAD~9"]);
            git(dir, &["checkout", "-q", "-b", "new"]);
        }),
        ("checkout", |dir| {
            git(dir, &["checkout", "-q", "topic"]);
        }),
        ("reset", |dir| {
            git(dir, &["reset", "-q", "--hard", "HEAD~4"]);
        }),
        ("cherry-pick", |dir| {
            git(dir, &["checkout", "-q", "-b", "side", "HEAD~3"]);
            write(dir, "side", "x\n");
            let side = commit_all(dir, "side");
            git(dir, &["checkout", "-q", "main"]);
            git(dir, &["cherry-pick", &side]);
        }),
    ];
    for (name, work) in works {
        let mut task = task(prepare, work);
        let report = applied(&mut task);
        assert_eq!(git(&task.workspace, &["status", "--porcelain"]), "", "{name}: {report:?}");
        assert!(report.history.is_some(), "{name}");
    }
}

#[test]
fn a_commit_with_a_held_path_is_held_and_named() {
    let mut task = task(prepare, |dir| {
        write(dir, WORKFLOW, "name: EVIL\n");
        write(dir, "AGENTS.md", "evil\n");
        change(dir);
        commit_all(dir, "fix \u{1b}[2Ktypo");
    });
    let report =
        held(&mut task, HoldReason::GitCommit, &[WORKFLOW, "AGENTS.md", "fix \\u{1b}[2Ktypo"]);
    assert!(report.applied.iter().any(|c| c.path.to_string() == "f"), "the file itself goes");
    // The review shows why, and the user's word carries it over as one unit.
    let items = review::items(&task.session).unwrap();
    let unit = items.iter().find(|i| i.path.to_string() == ".git").unwrap().clone();
    assert!(unit.reason.contains(WORKFLOW), "{}", unit.reason);
    review::accept(&mut task.session, &task.lock, &[unit]).unwrap();
    assert_eq!(task.subject(), "fix \u{1b}[2Ktypo");
    git(&task.workspace, &["fsck", "--strict"]);
}

#[test]
fn what_only_the_history_shows_is_held() {
    type Work = fn(&Path);
    let works: [(&str, Work); 8] = [
        ("taken back in the next commit", |dir| {
            write(dir, WORKFLOW, "name: EVIL\n");
            commit_all(dir, "a");
            git(dir, &["checkout", "-q", "HEAD~1", "--", WORKFLOW]);
            commit_all(dir, "b");
        }),
        ("removed", |dir| {
            git(dir, &["rm", "-q", WORKFLOW]);
            git(dir, &["commit", "-q", "-m", "a"]);
        }),
        ("on another branch", |dir| {
            git(dir, &["checkout", "-q", "-b", "side"]);
            write(dir, WORKFLOW, "name: EVIL\n");
            commit_all(dir, "a");
            git(dir, &["checkout", "-q", "main"]);
        }),
        ("in the stash", |dir| {
            write(dir, WORKFLOW, "name: EVIL\n");
            git(dir, &["stash", "-q"]);
        }),
        ("untracked in the stash", |dir| {
            write(dir, "AGENTS.md", "evil\n");
            git(dir, &["stash", "-q", "-u"]);
        }),
        ("below the top of the stash", |dir| {
            write(dir, WORKFLOW, "name: EVIL\n");
            git(dir, &["stash", "-q"]);
            change(dir);
            git(dir, &["stash", "-q"]);
        }),
        ("in a tag", |dir| {
            write(dir, WORKFLOW, "name: EVIL\n");
            commit_all(dir, "a");
            git(dir, &["tag", "-a", "v1", "-m", "x"]);
            git(dir, &["reset", "-q", "--hard", "HEAD~1"]);
        }),
        ("in the log of HEAD only", |dir| {
            write(dir, WORKFLOW, "name: EVIL\n");
            commit_all(dir, "a");
            git(dir, &["reset", "-q", "--hard", "HEAD~1"]);
        }),
    ];
    for (name, work) in works {
        println!("{name}");
        held(&mut task(prepare, work), HoldReason::GitCommit, &["commit "]);
    }
}

#[test]
fn merges_roots_and_links_are_held_too() {
    type Work = fn(&Path);
    let works: [(&str, Work); 3] = [
        ("made by a merge", |dir| {
            git(dir, &["checkout", "-q", "-b", "side", "HEAD~3"]);
            write(dir, "side", "x\n");
            commit_all(dir, "side");
            git(dir, &["checkout", "-q", "main"]);
            git(dir, &["merge", "-q", "--no-commit", "--no-ff", "side"]);
            write(dir, WORKFLOW, "name: EVIL\n");
            commit_all(dir, "merged");
        }),
        ("a root of its own", |dir| {
            git(dir, &["checkout", "-q", "--orphan", "pages"]);
            git(dir, &["rm", "-q", "-r", "--cached", "."]);
            git(dir, &["add", "f", WORKFLOW]);
            fs::write(dir.join(WORKFLOW), "name: EVIL\n").unwrap();
            git(dir, &["add", WORKFLOW]);
            git(dir, &["commit", "-q", "-m", "root"]);
        }),
        ("a link out of the tree", |dir| {
            std::os::unix::fs::symlink("/etc/passwd", dir.join("out")).unwrap();
            commit_all(dir, "a");
            fs::remove_file(dir.join("out")).unwrap();
        }),
    ];
    for (name, work) in works {
        println!("{name}");
        held(&mut task(prepare, work), HoldReason::GitCommit, &["commit "]);
    }
}

#[test]
fn a_merge_of_what_the_user_has_brings_what_it_holds() {
    let with_side = |dir: &Path| {
        prepare(dir);
        git(dir, &["checkout", "-q", "-b", "side"]);
        write(dir, WORKFLOW, "name: EVIL\n");
        commit_all(dir, "a");
        git(dir, &["checkout", "-q", "main"]);
    };
    for merge in ["--no-ff", "--ff-only"] {
        let mut task = task(with_side, |dir| {
            git(dir, &["merge", "-q", merge, "side"]);
        });
        held(&mut task, HoldReason::GitCommit, &["branch main now has", WORKFLOW]);
    }
    // The user's own branch is theirs to look at.
    let mut task = task(with_side, |dir| {
        git(dir, &["branch", "copy", "side"]);
    });
    applied(&mut task);
}

#[test]
fn what_the_users_own_commit_held_is_no_reason() {
    let with_own = |dir: &Path| {
        prepare(dir);
        write(dir, WORKFLOW, "name: mine 1\n");
        commit_all(dir, "mine 1");
        write(dir, WORKFLOW, "name: mine 2\n");
        commit_all(dir, "mine 2");
    };
    let mut amended = task(with_own, |dir| {
        change(dir);
        git(dir, &["commit", "-q", "-a", "--amend", "-m", "amended"]);
    });
    applied(&mut amended);
    let mut rebased = task(with_own, |dir| {
        git(dir, &["checkout", "-q", "-b", "base", "HEAD~2"]);
        change(dir);
        commit_all(dir, "base");
        git(dir, &["rebase", "-q", "base", "main"]);
    });
    applied(&mut rebased);
    assert_eq!(git(&rebased.workspace, &["log", "--format=%s", "-3"]), "mine 2\nmine 1\nbase");
}

#[test]
fn a_replacing_reference_is_held() {
    for pack in [false, true] {
        let mut task = task(prepare, |dir| {
            change(dir);
            let good = commit_all(dir, "fix");
            write(dir, WORKFLOW, "name: EVIL\n");
            let evil = commit_all(dir, "fix");
            git(dir, &["update-ref", &format!("refs/replace/{evil}"), &good]);
            if pack {
                git(dir, &["pack-refs", "--all"]);
            }
        });
        held(&mut task, HoldReason::GitNames, &["refs/replace/", WORKFLOW]);
    }
}

#[test]
fn names_that_mislead_are_held() {
    type Work = fn(&Path);
    let with_remote = |dir: &Path| {
        prepare(dir);
        git(dir, &["update-ref", "refs/remotes/origin/main", "HEAD~2"]);
        git(dir, &["stash", "list"]);
    };
    let works: [(&str, Work); 12] = [
        ("refs/tags/v1 stands for no commit", |dir| {
            let blob = hash_object(dir, "blob", b"evil\n");
            git(dir, &["tag", "v1", &make_tree(dir, &[("100644", "blob", &blob, "AGENTS.md")])]);
        }),
        ("refs/remotes/origin/main", |dir| {
            git(dir, &["update-ref", "refs/remotes/origin/main", "HEAD"]);
        }),
        ("shallow", |dir| {
            let head = git(dir, &["rev-parse", "HEAD"]);
            write(dir, ".git/shallow", &format!("{head}\n"));
        }),
        ("MERGE_HEAD", |dir| {
            let head = git(dir, &["rev-parse", "topic"]);
            write(dir, ".git/MERGE_HEAD", &format!("{head}\n"));
        }),
        ("rebase-merge", |dir| {
            change(dir);
            commit_all(dir, "x");
            write(dir, ".git/rebase-merge/git-rebase-todo", "exec evil\n");
        }),
        ("takes the place of refs/heads/topic", |dir| {
            git(dir, &["tag", "topic"]);
        }),
        ("takes the place of refs/remotes/origin/main", |dir| {
            git(dir, &["branch", "origin/main"]);
        }),
        ("refs/heads/main stands for no object", |dir| {
            write(dir, ".git/refs/heads/main", "ref: refs/heads/topic\n");
        }),
        ("HEAD stands for no object", |dir| {
            write(dir, ".git/HEAD", "ref: refs/remotes/origin/main\n");
        }),
        ("packed-refs is not", |dir| {
            let head = git(dir, &["rev-parse", "HEAD"]);
            let old = fs::read_to_string(dir.join(".git/packed-refs")).unwrap();
            write(dir, ".git/packed-refs", &format!("{old}{head} refs/heads/aaa\n"));
        }),
        ("says of refs/tags/v0 what it is not", |dir| {
            let file = dir.join(".git/packed-refs");
            let (was, now) = (git(dir, &["rev-parse", "v0^{}"]), git(dir, &["rev-parse", "HEAD"]));
            let old = fs::read_to_string(&file).unwrap();
            fs::write(&file, old.replace(&format!("^{was}"), &format!("^{now}"))).unwrap();
        }),
        ("logs/HEAD was cut", |dir| {
            change(dir);
            commit_all(dir, "x");
            fs::write(dir.join(".git/logs/HEAD"), "").unwrap();
        }),
    ];
    for (word, work) in works {
        let mut task = task(with_remote, work);
        println!("{word}");
        held(&mut task, HoldReason::GitNames, &[word]);
    }
}

#[test]
fn files_that_hide_others_are_held_by_themselves() {
    let mut task = task(prepare, |dir| {
        change(dir);
        commit_all(dir, "two");
        write(dir, ".git/info/exclude", "AGENTS.md\n");
        write(dir, ".git/info/grafts", "x\n");
        git(dir, &["commit-graph", "write"]);
    });
    let graph = task.workspace.join(".git/objects/info/commit-graph");
    let before = fs::read(&graph).unwrap();
    let report = task.apply();
    assert_eq!(reasons(&report), [HoldReason::GitTrusted], "{}", why(&report));
    assert_eq!(task.subject(), "two");
    assert_eq!(fs::read(&graph).unwrap(), before);
    assert!(!task.workspace.join(".git/info/grafts").exists());
}

#[test]
fn what_is_staged_is_judged() {
    let mut staged = task(prepare, |dir| {
        change(dir);
        git(dir, &["add", "-A"]);
    });
    applied(&mut staged);
    assert_eq!(git(&staged.workspace, &["diff", "--cached", "--name-only"]), "f");

    type Work = fn(&Path);
    let works: [(HoldReason, &str, Work); 2] = [
        (HoldReason::GitCommit, WORKFLOW, |dir| {
            write(dir, WORKFLOW, "name: EVIL\n");
            git(dir, &["add", "-A"]);
        }),
        (HoldReason::GitCommit, WORKFLOW, |dir| {
            git(dir, &["rm", "-q", "--cached", WORKFLOW]);
        }),
    ];
    for (reason, word, work) in works {
        let mut task = task(prepare, work);
        held(&mut task, reason, &[word]);
    }
}

#[test]
fn a_tree_held_ready_by_the_index_does_not_cross() {
    // `write-tree` keeps the ids of trees in the index; one of them is exchanged for that of an evil twin, which the next
    // commit of anything else would hold.
    let next = |dir: &Path| {
        git(dir, &["update-index", "--chmod=+x", "f"]);
        let tree = git(dir, &["write-tree"]);
        git(dir, &["rev-parse", &format!("{tree}:.github")])
    };
    let forge = |dir: &Path| {
        git(dir, &["read-tree", "HEAD"]);
        git(dir, &["status"]);
        change(dir);
        commit_all(dir, "two");
        let good = git(dir, &["rev-parse", "HEAD:.github"]);
        let blob = hash_object(dir, "blob", b"name: EVIL\n");
        let workflows = make_tree(dir, &[("100644", "blob", &blob, "ci.yml")]);
        let evil = make_tree(dir, &[("040000", "tree", &workflows, "workflows")]);
        let index = dir.join(".git/index");
        let mut bytes = fs::read(&index).unwrap();
        let at = bytes.windows(20).rposition(|w| w == unhex(&good).as_slice()).unwrap();
        bytes[at..at + 20].copy_from_slice(&unhex(&evil));
        let end = bytes.len() - 20;
        bytes[end..].fill(0);
        fs::write(&index, &bytes).unwrap();
        assert_eq!(next(dir), evil, "control: git believes it");
        fs::write(&index, &bytes).unwrap();
    };
    let mut task = task(prepare, forge);
    applied(&mut task);
    assert_eq!(next(&task.workspace), git(&task.workspace, &["rev-parse", "HEAD:.github"]));
}

fn hash_object(dir: &Path, kind: &str, content: &[u8]) -> String {
    input(dir, &["hash-object", "-w", "--literally", "-t", kind, "--stdin"], content)
}

fn make_tree(dir: &Path, entries: &[(&str, &str, &str, &str)]) -> String {
    let lines: String = entries
        .iter()
        .map(|(mode, kind, id, name)| format!("{mode} {kind} {id}\t{name}\n"))
        .collect();
    input(dir, &["mktree"], lines.as_bytes())
}

fn input(dir: &Path, args: &[&str], content: &[u8]) -> String {
    let mut child =
        command(dir, args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(content).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success());
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

fn unhex(hex: &str) -> Vec<u8> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    hex.as_bytes().chunks(2).map(pair).collect()
}

fn loose(dir: &Path, id: &str) -> PathBuf {
    let (fan, rest) = id.split_at(2);
    dir.join(".git/objects").join(fan).join(rest)
}

fn writable(file: &Path) {
    fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn a_repack_is_held_and_goes_when_accepted() {
    let mut task = task(prepare, |dir| {
        change(dir);
        commit_all(dir, "two");
        git(dir, &["gc", "-q"]);
    });
    let report = held(&mut task, HoldReason::GitPacked, &["packs"]);
    assert!(report.conflicts.is_empty());
    let items = review::items(&task.session).unwrap();
    let unit: Vec<_> = items.into_iter().filter(|i| i.path.to_string() == ".git").collect();
    review::accept(&mut task.session, &task.lock, &unit).unwrap();
    assert_eq!(task.subject(), "two");
    git(&task.workspace, &["fsck", "--strict"]);
}

#[test]
fn a_pack_that_claims_the_name_of_another_object_is_held() {
    let mut task = task(prepare, |dir| {
        let victim = git(dir, &["rev-parse", &format!("HEAD:{WORKFLOW}")]);
        let evil = hash_object(dir, "blob", b"name: EVIL\n");
        let args = ["pack-objects", "-q", ".git/objects/pack/pack"];
        let name = input(dir, &args, format!("{evil}\n").as_bytes());
        let index = dir.join(format!(".git/objects/pack/pack-{name}.idx"));
        let mut bytes = fs::read(&index).unwrap();
        let victim = unhex(&victim);
        for (first, count) in bytes[8..8 + 1024].chunks_mut(4).enumerate() {
            let has = first >= usize::from(victim[0]);
            count.copy_from_slice(&u32::from(has).to_be_bytes());
        }
        bytes[8 + 1024..8 + 1024 + 20].copy_from_slice(&victim);
        writable(&index);
        fs::write(&index, bytes).unwrap();
    });
    held(&mut task, HoldReason::GitPacked, &["packs"]);
    let packs = fs::read_dir(task.workspace.join(".git/objects/pack")).unwrap().flatten();
    assert_eq!(packs.filter(|e| e.path().extension().is_some_and(|x| x == "pack")).count(), 1);
}

#[test]
fn objects_that_are_not_what_they_say_are_held() {
    fn loose_history(dir: &Path) {
        write(dir, "f", "one\n");
        write(dir, WORKFLOW, "name: honest\n");
        commit_all(dir, "one");
    }
    type Work = fn(&Path);
    let works: [(&str, Work); 4] = [
        ("was written over", |dir| {
            let id = git(dir, &["rev-parse", &format!("HEAD:{WORKFLOW}")]);
            let evil = hash_object(dir, "blob", b"name: EVIL\n");
            writable(&loose(dir, &id));
            fs::copy(loose(dir, &evil), loose(dir, &id)).unwrap();
        }),
        ("its content is another's", |dir| {
            let good = hash_object(dir, "blob", b"harmless\n");
            let evil = hash_object(dir, "blob", b"name: EVIL\n");
            writable(&loose(dir, &good));
            fs::copy(loose(dir, &evil), loose(dir, &good)).unwrap();
            fs::remove_file(loose(dir, &evil)).unwrap();
        }),
        ("the name of a repository", |dir| {
            let blob = hash_object(dir, "blob", b"x\n");
            let mut tree = b"100644 .Git\0".to_vec();
            tree.extend(unhex(&blob));
            hash_object(dir, "tree", &tree);
        }),
        ("a name that is none", |dir| {
            let blob = hash_object(dir, "blob", b"x\n");
            let mut tree = b"100644 ../x\0".to_vec();
            tree.extend(unhex(&blob));
            hash_object(dir, "tree", &tree);
        }),
    ];
    for (word, work) in works {
        let mut task = task(loose_history, |dir| {
            change(dir);
            commit_all(dir, "two");
            work(dir);
        });
        held(&mut task, HoldReason::GitObject, &[word]);
        // Nobody's word makes it sound.
        let items = review::items(&task.session).unwrap();
        let unit: Vec<_> = items.into_iter().filter(|i| i.path.to_string() == ".git").collect();
        assert!(review::accept(&mut task.session, &task.lock, &unit).is_err());
    }
}

#[test]
fn a_pack_of_the_user_is_never_written_over() {
    let pack_of = |dir: &Path, end: &str| {
        let packs = fs::read_dir(dir.join(".git/objects/pack")).unwrap().flatten();
        let mut found = packs.map(|e| e.path()).filter(|p| p.to_string_lossy().ends_with(end));
        found.next().unwrap()
    };
    for end in [".pack", ".idx"] {
        let mut task = task(prepare, |dir| {
            change(dir);
            commit_all(dir, "two");
            let pack = pack_of(dir, end);
            writable(&pack);
            let mut bytes = fs::read(&pack).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&pack, bytes).unwrap();
        });
        held(&mut task, HoldReason::GitObject, &["was written over"]);
    }
}

#[test]
fn a_commit_of_what_is_not_there_is_held() {
    let mut task = task(prepare, |dir| {
        let tree = git(dir, &["rev-parse", "HEAD^{tree}"]);
        let missing = "1".repeat(40);
        let text = format!(
            "tree {tree}\nparent {missing}\nauthor a <a> 1 +0000\ncommitter a <a> 1 +0000\n\nx\n"
        );
        let id = hash_object(dir, "commit", text.as_bytes());
        write(dir, ".git/refs/heads/lost", &format!("{id}\n"));
    });
    held(&mut task, HoldReason::GitUnread, &["11111111 is missing"]);
}

#[test]
fn shallow_clones_and_alternates_of_the_user_work() {
    for extra in [vec!["--depth=1"], vec!["--shared"], vec!["--depth=3", "--single-branch"]] {
        let source = tempfile::tempdir().unwrap();
        prepare(source.path());
        let url = if extra[0] == "--shared" {
            source.path().display().to_string()
        } else {
            format!("file://{}", source.path().display())
        };
        let clone = |dir: &Path| {
            fs::remove_dir_all(dir.join(".git")).unwrap();
            let parent = dir.parent().unwrap();
            let mut args = vec!["clone", "-q"];
            args.extend(&extra);
            args.extend([url.as_str(), "ws"]);
            git(parent, &args);
        };
        let mut honest = task(clone, |dir| {
            change(dir);
            commit_all(dir, "two");
        });
        applied(&mut honest);
        let mut evil = task(clone, |dir| {
            write(dir, WORKFLOW, "name: EVIL\n");
            commit_all(dir, "two");
        });
        held(&mut evil, HoldReason::GitCommit, &[WORKFLOW]);
    }
}

#[test]
fn repositories_of_other_forms() {
    let sha256 = |dir: &Path| {
        fs::remove_dir_all(dir.join(".git")).unwrap();
        git(dir, &["init", "-q", "--object-format=sha256"]);
        make(dir);
    };
    let mut honest = task(sha256, |dir| {
        change(dir);
        commit_all(dir, "two");
    });
    applied(&mut honest);
    let mut evil = task(sha256, |dir| {
        write(dir, WORKFLOW, "name: EVIL\n");
        commit_all(dir, "two");
    });
    held(&mut evil, HoldReason::GitCommit, &[WORKFLOW]);
    let version_four = |dir: &Path| {
        prepare(dir);
        git(dir, &["update-index", "--index-version", "4"]);
    };
    let mut four = task(version_four, |dir| {
        change(dir);
        commit_all(dir, "two");
    });
    applied(&mut four);
}

#[test]
fn a_first_commit_is_carried_over() {
    let mut task = task(
        |_| {},
        |dir| {
            change(dir);
            commit_all(dir, "first");
        },
    );
    applied(&mut task);
    assert_eq!(task.subject(), "first");
}

#[test]
fn an_undone_commit_leaves_objects_that_nothing_names() {
    let mut task = task(prepare, |dir| {
        change(dir);
        commit_all(dir, "two");
    });
    applied(&mut task);
    undo(&mut task.session, &task.lock).unwrap();
    assert_eq!(task.subject(), "more 19");
    git(&task.workspace, &["fsck", "--strict"]);
}

#[test]
fn twenty_thousand_files_are_compared_by_what_changed() {
    let many = |dir: &Path| {
        for d in 0..200 {
            for f in 0..100 {
                write(dir, &format!("d{d}/f{f}"), &format!("{d} {f}\n"));
            }
        }
        commit_all(dir, "many");
        git(dir, &["gc", "-q"]);
    };
    let mut task = task(many, |dir| {
        write(dir, "d7/f7", "x\n");
        commit_all(dir, "two");
    });
    let begun = std::time::Instant::now();
    let report = applied(&mut task);
    println!("{:?} for the whole apply", begun.elapsed());
    assert_eq!(report.history.as_deref(), Some("1 new commit, branch main moved"));
}

#[test]
fn directories_without_end_are_held() {
    let mut task = task(prepare, |dir| {
        let blob = hash_object(dir, "blob", b"x\n");
        // Forty levels of twenty names each: more paths than there are.
        let mut tree = make_tree(dir, &[("100644", "blob", &blob, "f")]);
        for _ in 0..40 {
            let names: Vec<String> = (0..20).map(|n| format!("d{n:02}")).collect();
            let entries: Vec<_> =
                names.iter().map(|n| ("040000", "tree", tree.as_str(), n.as_str())).collect();
            tree = make_tree(dir, &entries);
        }
        let id = git(dir, &["commit-tree", "-m", "deep", &tree]);
        git(dir, &["update-ref", "refs/heads/deep", &id]);
    });
    let report = task.apply();
    assert_eq!(reasons(&report), [HoldReason::GitUnread], "{}", why(&report));
    assert!(why(&report).contains("more paths"), "{}", why(&report));
}
