//! The only module that does IO: files, lock, clock, the writer's thread.

pub(crate) mod clock;
pub(crate) mod commit;
pub(crate) mod disk;
pub(crate) mod inspect;
pub(crate) mod keyfile;
pub(crate) mod layout;
pub(crate) mod lock;
pub(crate) mod open;
pub(crate) mod pinfile;
pub(crate) mod queue;
pub(crate) mod read;
pub(crate) mod writer;
