//! Masks for what appears in the workspace while a task runs: before each pod the tree is looked at again when it
//! changed, and what is to be withheld is covered in this pod and those after it.

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use super::Host;
use crate::error::SandboxError;
use crate::layout;
use crate::plan::{Cover, CoverWith, LateCovers, Reply, Request};
use crate::spec::SessionSpec;
use crate::workspace::{self, Mask, MaskPolicy, TreePath};

/// Most directories watched, whatever the host allows.
const WATCHES_MAX: usize = 32_768;
/// Part of what the host allows a user that one task takes: editors need them too.
const WATCHES_PART: usize = 4;
/// A tree that cannot be watched whole is looked at again when this many times as long as a look takes has passed.
const REST: u32 = 10;

/// Tells whether names have come into a tree since it was asked last.
#[derive(Debug)]
pub(super) struct Watch {
    /// `None` when not every directory can be watched.
    notices: Option<OwnedFd>,
    watched: BTreeSet<i32>,
    most: usize,
}

impl Watch {
    pub(super) fn new() -> Self {
        let allowed = std::fs::read_to_string("/proc/sys/fs/inotify/max_user_watches")
            .ok()
            .and_then(|text| text.trim().parse::<usize>().ok())
            .unwrap_or_default();
        let notices = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok();
        let most = WATCHES_MAX.min(allowed.checked_div(WATCHES_PART).unwrap_or_default());
        Self { notices, watched: BTreeSet::new(), most }
    }

    /// Watches a directory, which is then read.
    pub(super) fn add(&mut self, dir: &Path) {
        let Some(notices) = &self.notices else { return };
        let flags = WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::ONLYDIR
            | WatchFlags::DONT_FOLLOW
            | WatchFlags::EXCL_UNLINK;
        match inotify::add_watch(notices, dir, flags) {
            Ok(number) => {
                self.watched.insert(number);
            }
            // Gone again: the directory above tells when another comes.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return,
            Err(_) => self.give_up(),
        }
        if self.watched.len() > self.most {
            self.give_up();
        }
    }

    /// Gives every watch back.
    fn give_up(&mut self) {
        self.notices = None;
        self.watched.clear();
    }

    /// Whether something came since the last call; `None` when that is not known.
    fn changed(&mut self) -> Option<bool> {
        let notices = self.notices.as_ref()?;
        let mut buffer = [MaybeUninit::uninit(); 1 << 14];
        let mut reader = Reader::new(notices, &mut buffer);
        let mut changed = false;
        let mut gone = Vec::new();
        loop {
            match reader.next() {
                Ok(event) if event.events().contains(ReadFlags::IGNORED) => gone.push(event.wd()),
                // Only of git's configurations does the content count; the names of others are known.
                Ok(event) if event.events().contains(ReadFlags::CLOSE_WRITE) => {
                    changed |= event
                        .file_name()
                        .is_some_and(|name| name.to_bytes().starts_with(b"config"));
                }
                Ok(_) => changed = true,
                Err(Errno::WOULDBLOCK) => break,
                Err(Errno::INTR) => {}
                // What was missed is not known.
                Err(_) => return None,
            }
        }
        gone.iter().for_each(|number| {
            self.watched.remove(number);
        });
        Some(changed)
    }
}

/// The masks of a task whose workspace shows what the host puts there.
#[derive(Debug)]
pub(super) struct Late {
    watch: Watch,
    policy: MaskPolicy,
    workspace: PathBuf,
    inside: String,
    session_dir: PathBuf,
    /// Covered, or noted as to be covered.
    known: BTreeSet<TreePath>,
    /// What could not be covered because it is not there, or no longer.
    absent: Vec<Cover>,
    looked: Instant,
    took: Duration,
}

impl Late {
    pub(super) fn new(
        spec: &SessionSpec,
        watch: Watch,
        masks: &[Mask],
    ) -> Result<Self, SandboxError> {
        Ok(Self {
            watch,
            policy: spec.masks.clone(),
            workspace: spec.workspace.clone(),
            inside: layout::utf8(&spec.workspace)?,
            session_dir: spec.session_dir.clone(),
            known: masks.iter().map(|mask| mask.path.clone()).collect(),
            absent: Vec::new(),
            looked: Instant::now(),
            took: Duration::ZERO,
        })
    }

    /// Covers what has appeared, for the next pod of a holder.
    ///
    /// # Errors
    /// It cannot be found or covered: no pod may start then.
    pub(super) fn cover(&mut self, host: &Host, holder: u32) -> Result<(), SandboxError> {
        self.look()?;
        if self.absent.is_empty() {
            return Ok(());
        }
        let covers = LateCovers { inside: self.inside.clone(), covers: self.absent.clone() };
        match host.ask(&Request::Cover { holder, covers }, &[])? {
            (Reply::Covered { absent }, _) => {
                let mut number = 0_usize;
                self.absent.retain(|_| {
                    let stays = absent.contains(&number);
                    number = number.saturating_add(1);
                    stays
                });
                Ok(())
            }
            (Reply::Failed(failure), _) => Err(SandboxError::Build(failure)),
            _ => Err(SandboxError::Launcher(Errno::PROTO.into())),
        }
    }

    /// Looks at the tree again if it changed, or may have.
    fn look(&mut self) -> Result<(), SandboxError> {
        let due = match self.watch.changed() {
            Some(changed) => changed,
            None => self.looked.elapsed() >= self.took.saturating_mul(REST),
        };
        if !due {
            return Ok(());
        }
        let begun = Instant::now();
        let watch = &mut self.watch;
        let masks = workspace::mask::plan_again(
            &self.workspace,
            &self.policy,
            &self.session_dir,
            &self.known,
            &mut |dir| watch.add(dir),
        )?;
        (self.looked, self.took) = (Instant::now(), begun.elapsed());
        for mask in masks {
            let cover = layout::cover(&mask)?;
            let with = match cover.with {
                CoverWith::Copy(copy) => CoverWith::Text(
                    std::fs::read_to_string(copy)
                        .map_err(SandboxError::host("reading a scrubbed copy"))?,
                ),
                other => other,
            };
            self.absent.push(Cover { with, ..cover });
            self.known.insert(mask.path);
        }
        Ok(())
    }
}
