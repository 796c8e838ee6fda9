//! The `--stats` file: figures at exit as one JSON object, whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use loopcast::driver::{
    Loss, ReceiverObject, ReceiverSummary, SenderObject, SenderReceiver, SenderSummary, Spent,
    Traffic,
};
use loopcast::wire::Outcome;

use crate::exit::{End, Exit};
use crate::fields::Fields;
use crate::{receiver_json, sender_json};

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
    pub(crate) fn write(mut self, figures: &Fields) -> Result<(), End> {
        let text = figures.pretty() + "\n";
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

/// What stands first in every `--stats` file.
fn head(role: &'static str, end: &End) -> Fields {
    Fields::new()
        .with("role", role)
        .with("version", env!("CARGO_PKG_VERSION"))
        .with("outcome", end.exit.word())
        .with("exit_code", end.exit.code())
        .with("error", (!end.error.is_empty()).then(|| end.error.clone()))
}

/// The figures of a run that never started.
pub(crate) fn not_started(role: &'static str, end: &End) -> Fields {
    head(role, end)
}

/// The figures of a sender.
pub(crate) fn sender(s: &SenderSummary, end: &End) -> Fields {
    head("sender", end)
        .with("session", s.session.to_string())
        .with("fingerprint", s.fingerprint.to_string())
        .and(spent(s.spent))
        .object("sent", traffic(&s.sent))
        .object("received", traffic(&s.received))
        .object("loss", loss(&s.loss))
        .with("repairs", s.repairs)
        .with("naks_received", s.naks_received)
        .with("receivers_known", s.receivers_known)
        .with("most_unlisted", s.most_unlisted)
        .array("tiers", s.tiers.iter().map(sender_json::tier))
        .array("receivers", s.receivers.iter().map(sender_receiver))
        .array("objects", s.objects.iter().map(sender_object))
        .array(
            "not_offered",
            s.not_offered.iter().map(|(path, reason)| {
                Fields::new()
                    .with("path", path.to_string_lossy())
                    .with("reason", reason.as_str())
            }),
        )
}

fn sender_receiver(r: &SenderReceiver) -> Fields {
    standing(r)
        .with("joined", secs(r.joined))
        .with("left", r.left.map(secs))
        .with("outcome", r.outcome.map(outcome_word))
        .with("naks", r.naks)
}

/// How a receiver fares, as it last reported.
pub(crate) fn standing(r: &SenderReceiver) -> Fields {
    Fields::new()
        .with("id", r.id.to_string())
        .with("address", r.address.to_string())
        .with("path", r.path.name())
        .with("tier_bps", r.tier.as_bps())
        .with("moves", r.moves)
        .with("why", r.why.name())
        .with("throughput_bps", r.throughput.as_bps())
        .with("packets", r.packets)
        .with("lost", r.lost)
        .with("overflowed", r.overflowed)
        .with("stalled", r.stalled)
        .with("progress", r.progress)
        .with("seconds_left", r.remaining.map(secs))
}

fn sender_object(o: &SenderObject) -> Fields {
    Fields::new()
        .with("name", o.name.as_str())
        .with("path", o.path.to_string_lossy())
        .with("bytes", o.bytes)
        .with("content", o.content.to_string())
        .with("coding", o.coding.0.to_string())
        .with("cycles", o.cycles)
        .with("withdrawn", o.withdrawn.as_deref())
}

/// The figures of a receiver.
pub(crate) fn receiver(s: &ReceiverSummary, end: &End) -> Fields {
    head("receiver", end)
        .with("receiver", s.receiver.to_string())
        .with("session", s.session.map(|s| s.to_string()))
        .with("sender", s.sender.map(|s| s.to_string()))
        .with("path", s.path.map(|p| p.name()))
        .with("path_reason", s.path.map(receiver_json::why))
        .and(spent(s.spent))
        .object("sent", traffic(&s.sent))
        .object("received", traffic(&s.received))
        .object("loss", loss(&s.loss))
        .with("duplicates", s.duplicates)
        .with("naks_sent", s.naks_sent)
        .with("naks_suppressed", s.naks_suppressed)
        .with("bad_blocks", s.bad_blocks)
        .array("bad_sources", s.bad_sources.iter().map(bad_source))
        .array("objects", s.objects.iter().map(receiver_object))
        .with("gave_up", s.gave_up.as_deref())
        .with("evicted", s.evicted.map(|cause| cause.name()))
}

fn bad_source(&(address, blocks): &(SocketAddr, u64)) -> Fields {
    Fields::new()
        .with("address", address.to_string())
        .with("blocks", blocks)
}

fn receiver_object(o: &ReceiverObject) -> Fields {
    Fields::new()
        .with("name", o.name.as_str())
        .with(
            "path",
            o.path.as_ref().map(|p| p.to_string_lossy().into_owned()),
        )
        .with("bytes", o.bytes)
        .with("content", o.content.to_string())
        .with("complete", o.complete)
        .with("error", o.error.as_deref())
        .with("seconds", secs(o.took))
}

fn spent(s: Spent) -> Fields {
    Fields::new()
        .with("wall_seconds", secs(s.wall))
        .with("cpu_seconds", secs(s.cpu))
}

/// Packets and bytes in all, and of each kind that there was any of.
fn traffic(t: &Traffic) -> Fields {
    let count = |c: loopcast::driver::Count| {
        Fields::new()
            .with("packets", c.packets)
            .with("bytes", c.bytes)
    };
    t.iter().filter(|(_, c)| c.packets > 0).fold(
        Fields::new().object("total", count(t.total())),
        |f, (kind, c)| f.object(kind.name(), count(c)),
    )
}

fn loss(l: &Loss) -> Fields {
    let f = Fields::new()
        .with("network", l.network)
        .with("overflowed", l.overflowed)
        .with("stalled", l.stalled)
        .with("discarded", l.discarded);
    f.object(
        "dropped",
        l.dropped
            .iter()
            .fold(Fields::new(), |f, &(reason, n)| f.with(reason.name(), n)),
    )
}

/// Seconds to the microsecond.
pub(crate) fn secs(d: Duration) -> f64 {
    (d.as_secs_f64() * 1e6).round() / 1e6
}

/// A stable word for scripts.
pub(crate) fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Complete => "complete",
        Outcome::Failed => "failed",
        Outcome::Left => "left",
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
            .write(&not_started("sender", &end))
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
