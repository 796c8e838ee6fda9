//! Where the demo happens: a folder of its own, a file, a group nobody uses.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};

use loopcast::url::Url;

use super::Who;
use crate::exit::{End, Exit};
use crate::human;

/// The demo's folder, removed with all in it when dropped.
#[derive(Debug)]
pub(super) struct Place {
    root: PathBuf,
}

impl Place {
    /// Makes a folder nobody else has, with one for each process in it.
    pub(super) fn new() -> Result<Place, End> {
        let base = std::env::temp_dir();
        let mut random = [0; 8];
        let _ = getrandom::fill(&mut random);
        let name = format!(
            "loopcast-demo-{}-{:x}",
            std::process::id(),
            u64::from_ne_bytes(random)
        );
        let place = Place {
            root: base.join(name),
        };
        if base.to_str().is_none() {
            let text = format!(
                "{} is not UTF-8: set TMPDIR to another folder",
                base.display()
            );
            return Err(End::error(Exit::Environment, text));
        }
        fs::create_dir(&place.root).map_err(|e| cannot_write(&base, &e))?;
        Ok(place)
    }

    /// A process's own folder.
    pub(super) fn folder(&self, who: Who) -> PathBuf {
        self.root.join(who.name())
    }

    /// Where a process writes its figures.
    pub(super) fn stats(&self, who: Who) -> PathBuf {
        self.root.join(format!("{}.json", who.name()))
    }

    /// Whether so many bytes fit.
    pub(super) fn check_room(&self, bytes: u64) -> Result<(), End> {
        // Where the system does not say, writing will.
        let Ok(fs) = rustix::fs::statvfs(&self.root) else {
            return Ok(());
        };
        let room = fs.f_bavail.saturating_mul(fs.f_frsize);
        if room >= bytes {
            return Ok(());
        }
        let folder = std::env::temp_dir();
        Err(End::error(
            Exit::Environment,
            format!(
                "the demo needs {} in {}, where {} are free: set TMPDIR to another folder, or name a smaller file",
                human::bytes(bytes),
                folder.display(),
                human::bytes(room)
            ),
        ))
    }

    /// A file of `size` bytes that nothing can compress or guess.
    pub(super) fn make_up(&self, size: u64) -> Result<Subject, End> {
        let path = self.root.join("film.bin");
        let fill = || -> io::Result<blake3::Hash> {
            let mut file = BufWriter::with_capacity(1 << 20, File::create(&path)?);
            let mut stream = blake3::Hasher::new_derive_key("loopcast demo file").finalize_xof();
            let mut hash = blake3::Hasher::new();
            let mut chunk = vec![0; 1 << 20];
            let mut left = size;
            while left > 0 {
                let len = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
                stream.fill(&mut chunk[..len]);
                hash.update_rayon(&chunk[..len]);
                file.write_all(&chunk[..len])?;
                left -= len as u64;
            }
            file.flush()?;
            Ok(hash.finalize())
        };
        let hash = fill().map_err(|e| cannot_write(&path, &e))?;
        Ok(Subject { path, size, hash })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// The length of a file.
pub(super) fn size_of(path: &Path) -> Result<u64, End> {
    let unreadable = |e: io::Error| {
        End::error(
            Exit::Environment,
            format!(
                "can't read {}: {e}; check the name and its permissions",
                path.display()
            ),
        )
    };
    let meta = fs::metadata(path).map_err(unreadable)?;
    if !meta.is_file() {
        let text = format!(
            "{} is not a file: name a file, or none for one that is made up",
            path.display()
        );
        return Err(End::error(Exit::Environment, text));
    }
    Ok(meta.len())
}

fn cannot_write(path: &Path, error: &io::Error) -> End {
    let text = format!(
        "can't write to {}: {error}; set TMPDIR to another folder",
        path.display()
    );
    End::error(Exit::Environment, text)
}

/// The file that is sent.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) path: PathBuf,
    pub(super) size: u64,
    pub(super) hash: blake3::Hash,
}

impl Subject {
    /// A file of the user's.
    pub(super) fn read(path: &Path) -> Result<Subject, End> {
        let size = size_of(path)?;
        if path.to_str().is_none() {
            let text = format!("{} is not UTF-8: rename it", path.display());
            return Err(End::error(Exit::Environment, text));
        }
        let hash = hash(path).map_err(|e| {
            End::error(
                Exit::Environment,
                format!("can't read {}: {e}; check its permissions", path.display()),
            )
        })?;
        Ok(Subject {
            path: path.to_owned(),
            size,
            hash,
        })
    }

    /// Whether the copy in `folder` has the same bytes and nothing lies beside it.
    pub(super) fn is_same_as(&self, folder: &Path) -> Result<(), String> {
        let name = self.path.file_name().unwrap_or_default();
        let copy = hash(&folder.join(name)).map_err(|e| e.to_string())?;
        if copy != self.hash {
            return Err(format!("BLAKE3 {copy}, not {}", self.hash));
        }
        let files = fs::read_dir(folder).map_err(|e| e.to_string())?.count();
        if files == 1 {
            Ok(())
        } else {
            Err(format!(
                "{} lie beside it",
                human::count(files as u64 - 1, "file")
            ))
        }
    }
}

fn hash(path: &Path) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize())
}

/// A group and port that nobody on this machine uses. Receivers' sockets share their port, so only
/// the sender's can be in somebody's way.
pub(super) fn free_group() -> Result<Url, End> {
    let no_port = |e: io::Error| {
        End::error(
            Exit::Environment,
            format!("can't get a UDP port on loopback: {e}"),
        )
    };
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..100 {
        let one = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(no_port)?;
        let port = one.local_addr().map_err(no_port)?.port();
        let next = port.checked_add(1).filter(|&p| p != u16::MAX);
        match next.map(|next| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, next))) {
            Some(Ok(_)) => {
                // A group of its own for the port: other demos on this machine have other ports.
                let [high, low] = port.to_be_bytes();
                let group = Ipv4Addr::new(239, 193, high, low);
                return Url::address(group.into(), port)
                    .map_err(|e| End::error(Exit::Environment, e));
            }
            Some(Err(e)) => last = e,
            None => {}
        }
    }
    Err(no_port(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_file_is_itself_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place {
            root: dir.path().to_owned(),
        };
        let subject = place.make_up(3_000_001).unwrap();
        assert_eq!(fs::metadata(&subject.path).unwrap().len(), 3_000_001);
        let copy = dir.path().join("copy");
        fs::create_dir(&copy).unwrap();
        assert!(subject.is_same_as(&copy).is_err());
        fs::copy(&subject.path, copy.join("film.bin")).unwrap();
        assert_eq!(subject.is_same_as(&copy), Ok(()));
        fs::write(copy.join("film.bin.part"), "").unwrap();
        assert!(subject.is_same_as(&copy).is_err());
    }

    #[test]
    fn room_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place {
            root: dir.path().to_owned(),
        };
        assert!(place.check_room(1).is_ok());
        assert_eq!(
            place.check_room(u64::MAX).unwrap_err().exit,
            Exit::Environment
        );
    }

    #[test]
    fn groups_are_groups() {
        assert!(free_group().unwrap().to_send_to().is_ok());
    }
}
