//! Failures that are neither refusals nor denials.

use thiserror::Error;

/// Why a gate cannot be made. For the operator.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The upstream is not an origin with an optional plain path.
    #[error(
        "an upstream must look like https://host[:port][/path]; credentials, queries and fragments are not accepted"
    )]
    Upstream,
    /// Plain HTTP to another machine.
    #[error(
        "{host} would be reached without TLS; plain http is only accepted for 127.0.0.1, [::1] and localhost"
    )]
    PlainUpstream {
        /// The host named.
        host: String,
    },
    /// The proxy is not usable.
    #[error(
        "HTTPS_PROXY must look like http://[user:password@]host[:port]; other schemes are not supported"
    )]
    Proxy,
    /// Extra roots are not PEM certificates.
    #[error("the extra root certificates are not PEM certificates")]
    ExtraRoots,
    /// No root certificate at all.
    #[error("no root certificates were found on this host; name a PEM file with SSL_CERT_FILE")]
    NoRoots,
    /// The TLS library refused its configuration.
    #[error("TLS cannot be configured")]
    Tls(#[source] rustls::Error),
    /// A provider other than loopback needs a key.
    #[error("the model provider needs a key, and none was given")]
    NoKey,
    /// No such provider.
    #[error(
        "there is no model provider {name:?}; known are anthropic, openai, openai-chat and gemini"
    )]
    Provider {
        /// The name given.
        name: String,
    },
    /// The login file is missing or damaged.
    #[error("the subscription login cannot be read; log in again: nucleus login claude|codex")]
    Login,
    /// Data that come with this version are unsound; a test holds that they are not.
    #[error("the gate's data file is unsound: {0}")]
    Data(String),
}

/// Why an upstream could not be used. Holds no host, path or credential, so that it can be told to the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// The name did not resolve or nothing listens.
    #[error("the model provider cannot be reached")]
    Connect,
    /// The name leads to an address that is none of the Internet's.
    #[error("the name of the upstream leads into a private network")]
    Address,
    /// The host's proxy cannot be reached or answered with something else than success.
    #[error("the proxy of this host did not connect to the model provider (status {status})")]
    Proxy {
        /// Its status, 0 when it gave none.
        status: u16,
    },
    /// The certificate was not accepted or TLS broke off.
    #[error("no trusted TLS connection to the model provider")]
    Tls,
    /// Too slow.
    #[error("the model provider did not answer in time")]
    Timeout,
    /// Broke off or was not HTTP.
    #[error("the model provider's answer broke off")]
    Broken,
    /// Redirects are never followed.
    #[error("the model provider answered with a redirect, which is not followed")]
    Redirect,
    /// An encoding that was not asked for.
    #[error("the model provider's answer is encoded in a way that was not asked for")]
    Encoding,
    /// A subscription whose token could not be renewed.
    #[error(
        "the subscription login of this host has run out and could not be renewed; the user has to log in again (nucleus login)"
    )]
    Login,
    /// Larger than the limit.
    #[error("the model provider's answer is too large")]
    TooLarge,
}
