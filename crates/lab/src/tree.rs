//! Trees of known content: made from a seed, changed, and compared with their copies.

use std::collections::BTreeMap;
use std::fs::{self, Metadata, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::content;

/// Files in a folder.
const IN_FOLDER: usize = 100;
/// Sizes are drawn from as many powers of ten, as in homes and source trees: many small files, and
/// few that have most of the bytes.
const DECADES: f64 = 4.0;
/// Modification times begin here and are a nanosecond and some seconds apart.
const FIRST_TIME: Duration = Duration::from_secs(1_600_000_000);

/// How many files, and how many bytes in all.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Files.
    pub files: usize,
    /// Bytes of all of them together, about.
    pub bytes: u64,
}

/// Makes a tree, in folders of a hundred files, with modes and times of their own.
///
/// Sizes are log-uniform over four powers of ten, then scaled so that they make the bytes asked
/// for.
pub fn make(root: &Path, shape: Shape, seed: u64) -> Result<(), String> {
    let mut dice = fastrand::Rng::with_seed(seed);
    let drawn = (0..shape.files).map(|_| 10_f64.powf(dice.f64() * DECADES));
    let drawn: Vec<f64> = drawn.collect();
    let scale = shape.bytes as f64 / drawn.iter().sum::<f64>();
    let fault = |path: &Path, e: std::io::Error| format!("{}: {e}", path.display());
    for (number, drawn) in drawn.iter().enumerate() {
        let path = root.join(name(number));
        if number % IN_FOLDER == 0
            && let Some(folder) = path.parent()
        {
            fs::create_dir_all(folder).map_err(|e| fault(folder, e))?;
        }
        let size = (drawn * scale) as u64;
        content::write_seeded(&path, size, seed ^ (number as u64) << 20)?;
        let mode = if number % 7 == 0 { 0o755 } else { 0o640 };
        let mode = fs::set_permissions(&path, Permissions::from_mode(mode));
        mode.map_err(|e| fault(&path, e))?;
        set_time(
            &path,
            FIRST_TIME + Duration::new(number as u64, number as u32),
        )?;
    }
    Ok(())
}

fn name(number: usize) -> PathBuf {
    let folder = number / IN_FOLDER;
    PathBuf::from(format!("part-{:03}", folder / IN_FOLDER))
        .join(format!("set {folder:05}"))
        .join(format!("file-{number:07}.dat"))
}

fn set_time(path: &Path, since_epoch: Duration) -> Result<(), String> {
    let file = fs::File::options().append(true).open(path);
    let set = file.and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH + since_epoch));
    set.map_err(|e| format!("{}: {e}", path.display()))
}

/// Gives every hundredth file other bytes of the same length and renames every hundredth.
pub fn change(root: &Path, files: usize, seed: u64) -> Result<(), String> {
    for number in (0..files).step_by(100) {
        let path = root.join(name(number));
        let size = fs::metadata(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        content::write_seeded(&path, size.len(), !seed ^ number as u64)?;
        let path = root.join(name(number + 1));
        let renamed = fs::rename(&path, path.with_extension("renamed"));
        renamed.map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}

/// Everything below a folder, by its path; the folder itself is the empty path.
pub fn list(root: &Path) -> Result<BTreeMap<PathBuf, Metadata>, String> {
    let mut all = BTreeMap::new();
    let mut left = vec![PathBuf::new()];
    while let Some(path) = left.pop() {
        let full = root.join(&path);
        let fault = |e: std::io::Error| format!("{}: {e}", full.display());
        let meta = full.symlink_metadata().map_err(fault)?;
        if meta.is_dir() {
            for entry in fs::read_dir(&full).map_err(fault)? {
                left.push(path.join(entry.map_err(fault)?.file_name()));
            }
        }
        all.insert(path, meta);
    }
    Ok(all)
}

/// An error unless `copy` has the same names, kinds, bytes, modes and times.
pub fn compare(original: &Path, copy: &Path) -> Result<(), String> {
    let (ours, theirs) = (list(original)?, list(copy)?);
    if let Some(name) = ours.keys().find(|name| !theirs.contains_key(*name)) {
        return Err(format!("{} is not there", copy.join(name).display()));
    }
    if let Some(name) = theirs.keys().find(|name| !ours.contains_key(*name)) {
        return Err(format!("{} is one too many", copy.join(name).display()));
    }
    for (name, meta) in &ours {
        let looks = |m: &Metadata| (m.file_type(), m.mode() & 0o7777, m.mtime(), m.mtime_nsec());
        let path = copy.join(name);
        if theirs.get(name).map(looks) != Some(looks(meta)) {
            return Err(format!("{}: other kind, mode or time", path.display()));
        }
        if meta.is_file() {
            content::compare(&original.join(name), &path)?;
        }
    }
    Ok(())
}

/// Bytes of all files below a folder.
pub fn bytes(root: &Path) -> Result<u64, String> {
    let files = list(root)?;
    Ok(files
        .values()
        .filter(|m| m.is_file())
        .map(|m| m.len())
        .sum())
}

/// Traces of everything below a folder: they change when it is written to, made or taken away.
pub fn traces(root: &Path) -> Result<Vec<(PathBuf, u64, i64, i64)>, String> {
    let all = list(root)?.into_iter();
    Ok(all
        .map(|(path, m)| (path, m.ino(), m.ctime(), m.ctime_nsec()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_compared_in_all_that_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
        let shape = Shape {
            files: 250,
            bytes: 100_000,
        };
        make(&a, shape, 5).unwrap();
        make(&b, shape, 5).unwrap();
        // Folders have the time at which they were made.
        let times = |root: &Path, other: &Path| {
            for name in list(root).unwrap().keys() {
                let time = other.join(name).metadata().unwrap().modified().unwrap();
                let file = fs::File::open(root.join(name)).unwrap();
                file.set_modified(time).unwrap();
            }
        };
        times(&b, &a);
        compare(&a, &b).unwrap();
        assert!(bytes(&a).unwrap().abs_diff(100_000) <= 250);
        let before = traces(&b).unwrap();
        assert_eq!(traces(&b).unwrap(), before);

        let file = b.join(name(7));
        let meta = file.metadata().unwrap();
        set_time(&file, Duration::from_secs(1)).unwrap();
        assert!(compare(&a, &b).unwrap_err().contains("time"));
        assert_ne!(traces(&b).unwrap(), before);
        content::write_seeded(&file, meta.len(), 1).unwrap();
        times(&b, &a);
        assert!(compare(&a, &b).unwrap_err().contains("differs"));
        fs::remove_file(&file).unwrap();
        assert!(compare(&a, &b).unwrap_err().contains("is not there"));
        assert!(compare(&b, &a).unwrap_err().contains("one too many"));
    }
}
