//! A sender's own key: made when first needed, the same ever after.

use std::path::{Path, PathBuf};

use crate::seal::SigningKey;
use crate::secret::KeyKind;
use crate::store::{KeyFileError, NewKey, read_key};

/// Where this user's is: `$XDG_CONFIG_HOME/loopcast/sender.key`, or `~/.config/loopcast/sender.key`;
/// `None` if neither folder is known.
pub fn sender_key_path() -> Option<PathBuf> {
    let set = |name: &str| {
        let path = std::env::var_os(name).map(PathBuf::from);
        path.filter(|p| p.is_absolute())
    };
    let base = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    Some(base?.join("loopcast/sender.key"))
}

/// Reads the key of a sender.
///
/// # Errors
///
/// [`KeyFileError`] if it is not there, or no such key.
pub fn read_sender_key(path: &Path) -> Result<SigningKey, KeyFileError> {
    Ok(SigningKey::new(&read_key(path, KeyKind::Sender)?))
}

/// Reads it, or makes it and its folder, for this user only; says whether it was made.
///
/// # Errors
///
/// [`KeyFileError`] if it is there and can't be used (it is never replaced), or can't be made.
pub fn sender_key(path: &Path) -> Result<(SigningKey, bool), KeyFileError> {
    if let Some(folder) = path.parent() {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder
            .create(folder)
            .map_err(|source| KeyFileError::Write {
                path: folder.to_path_buf(),
                source,
            })?;
    }
    match NewKey::create(path, KeyKind::Sender, false).and_then(NewKey::keep) {
        Ok(seed) => Ok((SigningKey::new(&seed), true)),
        Err(KeyFileError::Exists { .. }) => Ok((read_sender_key(path)?, false)),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn it_is_made_once_for_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config/loopcast/sender.key");
        assert!(matches!(
            read_sender_key(&path),
            Err(KeyFileError::Read { .. })
        ));
        let (first, made) = sender_key(&path).unwrap();
        let (second, again) = sender_key(&path).unwrap();
        assert!(made && !again && first.public() == second.public());
        let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        std::fs::write(&path, "something else").unwrap();
        assert!(matches!(sender_key(&path), Err(KeyFileError::Text { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"something else");
    }
}
