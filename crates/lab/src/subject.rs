//! A file that is sent for show or measurement, and whether copies of it are right.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::{content, count};

/// The file that is sent.
#[derive(Debug)]
pub struct Subject {
    /// Where it is.
    pub path: PathBuf,
    /// Its bytes.
    pub size: u64,
    /// Their BLAKE3.
    pub hash: blake3::Hash,
}

impl Subject {
    /// A file of `size` bytes that nothing can compress or guess; the same seed gives the same
    /// bytes.
    pub fn make_up(path: PathBuf, size: u64, seed: u64) -> Result<Subject, String> {
        let mut hasher = blake3::Hasher::new();
        let written = content::make(&path, size, seed, |chunk| {
            hasher.update_rayon(chunk);
        });
        written.map_err(|e| cannot_write(&path, &e))?;
        let hash = hasher.finalize();
        Ok(Subject { path, size, hash })
    }

    /// A file of the user's.
    pub fn read(path: &Path) -> Result<Subject, String> {
        let size = size_of(path)?;
        if path.to_str().is_none() {
            return Err(format!("{} is not UTF-8: rename it", path.display()));
        }
        let unreadable = |e| format!("can't read {}: {e}; check its permissions", path.display());
        let hash = hash(path).map_err(unreadable)?;
        Ok(Subject {
            path: path.to_owned(),
            size,
            hash,
        })
    }

    /// Whether the copy in `folder` has the same bytes and nothing lies beside it.
    pub fn is_same_as(&self, folder: &Path) -> Result<(), String> {
        Subject::are_same_as(std::slice::from_ref(self), folder)
    }

    /// Whether the copies of all subjects in `folder` are the same and nothing lies beside them.
    pub fn are_same_as(all: &[Subject], folder: &Path) -> Result<(), String> {
        for subject in all {
            let name = subject.path.file_name().unwrap_or_default();
            let copy = hash(&folder.join(name)).map_err(|e| e.to_string())?;
            if copy != subject.hash {
                let name = name.display();
                return Err(format!("{name}: BLAKE3 {copy}, not {}", subject.hash));
            }
        }
        let files = fs::read_dir(folder).map_err(|e| e.to_string())?.count();
        match files.saturating_sub(all.len()) {
            0 => Ok(()),
            more => {
                let more = count(more, "file");
                let them = if all.len() == 1 { "it" } else { "them" };
                Err(format!("{more} lie beside {them}"))
            }
        }
    }
}

fn hash(path: &Path) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize())
}

/// The length of a file.
pub fn size_of(path: &Path) -> Result<u64, String> {
    let unreadable = |e: io::Error| {
        format!(
            "can't read {}: {e}; check the name and its permissions",
            path.display()
        )
    };
    let meta = fs::metadata(path).map_err(unreadable)?;
    if !meta.is_file() {
        let file = path.display();
        return Err(format!(
            "{file} is not a file: name a file, or none for one that is made up"
        ));
    }
    Ok(meta.len())
}

/// What to say when a file can't be written.
pub fn cannot_write(path: &Path, error: &io::Error) -> String {
    format!(
        "can't write to {}: {error}; set TMPDIR to another folder",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_file_is_itself_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str, seed| Subject::make_up(dir.path().join(name), 3_000_001, seed);
        let subject = make("film.bin", 1).unwrap();
        assert_eq!(fs::metadata(&subject.path).unwrap().len(), 3_000_001);
        assert_eq!(make("again.bin", 1).unwrap().hash, subject.hash);
        assert_ne!(make("other.bin", 2).unwrap().hash, subject.hash);
        let copy = dir.path().join("copy");
        fs::create_dir(&copy).unwrap();
        assert!(subject.is_same_as(&copy).is_err());
        fs::copy(&subject.path, copy.join("film.bin")).unwrap();
        assert_eq!(subject.is_same_as(&copy), Ok(()));
        fs::write(copy.join("film.bin.part"), "").unwrap();
        assert!(subject.is_same_as(&copy).is_err());
    }
}
