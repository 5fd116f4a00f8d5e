//! Key files.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, RenameFlags};
use zeroize::{Zeroize, Zeroizing};

use crate::key::{CheckpointKey, CryptoError, Keys, MacMaster, PublicKey, VerifyKeys};
use crate::store::disk::{publish, random};

/// File of the MAC master key, in the key directory: 32 bytes.
pub const MAC_KEY_FILE: &str = "audit.key";
/// File of the checkpoint key's Ed25519 seed: 32 bytes.
pub const CHECKPOINT_KEY_FILE: &str = "checkpoint.key";
/// File of its public half, for whoever is to verify: `ed25519:` and 64 hexadecimal digits.
pub const PUBLIC_KEY_FILE: &str = "checkpoint.pub";

/// What is wrong with a key file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The host refused.
    #[error("cannot use the key file {}: {source}", path.display())]
    Unavailable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than its owner may read it.
    #[error("the key file {} is open to others than its owner; make it mode 0600", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// Not a key.
    #[error("{} is not a key file: {expected}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
    },
    /// The crypto library refused.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

impl Keys {
    /// Loads both keys of a directory, making the directory (mode 0700) and whatever key is missing.
    ///
    /// # Errors
    /// [`KeyError`]: a file that is no key, that others may read, that is a link, or that the host refuses.
    pub fn load_or_create(dir: &Path) -> Result<Self, KeyError> {
        match rustix::fs::mkdir(dir, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(unavailable(dir, error.into())),
        }
        let mac = MacMaster::new(load_or_create(&dir.join(MAC_KEY_FILE))?);
        let checkpoint = CheckpointKey::from_seed(load_or_create(&dir.join(CHECKPOINT_KEY_FILE))?);
        let public = dir.join(PUBLIC_KEY_FILE);
        let text = format!("{}\n", checkpoint.public()?);
        if std::fs::read(&public).ok().as_deref() != Some(text.as_bytes()) {
            publish(&public, text.as_bytes(), 0o644, RenameFlags::empty())
                .map_err(|source| unavailable(&public, source))?;
        }
        Ok(Self::new(mac, checkpoint))
    }
}

impl VerifyKeys {
    /// Loads whatever keys of a key directory this user may read. A key that is not there, or not for this user, is no error:
    /// the verdict says what was not checked.
    ///
    /// # Errors
    /// [`KeyError`]: a file that is no key, or that others may read.
    pub fn load(dir: &Path) -> Result<Self, KeyError> {
        let public = match PublicKey::load(&dir.join(PUBLIC_KEY_FILE)) {
            Err(error) if absent(&error) => {
                present(CheckpointKey::load(&dir.join(CHECKPOINT_KEY_FILE)))?
                    .map(|key| key.public())
                    .transpose()?
            }
            public => present(public)?,
        };
        Ok(Self { mac: present(MacMaster::load(&dir.join(MAC_KEY_FILE)))?, public })
    }
}

fn present<T>(loaded: Result<T, KeyError>) -> Result<Option<T>, KeyError> {
    match loaded {
        Ok(key) => Ok(Some(key)),
        Err(error) if absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn absent(error: &KeyError) -> bool {
    matches!(error, KeyError::Unavailable { source, .. }
        if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied))
}

impl MacMaster {
    /// Loads the key from a file of 32 bytes that only its owner may read.
    ///
    /// # Errors
    /// [`KeyError`]
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        load(path).map(Self::new)
    }
}

impl CheckpointKey {
    /// Loads the seed from a file of 32 bytes that only its owner may read.
    ///
    /// # Errors
    /// [`KeyError`]
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        load(path).map(Self::from_seed)
    }
}

impl PublicKey {
    /// Loads the text form from a file.
    ///
    /// # Errors
    /// [`KeyError`]
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(256).read_to_string(&mut text));
        match read {
            Ok(_) => Self::parse(text.trim_end()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
            Err(error) => return Err(unavailable(path, error)),
        }
        .ok_or_else(|| KeyError::Malformed {
            path: path.to_owned(),
            expected: "a public key is `ed25519:` and 64 lowercase hexadecimal digits",
        })
    }
}

fn unavailable(path: &Path, source: io::Error) -> KeyError {
    KeyError::Unavailable { path: path.to_owned(), source }
}

fn load(path: &Path) -> Result<[u8; 32], KeyError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, Mode::empty())
        .map(File::from)
        .map_err(|error| unavailable(path, error.into()))?;
    let stat = rustix::fs::fstat(&file).map_err(|error| unavailable(path, error.into()))?;
    if stat.st_mode & 0o077 != 0 {
        return Err(KeyError::Exposed { path: path.to_owned() });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(64));
    file.take(33).read_to_end(&mut bytes).map_err(|error| unavailable(path, error))?;
    bytes.as_slice().try_into().map_err(|_| KeyError::Malformed {
        path: path.to_owned(),
        expected: "a key is exactly 32 bytes",
    })
}

/// Loads a key, or makes one; whoever comes second uses the key of whoever came first.
fn load_or_create(path: &Path) -> Result<[u8; 32], KeyError> {
    match load(path) {
        Err(KeyError::Unavailable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        loaded => return loaded,
    }
    let mut fresh: [u8; 32] = random().map_err(|source| unavailable(path, source))?;
    let placed = publish(path, &fresh, 0o600, RenameFlags::NOREPLACE);
    fresh.zeroize();
    match placed {
        Ok(()) => load(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => load(path),
        Err(error) => Err(unavailable(path, error)),
    }
}
