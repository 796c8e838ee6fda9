//! Which object a path is that the user named: what it is called, and what it will be at receivers.
//!
//! Takes paths as they were typed, gives names and kinds. It looks at what is there, and opens
//! nothing.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::driver::StartError;
use crate::object::{ObjectKind, SafeName};

/// Most paths that are offered at a time: each is an object with state of its own.
const MAX_OBJECTS: usize = 10_000;

/// A path and what it is offered as.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PathToOffer {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Name that receivers know it by.
    pub(crate) name: SafeName,
    /// Kind of object that it is for them.
    pub(crate) kind: ObjectKind,
}

/// Each path is one object: a file; `photos`, a folder of this name; `photos/`, what is in it.
///
/// # Errors
///
/// [`StartError`] about what is there or has no name to be offered under, or about two of one name.
pub(crate) fn name_paths(paths: &[PathBuf]) -> Result<Vec<PathToOffer>, StartError> {
    if paths.is_empty() {
        return Err(StartError::NothingToSend);
    }
    if paths.len() > MAX_OBJECTS {
        return Err(StartError::TooManyFiles(MAX_OBJECTS));
    }
    let mut known: HashMap<String, &PathBuf> = HashMap::new();
    let mut named = Vec::with_capacity(paths.len());
    for path in paths {
        let one = name_path(path)?;
        let name = one.name.as_str().to_owned();
        if let Some(first) = known.insert(name.clone(), path) {
            return Err(StartError::NameClash {
                name,
                first: first.clone(),
                second: path.clone(),
            });
        }
        named.push(one);
    }
    Ok(named)
}

/// Name and kind that one path is offered by.
pub(crate) fn name_path(path: &Path) -> Result<PathToOffer, StartError> {
    let unreadable = |source| StartError::Unreadable {
        path: path.to_owned(),
        source,
    };
    // A link that the user names is meant.
    let found = fs::metadata(path).map_err(unreadable)?;
    let kind = match (found.is_file(), found.is_dir()) {
        (true, _) => ObjectKind::File,
        (_, true) if is_inside(path) => ObjectKind::Inside,
        (_, true) => ObjectKind::Folder,
        _ => {
            let path = path.to_owned();
            return Err(StartError::NotAFile { path });
        }
    };
    let bad = |reason: String| StartError::BadName {
        path: path.to_owned(),
        reason,
    };
    let own = match path.file_name() {
        Some(name) => name.to_owned(),
        // `.` and `..` have a name only where they lead.
        None => {
            let whole = fs::canonicalize(path).map_err(unreadable)?;
            let name = whole.file_name().map(ToOwned::to_owned);
            name.ok_or_else(|| bad("the root of the file system has no name".to_owned()))?
        }
    };
    let name = own
        .to_str()
        .ok_or_else(|| bad("its name is not UTF-8".to_owned()))?;
    let name = SafeName::offered(name).map_err(|e| bad(e.to_string()))?;
    let path = path.to_owned();
    Ok(PathToOffer { path, name, kind })
}

/// A folder is named with a slash at its end, or is `.` or `..`: what is in it is meant, as rsync
/// has it.
fn is_inside(path: &Path) -> bool {
    let bytes = path.as_os_str().as_encoded_bytes();
    bytes.ends_with(b"/") || matches!(bytes.rsplit(|&b| b == b'/').next(), Some(b"." | b".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_an_object() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| PathBuf::from(format!("{}/{path}", dir.path().display()));
        fs::create_dir_all(at("set/b")).unwrap();
        fs::write(at("one"), "1").unwrap();
        let kinds = [
            ("one", "one", ObjectKind::File),
            ("set", "set", ObjectKind::Folder),
            ("set/", "set", ObjectKind::Inside),
            ("set/.", "set", ObjectKind::Inside),
            ("set/b/..", "set", ObjectKind::Inside),
            ("set/b", "b", ObjectKind::Folder),
        ];
        for (path, name, kind) in kinds {
            let named = name_path(&at(path)).unwrap();
            assert_eq!((named.name.as_str(), named.kind), (name, kind), "{path}");
        }
        assert_eq!(name_paths(&[at("one"), at("set/")]).unwrap().len(), 2);
    }

    #[test]
    fn names_that_clash_are_refused_with_both_paths() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["x", "y"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
            fs::write(dir.path().join(folder).join("same"), folder).unwrap();
        }
        let both = [dir.path().join("x/same"), dir.path().join("y/same")];
        let text = name_paths(&both).unwrap_err().to_string();
        assert!(text.contains("x/same") && text.contains("y/same"), "{text}");
    }

    #[test]
    fn what_is_not_there_or_has_no_name_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let error = name_path(&dir.path().join("gone")).unwrap_err();
        assert!(error.to_string().contains("gone"));
        assert!(matches!(name_paths(&[]), Err(StartError::NothingToSend)));
        if cfg!(unix) {
            let error = name_path(Path::new("/dev/null")).unwrap_err();
            assert!(matches!(error, StartError::NotAFile { .. }), "{error}");
            let error = name_path(Path::new("/")).unwrap_err();
            assert!(matches!(error, StartError::BadName { .. }), "{error}");
        }
        fs::write(dir.path().join("half.part"), "").unwrap();
        let error = name_path(&dir.path().join("half.part")).unwrap_err();
        assert!(matches!(error, StartError::BadName { .. }), "{error}");
        let many = vec![dir.path().join("gone"); MAX_OBJECTS + 1];
        let error = name_paths(&many).unwrap_err();
        assert!(matches!(error, StartError::TooManyFiles(_)), "{error}");
    }
}
