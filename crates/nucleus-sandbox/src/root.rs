//! The new root of a holder: only what the plan names, put together on an empty file system and then
//! made the root of the mount namespace.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nucleus_sys::mount::{self, Restrictions};
use nucleus_sys::weaken::{Weak, off};
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};

use crate::error::{Built, Failure, Step, at};
use crate::plan::{Access, Cover, CoverWith, Entry, What};
use crate::workspace::removal::remove_at;

pub(crate) mod cover;

/// Where the empty file system is attached while it is being filled, the first that exists.
const ANCHORS: [&str; 4] = ["/tmp", "/mnt", "/var", "/usr"];
/// Directory of the new root for what is only needed while building.
const STAGING: &str = ".staging";

/// Trees of the host, taken before the pod's user is assumed, by index of the entry.
pub(crate) type Sources = BTreeMap<usize, Source>;

/// What an entry needs from the host.
#[derive(Debug)]
pub(crate) struct Source {
    tree: OwnedFd,
    scratch: Option<OwnedFd>,
    copies: Vec<OwnedFd>,
}

/// Every descriptor in the sources.
pub(crate) fn descriptors(sources: &Sources) -> Vec<BorrowedFd<'_>> {
    let mut all = Vec::new();
    for source in sources.values() {
        all.push(source.tree.as_fd());
        all.extend(source.scratch.as_ref().map(AsFd::as_fd));
        all.extend(source.copies.iter().map(AsFd::as_fd));
    }
    all
}

/// Takes every tree that the entries name. `map_ids` maps the ids of one tree where the entry asks for it.
///
/// # Errors
/// The first path that could not be taken.
pub(crate) fn take_sources(
    entries: &[Entry],
    mut map_ids: impl FnMut(BorrowedFd<'_>, &Path) -> Built<()>,
) -> Built<Sources> {
    let mut sources = Sources::new();
    for (index, entry) in entries.iter().enumerate() {
        let source = match &entry.what {
            What::Bind { host, mapped, access, .. } => {
                let tree = take(host)?;
                if *mapped {
                    // Where the file system cannot, what everybody may read is still readable.
                    let _unmapped = map_ids(tree.as_fd(), host);
                }
                let restrictions = match access {
                    Access::Read => Restrictions::READ_ONLY,
                    Access::Write | Access::Workspace(_) => Restrictions::PLAIN,
                    Access::Device => Restrictions::DEVICE,
                };
                mount::restrict(tree.as_fd(), restrictions)
                    .map_err(at(Step::Source, text(host)))?;
                let copies = match access {
                    Access::Workspace(covers) => take_copies(covers)?,
                    _ => Vec::new(),
                };
                Source { tree, scratch: None, copies }
            }
            What::Overlay { lower, scratch, workspace } => {
                let tree = take(lower)?;
                let mapped = map_ids(tree.as_fd(), lower);
                if workspace.is_some() {
                    // The caller falls back to a copy.
                    mapped.map_err(|failure| Failure { step: Step::Overlay, ..failure })?;
                }
                let copies = take_copies(workspace.as_deref().unwrap_or_default())?;
                Source { tree, scratch: Some(take(scratch)?), copies }
            }
            _ => continue,
        };
        sources.insert(index, source);
    }
    Ok(sources)
}

fn take(path: &Path) -> Built<OwnedFd> {
    mount::clone_tree(path).map_err(at(Step::Source, text(path)))
}

fn take_copies(covers: &[Cover]) -> Built<Vec<OwnedFd>> {
    let mut copies = Vec::new();
    for cover in covers {
        if let CoverWith::Copy(path) = &cover.with {
            let tree = take(path)?;
            mount::restrict(tree.as_fd(), Restrictions::READ_ONLY)
                .map_err(at(Step::Source, text(path)))?;
            copies.push(tree);
        }
    }
    Ok(copies)
}

/// The finished root.
#[derive(Debug)]
pub(crate) struct Root {
    /// Its top directory.
    pub(crate) directory: OwnedFd,
    /// The workspace without masks, for the host's file tools.
    pub(crate) merged: Option<OwnedFd>,
}

impl Root {
    /// The host's own root, for the positive controls of tests.
    ///
    /// # Errors
    /// What opening the directories says.
    pub(crate) fn of_host(entries: &[Entry]) -> Built<Self> {
        let open = |path: &str| {
            rustix::fs::open(path, directory_flags(), Mode::empty()).map_err(os(Step::Source, path))
        };
        let workspace = entries.iter().find(|entry| {
            matches!(
                entry.what,
                What::Overlay { workspace: Some(_), .. }
                    | What::Bind { access: Access::Workspace(_), .. }
            )
        });
        let merged = workspace.map(|entry| open(&entry.inside)).transpose()?;
        Ok(Self { directory: open("/")?, merged })
    }
}

/// Builds the root and changes the current directory to it. The caller then makes listeners in it and calls [`finish`].
///
/// # Errors
/// The first entry that could not be made.
pub(crate) fn build(entries: &[Entry], mut sources: Sources) -> Built<Root> {
    mount::make_private(Path::new("/")).map_err(at(Step::Namespaces, "/"))?;
    // Before the anchor covers it: a process file system can only be mounted later where one is visible.
    let proc = mount::clone_tree(Path::new("/proc")).map_err(at(Step::Source, "/proc"))?;
    let options = [("size", "16m"), ("nr_inodes", "65536"), ("mode", "0755")];
    let directory = mount::filesystem("tmpfs", &options, Restrictions::PLAIN)
        .map_err(at(Step::Make, "the root"))?;
    anchor(directory.as_fd())?;
    rustix::process::fchdir(&directory).map_err(os(Step::Pivot, ""))?;
    let mut root = Root { directory, merged: None };
    let mut staged = Staged::new(root.directory.as_fd())?;
    let mut proc = Some(proc);
    for (index, entry) in entries.iter().enumerate() {
        let source = sources.remove(&index);
        place(&mut root, &mut staged, entry, source, &mut proc)?;
    }
    staged.clear(root.directory.as_fd())?;
    Ok(root)
}

/// Makes the built root the root of the namespace and lets the host's go. It is read-only from here on.
///
/// # Errors
/// The step that failed.
pub(crate) fn finish(root: &Root) -> Built<()> {
    if !off(Weak::RoRoot) {
        mount::restrict_one(root.directory.as_fd(), Restrictions::READ_ONLY)
            .map_err(at(Step::Pivot, "read-only"))?;
    }
    mount::pivot_to_current().map_err(at(Step::Pivot, ""))
}

fn anchor(directory: BorrowedFd<'_>) -> Built<()> {
    let mut last = None;
    for place in ANCHORS {
        match mount::attach(directory, rustix::fs::CWD, place) {
            Ok(()) => return Ok(()),
            Err(error) => last = Some(error),
        }
    }
    let error = last.unwrap_or_else(|| io::Error::from(io::ErrorKind::NotFound));
    Err(at(Step::Place, "the root")(error))
}

fn place(
    root: &mut Root,
    staged: &mut Staged,
    entry: &Entry,
    source: Option<Source>,
    proc: &mut Option<OwnedFd>,
) -> Built<()> {
    let top = root.directory.as_fd();
    let inside = entry.inside.as_str();
    let missing = || at(Step::Source, inside)(io::Error::from(io::ErrorKind::NotFound));
    match &entry.what {
        What::Directory => {
            locate(top, inside, true)?;
        }
        What::File { text } => write_file(top, inside, text)?,
        What::Link { target } => link(top, inside, target)?,
        What::Memory { bytes } => {
            let size = bytes.to_string();
            let options = [("size", size.as_str()), ("mode", "1777")];
            let tree = mount::filesystem("tmpfs", &options, Restrictions::NO_EXEC)
                .map_err(at(Step::Make, inside))?;
            attach(tree.as_fd(), top, inside, true)?;
        }
        What::Proc => {
            let tree = proc.take().ok_or_else(missing)?;
            attach(tree.as_fd(), top, inside, true)?;
        }
        What::Bind { directory, access, .. } => {
            let source = source.ok_or_else(missing)?;
            if let Access::Workspace(covers) = access {
                let (open, tree) = staged.split(top, source.tree, inside)?;
                attach(tree.as_fd(), top, inside, true)?;
                root.merged = Some(open);
                cover::pin(root.directory.as_fd(), inside, covers)?;
                cover::mask(root.directory.as_fd(), STAGING, inside, covers, source.copies)?;
            } else {
                attach(source.tree.as_fd(), top, inside, *directory)?;
            }
        }
        What::Overlay { workspace, .. } => {
            let source = source.ok_or_else(missing)?;
            let scratch = source.scratch.ok_or_else(missing)?;
            let (open, tree) = staged.overlay(top, source.tree, scratch, inside)?;
            attach(tree.as_fd(), top, inside, true)?;
            if let Some(covers) = workspace {
                root.merged = Some(open);
                cover::mask(root.directory.as_fd(), STAGING, inside, covers, source.copies)?;
            }
        }
    }
    Ok(())
}

/// Mounts that exist only while building.
struct Staged {
    count: u32,
}

impl Staged {
    fn new(top: BorrowedFd<'_>) -> Built<Self> {
        make_directory(top, STAGING)?;
        let tree = mount::filesystem("tmpfs", &[("size", "1m")], Restrictions::PLAIN)
            .map_err(at(Step::Make, STAGING))?;
        mount::attach(tree.as_fd(), top, STAGING).map_err(at(Step::Place, STAGING))?;
        Ok(Self { count: 0 })
    }

    /// Mounts an overlay of these trees; returns its directory and a detached copy of the mount.
    fn overlay(
        &mut self,
        top: BorrowedFd<'_>,
        lower: OwnedFd,
        scratch: OwnedFd,
        inside: &str,
    ) -> Built<(OwnedFd, OwnedFd)> {
        let base = self.place(top)?;
        for (tree, part) in [(lower, "lower"), (scratch, "scratch")] {
            mount::attach(tree.as_fd(), top, &format!("{base}/{part}"))
                .map_err(at(Step::Place, inside))?;
        }
        let merged = format!("{base}/merged");
        mount::overlay(
            &format!("{base}/lower"),
            &format!("{base}/scratch/upper"),
            &format!("{base}/scratch/work"),
            &merged,
        )
        .map_err(at(Step::Overlay, inside))?;
        let tree =
            mount::clone_tree_at(top, Path::new(&merged)).map_err(at(Step::Overlay, inside))?;
        let open = rustix::fs::openat(top, &merged, directory_flags(), Mode::empty())
            .map_err(os(Step::Overlay, inside))?;
        Ok((open, tree))
    }

    /// As [`Staged::overlay`], for a tree that is writable itself.
    fn split(
        &mut self,
        top: BorrowedFd<'_>,
        tree: OwnedFd,
        inside: &str,
    ) -> Built<(OwnedFd, OwnedFd)> {
        let merged = format!("{}/merged", self.place(top)?);
        mount::attach(tree.as_fd(), top, &merged).map_err(at(Step::Place, inside))?;
        let tree =
            mount::clone_tree_at(top, Path::new(&merged)).map_err(at(Step::Place, inside))?;
        let open = rustix::fs::openat(top, &merged, directory_flags(), Mode::empty())
            .map_err(os(Step::Place, inside))?;
        Ok((open, tree))
    }

    fn place(&mut self, top: BorrowedFd<'_>) -> Built<String> {
        self.count = self.count.saturating_add(1);
        let base = format!("{STAGING}/{}", self.count);
        make_directory(top, &base)?;
        for part in ["lower", "scratch", "merged"] {
            make_directory(top, &format!("{base}/{part}"))?;
        }
        Ok(base)
    }

    /// Lets go of what was only needed while building, all at once because each time costs the kernel a grace period.
    fn clear(self, top: BorrowedFd<'_>) -> Built<()> {
        mount::detach(STAGING).map_err(at(Step::Place, STAGING))?;
        remove(top, STAGING, AtFlags::REMOVEDIR)
    }
}

fn remove(top: BorrowedFd<'_>, path: &str, flags: AtFlags) -> Built<()> {
    match rustix::fs::unlinkat(top, path, flags) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(error) => Err(os(Step::Make, path)(error)),
    }
}

fn attach(tree: BorrowedFd<'_>, top: BorrowedFd<'_>, inside: &str, directory: bool) -> Built<()> {
    let target = locate(top, inside, directory)?;
    mount::attach(tree, target.as_fd(), "").map_err(at(Step::Place, inside))
}

/// Opens a path of the new root, making what is missing: parents as directories, the last as asked.
///
/// No symbolic link is followed. In a persistent home or cache the agent may have put a link, a file or a directory in
/// the way: it goes, because what the host places there comes first.
fn locate(top: BorrowedFd<'_>, inside: &str, directory: bool) -> Built<OwnedFd> {
    let mut current = rustix::io::fcntl_dupfd_cloexec(top, 3).map_err(os(Step::Make, inside))?;
    let mut parts = inside.split('/').filter(|part| !part.is_empty()).peekable();
    while let Some(part) = parts.next() {
        let as_directory = parts.peek().is_some() || directory;
        current = match open_kind(current.as_fd(), part, as_directory) {
            Ok(next) => next,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    remove_at(current.as_fd(), part).map_err(at(Step::Make, inside))?;
                }
                if as_directory {
                    make_directory(current.as_fd(), part)?;
                } else {
                    make_empty(current.as_fd(), part)?;
                }
                open_kind(current.as_fd(), part, as_directory).map_err(at(Step::Make, inside))?
            }
        };
    }
    Ok(current)
}

/// Opens one name as a directory, or as something that is neither a directory nor a link.
fn open_kind(directory: BorrowedFd<'_>, name: &str, as_directory: bool) -> io::Result<OwnedFd> {
    let found = open_beneath(directory, name)?;
    let stat = rustix::fs::fstat(&found)?;
    match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
        rustix::fs::FileType::Directory if as_directory => Ok(found),
        rustix::fs::FileType::Directory => Err(rustix::io::Errno::ISDIR.into()),
        rustix::fs::FileType::Symlink => Err(rustix::io::Errno::LOOP.into()),
        _ if as_directory => Err(rustix::io::Errno::NOTDIR.into()),
        _ => Ok(found),
    }
}

fn open_beneath(directory: BorrowedFd<'_>, path: &str) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat2(
        directory,
        path,
        OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
    )?)
}

fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
}

fn make_directory(directory: BorrowedFd<'_>, path: &str) -> Built<()> {
    match rustix::fs::mkdirat(directory, path, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(os(Step::Make, path)(error)),
    }
}

fn make_empty(directory: BorrowedFd<'_>, path: &str) -> Built<()> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    match rustix::fs::openat(directory, path, flags, Mode::from_raw_mode(0o644)) {
        Ok(_) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(os(Step::Make, path)(error)),
    }
}

fn write_file(top: BorrowedFd<'_>, inside: &str, text: &str) -> Built<()> {
    let (directory, name) = split(top, inside)?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::openat(&directory, name, flags, Mode::from_raw_mode(0o644))
        .map_err(os(Step::Make, inside))?;
    io::Write::write_all(&mut std::fs::File::from(file), text.as_bytes())
        .map_err(at(Step::Make, inside))
}

fn link(top: BorrowedFd<'_>, inside: &str, target: &str) -> Built<()> {
    let (directory, name) = split(top, inside)?;
    rustix::fs::symlinkat(target, &directory, name).map_err(os(Step::Make, inside))
}

fn split<'a>(top: BorrowedFd<'_>, inside: &'a str) -> Built<(OwnedFd, &'a str)> {
    let (parent, name) = inside.rsplit_once('/').unwrap_or(("", inside));
    Ok((locate(top, parent, true)?, name))
}

fn os(step: Step, detail: &str) -> impl FnOnce(rustix::io::Errno) -> Failure {
    let detail = detail.to_owned();
    move |error| Failure { step, detail, errno: error.raw_os_error() }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
