//! Which keys to verify with.

use std::path::{Path, PathBuf};

use nucleus_log::{KeyError, MAC_KEY_FILE, MacMaster, PUBLIC_KEY_FILE, PublicKey, VerifyKeys};

use crate::{Failure, USAGE};

/// The keys named on the command line; if none is, those of the key directory that belongs to the log. A log that is not
/// there is told first.
pub(crate) fn find(
    log: &Path,
    mac: Option<&Path>,
    public: Option<&Path>,
) -> Result<VerifyKeys, Failure> {
    if let Err(error) = std::fs::metadata(log) {
        return Err(Failure::unreadable(&format!("cannot read {}: {error}", log.display())));
    }
    if mac.is_some() || public.is_some() {
        let mac = mac.map(MacMaster::load).transpose();
        let public = public.map(PublicKey::load).transpose();
        let unreadable = |error: KeyError| Failure::unreadable(&error);
        return Ok(VerifyKeys {
            mac: mac.map_err(unreadable)?,
            public: public.map_err(unreadable)?,
        });
    }
    let places = directories(log);
    for dir in &places {
        let keys = VerifyKeys::load(dir).map_err(|error| Failure::unreadable(&error))?;
        if keys.mac.is_some() || keys.public.is_some() {
            return Ok(keys);
        }
    }
    let looked: Vec<String> = places.iter().map(|dir| format!("  {}", dir.display())).collect();
    let message = format!(
        "no key to verify with; name the MAC key with --key or the public key with --public.\n\
         looked for {MAC_KEY_FILE} and {PUBLIC_KEY_FILE} in:\n{}",
        looked.join("\n")
    );
    Err(Failure::Message(USAGE, message))
}

/// `STATE/keys` of a log at `STATE/sessions/ID/log.jsonl`, then that of the user's own state directory.
fn directories(log: &Path) -> Vec<PathBuf> {
    let mut places = Vec::new();
    let absolute = std::path::absolute(log).unwrap_or_else(|_| log.to_owned());
    if let Some(sessions) = absolute.ancestors().nth(2)
        && sessions.ends_with("sessions")
        && let Some(state) = sessions.parent()
    {
        places.push(state.join("keys"));
    }
    let state = std::env::var_os("XDG_STATE_HOME")
        .filter(|dir| Path::new(dir).is_absolute())
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".local/state")));
    if let Some(own) = state.map(|state| state.join("nucleus/keys"))
        && !places.contains(&own)
    {
        places.push(own);
    }
    places
}
