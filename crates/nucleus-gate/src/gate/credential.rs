//! What the gate's calls are paid with: nothing, a key, or a subscription whose token is renewed when it has to be.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::HeaderValue;
use hyper::{Request, StatusCode};

use super::ModelGate;
use crate::error::UpstreamError;
use crate::ledger::Note;
use crate::login::{Held, Tokens};
use crate::secret::Secret;
use crate::upstream::Answer;

/// The host's credential.
pub(super) enum Credential {
    /// Only for an upstream on this machine.
    None,
    Key(Arc<Secret>),
    Login(Box<Tokens>),
}

impl ModelGate {
    /// What the next call is made with.
    pub(super) async fn held(
        self: &Arc<Self>,
        refused: Option<&Secret>,
    ) -> Result<Option<Held>, UpstreamError> {
        match &self.credential {
            Credential::None => Ok(None),
            Credential::Key(key) => Ok(Some(Held { key: Arc::clone(key), account: None })),
            Credential::Login(tokens) => {
                let (held, renewed) = tokens.held(refused).await?;
                if renewed {
                    self.on_ledger(|ledger| ledger.noted(&Note::LoginRenewed)).await;
                }
                Ok(Some(held))
            }
        }
    }

    /// Sends a request with the credential. A token that is refused is renewed, and the request sent once more: a refusal
    /// of the token did no work.
    pub(super) async fn send(
        self: &Arc<Self>,
        request: Request<Full<Bytes>>,
        held: &mut Option<Held>,
    ) -> Result<Answer, UpstreamError> {
        let again = matches!(self.credential, Credential::Login(_)).then(|| request.clone());
        let answer = self.send_once(request, held.as_ref()).await?;
        let (Some(again), true) = (again, answer.response.status() == StatusCode::UNAUTHORIZED)
        else {
            return Ok(answer);
        };
        let refused = held.as_ref().map(|held| Arc::clone(&held.key));
        // Without a new token the provider's own refusal says best what is wrong.
        let Ok(new) = self.held(refused.as_deref()).await else { return Ok(answer) };
        *held = new;
        self.send_once(again, held.as_ref()).await
    }

    async fn send_once(
        &self,
        mut request: Request<Full<Bytes>>,
        held: Option<&Held>,
    ) -> Result<Answer, UpstreamError> {
        if let Some(held) = held {
            let bearer = matches!(self.credential, Credential::Login(_));
            self.adapter.authorize(request.headers_mut(), &held.key, bearer);
            if let Some(account) = &held.account {
                let account = HeaderValue::from_str(account).map_err(|_| UpstreamError::Login)?;
                request.headers_mut().insert("chatgpt-account-id", account);
            }
        }
        self.upstream.send(request, self.patience.head).await
    }
}
