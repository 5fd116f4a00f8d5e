//! The only ways out of a pod in this version: the model gate, the package gate, and a DNS stub that answers nothing.
//!
//! The **model gate** ([`ModelGate`]) serves a provider's API ([`Provider`]: Anthropic Messages, OpenAI Responses and Chat
//! Completions, Gemini) on a listener inside the agent's pod. It knows a short list
//! of methods and paths at one fixed upstream. A request is parsed strictly and *written again* from an allow list of fields;
//! the client's credentials, cookies and account choices are discarded and the host's key is put in outside the pod. What would
//! let the provider act on its own (its search, fetch and code tools, remote MCP servers, containers, URLs and file ids as
//! content) is refused with a reason. The [`Ledger`] decides and reserves the worst case before a byte leaves; the real usage
//! is read from the answer while it streams through.
//!
//! The **package gate** ([`PackageGate`]) fetches from package registries on behalf of commands: names go out, lists and
//! listed files come in. The [`PackageLedger`] decides on each fetch.
//!
//! The **DNS stub** ([`DnsStub`]) answers every query with NXDOMAIN at once, so that clients do not wait, and reports the names.
//!
//! # Invariants
//! - No byte of a client's body is forwarded; only what the gate wrote itself is.
//! - Nothing is sent before the ledger admitted it, and every admission is settled or booked whole.
//! - The key reaches the upstream's request and nothing else: answers are filtered for it, and [`Secret`] cannot be printed.
//! - No redirect is followed, no other host is dialled (but a subscription's own address for new tokens), no request is sent
//!   twice unless nothing of it was taken or its token was refused.

mod adapter;
mod address;
mod dns;
mod error;
mod escape;
mod gate;
mod json;
mod ledger;
pub mod limits;
mod login;
mod origin;
mod package;
mod post;
mod price;
mod provider;
mod proxy;
mod refusal;
mod scrub;
mod secret;
mod shape;
mod upstream;
mod usage;

pub use dns::{DnsStub, OnQuery};
pub use error::{ConfigError, UpstreamError};
pub use gate::{GateConfig, ModelGate, Patience};
pub use ledger::{
    Admission, CallKind, Denial, Ledger, ModelCall, Note, Remaining, Reservation, Ticket,
};
pub use login::LoginFile;
pub use origin::Origin;
pub use package::{
    FetchTicket, PackageFetch, PackageGate, PackageGateConfig, PackageLedger, PackageRefusal,
};
pub use post::Post;
pub use price::{PriceError, PriceTable};
pub use provider::Provider;
pub use proxy::ProxyRules;
pub use refusal::{JsonReason, Refusal, Unlisted};
pub use secret::{Secret, SecretError};
pub use upstream::Roots;
pub use usage::{Unbelieved, Usage};
