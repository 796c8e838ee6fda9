//! Key files: made for their owner only, never written over unless told.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

use crate::secret::{KeyKind, KeyTextError, SECRET_LEN, Secret};
use crate::store::random;

/// No key file is longer; what is, is not read.
const MAX_LEN: u64 = 1024;

/// Why a key file can't be read or made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// It can't be read.
    #[error("{}: can't read the key: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It can't be written.
    #[error("{}: can't write the key: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file has this name already.
    #[error("{}: is there already, and what was sealed with the key in it could never be opened again; name another file (or use --force)", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// It is no key file, or one of another kind.
    #[error("{}: can't use this key file: {why}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: KeyTextError,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Entropy(String),
}

/// A key file that was just made. Removed when dropped, unless it is [kept](NewKey::keep): a key
/// that nothing was sealed with is of no use.
#[derive(Debug)]
pub struct NewKey {
    secret: Secret,
    path: PathBuf,
    /// Where it is until it is kept.
    at: PathBuf,
    force: bool,
}

impl NewKey {
    /// Makes a fresh random key and its file, readable by its owner only, synced. With `force` a
    /// file of this name is replaced when the key is kept.
    ///
    /// # Errors
    ///
    /// [`KeyFileError::Exists`] if a file has this name and `force` is not given.
    pub fn create(path: &Path, kind: KeyKind, force: bool) -> Result<NewKey, KeyFileError> {
        if !force && fs::symlink_metadata(path).is_ok() {
            return Err(KeyFileError::Exists {
                path: path.to_path_buf(),
            });
        }
        let secret = random_secret()?;
        let tag = u64::from_be_bytes(random::bytes().map_err(KeyFileError::Entropy)?);
        let mut at = path.as_os_str().to_owned();
        at.push(format!(".{tag:016x}"));
        let at = PathBuf::from(at);
        let fault = |source| KeyFileError::Write {
            path: path.to_path_buf(),
            source,
        };
        let mut file = create_private(&at).map_err(fault)?;
        let key = NewKey {
            secret,
            path: path.to_path_buf(),
            at,
            force,
        };
        file.write_all(key.secret.to_text(kind).as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(fault)?;
        Ok(key)
    }

    /// The key.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Gives the file its name, whole.
    ///
    /// # Errors
    ///
    /// [`KeyFileError::Exists`] if another has got it meanwhile, [`KeyFileError::Write`] otherwise.
    pub fn keep(self) -> Result<Secret, KeyFileError> {
        let named = if self.force {
            fs::rename(&self.at, &self.path)
        } else {
            // Unlike a rename, it takes nobody's place. Dropping this removes the other name.
            fs::hard_link(&self.at, &self.path)
        };
        let path = self.path.clone();
        match named {
            Ok(()) => Ok(self.secret.clone()),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                Err(KeyFileError::Exists { path })
            }
            Err(source) => Err(KeyFileError::Write { path, source }),
        }
    }
}

impl Drop for NewKey {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.at);
    }
}

/// Reads a key file.
///
/// # Errors
///
/// [`KeyFileError::Text`] if it is none of that kind.
pub fn read_key(path: &Path, kind: KeyKind) -> Result<Secret, KeyFileError> {
    let fault = |source| KeyFileError::Read {
        path: path.to_path_buf(),
        source,
    };
    // All at once: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LEN as usize + 1));
    let file = File::open(path).map_err(fault)?;
    file.take(MAX_LEN + 1)
        .read_to_end(&mut bytes)
        .map_err(fault)?;
    let text = core::str::from_utf8(&bytes).ok();
    text.filter(|text| text.len() as u64 <= MAX_LEN)
        .ok_or(KeyTextError::NotAKey)
        .and_then(|text| Secret::from_text(text, kind))
        .map_err(|why| KeyFileError::Text {
            path: path.to_path_buf(),
            why,
        })
}

fn random_secret() -> Result<Secret, KeyFileError> {
    let bytes = Zeroizing::new(random::bytes::<SECRET_LEN>().map_err(KeyFileError::Entropy)?);
    Ok(Secret::new(*bytes))
}

fn create_private(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_is_its_owners_and_is_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        let made = NewKey::create(&path, KeyKind::Archive, false).unwrap();
        let first = made.keep().unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = || *read_key(&path, KeyKind::Archive).unwrap().expose();
        assert_eq!(read(), *first.expose());

        let again = NewKey::create(&path, KeyKind::Archive, false).unwrap_err();
        assert!(matches!(again, KeyFileError::Exists { .. }), "{again}");
        assert_eq!(read(), *first.expose());
        // What is not kept leaves the old one alone, and nothing beside it.
        drop(NewKey::create(&path, KeyKind::Archive, true).unwrap());
        assert_eq!(read(), *first.expose());
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        let forced = NewKey::create(&path, KeyKind::Archive, true).unwrap();
        let second = forced.keep().unwrap();
        assert_eq!(read(), *second.expose());
        assert_ne!(second.expose(), first.expose());
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_key_is_not_taken_for_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        let refused = |content: &[u8]| {
            fs::write(&path, content).unwrap();
            read_key(&path, KeyKind::Group).unwrap_err()
        };
        for content in [&b""[..], b"\xff\xfe", &[b' '; 5000], b"a film"] {
            assert!(matches!(refused(content), KeyFileError::Text { .. }));
        }
        let other = Secret::new([7; 32]).to_text(KeyKind::Archive);
        let text = refused(other.as_bytes()).to_string();
        assert!(
            text.contains("key of an archive") && !text.contains("0707"),
            "{text}"
        );
        fs::remove_file(&path).unwrap();
        let gone = read_key(&path, KeyKind::Group).unwrap_err();
        assert!(matches!(gone, KeyFileError::Read { .. }));
    }
}
