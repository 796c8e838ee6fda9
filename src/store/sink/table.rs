//! The file table of an object that comes, once all its blocks hold.

use std::sync::Arc;

use super::Sink;
use crate::object::table::FileTable;
use crate::object::{ObjectKind, Part};
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
        self.table = Some(Arc::new(table));
        Ok(())
    }
}
