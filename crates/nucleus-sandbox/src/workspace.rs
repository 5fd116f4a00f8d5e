//! The workspace of a task: what may be one, what changed in it, and how changes reach the user's tree.
//!
//! Pods never write the user's tree. They write the upper layer of an overlay (or a copy), and after the last pod is
//! dead [`apply`] carries ordinary changes over, beneath a held directory handle and behind a journal. Whatever
//! something would execute or trust unasked, whatever the policy withholds and whatever the user changed meanwhile
//! stays in the session for [`review`].
//!
//! Not here: mounting the overlay (the driver does), deciding what is sensitive (the policy's classifier does, through
//! predicates given by the caller).

mod admit;
mod apply;
mod baseline;
mod change;
mod changeset;
mod copy;
mod error;
pub(crate) mod git;
mod history;
mod ids;
mod journal;
pub mod limits;
pub mod mask;
mod node;
mod overlay;
mod path;
mod plan;
mod recover;
pub(crate) mod removal;
pub mod review;
mod session;
mod stage;
mod text;
pub(crate) mod tree;
mod undo;
pub mod worktree;

pub use admit::{Workspace, WorkspaceRefusal, admit};
pub use apply::{AppliedChange, ApplyOptions, ApplyReport, Conflict, HeldChange, apply};
pub use baseline::Baseline;
pub use change::{Change, ChangeKind, changes, changes_now};
pub use changeset::changeset;
pub use copy::prepare_copy;
pub use error::WorkspaceError;
pub use ids::IdMap;
pub use mask::{Cover, Mask, MaskPolicy, MaskReason};
pub use node::{Fingerprint, NodeKind, Stamp};
pub use path::TreePath;
pub use plan::{ConflictReason, HoldReason};
pub use recover::{Recovery, recover};
pub(crate) use removal::remove_tree;
pub use review::discard;
pub use session::{
    Lock, Mode, Session, SessionMeta, SessionSettings, Status, TaskFiles, find, list, newest,
};
pub use text::escape;
pub use undo::{Left, LeftReason, UndoReport, has_layers, undo};
