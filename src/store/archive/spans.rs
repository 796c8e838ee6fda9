//! Which files a stretch of content lies in.

use std::ops::Range;

use crate::archive::FileEntry;

/// A part of a stretch of content that lies in one file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Span {
    /// Which entry of the table.
    pub(super) file: usize,
    /// Where in the file.
    pub(super) offset: u64,
    /// Which of the stretch's bytes.
    pub(super) bytes: Range<usize>,
}

/// The parts of `len` bytes of content from `start` on, in order. Empty files have none.
pub(super) fn spans(
    entries: &[FileEntry],
    start: u64,
    len: usize,
) -> impl Iterator<Item = Span> + '_ {
    let end = start + len as u64;
    let first = entries.partition_point(|e| e.offset + e.length <= start);
    entries[first..]
        .iter()
        .zip(first..)
        .take_while(move |(e, _)| e.offset < end)
        .filter_map(move |(e, file)| {
            let from = e.offset.max(start);
            let to = (e.offset + e.length).min(end);
            (from < to).then(|| Span {
                file,
                offset: from - e.offset,
                bytes: (from - start) as usize..(to - start) as usize,
            })
        })
}
