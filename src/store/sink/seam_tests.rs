//! The same blocks, pages and faults brought to a file and to memory come out alike.

use super::*;
use crate::fault::FaultKind;
use crate::fec::Encoder;
use crate::rng::Rng;
use crate::store::sink::fixture::{SYMBOL, source, source_with_parity};
use crate::store::{BlockPool, Memory, Put};
use proptest::prelude::*;

fn folder(into: &std::path::Path, description: &Description) -> Box<dyn Store> {
    FolderDestination::new(into)
        .open(description)
        .unwrap()
        .store
}

/// One symbol, source or parity.
fn symbol(s: &Memory, block: BlockNo, symbol: u16) -> Vec<u8> {
    let g = s.description().geometry;
    let count = usize::from(g.symbols(block) + g.parity(block));
    let mut slot = vec![0; count * usize::from(SYMBOL)];
    s.read_block_with_parity(block, &mut slot, &mut Encoder::new())
        .unwrap();
    slot[usize::from(symbol) * usize::from(SYMBOL)..][..SYMBOL.into()].to_vec()
}

/// A buffer with some symbols of a block, or all of them and they are wrong.
fn buffer(s: &Memory, block: BlockNo, wrong: bool, rng: &mut Rng) -> Option<BlockBuf> {
    let g = s.description().geometry;
    let mut pool = BlockPool::new(1 << 20);
    pool.open(0, &g);
    for number in 0..g.symbols(block) + g.parity(block) {
        if !wrong && rng.chance(0.4) {
            continue;
        }
        let mut bytes = symbol(s, block, number);
        bytes[0] ^= u8::from(wrong);
        assert!(matches!(pool.put(0, block, number, &bytes), Put::Kept));
    }
    pool.take(0, block)
}

fn step(s: &Memory, store: &mut dyn Store, mut rng: Rng) -> String {
    let g = s.description().geometry;
    let block = rng.below(g.blocks().into()) as BlockNo;
    if g.is_page(block) {
        let mut bytes = symbol(s, block, 0);
        bytes[0] ^= u8::from(rng.chance(0.1));
        return format!("{:?}", store.store_page(block, &bytes));
    }
    let wrong = rng.chance(0.1) && g.parity(block) == 0;
    if wrong {
        // Which of several versions of a symbol counts is not settled: none is left from before.
        let _ = store.finish_block(block, None);
    }
    let mut buf = buffer(s, block, wrong, &mut rng);
    match &mut buf {
        Some(buf) if buf.present().len() < usize::from(g.symbols(block)) => {
            format!("{:?}", store.write_partial(buf))
        }
        Some(buf) => format!("{:?}", store.finish_block(block, Some(buf))),
        None => format!("{:?}", store.finish_block(block, None)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_file_and_memory_come_out_alike(seed in any::<u64>(), parity in any::<bool>()) {
        let make = if parity { source_with_parity } else { source };
        let (s, content) = make(30_000 + (seed % 5_000) as usize, seed);
        let into = tempfile::tempdir().unwrap();
        let mut file = folder(into.path(), s.description());
        let mut memory: Box<dyn Store> = Box::new(Memory::new(s.description()));
        let mut rng = Rng::new(seed);
        for _ in 0..120 {
            let draws = rng.fork();
            prop_assert_eq!(
                step(&s, &mut *file, draws.clone()),
                step(&s, &mut *memory, draws)
            );
            prop_assert_eq!(file.held(), memory.held());
        }
        let (from, len) = (rng.below(20_000), rng.below(10_000) as usize);
        let (mut here, mut there) = (vec![0; len], vec![0; len]);
        let reads = (file.read_at(from, &mut here), memory.read_at(from, &mut there));
        prop_assert_eq!(&reads.0.is_ok(), &reads.1.is_ok());
        if reads.0.is_ok() {
            prop_assert!(here == content[from as usize..][..len] && here == there);
        }
        prop_assert_eq!(file.finish().is_ok(), memory.finish().is_ok());
    }
}

#[test]
fn a_finished_object_can_be_read() {
    let (s, content) = source(20_000, 4);
    let g = s.description().geometry;
    let into = tempfile::tempdir().unwrap();
    let mut store = folder(into.path(), s.description());
    let fault = store.read_at(0, &mut [0; 1]).unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Gone);
    for block in 0..g.blocks() {
        let mut pool = BlockPool::new(1 << 20);
        pool.open(0, &g);
        for number in 0..g.symbols(block) {
            let bytes = symbol(&s, block, number);
            match g.is_page(block) {
                true => assert!(!store.store_page(block, &bytes).unwrap().refused),
                false => assert!(matches!(pool.put(0, block, number, &bytes), Put::Kept)),
            }
        }
        if let Some(mut buf) = pool.take(0, block) {
            // What fills the last symbol is not hashed, and may be anything.
            if block == 0 || block + 1 == g.blocks() {
                buf.bytes_mut()[usize::from(g.symbols(block)) * 1_024 - 1] = 1;
            }
            let result = store.finish_block(block, Some(&mut buf));
            assert_eq!(result, Ok(BlockResult::Verified));
        }
    }
    assert_eq!(store.finish(), Ok(()));
    assert_eq!(store.held(), s.held());
    let mut read = vec![0; content.len()];
    store.read_at(0, &mut read).unwrap();
    assert!(read == content);
    let (mut here, mut offered) = (vec![1; 4 * 1_024], vec![2; 4 * 1_024]);
    for block in 0..g.blocks() {
        let n = store.read_block(block, &mut here).unwrap();
        assert_eq!(s.read_block(block, &mut offered), Ok(n));
        assert!(here[..n] == offered[..n], "block {block}");
    }
    assert_eq!(store.finish().unwrap_err().kind(), FaultKind::Gone);
}

#[test]
fn faults_have_kinds() {
    let (s, _) = source(5_000, 1);
    let into = tempfile::tempdir().unwrap();
    let _first = folder(into.path(), s.description());
    let open = |into: &std::path::Path| FolderDestination::new(into).open(s.description());
    assert_eq!(open(into.path()).unwrap_err().kind(), FaultKind::Busy);
    let other = tempfile::tempdir().unwrap();
    std::fs::create_dir(other.path().join("file.bin")).unwrap();
    assert_eq!(open(other.path()).unwrap_err().kind(), FaultKind::Denied);
}
