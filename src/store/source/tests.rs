use super::*;
use crate::fec::Encoder;
use crate::object::Checker;
use std::fs;
use std::time::{Duration, SystemTime};

fn cut(block_kib: Option<u32>) -> Cut {
    Cut {
        symbol_size: 1_024,
        block_kib,
        codec: Codec::ReedSolomon,
    }
}

fn open(
    path: &Path,
    block_kib: Option<u32>,
    known: &KnownHashes,
) -> Result<(Source, bool), SourceError> {
    let kind = match path.is_dir() {
        true => ObjectKind::Folder,
        false => ObjectKind::File,
    };
    let name = SafeName::offered("name").unwrap();
    let mut hashed = false;
    let progress = |_, _| {
        hashed = true;
        ControlFlow::Continue(())
    };
    let options = ScanOptions::default();
    let source = Source::open(path, &name, kind, &options, cut(block_kib), known, progress)?;
    Ok((source, hashed))
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len as u32)
        .map(|n| (n.wrapping_mul(n) >> 7) as u8)
        .collect()
}

/// Old enough to be remembered.
fn age(path: &Path) {
    let time = SystemTime::now() - Duration::from_secs(3_600);
    fs::File::open(path).unwrap().set_modified(time).unwrap();
}

/// Every block that can be read, checked against the ids; gives table and content.
fn read_all(source: &Source) -> (Vec<u8>, Vec<u8>) {
    let g = source.description().geometry;
    let checker = Checker::new(source.description());
    let mut expected = std::collections::HashMap::new();
    let (mut table, mut content) = (Vec::new(), Vec::new());
    for block in 0..g.blocks() {
        let mut slot = vec![0xee; source_len(&g, block)];
        assert_eq!(source.read_block(block, &mut slot), Ok(slot.len()));
        let BlockKind::Data { part, len, .. } = g.kind(block) else {
            expected.extend(checker.check(block, &slot).unwrap().iter());
            continue;
        };
        let (data, rest) = slot.split_at(len as usize);
        let proven = checker
            .proven(block)
            .or_else(|| expected.get(&block).copied());
        assert_eq!(Some(checker.hash(block, data)), proven);
        assert!(rest.iter().all(|&b| b == 0));
        match part {
            Part::Table => table.extend_from_slice(data),
            Part::Content => content.extend_from_slice(data),
        }
    }
    (table, content)
}

#[test]
fn the_content_id_is_the_plain_hash_for_every_length_around_edges() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    let block = 8 << 10;
    for len in [
        0,
        1,
        1_023,
        1_024,
        1_025,
        block - 1,
        block,
        block + 1,
        5 * block,
        5 * block + 7,
    ] {
        let content = bytes(len);
        fs::write(&path, &content).unwrap();
        let (source, _) = open(&path, Some(8), &KnownHashes::none()).unwrap();
        let whole = Hash(*blake3::hash(&content).as_bytes());
        assert_eq!(source.description().content, whole, "{len}");
        let (table, read) = read_all(&source);
        assert!(read == content);
        let table = table_bytes::unpack(&table, 1 << 20).unwrap();
        let table = FileTable::parse(table, len as u64).unwrap();
        assert!(table.is_single_file() && table.len() == 1);
    }
}

#[test]
fn a_folder_is_one_object_with_a_hash_for_each_file() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("set");
    fs::create_dir_all(top.join("b/empty")).unwrap();
    let files = [("a", 5_000), ("b/1", 0), ("b/2", 20_000), ("c", 1)];
    let mut content = Vec::new();
    for (path, len) in files {
        fs::write(top.join(path), bytes(len)).unwrap();
        content.extend(bytes(len));
    }
    let (source, _) = open(&top, Some(4), &KnownHashes::none()).unwrap();
    let (table, read) = read_all(&source);
    assert!(read == content);
    let table = table_bytes::unpack(&table, 1 << 20).unwrap();
    let table = FileTable::parse(table, content.len() as u64).unwrap();
    assert_eq!(table.len(), 1 + 4 + 2);
    for (path, len) in files {
        let entry = table.entry(table.find(path.as_bytes()).unwrap());
        let EntryKind::File { length, hash, .. } = entry.kind else {
            panic!("{path}")
        };
        let plain = Hash(*blake3::hash(&bytes(len)).as_bytes());
        assert_eq!((length, hash), (len as u64, (len > 0).then_some(plain)));
    }
}

#[test]
fn what_is_known_is_not_hashed_again_and_wrong_knowledge_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let known = KnownHashes::at(&dir.path().join("cache"), 1 << 20);
    let top = dir.path().join("set");
    fs::create_dir_all(&top).unwrap();
    for name in ["a", "b"] {
        fs::write(top.join(name), bytes(9_000)).unwrap();
        age(&top.join(name));
    }
    for path in [top.join("a"), top.clone()] {
        let (first, hashed) = open(&path, Some(4), &known).unwrap();
        assert!(hashed);
        let (second, hashed) = open(&path, Some(4), &known).unwrap();
        assert!(!hashed && first.description() == second.description());
        let (other, hashed) = open(&path, Some(8), &known).unwrap();
        assert!(hashed && other.description().content == first.description().content);
    }
    // Written behind our back, with the time set back; only ctime tells, which nobody can set.
    let (source, _) = open(&top, Some(4), &known).unwrap();
    let mtime = fs::metadata(top.join("b")).unwrap().modified().unwrap();
    let mut other = bytes(9_000);
    other[8_000] ^= 1;
    fs::write(top.join("b"), other).unwrap();
    fs::File::open(top.join("b"))
        .unwrap()
        .set_modified(mtime)
        .unwrap();
    assert_eq!(source.check().unwrap_err().kind(), FaultKind::Changed);
    let (_, hashed) = open(&top, Some(4), &known).unwrap();
    assert!(hashed);
}

#[test]
fn what_has_changed_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("set");
    fs::create_dir_all(&top).unwrap();
    fs::write(top.join("a"), bytes(9_000)).unwrap();
    fs::write(top.join("b"), bytes(9_000)).unwrap();
    let (source, _) = open(&top, Some(4), &KnownHashes::none()).unwrap();
    assert_eq!(source.check(), Ok(()));
    fs::write(top.join("b"), "short").unwrap();
    fs::write(top.join("new"), "x").unwrap();
    let text = source.check().unwrap_err().to_string();
    assert!(text.contains('b') && text.contains("new"), "{text}");
    let g = source.description().geometry;
    let mut slot = vec![0; 4_096];
    assert!(source.read_block(g.content_block_at(0), &mut slot).is_ok());
    let fault = source
        .read_block(g.content_block_at(12_000), &mut slot)
        .unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Changed);
    assert!(fault.to_string().contains('b'), "{fault}");
}

#[test]
fn blocks_grow_with_the_object() {
    assert_eq!(block_kib(0), 512);
    assert_eq!(block_kib((256 << 20) - 1), 512);
    assert_eq!(block_kib(256 << 20), 1_024);
    assert_eq!(block_kib(1 << 40), 1_024);
    assert_eq!(block_kib((1 << 40) + 1), 2_048);
    assert_eq!(block_kib(4 << 40), 4_096);
    assert_eq!(block_kib(u64::MAX), config::MAX_BLOCK_KIB);
}

#[test]
fn parity_restores_a_short_last_block() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, vec![5; 10 * 1_024 + 1]).unwrap();
    let (source, _) = open(&path, Some(8), &KnownHashes::none()).unwrap();
    let g = source.description().geometry;
    let last = g.blocks() - 1;
    assert_eq!((g.symbols(last), g.parity(last)), (3, 8));
    let mut slot = vec![0; 11 * 1_024];
    let mut encoder = Encoder::new();
    assert_eq!(
        source.read_block_with_parity(last, &mut slot, &mut encoder),
        Ok(11 * 1_024)
    );
    let mut decoder = crate::fec::Decoder::new();
    let mut decoding = decoder.begin(3, 8, 1_024).unwrap();
    for symbol in [4, 7, 9] {
        decoding
            .add(symbol, &slot[usize::from(symbol) * 1_024..][..1_024])
            .unwrap();
    }
    let mut block = vec![0; 3 * 1_024];
    decoding.restore(&mut block).unwrap();
    assert!(block[..2_049] == vec![5; 2_049] && block[2_049..].iter().all(|&b| b == 0));
}
