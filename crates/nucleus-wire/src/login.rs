//! A subscription login: what Nucleus keeps of it, and how it is found in the files of the agents that made it.
//!
//! The tokens are in memory of this process only as long as a command or the gate needs them; nothing here prints them.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Largest file of tokens read, in bytes.
pub const LOGIN_BYTES_MAX: u64 = 256 * 1024;
/// Longest token accepted, in bytes: it has to stand in a header field.
const TOKEN_BYTES_MAX: usize = 4096;

/// Whose subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subscription {
    /// Claude Pro, Max or Team, as Claude Code uses it.
    Claude,
    /// ChatGPT, as Codex uses it.
    Codex,
}

impl Subscription {
    /// Every subscription.
    pub const ALL: [Self; 2] = [Self::Claude, Self::Codex];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
        }
    }

    /// The model provider it pays for, as the control protocol names it.
    #[must_use]
    pub fn provider(self) -> &'static str {
        match self {
            Self::Claude => "anthropic",
            Self::Codex => "openai",
        }
    }

    /// Where the agent's own file of tokens is, below the user's home.
    #[must_use]
    pub fn own_file(self) -> &'static str {
        match self {
            Self::Claude => ".claude/.credentials.json",
            Self::Codex => ".codex/auth.json",
        }
    }

    /// Where new tokens are asked for.
    #[must_use]
    pub fn token_url(self) -> &'static str {
        match self {
            Self::Claude => "https://platform.claude.com/v1/oauth/token",
            Self::Codex => "https://auth.openai.com/oauth/token",
        }
    }

    /// Where calls go that this subscription pays for, when that is not where the provider's API is.
    #[must_use]
    pub fn base_url(self) -> Option<&'static str> {
        match self {
            Self::Claude => None,
            Self::Codex => Some("https://chatgpt.com/backend-api/codex"),
        }
    }

    /// The public id of the agent that the tokens were made for.
    #[must_use]
    pub fn client_id(self) -> &'static str {
        match self {
            Self::Claude => "9d1c250a-e61b-44d9-88ed-5944d1962f5e",
            Self::Codex => "app_EMoamEEZ73f0CkXaXp7hrann",
        }
    }
}

/// A login as it is kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// Whose.
    pub subscription: Subscription,
    /// What calls are made with.
    pub access_token: String,
    /// What a new access token is asked for with.
    pub refresh_token: String,
    /// When the access token ends, in seconds of Unix time; 0 when that is not known.
    pub expires_s: u64,
    /// The account it belongs to, where calls have to name it.
    pub account: Option<String>,
    /// Where new tokens are asked for.
    pub token_url: String,
}

/// Why a file holds no usable login. The texts repeat nothing of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LoginError {
    /// Not JSON of the known form.
    #[error("it is not a file of tokens of the known form")]
    Form,
    /// An API key instead of a subscription.
    #[error("it holds no subscription login (an API key is given in the environment instead)")]
    NoSubscription,
    /// Nothing to refresh with.
    #[error("it holds no refresh token, so the login could not be kept alive")]
    NoRefresh,
    /// A token that cannot stand in a header field.
    #[error("it holds a token that is not printable ASCII or too long")]
    Token,
}

#[derive(Deserialize)]
struct ClaudeFile {
    #[serde(rename = "claudeAiOauth")]
    oauth: Option<ClaudeOauth>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaudeOauth {
    access_token: String,
    #[serde(default)]
    refresh_token: String,
    /// Milliseconds.
    #[serde(default)]
    expires_at: u64,
}

#[derive(Deserialize)]
struct CodexFile {
    tokens: Option<CodexTokens>,
}

#[derive(Deserialize)]
struct CodexTokens {
    access_token: String,
    #[serde(default)]
    refresh_token: String,
    account_id: Option<String>,
}

impl Login {
    /// Takes the login out of the agent's own file.
    ///
    /// # Errors
    /// Malformed: another form, no subscription in it, or tokens that cannot be used.
    pub fn from_own_file(subscription: Subscription, bytes: &[u8]) -> Result<Self, LoginError> {
        let (access_token, refresh_token, expires_s, account) = match subscription {
            Subscription::Claude => {
                let file: ClaudeFile =
                    serde_json::from_slice(bytes).map_err(|_| LoginError::Form)?;
                let oauth = file.oauth.ok_or(LoginError::NoSubscription)?;
                (oauth.access_token, oauth.refresh_token, oauth.expires_at / 1000, None)
            }
            Subscription::Codex => {
                let file: CodexFile =
                    serde_json::from_slice(bytes).map_err(|_| LoginError::Form)?;
                let tokens = file.tokens.ok_or(LoginError::NoSubscription)?;
                let expires = expiry(&tokens.access_token);
                (tokens.access_token, tokens.refresh_token, expires, tokens.account_id)
            }
        };
        let token_url = subscription.token_url().to_owned();
        Self { subscription, access_token, refresh_token, expires_s, account, token_url }.checked()
    }

    /// Reads a kept login.
    ///
    /// # Errors
    /// Malformed: another form, unknown members included.
    pub fn parse(bytes: &[u8]) -> Result<Self, LoginError> {
        serde_json::from_slice::<Self>(bytes).map_err(|_| LoginError::Form)?.checked()
    }

    /// The text to keep.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // A struct of strings and numbers always has a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The same login with new tokens; what the answer leaves out stays as it was.
    ///
    /// # Errors
    /// Malformed: a token that cannot be used.
    pub fn renewed(
        &self,
        access_token: String,
        refresh_token: Option<String>,
        expires_s: Option<u64>,
    ) -> Result<Self, LoginError> {
        let expires_s = expires_s.unwrap_or_else(|| expiry(&access_token));
        let refresh_token = refresh_token.unwrap_or_else(|| self.refresh_token.clone());
        Self { access_token, refresh_token, expires_s, ..self.clone() }.checked()
    }

    fn checked(self) -> Result<Self, LoginError> {
        if self.refresh_token.is_empty() {
            return Err(LoginError::NoRefresh);
        }
        let usable = |token: &str| {
            !token.is_empty()
                && token.len() <= TOKEN_BYTES_MAX
                && token.bytes().all(|b| b.is_ascii_graphic())
        };
        let account = self.account.as_deref().is_none_or(usable);
        if usable(&self.access_token) && usable(&self.refresh_token) && account {
            Ok(self)
        } else {
            Err(LoginError::Token)
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("subscription", &self.subscription)
            .field("expires_s", &self.expires_s)
            .finish_non_exhaustive()
    }
}

/// When a token that is a JWT ends by its own word; 0 for any other.
fn expiry(token: &str) -> u64 {
    #[derive(Deserialize)]
    struct Claims {
        exp: u64,
    }
    let claims = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims = claims.and_then(|bytes| serde_json::from_slice::<Claims>(&bytes).ok());
    claims.map_or(0, |claims| claims.exp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_both_agents_are_read_and_nothing_of_them_is_shown() {
        let claude = br#"{"claudeAiOauth":{"accessToken":"sk-ant-oat01-a","refreshToken":"sk-ant-ort01-r","expiresAt":1700000000123,"scopes":["x"]},"other":1}"#;
        let login = Login::from_own_file(Subscription::Claude, claude).unwrap();
        assert_eq!((login.expires_s, login.account.as_deref()), (1_700_000_000, None));
        assert!(!format!("{login:?}").contains("sk-ant"));
        assert_eq!(Login::parse(&login.to_bytes()).unwrap(), login);
        let jwt = format!("h.{}.s", URL_SAFE_NO_PAD.encode(br#"{"exp":1800000000,"aud":"x"}"#));
        let codex = format!(
            r#"{{"OPENAI_API_KEY":null,"tokens":{{"id_token":"i","access_token":"{jwt}","refresh_token":"r","account_id":"acc"}},"last_refresh":"2026-11-01"}}"#
        );
        let login = Login::from_own_file(Subscription::Codex, codex.as_bytes()).unwrap();
        assert_eq!((login.expires_s, login.account.as_deref()), (1_800_000_000, Some("acc")));
        let renewed = login.renewed("opaque".into(), None, None).unwrap();
        assert_eq!((renewed.expires_s, renewed.refresh_token.as_str()), (0, "r"));
    }

    #[test]
    fn what_is_no_login_is_refused_by_kind() {
        let claude = |text: &str| Login::from_own_file(Subscription::Claude, text.as_bytes()).err();
        let codex = |text: &str| Login::from_own_file(Subscription::Codex, text.as_bytes()).err();
        assert_eq!(claude("{"), Some(LoginError::Form));
        assert_eq!(claude("{}"), Some(LoginError::NoSubscription));
        assert_eq!(codex(r#"{"OPENAI_API_KEY":"sk"}"#), Some(LoginError::NoSubscription));
        assert_eq!(claude(r#"{"claudeAiOauth":{"accessToken":"a"}}"#), Some(LoginError::NoRefresh));
        assert_eq!(
            claude(r#"{"claudeAiOauth":{"accessToken":"a\r\nx: y","refreshToken":"r"}}"#),
            Some(LoginError::Token)
        );
        assert_eq!(Login::parse(br#"{"subscription":"claude"}"#).err(), Some(LoginError::Form));
    }
}
