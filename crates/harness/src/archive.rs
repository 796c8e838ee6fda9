//! An archive in memory: made and opened as the store does it with files, but whole.
//!
//! As a fuzz target it takes any bytes for an archive, and any values for what a maker who has the
//! key may seal: neither must panic, and what opens must be what was sealed.

use loopcast::archive::FileTable;
use loopcast::archive::{
    ARCHIVE_HEADER_LEN, Archive, ArchiveError, Coding, FRAME_HEADER_LEN, FRAME_OVERHEAD, Layout,
};
use loopcast::secret::Secret;

use crate::bytes::Bytes;

/// The frames of an archive, opened: the table first, then content, the index last.
pub type Frames = Vec<(Coding, Vec<u8>)>;

/// The master key of all archives here.
pub fn master() -> Secret {
    Secret::new([0x4d; 32])
}

/// An archive with these frames: the table, then content, without the index, which is made.
pub fn seal(archive: &Archive, frames: &[(Coding, &[u8])]) -> Result<Vec<u8>, ArchiveError> {
    let lengths: Vec<u32> = frames[1..].iter().map(|f| f.1.len() as u32).collect();
    seal_with(archive, frames, &Layout::index(&lengths))
}

fn seal_with(
    archive: &Archive,
    frames: &[(Coding, &[u8])],
    index: &[u8],
) -> Result<Vec<u8>, ArchiveError> {
    let mut out = archive.header().encode().to_vec();
    let all = frames.iter().copied().chain([(Coding::Plain, index)]);
    for (number, (coding, bytes)) in (0..).zip(all) {
        let mut frame = vec![0; bytes.len() + FRAME_OVERHEAD];
        frame[FRAME_HEADER_LEN..][..bytes.len()].copy_from_slice(bytes);
        archive.seal(number, coding, [number as u8; 32], &mut frame)?;
        out.extend(frame);
    }
    Ok(out)
}

/// Opens an archive with its table and index, and gives every frame.
pub fn open(bytes: &[u8], master: Secret) -> Result<Frames, ArchiveError> {
    let header = bytes
        .first_chunk::<ARCHIVE_HEADER_LEN>()
        .ok_or(ArchiveError::NotAnArchive)?;
    let archive = Archive::open(master, header)?;
    let header = archive.header();
    let index_place = header.index_place(bytes.len() as u64)?;
    let frame = |number, place: core::ops::Range<u64>| {
        let place = place.start as usize..place.end as usize;
        let mut frame = bytes.get(place).ok_or(ArchiveError::Short)?.to_vec();
        let opened = archive.open_frame(number, &mut frame)?;
        Ok((opened.coding, opened.bytes.to_vec()))
    };
    let index = frame(header.index_number(), index_place)?;
    let layout = Layout::new(header, &index.1, bytes.len() as u64)?;
    let mut frames = vec![frame(0, header.table_place())?];
    for number in 1..=header.content_frames() {
        let place = layout.place(number).ok_or(ArchiveError::Index)?;
        frames.push(frame(number, place)?);
    }
    frames.push(index);
    Ok(frames)
}

/// Opens any bytes, and seals and opens what they say.
pub fn run(data: &[u8]) {
    let _ = open(data, master());
    let mut input = Bytes::new(data);
    let length = input.u64().rotate_left(input.u8().into());
    let shift = input.u8() % 32;
    let table_len = u32::from(input.u16() % 4_096);
    let Ok(archive) = Archive::new(master(), [7; 16], shift, length, table_len) else {
        return;
    };
    // What is asked for that nobody has is refused before it is made room for.
    let _ = archive.header().index_place(data.len() as u64);
    if length > 1 << 18 {
        return;
    }
    let table = fill(&mut input, table_len as usize);
    let mut content: Vec<(Coding, Vec<u8>)> = Vec::new();
    for number in 1..=archive.header().content_frames() {
        let plain = archive.header().plain_len(number).unwrap_or_default();
        content.push(if input.one_in(2) {
            let len = usize::from(input.u16()) % plain.max(2);
            (Coding::Zstd, fill(&mut input, len))
        } else {
            (Coding::Plain, fill(&mut input, plain))
        });
    }
    let mut frames = vec![(Coding::Plain, &*table)];
    frames.extend(content.iter().map(|(coding, bytes)| (*coding, &**bytes)));
    let index = Layout::index(
        &frames[1..]
            .iter()
            .map(|f| f.1.len() as u32)
            .collect::<Vec<_>>(),
    );
    let _ = FileTable::parse(&table, length);
    let mut wrong = index.clone();
    if let Some(byte) = wrong.first_mut() {
        *byte ^= input.u8();
    }
    if let Ok(whole) = seal_with(&archive, &frames, &wrong) {
        let opened = open(&whole, master());
        if wrong != index {
            assert_eq!(opened, Err(ArchiveError::Index));
            return;
        }
        let mut sealed: Frames = frames.iter().map(|(c, b)| (*c, b.to_vec())).collect();
        sealed.push((Coding::Plain, index));
        assert_eq!(opened, Ok(sealed));
        damage(&whole, &mut input);
    }
}

/// So many bytes; zeros once the input is used up.
fn fill(input: &mut Bytes<'_>, len: usize) -> Vec<u8> {
    let mut bytes = input.take(len).to_vec();
    bytes.resize(len, 0);
    bytes
}

/// One wrong bit anywhere, or a cut, and nothing opens.
fn damage(whole: &[u8], input: &mut Bytes<'_>) {
    let at = input.u64() as usize % whole.len();
    let mut damaged = whole.to_vec();
    damaged[at] ^= 1 << (input.u8() % 8);
    assert!(open(&damaged, master()).is_err(), "at {at}");
    assert!(open(&whole[..at], master()).is_err(), "up to {at}");
}
