//! Fetches from a package registry, on behalf of whatever runs in a tool pod.

use lattice_guard::{Action, MicroUsd, Registry};
use nucleus_wire::display::escape_short;

use crate::budget::Amount;
use crate::caller::Caller;
use crate::digest::Digest;
use crate::executor::Executor;
use crate::limits::MAX_TARGET_CHARS;
use crate::open::{Open, Outcome};
use crate::recorder::CallRecord;
use crate::refusal::Refusal;
use crate::room::over_budget;

/// What the gate wants to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageFetchRequest {
    /// From where.
    pub registry: Registry,
    /// Name of the package, and of its file if it is not the list of its versions.
    pub package: String,
    /// Digest of the address outside.
    pub address: Digest,
    /// A list of versions: in the log like everything, and not worth a line on the screen.
    pub listing: bool,
}

/// A fetch whose intent is recorded. Dropped without [`PackageTicket::settle`], it is booked and recorded as lost.
#[derive(Debug)]
#[must_use = "a dropped ticket is a fetch that nobody knows the end of"]
pub struct PackageTicket {
    open: Open,
}

impl PackageTicket {
    /// Records how it ended: the bytes that were passed on, and what went wrong, if anything.
    pub fn settle(self, bytes: u64, fault: Option<&'static str>) {
        let cost = self.open.reserved();
        let detail = match fault {
            Some(fault) => fault.to_owned(),
            None => format!("{bytes} bytes"),
        };
        self.open.close(Outcome { cost, code: fault, detail, bytes, ..Outcome::default() });
    }
}

impl Executor {
    /// Admits one fetch: decides, reserves its price, and records the intent durably. Blocks for the log only; call it
    /// from a thread that may.
    ///
    /// # Errors
    /// The refusal, recorded already.
    pub fn package_fetch(
        &self,
        request: &PackageFetchRequest,
        caller: &Caller,
    ) -> Result<PackageTicket, Refusal> {
        let sandbox = self.sandbox();
        let (number, request_id) = sandbox.inner.next_call();
        let target = format!("{} {}", request.registry, request.package);
        let record = Box::new(CallRecord {
            request_id,
            principal: caller.principal().clone(),
            channel: caller.channel().name(),
            tool: "packages",
            target: escape_short(&target, MAX_TARGET_CHARS),
            args_digest: request.address,
            policy_digest: self.policy_digest(),
            quiet: request.listing,
        });
        let action = Action::PackageFetch { registry: request.registry };
        let price = self.costs().network(1).map_or(u64::MAX, MicroUsd::micros);
        let reserve = || self.budget().reserve(Amount::micro_usd(price)).map_err(over_budget);
        match self.admit_egress(action, &record, reserve) {
            Ok(reservation) => {
                Ok(PackageTicket { open: Open::new(sandbox, reservation, record, number, false) })
            }
            Err(refusal) => Err(self.refuse_egress(number, &record, refusal)),
        }
    }
}
