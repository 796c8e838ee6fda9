//! The `--stats` file: figures at exit as one JSON object, whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::exit::{End, Exit};

/// A place for figures, found writable before anything else starts.
#[derive(Debug)]
pub(crate) struct StatsFile {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
}

impl StatsFile {
    /// Makes a file beside `path` that will take its place.
    ///
    /// # Errors
    ///
    /// [`Exit::Environment`] when it can't be made.
    pub(crate) fn create(path: &Path) -> Result<StatsFile, End> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
        let file = if path.is_dir() {
            Err(io::Error::from(io::ErrorKind::IsADirectory))
        } else {
            File::create(&temporary)
        };
        match file {
            Ok(file) => Ok(StatsFile {
                path: path.to_owned(),
                temporary,
                file,
            }),
            Err(e) => Err(cannot_write(path, &e)),
        }
    }

    /// Writes the figures and puts the file in its place.
    ///
    /// # Errors
    ///
    /// [`Exit::Environment`] when it can't be written.
    pub(crate) fn write(mut self, figures: &Figures<'_, impl Serialize>) -> Result<(), End> {
        let text = figures.text();
        let written = self
            .file
            .write_all(text.as_bytes())
            .and_then(|()| self.file.sync_all());
        written
            .and_then(|()| fs::rename(&self.temporary, &self.path))
            .map_err(|e| cannot_write(&self.path, &e))
    }
}

impl Drop for StatsFile {
    fn drop(&mut self) {
        // Gone already when it was put in its place.
        let _ = fs::remove_file(&self.temporary);
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> End {
    let text = format!(
        "can't write figures to {}: {error}; give --stats another file",
        path.display()
    );
    End::error(Exit::Environment, text)
}

/// How a run of a sender or receiver ended, and its summary unless it never started.
#[derive(Debug, Serialize)]
pub(crate) struct Figures<'a, S> {
    role: &'static str,
    version: &'static str,
    #[serde(flatten)]
    end: &'a End,
    #[serde(flatten)]
    summary: Option<&'a S>,
}

impl<'a, S: Serialize> Figures<'a, S> {
    /// Figures of a `sender` or `receiver`.
    pub(crate) fn new(role: &'static str, summary: Option<&'a S>, end: &'a End) -> Figures<'a, S> {
        Figures {
            role,
            version: env!("CARGO_PKG_VERSION"),
            end,
            summary,
        }
    }

    /// The text of the file.
    pub(crate) fn text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_whole_and_nothing_stays_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.json");
        let end = End::quiet(Exit::Complete);
        StatsFile::create(&path)
            .unwrap()
            .write(&Figures::new("sender", None::<&()>, &end))
            .unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["exit_code"], 0);
        drop(StatsFile::create(&path).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_found_at_once() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().to_owned(), dir.path().join("none/s.json")] {
            let end = StatsFile::create(&path).unwrap_err();
            assert_eq!(end.exit, Exit::Environment);
            assert!(end.error.contains("--stats"), "{}", end.error);
        }
    }
}
