//! Where each frame is: the archive's index.

use core::ops::Range;

use crate::archive::{ARCHIVE_HEADER_LEN, ArchiveError, FRAME_OVERHEAD, Header};

/// Where the frames of an archive are in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Where each content frame starts, and last of all the index.
    starts: Vec<u64>,
}

impl Header {
    /// Where the file table's frame is. Known before anything is opened.
    pub fn table_place(&self) -> Range<u64> {
        ARCHIVE_HEADER_LEN as u64..self.content_start()
    }

    /// Where the index is in an archive of `archive_len` bytes.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Short`] if so many frames don't fit: nothing is to be allocated for them then.
    pub fn index_place(&self, archive_len: u64) -> Result<Range<u64>, ArchiveError> {
        let frames = u64::from(self.content_frames());
        // A frame of content has at least one byte.
        let least = self.content_start() + frames * (FRAME_OVERHEAD as u64 + 1);
        archive_len
            .checked_sub(self.index_len() as u64)
            .filter(|&start| start >= least)
            .map(|start| start..archive_len)
            .ok_or(ArchiveError::Short)
    }
}

impl Layout {
    /// From the index, opened, of an archive of `archive_len` bytes.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Index`] if the frames in it would not be just what is between table and index.
    pub fn new(header: &Header, index: &[u8], archive_len: u64) -> Result<Layout, ArchiveError> {
        let end = header.index_place(archive_len)?.start;
        if index.len() != 4 * header.content_frames() as usize {
            return Err(ArchiveError::Index);
        }
        let mut starts = Vec::with_capacity(header.content_frames() as usize + 1);
        let mut at = header.content_start();
        starts.push(at);
        for sealed in index.as_chunks().0 {
            // No sum of so many 32-bit numbers overflows.
            at += u64::from(u32::from_be_bytes(*sealed)) + FRAME_OVERHEAD as u64;
            starts.push(at);
        }
        if at == end {
            Ok(Layout { starts })
        } else {
            Err(ArchiveError::Index)
        }
    }

    /// Where a content frame is; `None` if there is none of that number (they begin at 1).
    pub fn place(&self, number: u32) -> Option<Range<u64>> {
        let at = (number as usize).checked_sub(1)?;
        Some(*self.starts.get(at)?..*self.starts.get(at + 1)?)
    }

    /// The index of frames in which so many bytes each are sealed, ready to be sealed itself.
    pub fn index(sealed: &[u32]) -> Vec<u8> {
        sealed.iter().flat_map(|len| len.to_be_bytes()).collect()
    }
}
