//! Which files go into an archive, and under which names.
//!
//! Takes the paths that the user named, gives files with checked names. It opens no file.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::driver::StartError;
use crate::object::SafeName;

/// Most files in an archive.
const MAX_FILES: usize = 10_000;

/// A file and its name in the archive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileToOffer {
    /// Where it is.
    pub path: PathBuf,
    /// What it is called there.
    pub name: SafeName,
}

/// What is found at the paths that the user named.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Found {
    /// The files, of different names.
    pub files: Vec<FileToOffer>,
    /// Links, devices and the like in directories.
    pub skipped: Vec<PathBuf>,
}

/// The files at `paths`: each file under its own name, and each regular file in a directory, links
/// not followed, under its path within the directory. In the order given, and sorted within a
/// directory.
///
/// # Errors
///
/// [`StartError`] about what is there or has no name to be offered under.
pub fn expand(paths: &[PathBuf]) -> Result<Found, StartError> {
    if paths.is_empty() {
        return Err(StartError::NothingToSend);
    }
    let mut files = Vec::new();
    let mut skipped = Vec::new();
    for path in paths {
        // A link that the user names is meant; those found in a directory may lead out of it.
        let kind = fs::metadata(path).map_err(|e| unreadable(path, e))?;
        if kind.is_file() {
            add(&mut files, path.clone(), own_name(path)?)?;
        } else if kind.is_dir() {
            walk(path, "", &mut files, &mut skipped)?;
        } else {
            return Err(StartError::NotAFile { path: path.clone() });
        }
    }
    if files.is_empty() {
        return Err(StartError::NothingToSend);
    }
    let mut known: HashMap<String, PathBuf> = HashMap::new();
    let mut checked = Vec::with_capacity(files.len());
    for (path, name) in files {
        let safe = SafeName::offered(&name).map_err(|e| StartError::BadName {
            path: path.clone(),
            reason: e.to_string(),
        })?;
        if let Some(first) = known.insert(name.clone(), path.clone()) {
            return Err(StartError::NameClash {
                name,
                first,
                second: path,
            });
        }
        checked.push(FileToOffer { path, name: safe });
    }
    Ok(Found {
        files: checked,
        skipped,
    })
}

/// The last part of a file's path.
fn own_name(path: &Path) -> Result<String, StartError> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned).ok_or_else(|| StartError::BadName {
        path: path.to_owned(),
        reason: "its name is not UTF-8".to_owned(),
    })
}

/// Adds the files in `folder`, whose names start with `prefix`, and what else is there to
/// `skipped`.
fn walk(
    folder: &Path,
    prefix: &str,
    files: &mut Vec<(PathBuf, String)>,
    skipped: &mut Vec<PathBuf>,
) -> Result<(), StartError> {
    let entries: io::Result<Vec<_>> = fs::read_dir(folder).and_then(|entries| entries.collect());
    let mut entries = entries.map_err(|e| unreadable(folder, e))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let kind = entry.file_type().map_err(|e| unreadable(&path, e))?;
        if !kind.is_dir() && !kind.is_file() {
            skipped.push(path);
            continue;
        }
        let name = format!("{prefix}{}", own_name(&path)?);
        if kind.is_dir() {
            walk(&path, &format!("{name}/"), files, skipped)?;
        } else {
            add(files, path, name)?;
        }
    }
    Ok(())
}

fn add(files: &mut Vec<(PathBuf, String)>, path: PathBuf, name: String) -> Result<(), StartError> {
    if files.len() == MAX_FILES {
        return Err(StartError::TooManyFiles(MAX_FILES));
    }
    files.push((path, name));
    Ok(())
}

fn unreadable(path: &Path, source: io::Error) -> StartError {
    StartError::Unreadable {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(files: &[FileToOffer]) -> Vec<&str> {
        files.iter().map(|f| f.name.as_str()).collect()
    }

    #[test]
    fn directories_give_their_regular_files_under_relative_paths() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("set");
        fs::create_dir_all(top.join("b")).unwrap();
        fs::write(top.join("b/2.bin"), "2").unwrap();
        fs::write(top.join("a.bin"), "a").unwrap();
        fs::write(dir.path().join("one"), "1").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(dir.path(), top.join("loop")).unwrap();
        let found = expand(&[top.clone(), dir.path().join("one")]).unwrap();
        assert_eq!(names(&found.files), ["a.bin", "b/2.bin", "one"]);
        if cfg!(unix) {
            assert_eq!(found.skipped, [top.join("loop")]);
        }
    }

    #[test]
    fn as_many_files_as_are_too_many_are_refused_however_they_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = |n: usize| dir.path().join(n.to_string());
        let paths: Vec<PathBuf> = (0..=MAX_FILES).map(file).collect();
        paths.iter().for_each(|path| fs::write(path, "").unwrap());
        for paths in [&paths[..], &[dir.path().to_owned()]] {
            let error = expand(paths).unwrap_err();
            assert!(matches!(error, StartError::TooManyFiles(_)), "{error}");
        }
        assert_eq!(expand(&paths[1..]).unwrap().files.len(), MAX_FILES);
    }

    #[test]
    fn names_that_clash_are_refused_with_both_paths() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["x", "y"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
            fs::write(dir.path().join(folder).join("same"), folder).unwrap();
        }
        let error = expand(&[dir.path().join("x/same"), dir.path().join("y/same")]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("x/same") && text.contains("y/same"), "{text}");
    }

    #[test]
    fn what_is_not_there_or_is_no_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let gone = dir.path().join("gone");
        assert!(
            expand(std::slice::from_ref(&gone))
                .unwrap_err()
                .to_string()
                .contains("gone")
        );
        assert!(matches!(expand(&[]), Err(StartError::NothingToSend)));
        assert!(matches!(
            expand(&[dir.path().to_owned()]),
            Err(StartError::NothingToSend)
        ));
        if cfg!(unix) {
            let error = expand(&[PathBuf::from("/dev/null")]).unwrap_err();
            assert!(matches!(error, StartError::NotAFile { .. }), "{error}");
        }
        fs::write(dir.path().join("half.part"), "").unwrap();
        let error = expand(&[dir.path().join("half.part")]).unwrap_err();
        assert!(matches!(error, StartError::BadName { .. }), "{error}");
    }
}
