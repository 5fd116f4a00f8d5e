//! Why a request got no package.

use hyper::StatusCode;
use thiserror::Error;

use crate::error::UpstreamError;
use crate::ledger::Denial;

/// Why a request got no package. `Display` is the text for whoever asked, and holds nothing of the host.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PackageRefusal {
    /// Another method than GET or HEAD.
    #[error(
        "only GET and HEAD are served: packages are fetched here, not published, and nothing else of a registry is reachable"
    )]
    Method,
    /// A body.
    #[error("requests with a body are not served: packages are only fetched here")]
    Body,
    /// A query, an escape or another form of target.
    #[error("the address must be a plain path on 127.0.0.1, without query and without escapes")]
    Form,
    /// A path that no client needs to fetch packages.
    #[error(
        "this path is not served: only lists of versions and files of packages are; search, audit, login and publish are not"
    )]
    Path,
    /// A name no package of the registry can have, or a longer one than is served.
    #[error("this is no name of a package that is served here")]
    Name,
    /// A branch, a commit or an abbreviated version of a Go module.
    #[error(
        "only versions are served, not branches, commits or parts of versions: ask for latest, for a version of the module's list, or for a whole pseudo-version"
    )]
    Version,
    /// A toolchain of Go.
    #[error(
        "toolchains of Go are not fetched: the installed one is used (GOTOOLCHAIN=local), so ask for dependencies that it can build"
    )]
    Toolchain,
    /// A mirror of Go modules without the checksum database.
    #[error(
        "the mirror of this host does not serve the checksum database, so modules can be fetched only if go.sum has their sums"
    )]
    Sums,
    /// The policy names other registries.
    #[error(
        "the policy does not name this registry: work with what is installed, or ask the user to add it to packages of [network]"
    )]
    Registry,
    /// The registry does not list that file.
    #[error("the registry lists no such version or file")]
    NotListed,
    /// The registry does not know the package.
    #[error("the registry knows no package of this name")]
    NotFound,
    /// Too many names that do not exist.
    #[error(
        "too many names that the registry does not know, or versions that nothing it sent names, were asked for in this task; no more of them are"
    )]
    TooManyUnknown,
    /// The list of versions cannot be read.
    #[error("the registry's list of versions cannot be read")]
    Listing,
    /// Too large.
    #[error("the registry's answer is larger than is passed on")]
    TooLarge,
    /// Broke off or was too slow.
    #[error("the registry's answer broke off")]
    Broken,
    /// Another status than success.
    #[error("the registry answered with status {0}")]
    Status(u16),
    /// The registry could not be used.
    #[error("{}", words(*.0))]
    Upstream(UpstreamError),
    /// The policy or the budget denies the fetch.
    #[error("{0}")]
    Denied(Denial),
}

impl PackageRefusal {
    /// Stable code of the rule.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Method => "packages.method",
            Self::Body => "packages.body",
            Self::Form => "packages.form",
            Self::Path => "packages.path",
            Self::Name => "packages.name",
            Self::Version => "packages.version",
            Self::Toolchain => "packages.toolchain",
            Self::Sums => "packages.sums",
            Self::Registry => "deny.network.packages",
            Self::NotListed => "packages.not_listed",
            Self::NotFound => "packages.not_found",
            Self::TooManyUnknown => "packages.unknown_names",
            Self::Listing => "packages.listing",
            Self::TooLarge => "packages.too_large",
            Self::Broken => "packages.broken",
            Self::Status(_) => "packages.status",
            Self::Upstream(_) => "packages.upstream",
            Self::Denied(_) => "packages.denied",
        }
    }

    /// The gate's own refusal, which nobody has recorded yet.
    pub(super) fn is_own(&self) -> bool {
        matches!(
            self,
            Self::Method
                | Self::Body
                | Self::Form
                | Self::Path
                | Self::Name
                | Self::Version
                | Self::Toolchain
                | Self::Sums
                | Self::Registry
                | Self::NotListed
                | Self::TooManyUnknown
        )
    }

    /// Status of the answer. Clients take "not found" for an answer and everything else for a failure.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound | Self::NotListed => StatusCode::NOT_FOUND,
            Self::Listing | Self::TooLarge | Self::Broken | Self::Status(_) | Self::Upstream(_) => {
                StatusCode::BAD_GATEWAY
            }
            _ => StatusCode::FORBIDDEN,
        }
    }
}

impl From<UpstreamError> for PackageRefusal {
    fn from(error: UpstreamError) -> Self {
        Self::Upstream(error)
    }
}

fn words(error: UpstreamError) -> &'static str {
    match error {
        UpstreamError::Connect => "the registry cannot be reached from this host",
        UpstreamError::Address => {
            "the registry's name leads into a private network, which only an operator's mirror may"
        }
        UpstreamError::Proxy { .. } => "the proxy of this host did not connect to the registry",
        UpstreamError::Tls => "no trusted TLS connection to the registry",
        UpstreamError::Timeout => "the registry did not answer in time",
        UpstreamError::Redirect => "the registry answered with a redirect, which is not followed",
        UpstreamError::Encoding => {
            "the registry's answer is encoded in a way that was not asked for"
        }
        UpstreamError::TooLarge => "the registry's answer is too large",
        // No registry is logged in to.
        UpstreamError::Broken | UpstreamError::Login => "the registry's answer broke off",
    }
}
