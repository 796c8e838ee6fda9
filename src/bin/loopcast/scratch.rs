//! A folder of the program's own for a while, and a group that nobody else uses.

use std::path::{Path, PathBuf};

use loopcast::url::Url;
use loopcast_lab::loopback;
use loopcast_lab::subject::cannot_write;

use crate::exit::End;
use crate::human;

/// A folder, removed with all in it when dropped.
#[derive(Debug)]
pub(crate) struct Scratch(tempfile::TempDir);

impl Scratch {
    /// Makes a folder nobody else has in `base`, with room for so many bytes.
    pub(crate) fn new(base: &Path, prefix: &str, bytes: u64) -> Result<Scratch, End> {
        if base.to_str().is_none() {
            let text = format!("{} is not UTF-8: name another folder", base.display());
            return Err(End::environment(text));
        }
        // Where the system does not say, writing will.
        if let Ok(fs) = rustix::fs::statvfs(base) {
            let room = fs.f_bavail.saturating_mul(fs.f_frsize);
            if room < bytes {
                let text = format!(
                    "this needs {} in {}, where {} are free: name another folder or a smaller file",
                    human::bytes(bytes),
                    base.display(),
                    human::bytes(room)
                );
                return Err(End::environment(text));
            }
        }
        let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(base);
        Ok(Scratch(
            folder.map_err(|e| End::environment(cannot_write(base, &e)))?,
        ))
    }

    /// The path of a name in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// A group and port that nobody on this machine uses.
pub(crate) fn free_group() -> Result<Url, End> {
    let (group, port) = loopback::free_group().map_err(End::environment)?;
    Url::address(group.into(), port).map_err(End::environment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn room_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Scratch::new(dir.path(), "x-", 1).is_ok());
        let full = Scratch::new(dir.path(), "x-", u64::MAX);
        assert_eq!(full.unwrap_err().exit, Exit::Environment);
    }

    #[test]
    fn groups_are_groups() {
        assert!(free_group().unwrap().to_send_to().is_ok());
    }
}
