//! The header of an archive: how it is cut into frames, and which key it is for.

use core::ops::RangeInclusive;

use crate::archive::{Archive, ArchiveError, FRAME_OVERHEAD};
use crate::config;
use crate::secret::Secret;

/// Bytes of an archive's header.
pub const ARCHIVE_HEADER_LEN: usize = 80;

/// Binary logarithms of the frame sizes that can be: 64 KiB, where headers and tags cost a
/// thousandth, to 16 MiB, which a worker can still hold twice.
pub const SHIFTS: RangeInclusive<u8> = 16..=24;

/// Binary logarithm of the frame size when nothing is said: 1 MiB, which stays in a core's own
/// cache from read to write, gives zstd nearly all that it can find, and costs a 10,000th in
/// headers.
pub const DEFAULT_FRAME_SHIFT: u8 = 20;

/// Most frames of content: an index of 64 MiB, for 256 TiB in the largest frames.
pub const MAX_FRAMES: u64 = 1 << 24;

const MAGIC: &[u8; 8] = b"LOOPARC1";
const COMMITMENT: &[u8] = b"loopcast archive 1 key commitment";

/// What stands in the clear at the start of an archive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    shift: u8,
    length: u64,
    table_len: u32,
    id: [u8; 16],
    commitment: [u8; 32],
}

impl Header {
    /// Reads the header of an archive. Needs no key, and tells only what everybody may know.
    pub fn parse(bytes: &[u8; ARCHIVE_HEADER_LEN]) -> Result<Header, ArchiveError> {
        let field = |at: usize, len: usize| &bytes[at..at + len];
        if field(0, 7) != &MAGIC[..7] {
            return Err(ArchiveError::NotAnArchive);
        }
        if bytes[7] != MAGIC[7] {
            return Err(ArchiveError::Version);
        }
        let number = |at, len| field(at, len).iter().fold(0, |n, &b| n << 8 | u64::from(b));
        let header = Header {
            shift: bytes[8],
            length: number(16, 8),
            table_len: number(24, 4) as u32,
            id: array(field(32, 16)),
            commitment: array(field(48, 32)),
        };
        // What is not used is zero, so that an archive has one header only.
        if header.is_possible() && header.encode() == *bytes {
            Ok(header)
        } else {
            Err(ArchiveError::Header)
        }
    }

    /// The header as bytes.
    pub fn encode(&self) -> [u8; ARCHIVE_HEADER_LEN] {
        let mut out = [0; ARCHIVE_HEADER_LEN];
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, MAGIC);
        put(8, &[self.shift]);
        put(16, &self.length.to_be_bytes());
        put(24, &self.table_len.to_be_bytes());
        put(32, &self.id);
        put(48, &self.commitment);
        out
    }

    fn is_possible(&self) -> bool {
        SHIFTS.contains(&self.shift)
            && self.length.div_ceil(1 << self.shift) <= MAX_FRAMES
            && (1..=config::MAX_ARCHIVE_TABLE).contains(&self.table_len)
    }

    /// Bytes of content in all frames but the last, which may have fewer.
    pub fn frame_size(&self) -> usize {
        1 << self.shift
    }

    /// Bytes of content, as they were packed.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Bytes of the encoded file table.
    pub fn table_len(&self) -> u32 {
        self.table_len
    }

    /// 16 random bytes, the archive's name for itself.
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// Frames of content: numbers 1 to this. 0 for empty content.
    pub fn content_frames(&self) -> u32 {
        self.length.div_ceil(1 << self.shift) as u32
    }

    /// The number of the index, the last frame.
    pub fn index_number(&self) -> u32 {
        self.content_frames() + 1
    }

    /// Bytes in a frame before they are compressed and sealed; `None` for a frame that is not
    /// there.
    pub fn plain_len(&self, number: u32) -> Option<usize> {
        let frames = self.content_frames();
        match number {
            0 => Some(self.table_len as usize),
            n if n <= frames => {
                let before = u64::from(n - 1) << self.shift;
                Some((self.length - before).min(1 << self.shift) as usize)
            }
            n if n == frames + 1 => Some(4 * frames as usize),
            _ => None,
        }
    }

    /// Where content frame 1 starts in the archive.
    pub fn content_start(&self) -> u64 {
        (ARCHIVE_HEADER_LEN + self.table_len as usize + FRAME_OVERHEAD) as u64
    }

    /// Bytes of the sealed index.
    pub fn index_len(&self) -> usize {
        4 * self.content_frames() as usize + FRAME_OVERHEAD
    }
}

impl Archive {
    /// A new archive of `length` bytes of content with an encoded file table of `table_len`.
    ///
    /// `id` must be fresh random bytes; `shift` is the frame size's logarithm, within [`SHIFTS`].
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Header`] if one of the numbers can't be.
    pub fn new(
        master: Secret,
        id: [u8; 16],
        shift: u8,
        length: u64,
        table_len: u32,
    ) -> Result<Archive, ArchiveError> {
        let header = Header {
            shift,
            length,
            table_len,
            id,
            commitment: commitment(&master, &id),
        };
        if !header.is_possible() {
            return Err(ArchiveError::Header);
        }
        Ok(Archive { header, master })
    }

    /// An archive that is there, and the key for it.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::WrongKey`] if the key is another one's; no frame needs to be tried for that.
    pub fn open(master: Secret, bytes: &[u8; ARCHIVE_HEADER_LEN]) -> Result<Archive, ArchiveError> {
        let header = Header::parse(bytes)?;
        // The commitment is public: nothing is lost by how long the comparison takes.
        if commitment(&master, &header.id) != header.commitment {
            return Err(ArchiveError::WrongKey);
        }
        Ok(Archive { header, master })
    }

    /// What stands in the clear.
    pub fn header(&self) -> &Header {
        &self.header
    }

    pub(super) fn master(&self) -> &Secret {
        &self.master
    }
}

/// Ties an archive to one key: AES-GCM alone does not keep a sealed text from opening under two.
fn commitment(master: &Secret, id: &[u8; 16]) -> [u8; 32] {
    *master.derive(id, &[COMMITMENT]).expose()
}

/// A field as an array; it has just that length.
fn array<const N: usize>(field: &[u8]) -> [u8; N] {
    core::array::from_fn(|i| field[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(shift: u8, length: u64, table_len: u32) -> Result<Archive, ArchiveError> {
        Archive::new(Secret::new([1; 32]), [2; 16], shift, length, table_len)
    }

    #[test]
    fn headers_round_trip_and_any_other_bit_is_refused() {
        let header = *archive(20, 5 << 20 | 1, 99).unwrap().header();
        let bytes = header.encode();
        assert_eq!(Header::parse(&bytes), Ok(header));
        assert!(Archive::open(Secret::new([1; 32]), &bytes).is_ok());
        let wrong = Archive::open(Secret::new([3; 32]), &bytes);
        assert_eq!(wrong.unwrap_err(), ArchiveError::WrongKey);
        for at in [9, 15, 28, 31] {
            let mut other = bytes;
            other[at] = 1;
            assert_eq!(Header::parse(&other), Err(ArchiveError::Header));
        }
        let mut later = bytes;
        later[7] = b'2';
        assert_eq!(Header::parse(&later), Err(ArchiveError::Version));
        assert_eq!(Header::parse(&[0; 80]), Err(ArchiveError::NotAnArchive));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (shift, length, table) in [
            (15, 1, 1),
            (25, 1, 1),
            (255, 1, 1),
            (20, 1, 0),
            (20, 1, (1 << 20) + 1),
            (20, (1 << 44) + 1, 1),
            (24, u64::MAX, 1),
        ] {
            let made = archive(shift, length, table);
            assert_eq!(made.unwrap_err(), ArchiveError::Header, "{shift} {length}");
        }
        assert!(archive(20, 1 << 44, 1).is_ok() && archive(24, 1 << 48, 1).is_ok());
    }

    #[test]
    fn frames_are_counted_and_measured() {
        for (length, frames, last) in [(0, 0, 0), (1, 1, 1), (65_536, 1, 65_536), (65_537, 2, 1)] {
            let header = *archive(16, length, 7).unwrap().header();
            assert_eq!(header.content_frames(), frames);
            assert_eq!(header.plain_len(0), Some(7));
            if frames > 0 {
                assert_eq!(header.plain_len(frames), Some(last));
            }
            assert_eq!(header.plain_len(frames + 1), Some(4 * frames as usize));
            assert_eq!(header.plain_len(frames + 2), None);
        }
    }
}
