//! The files of an object at a receiver: their names, whether they may be written, and what a
//! finished one is given beside its bytes.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::object::{Description, Geometry};
use crate::store::folder::{Folder, Kind, allocated};
use crate::store::sidecar::Sidecar;
use crate::store::{MovedAside, SinkError};

/// The incomplete file of a file.
pub(super) fn part(name: &str) -> String {
    format!("{name}.part")
}

/// What is known about the incomplete file.
pub(super) fn state(name: &str) -> String {
    format!("{name}.part.state")
}

/// Opens the incomplete file. Gives whether it is of this coding, and what became of one of another.
pub(super) fn open_part(
    folder: &Folder,
    name: &str,
    description: &Description,
) -> Result<(File, bool, Option<MovedAside>), SinkError> {
    let (part_name, state_name) = (part(name), state(name));
    let path = folder.path_of(&part_name);
    let fault = |e| SinkError::write(&path, e);
    let file = folder.open_locked(&part_name)?;
    let is_empty = file.metadata().map_err(fault)?.len() == 0;
    let has_state = folder.kind(&state_name).map_err(fault)?.is_some();
    if has_state && Sidecar::is_of(&folder.open_file(&state_name)?, &description.coding()) {
        return Ok((file, true, None));
    }
    if is_empty {
        return Ok((file, false, None));
    }
    let old = format!("{name}.part.old");
    check_target(folder, &old)?;
    let replaced = folder.kind(&old).map_err(fault)?.is_some();
    folder.rename(&part_name, &old).map_err(fault)?;
    let path = folder.path_of(&old);
    let file = folder.open_locked(&part_name)?;
    Ok((file, false, Some(MovedAside { path, replaced })))
}

/// Only a plain file may be replaced.
pub(crate) fn check_target(folder: &Folder, name: &str) -> Result<(), SinkError> {
    let path = folder.path_of(name);
    match folder.kind(name) {
        Ok(None | Some(Kind::File)) => Ok(()),
        Ok(Some(Kind::Link)) => Err(SinkError::Link { path }),
        Ok(Some(Kind::Other)) => Err(SinkError::Occupied { path }),
        Err(e) => Err(SinkError::write(&path, e)),
    }
}

/// Whether what is still to come has room.
pub(super) fn check_space(
    folder: &Folder,
    path: &Path,
    file: &File,
    g: &Geometry,
) -> Result<(), SinkError> {
    let need = g
        .length()
        .saturating_sub(allocated(file))
        .saturating_add(Sidecar::size(g));
    match folder.free() {
        Some(free) if free < need => Err(SinkError::NoSpace {
            path: path.to_path_buf(),
            need,
            free,
        }),
        _ => Ok(()),
    }
}

/// Gives the file the sender's permissions, less what the umask takes and set-id bits.
///
/// The umask shows in what mode the incomplete file was made with: who may not write that may not
/// write this, and so on. So a second call can take away, but not give.
pub(crate) fn set_mode(file: &File, mode: u32) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let Ok(made) = file.metadata().map(|m| m.permissions().mode()) else {
            return;
        };
        let read_write = made & 0o666;
        let execute = (read_write & 0o444) >> 2;
        let mode = (mode & (read_write | execute)) | 0o400;
        let _ = file.set_permissions(std::fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = (file, mode);
}

/// A table's time for the system; `None` where it has no such time.
pub(crate) fn system_time(ns: i64) -> Option<SystemTime> {
    let away = Duration::from_nanos(ns.unsigned_abs());
    let epoch = SystemTime::UNIX_EPOCH;
    if ns < 0 {
        epoch.checked_sub(away)
    } else {
        epoch.checked_add(away)
    }
}
