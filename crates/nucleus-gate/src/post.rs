//! One request to one fixed place of the user's: a webhook. The same client side as for models, and nothing of an agent's
//! chooses where it goes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HOST};

use crate::error::{ConfigError, UpstreamError};
use crate::origin::Origin;
use crate::proxy::ProxyRules;
use crate::upstream::{Roots, Upstream};

/// How long the receiver may take.
const ANSWER_TIME: Duration = Duration::from_secs(20);

/// Where a webhook listens.
pub struct Post {
    upstream: Upstream,
}

impl Post {
    /// `url` with its path; plain HTTP only to this machine.
    ///
    /// # Errors
    /// The URL or the roots are not usable.
    pub fn new(url: &str, proxy: ProxyRules, roots: Roots) -> Result<Self, ConfigError> {
        Ok(Self { upstream: Upstream::new(Origin::parse(url)?, Arc::new(proxy), roots)? })
    }

    /// Posts JSON and gives the status. The answer's body is read by nobody; redirects are not followed.
    ///
    /// # Errors
    /// It did not get there, or nothing came back in time.
    pub async fn send(
        &self,
        headers: &[(&'static str, String)],
        body: String,
    ) -> Result<u16, UpstreamError> {
        let origin = self.upstream.origin();
        let path = if origin.prefix().is_empty() { "/" } else { origin.prefix() };
        let mut request = Request::post(path)
            .header(HOST, origin.host_field())
            .header(CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request =
            request.body(Full::new(Bytes::from(body))).map_err(|_| UpstreamError::Broken)?;
        let answer = self.upstream.send(request, ANSWER_TIME).await?;
        Ok(answer.into_parts().0.status().as_u16())
    }
}
