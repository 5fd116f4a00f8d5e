//! Files of the user's that hold a secret: keys and tokens that prove who speaks.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::failure::CliFailure;
use crate::run::read_text;

/// The text of a file that nobody but this user can read.
///
/// # Errors
/// Misuse: it is missing, too large, not text, somebody else's, or others may have read it: then it proves nothing.
pub(crate) fn read_secret(path: &Path, bytes_max: u64) -> Result<String, CliFailure> {
    let text = read_text(path, bytes_max)?;
    let shown = path.display();
    let meta =
        std::fs::metadata(path).map_err(|error| CliFailure::usage(format!("{shown}: {error}")))?;
    let own = rustix::process::geteuid().as_raw();
    if meta.uid() != own && meta.uid() != 0 {
        return Err(CliFailure::usage(format!(
            "{shown} belongs to another user (uid {}), who can read and change it",
            meta.uid()
        ))
        .hint("make a secret of your own in a file of your own"));
    }
    if meta.mode() & 0o077 != 0 {
        return Err(CliFailure::usage(format!(
            "{shown} can be read by others (mode {:04o}), so what it holds proves nothing",
            meta.mode() & 0o7777
        ))
        .hint(format!("chmod 600 {shown}, and make a new secret: others may have read this one")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_that_others_may_read_is_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        std::fs::write(&file, "words").unwrap();
        for (mode, kept) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            let read = read_secret(&file, 64);
            assert_eq!(read.is_ok(), kept, "{mode:o}: {read:?}");
        }
    }
}
