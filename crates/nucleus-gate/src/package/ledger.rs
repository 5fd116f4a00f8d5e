//! What the gate asks whoever decides and records.

use lattice_guard::Registry;
use tokio::sync::mpsc;

use super::refusal::PackageRefusal;
use crate::ledger::Denial;

/// One fetch as it stands before the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PackageFetch {
    /// From where.
    pub registry: Registry,
    /// The package, and its file when it is not the list of its versions.
    pub package: String,
    /// The address outside.
    pub address: String,
    /// The list of versions.
    pub listing: bool,
}

impl PackageFetch {
    pub(super) fn listing(registry: Registry, name: &str, address: String) -> Self {
        Self { registry, package: name.to_owned(), address, listing: true }
    }

    pub(super) fn file(registry: Registry, name: &str, file: &str, address: String) -> Self {
        Self { registry, package: format!("{name} {file}"), address, listing: false }
    }
}

/// Decides, reserves and records fetches. Called from threads that may block.
pub trait PackageLedger: Send + Sync {
    /// Admits a fetch; its intent is recorded when this returns.
    ///
    /// # Errors
    /// The denial, recorded already.
    fn admit(&self, fetch: &PackageFetch) -> Result<Box<dyn FetchTicket>, Denial>;

    /// The gate itself refused a request.
    fn refused(&self, refusal: &PackageRefusal, request: &str);
}

/// An admitted fetch. Dropped, it must be recorded as lost.
pub trait FetchTicket: Send {
    /// Records its end: bytes received, and the code of what went wrong.
    fn settle(self: Box<Self>, bytes: u64, fault: Option<&'static str>);
}

/// An admitted fetch that the gate's shutdown waits for.
pub(super) struct Held {
    pub(super) ticket: Box<dyn FetchTicket>,
    pub(super) alive: mpsc::Sender<()>,
}

impl Held {
    /// Settles off the threads that must not block.
    pub(super) async fn settle(self, bytes: u64, fault: Option<&PackageRefusal>) {
        let fault = fault.map(PackageRefusal::code);
        let settled = tokio::task::spawn_blocking(move || {
            self.ticket.settle(bytes, fault);
            drop(self.alive);
        });
        // A ledger that panics is its owner's defect; a dropped ticket is recorded as lost.
        settled.await.ok();
    }
}
