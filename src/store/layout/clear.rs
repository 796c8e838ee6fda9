//! Removing what is in a folder, without ever following a link, with few descriptors.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, fstat};
use rustix::io::Errno;

use super::files::{Files, enter, split};
use super::sys;
use crate::object::table::MAX_COMPONENTS;

/// Fate of a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// What is there stays, with all that is in it.
    Keep,
    /// The folder stays, what is in it is looked at.
    Enter,
    /// What is there goes, and what is in it, as far as that goes.
    Remove,
}

/// A folder that is being gone through.
struct Visit {
    names: std::vec::IntoIter<(Vec<u8>, FileType)>,
    remove: bool,
}

/// Hears of each path that went, or why it did not.
type Told<'a> = dyn FnMut(&[u8], io::Result<()>) + 'a;

/// Goes through a folder and removes what `judge` says, which is asked with paths in it.
pub(super) fn prune(
    root: OwnedFd,
    judge: &mut dyn FnMut(&[u8], FileType) -> Verdict,
    told: &mut Told<'_>,
) -> io::Result<()> {
    let disk = sys::id(&fstat(&root)?).0;
    let mut path: Vec<u8> = Vec::new();
    let mut visits = vec![Visit {
        names: sys::list(&root)?.into_iter(),
        remove: false,
    }];
    let mut files = Files::new(root);
    while let Some(visit) = visits.last_mut() {
        let Some((name, kind)) = visit.names.next() else {
            let remove = visit.remove;
            visits.pop();
            if remove {
                let result = remove_in(&mut files, &path, true);
                told(&path, result.map_err(io::Error::from));
            }
            path.truncate(split(&path).0.len());
            continue;
        };
        let above = path.len();
        if above > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(&name);
        let verdict = judge(&path, kind);
        if verdict != Verdict::Keep && kind == FileType::Directory {
            let remove = verdict == Verdict::Remove;
            match open_to_visit(&mut files, &path, remove, disk, visits.len()) {
                Ok(names) => {
                    let names = names.into_iter();
                    visits.push(Visit { names, remove });
                    continue;
                }
                Err(e) => told(&path, Err(e)),
            }
        } else if verdict == Verdict::Remove {
            let result = remove_in(&mut files, &path, false);
            told(&path, result.map_err(io::Error::from));
        }
        path.truncate(above);
    }
    Ok(())
}

fn open_to_visit(
    files: &mut Files,
    path: &[u8],
    remove: bool,
    disk: u64,
    depth: usize,
) -> io::Result<Vec<(Vec<u8>, FileType)>> {
    if depth > MAX_COMPONENTS {
        return Err(io::Error::other("it is too deep"));
    }
    let folder = files.folder(path, false)?;
    let stat = fstat(&folder)?;
    if sys::id(&stat).0 != disk {
        return Err(io::Error::other("it is on another file system"));
    }
    if remove && sys::bits(&stat) & 0o700 != 0o700 {
        // Where that is not permitted, removing tells.
        let _ = sys::set_mode(&folder, (sys::bits(&stat) & 0o777) | 0o700);
    }
    Ok(sys::list(&folder)?)
}

fn remove_in(files: &mut Files, path: &[u8], is_folder: bool) -> Result<(), Errno> {
    let (above, name) = split(path);
    let folder = files.folder(above, false)?;
    match is_folder {
        true => sys::remove_folder(&folder, name),
        false => sys::unlink(&folder, name),
    }
}

/// Removes what has a name in a folder, with all that is in it. What is not there is no error.
pub(super) fn remove_all(at: impl AsFd, name: &[u8]) -> io::Result<()> {
    match sys::unlink(&at, name) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(e) => return Err(e.into()),
    }
    let folder = enter(&at, name, false)?;
    if sys::bits(&fstat(&folder)?) & 0o700 != 0o700 {
        let _ = sys::set_mode(&folder, 0o700);
    }
    let mut result = Ok(());
    prune(folder, &mut |_, _| Verdict::Remove, &mut |_, gone| {
        if result.is_ok() {
            result = gone;
        }
    })?;
    result?;
    Ok(sys::remove_folder(&at, name)?)
}
