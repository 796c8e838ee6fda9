//! The file table of an object that comes, once all its blocks hold.

use std::ops::Range;
use std::sync::Arc;

use super::Sink;
use super::blocks::Data;
use crate::object::table::FileTable;
use crate::object::{ObjectKind, Part};
use crate::range_set::RangeSet;
use crate::store::SinkError;
use crate::store::table_bytes::{limit_of, unpack};

impl Sink {
    /// Reads the table if all its blocks are verified.
    pub(super) fn take_table(&mut self) -> Result<(), SinkError> {
        let g = self.description.geometry;
        let mut blocks = g.blocks_of(Part::Table);
        if self.table.is_some() || !blocks.all(|b| self.bits.verified.contains(b)) {
            return Ok(());
        }
        let mut packed = vec![0; g.table_len() as usize];
        self.sidecar.read_table(&mut packed, 0)?;
        let bytes = unpack(&packed, limit_of(packed.len() as u64))
            .map_err(|e| SinkError::BadTable(e.to_string()))?;
        let table = FileTable::parse(bytes, g.length())?;
        let is_file = self.description.kind == ObjectKind::File;
        if table.is_single_file() != is_file {
            let what = match is_file {
                true => "it is of a folder, and a file was offered",
                false => "it is of a file, and a folder was offered",
            };
            return Err(SinkError::BadTable(what.to_owned()));
        }
        self.chosen = self.means.wanted.by(&table, &g)?;
        if let Some(chosen) = &mut self.chosen {
            for block in self.bits.verified.iter() {
                chosen.unwanted.set(block, false);
            }
        }
        self.holes = table.holes().collect();
        if is_file && !self.holes.is_empty() {
            // One that was opened before knows nothing of holes.
            self.place = None;
        }
        self.table = Some(Arc::new(table));
        Ok(())
    }

    /// Whether holes have no bytes in what would be written: else the table is of something else.
    pub(super) fn check_holes(&self, data: &Data, bytes: &[u8]) -> Result<(), SinkError> {
        if data.part == Part::Table {
            return Ok(());
        }
        for hole in met(&self.holes, data.range()) {
            let zeros = (hole.start - data.offset) as usize..(hole.end - data.offset) as usize;
            if bytes.get(zeros).is_none_or(|b| b.iter().any(|&b| b != 0)) {
                let text = "it tells of a hole where bytes are";
                return Err(SinkError::BadTable(text.to_owned()));
            }
        }
        Ok(())
    }
}

/// The parts of a range that are in a set.
pub(super) fn met(set: &RangeSet, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
    let mut at = range.start;
    std::iter::from_fn(move || {
        let next = set.next_range_at(at).filter(|r| r.start < range.end)?;
        let part = next.start.max(at)..next.end.min(range.end);
        at = next.end;
        Some(part)
    })
}
