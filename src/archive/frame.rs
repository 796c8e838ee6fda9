//! One frame, from bytes to bytes: sealed and opened in place.

use aes_gcm::{AeadInOut as _, Aes256Gcm, KeyInit as _};

use crate::archive::{ARCHIVE_HEADER_LEN, Archive, ArchiveError};
use crate::secret::Secret;

/// Bytes of a frame's header.
pub const FRAME_HEADER_LEN: usize = 48;
/// Bytes of a frame's tag, behind what is sealed.
pub const TAG_LEN: usize = 16;
/// Bytes that a frame has beside what is sealed in it.
pub const FRAME_OVERHEAD: usize = FRAME_HEADER_LEN + TAG_LEN;

const FRAME_KEY: &[u8] = b"loopcast archive 1 frame key";
/// Each frame has a key of its own, used for this one text, so the nonce may be the same for all.
const NONCE: [u8; 12] = [0; 12];

/// What was done to a frame's bytes before they were sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Coding {
    /// Nothing.
    Plain = 0,
    /// Compressed by zstd (RFC 8878), to fewer bytes than they are; one zstd frame.
    Zstd = 1,
}

/// What was in a frame.
#[derive(Debug)]
pub struct Opened<'a> {
    /// What is still to be undone to have its bytes.
    pub coding: Coding,
    /// The bytes that were sealed.
    pub bytes: &'a mut [u8],
}

impl Archive {
    /// Seals a frame in place. `frame` has room for its header, then what is to be sealed, then room
    /// for the tag. `key` must be fresh random bytes for every frame that is ever sealed: they stand
    /// in its header.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Frame`] if there is no such frame or it can't have so many bytes.
    pub fn seal(
        &self,
        number: u32,
        coding: Coding,
        key: [u8; 32],
        frame: &mut [u8],
    ) -> Result<(), ArchiveError> {
        let fault = ArchiveError::Frame(number);
        let (head, bytes, tag) = split(frame).ok_or(fault)?;
        if !self.can_have(number, coding, bytes.len()) {
            return Err(fault);
        }
        *head = header(number, coding, bytes.len() as u32, &key);
        let sealed = self.cipher(&key).encrypt_inout_detached(
            &NONCE.into(),
            &self.associated(head),
            bytes.into(),
        );
        *tag = sealed.map_err(|_| fault)?.into();
        Ok(())
    }

    /// Opens a frame in place: `frame` is all of it, from header to tag, and `number` the one that it
    /// must be. When it fails, what is in `frame` means nothing.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Frame`] if it is not the frame of that number as it was sealed.
    pub fn open_frame<'a>(
        &self,
        number: u32,
        frame: &'a mut [u8],
    ) -> Result<Opened<'a>, ArchiveError> {
        let fault = ArchiveError::Frame(number);
        let (head, bytes, tag) = split(frame).ok_or(fault)?;
        let coding = match head[8] {
            0 => Coding::Plain,
            1 => Coding::Zstd,
            _ => return Err(fault),
        };
        let key: [u8; 32] = core::array::from_fn(|i| head[16 + i]);
        let as_made = *head == header(number, coding, bytes.len() as u32, &key);
        if !as_made || !self.can_have(number, coding, bytes.len()) {
            return Err(fault);
        }
        self.cipher(&key)
            .decrypt_inout_detached(
                &NONCE.into(),
                &self.associated(head),
                (&mut *bytes).into(),
                &(*tag).into(),
            )
            .map_err(|_| fault)?;
        Ok(Opened { coding, bytes })
    }

    /// The key that a frame is sealed under, from the master key and the random one in its header.
    pub fn frame_key(&self, key: &[u8; 32]) -> Secret {
        self.master().derive(key, &[FRAME_KEY])
    }

    fn cipher(&self, key: &[u8; 32]) -> Aes256Gcm {
        Aes256Gcm::new(self.frame_key(key).expose().into())
    }

    /// Both headers: neither can be another.
    fn associated(&self, head: &[u8; FRAME_HEADER_LEN]) -> [u8; 128] {
        let mut both = [0; ARCHIVE_HEADER_LEN + FRAME_HEADER_LEN];
        both[..ARCHIVE_HEADER_LEN].copy_from_slice(&self.header().encode());
        both[ARCHIVE_HEADER_LEN..].copy_from_slice(head);
        both
    }

    /// Only content is compressed, and only if it becomes shorter.
    fn can_have(&self, number: u32, coding: Coding, len: usize) -> bool {
        let is_content = (1..=self.header().content_frames()).contains(&number);
        self.header()
            .plain_len(number)
            .is_some_and(|plain| match coding {
                Coding::Plain => len == plain,
                Coding::Zstd => is_content && (1..plain).contains(&len),
            })
    }
}

/// Its header, what is sealed, its tag.
type Parts<'a> = (
    &'a mut [u8; FRAME_HEADER_LEN],
    &'a mut [u8],
    &'a mut [u8; TAG_LEN],
);

fn split(frame: &mut [u8]) -> Option<Parts<'_>> {
    let (head, rest) = frame.split_first_chunk_mut()?;
    let (bytes, tag) = rest.split_last_chunk_mut()?;
    Some((head, bytes, tag))
}

fn header(number: u32, coding: Coding, len: u32, key: &[u8; 32]) -> [u8; FRAME_HEADER_LEN] {
    let mut out = [0; FRAME_HEADER_LEN];
    out[..4].copy_from_slice(&number.to_be_bytes());
    out[4..8].copy_from_slice(&len.to_be_bytes());
    out[8] = coding as u8;
    out[16..].copy_from_slice(key);
    out
}
