//! What a call of git, or of a forge's command line, does to history and to others.

use crate::program::basename;

/// An effect of a command that policy has an operation for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Effect {
    /// Records history locally.
    Commit {
        /// Hooks, signing or configuration are overridden.
        overrides: bool,
    },
    /// Sends history away.
    Push {
        /// Branches written, if the command says so plainly and asks for no force, tag or deletion.
        branches: Option<Vec<String>>,
    },
    /// Opens or changes a pull request.
    PullRequest {
        /// A draft in the repository at hand.
        plain_draft: bool,
    },
}

/// Whatever cannot be read may commit and push.
pub(crate) fn unknown() -> Vec<Effect> {
    vec![Effect::Commit { overrides: true }, Effect::Push { branches: None }]
}

/// A git command line without its global options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GitCall {
    /// Subcommand and arguments.
    pub(crate) args: Vec<String>,
    /// Nothing in front of the subcommand changes what it does.
    pub(crate) plain: bool,
    /// The subcommand cannot be told.
    pub(crate) opaque: bool,
    open_ended: bool,
}

/// Reads the call if the program is git in one of its spellings.
pub(crate) fn git_call(argv: &[String], open_ended: bool) -> Option<GitCall> {
    let (program, args) = argv.split_first()?;
    let name = basename(program);
    if name == "git" || name == "hub" {
        return Some(GitCall::read(args, open_ended));
    }
    let subcommand = name.strip_prefix("git-")?;
    let args = std::iter::once(subcommand.to_owned()).chain(args.iter().cloned()).collect();
    Some(GitCall { args, plain: true, opaque: false, open_ended })
}

/// What a command does, as far as its words tell.
pub(crate) fn effects(argv: &[String], open_ended: bool) -> Vec<Effect> {
    if let Some(call) = git_call(argv, open_ended) {
        return call.effects();
    }
    match argv.split_first() {
        Some((program, args)) if matches!(basename(program), "gh" | "glab") => {
            forge(args, open_ended)
        }
        _ => Vec::new(),
    }
}

impl GitCall {
    fn read(args: &[String], open_ended: bool) -> Self {
        let mut call = Self { args: Vec::new(), plain: true, opaque: false, open_ended };
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            let option = arg.split_once('=').map_or(arg.as_str(), |(option, _)| option);
            match option {
                "-C" => {
                    rest.next();
                }
                "-P"
                | "--no-pager"
                | "--no-optional-locks"
                | "--literal-pathspecs"
                | "--glob-pathspecs"
                | "--noglob-pathspecs"
                | "--icase-pathspecs"
                | "--no-replace-objects"
                | "--no-lazy-fetch"
                | "--no-advice"
                | "--bare" => {}
                "-p" | "--paginate" => call.plain = false,
                "-c" | "--config-env" | "--git-dir" | "--work-tree" | "--namespace"
                | "--super-prefix" | "--attr-source" => {
                    call.plain = false;
                    if option == arg {
                        rest.next();
                    }
                }
                "--exec-path" if option != arg => call.plain = false,
                "--exec-path" | "--html-path" | "--man-path" | "--info-path" | "-v"
                | "--version" | "-h" | "--help" | "--list-cmds" => {
                    call.args.push("help".to_owned());
                    return call;
                }
                unknown if unknown.starts_with('-') => {
                    call.opaque = true;
                    return call;
                }
                _ => {
                    call.args.push(arg.clone());
                    call.args.extend(rest.cloned());
                    return call;
                }
            }
        }
        call.opaque = open_ended;
        call
    }

    /// True if a later commit may be on another branch than the one known.
    pub(crate) fn changes_branch(&self) -> bool {
        let subcommand = self.args.first().map(String::as_str);
        matches!(subcommand, Some("checkout" | "switch" | "worktree" | "symbolic-ref"))
    }

    fn effects(&self) -> Vec<Effect> {
        let Some((subcommand, args)) = self.args.split_first() else {
            return if self.opaque { unknown() } else { Vec::new() };
        };
        match subcommand.as_str() {
            "push" => vec![self.push(args)],
            "send-pack" | "http-push" | "send-email" | "imap-send" | "svn" | "p4"
            | "cvsexportcommit" | "remote-http" | "remote-https" | "remote-ext" | "remote-fd" => {
                vec![Effect::Push { branches: None }]
            }
            "commit" | "merge" | "rebase" | "cherry-pick" | "revert" | "am" | "pull"
            | "commit-tree" | "update-ref" | "symbolic-ref" | "fast-import" | "filter-branch"
            | "filter-repo" | "replace" | "notes" | "mktag" | "quiltimport" => {
                self.commit(subcommand, args)
            }
            "tag" if lists_tags(args) => Vec::new(),
            "tag" => vec![Effect::Commit { overrides: !self.plain }],
            "lfs" | "subtree" | "annex" if !self.first_word_is_read_only(args) => unknown(),
            "submodule" if args.iter().any(|arg| arg == "foreach") => unknown(),
            "bisect" if args.first().is_some_and(|arg| arg == "run") => unknown(),
            "pull-request" => vec![Effect::PullRequest { plain_draft: false }],
            known if READ_OR_LOCAL.contains(&known) => Vec::new(),
            // An alias, or a program of that name: it may do anything git can.
            _ => unknown(),
        }
    }

    fn first_word_is_read_only(&self, args: &[String]) -> bool {
        !self.open_ended
            && args.first().is_none_or(|arg| {
                matches!(
                    arg.as_str(),
                    "ls-files" | "status" | "env" | "version" | "fetch" | "install" | "split"
                )
            })
    }

    fn commit(&self, subcommand: &str, args: &[String]) -> Vec<Effect> {
        let runs_commands = subcommand == "rebase"
            && args.iter().any(|arg| arg.starts_with("-x") || abbreviates(arg, "--exec"));
        if runs_commands || subcommand.starts_with("filter-") {
            return unknown();
        }
        let overrides =
            !self.plain || self.open_ended || args.iter().any(|arg| overrides_checks(arg));
        vec![Effect::Commit { overrides }]
    }

    fn push(&self, args: &[String]) -> Effect {
        let branches = if self.plain && !self.open_ended { plain_push(args) } else { None };
        Effect::Push { branches }
    }
}

/// The branches written by a push that asks for nothing unusual.
fn plain_push(args: &[String]) -> Option<Vec<String>> {
    let mut words = Vec::new();
    for arg in args {
        match arg.as_str() {
            "-u" | "--set-upstream" | "-q" | "--quiet" | "-v" | "--verbose" | "--progress"
            | "--no-progress" | "--porcelain" | "--atomic" => {}
            option if option.starts_with('-') => return None,
            word => words.push(word),
        }
    }
    let (_remote, refspecs) = words.split_first()?;
    if refspecs.is_empty() {
        return None;
    }
    refspecs.iter().map(|refspec| destination(refspec)).collect()
}

fn destination(refspec: &str) -> Option<String> {
    let (source, target) = refspec.split_once(':').unwrap_or((refspec, refspec));
    let branch = target.strip_prefix("refs/heads/").unwrap_or(target);
    let unusual = source.is_empty()
        || branch.is_empty()
        || refspec.starts_with('+')
        || branch.starts_with("refs/")
        || branch.split('/').any(|part| part.is_empty() || part.starts_with('.'))
        || matches!(branch, "HEAD" | "tag")
        || !branch
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.'));
    (!unusual).then(|| branch.to_owned())
}

fn overrides_checks(arg: &str) -> bool {
    if arg.starts_with("--") {
        return ["--no-verify", "--no-gpg-sign", "--gpg-sign"]
            .iter()
            .any(|full| abbreviates(arg, full));
    }
    let Some(letters) = arg.strip_prefix('-') else { return false };
    letters
        .chars()
        .take_while(|letter| !matches!(letter, 'm' | 'F' | 'C' | 'c' | 't'))
        .any(|letter| matches!(letter, 'n' | 'S'))
}

/// True if `arg` is `full`, or a beginning of it that git may take for it, with or without a value.
fn abbreviates(arg: &str, full: &str) -> bool {
    let name = arg.split_once('=').map_or(arg, |(name, _)| name);
    name.len() > 3 && full.starts_with(name)
}

fn lists_tags(args: &[String]) -> bool {
    args.is_empty()
        || args.iter().any(|arg| {
            matches!(arg.as_str(), "-l" | "--list" | "-n" | "--contains" | "--points-at")
        })
}

/// `gh` and `glab`: what is not known to read only may do anything its token can.
fn forge(args: &[String], open_ended: bool) -> Vec<Effect> {
    let mut words = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "--version" | "--help" | "-h" | "help" | "version" => return Vec::new(),
            "-R" | "--repo" | "--hostname" => {
                rest.next();
            }
            option if option.starts_with('-') => {}
            word => words.push(word),
        }
    }
    let (noun, verb) = match words.as_slice() {
        [] if !open_ended => return Vec::new(),
        [noun] if !open_ended => (*noun, ""),
        [noun, verb, ..] => (*noun, *verb),
        _ => {
            return vec![
                Effect::PullRequest { plain_draft: false },
                Effect::Push { branches: None },
            ];
        }
    };
    match (noun, verb) {
        ("pr" | "mr", "create" | "new") => {
            let draft = args.iter().any(|arg| matches!(arg.as_str(), "-d" | "--draft"));
            let elsewhere = |arg: &String| {
                ["-R", "--repo", "-H", "--head", "--hostname"]
                    .iter()
                    .any(|option| arg.starts_with(option))
            };
            let plain_draft = draft && !open_ended && !args.iter().any(elsewhere);
            vec![Effect::PullRequest { plain_draft }]
        }
        (
            "pr" | "mr" | "issue" | "run" | "release" | "workflow" | "repo" | "label" | "gist"
            | "cache",
            "" | "view" | "list" | "status" | "diff" | "checks" | "watch",
        )
        | ("pr" | "mr", "checkout")
        | ("auth" | "status", "status" | "")
        | ("search", _) => Vec::new(),
        _ => vec![Effect::PullRequest { plain_draft: false }, Effect::Push { branches: None }],
    }
}

/// Subcommands that neither record history nor send it. What they run by configuration is the sandbox's to hold.
const READ_OR_LOCAL: [&str; 102] = [
    "add",
    "annotate",
    "apply",
    "archive",
    "bisect",
    "blame",
    "branch",
    "bundle",
    "cat-file",
    "check-attr",
    "check-ignore",
    "check-mailmap",
    "check-ref-format",
    "checkout",
    "checkout-index",
    "cherry",
    "citool",
    "clean",
    "clone",
    "column",
    "config",
    "count-objects",
    "credential",
    "describe",
    "diagnose",
    "diff",
    "diff-files",
    "diff-index",
    "diff-tree",
    "difftool",
    "fast-export",
    "fetch",
    "fetch-pack",
    "fmt-merge-msg",
    "for-each-ref",
    "format-patch",
    "fsck",
    "gc",
    "get-tar-commit-id",
    "grep",
    "gui",
    "hash-object",
    "help",
    "hook",
    "index-pack",
    "init",
    "interpret-trailers",
    "log",
    "ls-files",
    "ls-remote",
    "ls-tree",
    "lfs",
    "mailinfo",
    "mailsplit",
    "maintenance",
    "merge-base",
    "merge-file",
    "merge-index",
    "merge-tree",
    "mergetool",
    "mktree",
    "multi-pack-index",
    "mv",
    "name-rev",
    "pack-objects",
    "pack-refs",
    "prune",
    "prune-packed",
    "range-diff",
    "read-tree",
    "reflog",
    "remote",
    "repack",
    "request-pull",
    "rerere",
    "reset",
    "restore",
    "rev-list",
    "rev-parse",
    "rm",
    "shortlog",
    "show",
    "show-branch",
    "show-index",
    "show-ref",
    "sparse-checkout",
    "stage",
    "stash",
    "status",
    "stripspace",
    "submodule",
    "subtree",
    "switch",
    "unpack-file",
    "unpack-objects",
    "update-index",
    "var",
    "verify-commit",
    "verify-tag",
    "version",
    "worktree",
    "write-tree",
];

#[cfg(test)]
mod tests;
