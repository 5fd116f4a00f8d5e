//! What `nucleus mcp serve --http` hands to the proxy: a listener on loopback and the token of its clients.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;

use crate::failure::CliFailure;
use crate::secret::read_secret;

/// Fewest characters of a token.
const TOKEN_CHARS_MIN: usize = 32;
/// Largest file a token is read from.
const TOKEN_BYTES_MAX: u64 = 4 * 1024;
/// How to make one.
const MAKE: &str = "make one: (umask 077; head -c 32 /dev/urandom | base64 > FILE)\nclients send it as `Authorization: Bearer TOKEN`";

/// What is ready before the proxy is.
pub(super) struct Http {
    /// Bound already, so that a port in use is told at once.
    pub listener: OwnedFd,
    /// In a sealed memory file: no command line and no environment holds it.
    pub token: OwnedFd,
    /// Where clients find it.
    pub url: String,
}

impl Http {
    /// Listens at `address` for clients that know what is in `file`.
    pub(super) fn open(address: SocketAddr, file: &Path) -> Result<Self, CliFailure> {
        if !address.ip().is_loopback() {
            return Err(CliFailure::usage(format!("--http {address} is not on loopback"))
                .hint("only this machine may reach the tools: --http 127.0.0.1:PORT"));
        }
        let token = token(file)?;
        let failed = |error: std::io::Error| {
            CliFailure::unavailable(format!("cannot listen at {address}: {error}"))
        };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let token = nucleus_sys::memfd::sealed(token.as_bytes()).map_err(|error| {
            CliFailure::unavailable(format!("cannot hold the token in memory: {error}"))
        })?;
        Ok(Self { listener: listener.into(), token, url: format!("http://{bound}/mcp") })
    }
}

fn token(file: &Path) -> Result<String, CliFailure> {
    let text = read_secret(file, TOKEN_BYTES_MAX)?;
    let shown = file.display();
    let token = text.trim();
    if token.len() < TOKEN_CHARS_MIN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(CliFailure::usage(format!(
            "{shown} holds no token: at least {TOKEN_CHARS_MIN} visible characters on one line"
        ))
        .hint(MAKE));
    }
    Ok(token.to_owned())
}
