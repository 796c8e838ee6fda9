//! The archive format: pinned byte by byte, and refused when a single one is another.
//!
//! tests/golden/archive holds vectors that were made without this crate's code (Python's `hmac` and
//! `cryptography`). A change that breaks them makes a new version of the format.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use loopcast::archive::{Archive, ArchiveError, Coding, FRAME_OVERHEAD, Header};
use loopcast::archive::{FileEntry, FileTable};
use loopcast::object::SafeName;
use loopcast::secret::Secret;
use loopcast_harness::archive::{Frames, master, open, seal};
use loopcast_lab::hex;
use proptest::prelude::*;

const SHIFT: u8 = 16;
const SIZE: usize = 1 << SHIFT;

/// The bytes of a vector.
fn golden(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/archive");
    hex::read(&folder.join(format!("{name}.hex"))).unwrap()
}

fn file(name: &str, offset: u64, length: u64) -> FileEntry {
    FileEntry {
        path: SafeName::in_table(name).unwrap(),
        offset,
        length,
        mtime: None,
        mode: Some(0o644),
    }
}

/// Two tiny files: what the golden archive holds.
fn tiny() -> (Archive, Vec<u8>, Vec<u8>) {
    let table = FileTable::new(vec![file("a", 0, 6), file("d/b", 6, 5)]).unwrap();
    let table = table.encode();
    let key = Secret::new(core::array::from_fn(|i| i as u8));
    let id = core::array::from_fn(|i| 0xa0 + i as u8);
    let archive = Archive::new(key, id, 20, 11, table.len() as u32).unwrap();
    (archive, table, b"hello world".to_vec())
}

/// Three frames of content, the last one short.
fn three_frames() -> (Archive, Frames, Vec<u8>) {
    let content: Vec<u8> = (0..2 * SIZE + 99).map(|i| ((i * i) >> 3) as u8).collect();
    let table = FileTable::new(vec![file("film", 0, content.len() as u64)]).unwrap();
    let table = table.encode();
    let archive = Archive::new(
        master(),
        [9; 16],
        SHIFT,
        content.len() as u64,
        table.len() as u32,
    )
    .unwrap();
    let mut frames = vec![(Coding::Plain, table)];
    frames.extend(content.chunks(SIZE).map(|c| (Coding::Plain, c.to_vec())));
    let parts: Vec<(Coding, &[u8])> = frames.iter().map(|(c, b)| (*c, &**b)).collect();
    let whole = seal(&archive, &parts).unwrap();
    (archive, frames, whole)
}

/// Where frame `number` of three is.
fn place(archive: &Archive, number: u32) -> core::ops::Range<usize> {
    let at = |n: u32| match n {
        0 => archive.header().table_place().start as usize,
        n => archive.header().content_start() as usize + (n - 1) as usize * (SIZE + FRAME_OVERHEAD),
    };
    let len = archive.header().plain_len(number).unwrap() + FRAME_OVERHEAD;
    at(number)..at(number) + len
}

#[test]
fn the_golden_archive_is_made_and_opened() {
    let (archive, table, content) = tiny();
    let golden = golden("whole");
    let made = seal(
        &archive,
        &[(Coding::Plain, &table), (Coding::Plain, &content)],
    )
    .unwrap();
    assert_eq!(made, golden);
    let key = Secret::new(core::array::from_fn(|i| i as u8));
    let opened = open(&golden, key).unwrap();
    assert_eq!((&opened[0].1, &opened[1].1), (&table, &content));
}

#[test]
fn keys_are_derived_as_written_down() {
    let (archive, ..) = tiny();
    let frame_key = archive.frame_key(&[0x11; 32]);
    assert_eq!(frame_key.expose().to_vec(), golden("frame_key"));
    // It is the last field of the header.
    let header = archive.header().encode();
    assert_eq!(header[48..].to_vec(), golden("commitment"));
}

#[test]
fn no_bit_of_an_archive_may_be_another_and_no_end_may_lack() {
    let (_, _, _) = tiny();
    let golden = golden("whole");
    let key = || Secret::new(core::array::from_fn(|i| i as u8));
    for at in 0..golden.len() {
        for bit in 0..8 {
            let mut damaged = golden.clone();
            damaged[at] ^= 1 << bit;
            assert!(open(&damaged, key()).is_err(), "bit {bit} at {at}");
        }
        assert!(open(&golden[..at], key()).is_err(), "cut at {at}");
    }
    let longer = [&golden[..], &[0]].concat();
    assert!(open(&longer, key()).is_err());
}

#[test]
fn another_key_is_told_from_damage() {
    let golden = golden("whole");
    let wrong = open(&golden, Secret::new([1; 32])).unwrap_err();
    assert_eq!(wrong, ArchiveError::WrongKey);
    assert!(wrong.to_string().contains("not for this archive"));
}

#[test]
fn any_frame_opens_alone() {
    let (archive, frames, whole) = three_frames();
    for number in [3, 1, 2, 0] {
        let mut frame = whole[place(&archive, number)].to_vec();
        let opened = archive.open_frame(number, &mut frame).unwrap();
        assert_eq!(*opened.bytes, frames[number as usize].1);
    }
}

#[test]
fn frames_are_not_each_others() {
    let (archive, _, whole) = three_frames();
    for (a, b) in [(1, 2), (2, 1)] {
        let mut frame = whole[place(&archive, a)].to_vec();
        let error = archive.open_frame(b, &mut frame).unwrap_err();
        assert_eq!(error, ArchiveError::Frame(b));
    }
    // Two frames of one length change places.
    let mut swapped = whole.clone();
    let (one, two) = (place(&archive, 1), place(&archive, 2));
    swapped[one.clone()].copy_from_slice(&whole[two.clone()]);
    swapped[two].copy_from_slice(&whole[one.clone()]);
    assert_eq!(open(&swapped, master()), Err(ArchiveError::Frame(1)));
    // The number in its header is not enough.
    let mut renamed = whole[place(&archive, 2)].to_vec();
    renamed[..4].copy_from_slice(&1u32.to_be_bytes());
    assert!(archive.open_frame(1, &mut renamed).is_err());
    // A frame of another archive of the same key and shape.
    let header = archive.header();
    let other = Archive::new(
        master(),
        [8; 16],
        SHIFT,
        header.length(),
        header.table_len(),
    );
    let mut frame = whole[one].to_vec();
    assert!(other.unwrap().open_frame(1, &mut frame).is_err());
}

#[test]
fn what_is_compressed_says_so_and_is_shorter() {
    let (archive, ..) = tiny();
    let seal = |number, coding, len: usize| {
        let mut frame = vec![0; len + FRAME_OVERHEAD];
        archive.seal(number, coding, [1; 32], &mut frame)
    };
    assert!(seal(1, Coding::Zstd, 10).is_ok() && seal(1, Coding::Plain, 11).is_ok());
    for (number, coding, len) in [
        (1, Coding::Zstd, 11),
        (1, Coding::Zstd, 0),
        (1, Coding::Plain, 10),
        (0, Coding::Zstd, 10),
        (2, Coding::Zstd, 3),
        (3, Coding::Plain, 0),
    ] {
        assert!(
            seal(number, coding, len).is_err(),
            "{number} {coding:?} {len}"
        );
    }
}

#[test]
fn claims_beyond_the_bytes_that_are_there_are_refused_at_once() {
    let huge = Archive::new(master(), [0; 16], 24, 1 << 48, 1 << 20).unwrap();
    let header = huge.header().encode();
    assert_eq!(open(&header, master()), Err(ArchiveError::Short));
    let mut absurd = header;
    absurd[16..24].copy_from_slice(&u64::MAX.to_be_bytes());
    assert_eq!(Header::parse(&absurd), Err(ArchiveError::Header));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damage_anywhere_is_refused(at: prop::sample::Index, flip in 1u8.., cut: bool) {
        let (_, _, mut whole) = three_frames();
        let at = at.index(whole.len());
        if cut {
            whole.truncate(at);
        } else {
            whole[at] ^= flip;
        }
        prop_assert!(open(&whole, master()).is_err());
    }
}
