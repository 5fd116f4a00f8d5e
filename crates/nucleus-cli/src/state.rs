//! Where Nucleus keeps its own things, and the ids of its sessions.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::environment::Environment;
use crate::failure::CliFailure;

/// Nucleus's own directories for this user.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// Sessions, homes, caches and keys; mode 0700.
    pub dir: PathBuf,
    /// The user's configuration file, whether or not it exists.
    pub user_config: PathBuf,
    /// The administrator's configuration file, whether or not it exists.
    pub admin_config: PathBuf,
}

impl State {
    /// Finds the directories by the XDG base directory rules and makes the state directory.
    ///
    /// Refuses a state directory that is not this user's or that others can write.
    pub(crate) fn open(env: &Environment) -> Result<Self, CliFailure> {
        let state = Self::locate(env)?;
        refuse_borrowed_home(env)?;
        create_private(&state.dir)?;
        Ok(state)
    }

    /// The same, without making or looking at anything.
    pub(crate) fn locate(env: &Environment) -> Result<Self, CliFailure> {
        let home = env.home()?;
        let state_root = env.xdg("XDG_STATE_HOME").unwrap_or_else(|| home.join(".local/state"));
        Ok(Self {
            dir: state_root.join("nucleus"),
            user_config: user_config(env)?,
            admin_config: PathBuf::from("/etc/nucleus/config.toml"),
        })
    }

    /// Paths no workspace may cover: state and configuration.
    pub(crate) fn protected(&self) -> Vec<PathBuf> {
        let mut paths = vec![self.dir.clone()];
        paths.extend(self.user_config.parent().map(Path::to_path_buf));
        paths.extend(self.admin_config.parent().map(Path::to_path_buf));
        paths
    }
}

/// Under sudo with the caller's own home, root's files would come to lie in it, and the caller could not use them.
fn refuse_borrowed_home(env: &Environment) -> Result<(), CliFailure> {
    let caller =
        env.get("SUDO_UID").and_then(|uid| uid.parse::<u32>().ok()).filter(|uid| *uid != 0);
    let (Some(caller), true) = (caller, rustix::process::geteuid().is_root()) else {
        return Ok(());
    };
    let home = env.home()?;
    if std::fs::metadata(&home).is_ok_and(|meta| meta.uid() == caller) {
        return Err(CliFailure::usage(format!(
            "under sudo with HOME={}: root's sessions and keys would lie in that user's home, where only root could use them",
            home.display()
        ))
        .hint("run nucleus without sudo, or with root's own home: sudo -H nucleus …\nfiles of the workspace keep their owner either way"));
    }
    Ok(())
}

/// The user's configuration file.
pub(crate) fn user_config(env: &Environment) -> Result<PathBuf, CliFailure> {
    let home = env.home()?;
    let root = env.xdg("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config"));
    Ok(root.join("nucleus/config.toml"))
}

/// A new session id, say `20261129-014015-k4xq7`: UTC time to the second, then the millisecond within it in two characters and three random ones.
///
/// Ids sort as their sessions began, to the millisecond: what acts on "the newest session" is right about two that were started in one second.
pub(crate) fn new_session_id() -> Result<String, CliFailure> {
    let mut random = [0_u8; 3];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()).map_err(
        |error| CliFailure::unavailable(format!("no randomness from the kernel: {error}")),
    )?;
    Ok(session_id(jiff::Timestamp::now(), random))
}

fn session_id(now: jiff::Timestamp, random: [u8; 3]) -> String {
    /// In the order of their bytes, without what is easily misread.
    const ALPHABET: &[u8; 32] = b"023456789abcdefghjkmnpqrstuvwxyz";
    let millisecond = u16::try_from(now.subsec_millisecond().rem_euclid(1000)).unwrap_or(0);
    let digits = [millisecond / 32, millisecond % 32].into_iter();
    let tail: String = digits
        .chain(random.into_iter().map(|byte| u16::from(byte % 32)))
        .filter_map(|digit| ALPHABET.get(usize::from(digit)))
        .map(|b| char::from(*b))
        .collect();
    format!("{}-{tail}", now.strftime("%Y%m%d-%H%M%S"))
}

fn create_private(dir: &Path) -> Result<(), CliFailure> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| {
        CliFailure::unavailable(format!(
            "cannot make the state directory {}: {error}",
            dir.display()
        ))
    })?;
    let meta = std::fs::symlink_metadata(dir).map_err(|error| {
        CliFailure::unavailable(format!("cannot look at {}: {error}", dir.display()))
    })?;
    if !meta.is_dir() || meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(CliFailure::unavailable(format!(
            "{} is not a directory of this user; Nucleus keeps logs and keys there and will not use it",
            dir.display()
        ))
        .hint("move it away, or set XDG_STATE_HOME to a directory of your own"));
    }
    if meta.permissions().mode() & 0o077 != 0 {
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).map_err(|error| {
            CliFailure::unavailable(format!("cannot make {} private: {error}", dir.display()))
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_ids_have_the_documented_form() {
        let id = new_session_id().unwrap();
        assert_eq!(id.len(), 21, "{id}");
        assert!(id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
    }

    #[test]
    fn session_ids_sort_as_their_sessions_began() {
        let begin: jiff::Timestamp = "2026-11-29T01:40:15Z".parse().unwrap();
        let at = |ms: i64, random| {
            session_id(begin + jiff::SignedDuration::from_millis(ms), [random; 3])
        };
        // The earlier one has the higher random part: time alone decides.
        let ids: Vec<String> =
            (0..2500).map(|ms| at(ms, if ms % 2 == 0 { 31 } else { 0 })).collect();
        assert!(ids.is_sorted(), "{ids:?}");
        assert_ne!(at(7, 1), at(7, 2), "two of one millisecond differ");
    }

    #[test]
    fn a_state_directory_open_to_others_is_closed() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("nucleus");
        std::fs::create_dir(&dir).unwrap();
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).unwrap();
        create_private(&dir).unwrap();
        assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_state_directory_that_is_a_symlink_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("elsewhere");
        std::fs::create_dir(&target).unwrap();
        let link = root.path().join("nucleus");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(create_private(&link).is_err());
    }
}
