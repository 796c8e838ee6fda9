use super::*;
use crate::fec::Encoder;
use crate::rng::Rng;
use crate::store::{BlockPool, Put};

const SYMBOL: u16 = 1_024;
const BLOCK_KIB: u32 = 4;

fn bytes(len: usize) -> Vec<u8> {
    let mut rng = Rng::new(len as u64);
    (0..len).map(|_| rng.next_u64() as u8).collect()
}

fn holding(content: &[u8], codec: Codec) -> Memory {
    let name = SafeName::offered("file.bin").unwrap();
    Memory::holding(&name, content, SYMBOL, BLOCK_KIB, codec).unwrap()
}

/// A block's symbols as they are sent, parity too.
fn symbols(from: &dyn Store, block: BlockNo) -> Vec<Vec<u8>> {
    let g = from.description().geometry;
    let count = usize::from(g.symbols(block) + g.parity(block));
    let mut slot = vec![0xee; count * usize::from(SYMBOL)];
    let read = from.read_block_with_parity(block, &mut slot, &mut Encoder::new());
    assert_eq!(read, Ok(slot.len()));
    slot.chunks_exact(SYMBOL.into())
        .map(<[u8]>::to_vec)
        .collect()
}

/// A buffer with some symbols of a block.
fn buffer(from: &dyn Store, block: BlockNo, which: &[u16]) -> BlockBuf {
    let mut pool = BlockPool::new(1 << 20);
    pool.open(0, &from.description().geometry);
    let symbols = symbols(from, block);
    for &symbol in which {
        let put = pool.put(0, block, symbol, &symbols[usize::from(symbol)]);
        assert!(matches!(put, Put::Kept), "{put:?}");
    }
    pool.take(0, block).unwrap()
}

fn bring_pages(from: &Memory, to: &mut Memory) -> Settled {
    let g = from.description().geometry;
    let mut all = Settled::default();
    for block in (0..g.blocks()).filter(|&b| g.is_page(b)) {
        let settled = to.store_page(block, &symbols(from, block)[0]).unwrap();
        all.refused |= settled.refused;
        all.verified.extend(settled.verified);
        all.bad.extend(settled.bad);
    }
    all
}

fn bring_block(from: &Memory, to: &mut Memory, block: BlockNo) -> BlockResult {
    let g = from.description().geometry;
    let all: Vec<u16> = (0..g.symbols(block)).collect();
    let mut buf = buffer(from, block, &all);
    to.finish_block(block, Some(&mut buf)).unwrap()
}

#[test]
fn an_object_is_read_back() {
    for len in [0, 1, 1_023, 1_024, 4_097, 100_000] {
        let content = bytes(len);
        let held = holding(&content, Codec::None);
        let g = held.description().geometry;
        assert_eq!(held.content().as_deref(), Some(&content[..]));
        let mut coming = Memory::new(held.description());
        assert_eq!(coming.content().is_some(), len == 0);
        assert!(coming.finish().is_err());
        assert_eq!(bring_pages(&held, &mut coming), Settled::default());
        for block in (0..g.blocks()).filter(|&b| !g.is_page(b)) {
            assert_eq!(
                bring_block(&held, &mut coming, block),
                BlockResult::Verified
            );
        }
        assert_eq!(coming.finish(), Ok(()));
        assert_eq!(coming.content(), Some(content));
    }
}

#[test]
fn ranges_are_read_only_where_blocks_are_held() {
    let content = bytes(20_000);
    let held = holding(&content, Codec::None);
    let g = held.description().geometry;
    for (from, to) in [
        (0, 1),
        (4_000, 9_000),
        (19_999, 20_000),
        (0, 20_000),
        (7, 7),
    ] {
        let mut read = vec![0; to - from];
        assert_eq!(held.read_at(from as u64, &mut read), Ok(()));
        assert_eq!(read, content[from..to]);
    }
    let fault = held.read_at(19_999, &mut [0; 2]).unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Gone);
    let mut coming = Memory::new(held.description());
    bring_pages(&held, &mut coming);
    bring_block(&held, &mut coming, g.content_block_at(0));
    assert_eq!(coming.read_at(0, &mut [0; 4_000]), Ok(()));
    let fault = coming.read_at(0, &mut [0; 5_000]).unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Gone);
}

#[test]
fn blocks_wait_for_their_page() {
    let content = bytes(20_000);
    let held = holding(&content, Codec::None);
    let g = held.description().geometry;
    let first = g.content_block_at(0);
    let mut coming = Memory::new(held.description());
    let mut wrong = buffer(&held, first, &[0, 1, 2, 3]);
    wrong.bytes_mut()[0] ^= 1;
    let result = coming.finish_block(first, Some(&mut wrong));
    assert_eq!(result, Ok(BlockResult::Unproven));
    let right = bring_block(&held, &mut coming, first + 1);
    assert_eq!(right, BlockResult::Unproven);
    assert!(coming.held().is_empty());
    let mut page = symbols(&held, 1).remove(0);
    page[0] ^= 1;
    assert!(coming.store_page(first - 1, &page).unwrap().refused);
    page[0] ^= 1;
    let settled = coming.store_page(first - 1, &page).unwrap();
    assert_eq!(
        (settled.bad, settled.verified),
        (vec![first], vec![first + 1])
    );
    // Nothing of the wrong block is left.
    assert_eq!(coming.finish_block(first, None), Ok(BlockResult::Bad));
    assert_eq!(
        bring_block(&held, &mut coming, first),
        BlockResult::Verified
    );
}

#[test]
fn what_fills_the_last_symbol_is_zeros_whatever_came() {
    let held = holding(&bytes(5_000), Codec::None);
    let g = held.description().geometry;
    let mut coming = Memory::new(held.description());
    bring_pages(&held, &mut coming);
    for block in [0, g.blocks() - 1] {
        let all: Vec<u16> = (0..g.symbols(block)).collect();
        let mut buf = buffer(&held, block, &all);
        if let Some(last) = buf.bytes_mut().last_mut() {
            *last = 1;
        }
        let result = coming.finish_block(block, Some(&mut buf));
        assert_eq!(result, Ok(BlockResult::Verified));
        assert_eq!(symbols(&coming, block), symbols(&held, block));
    }
}

#[test]
fn parity_restores_what_is_missing() {
    let content = bytes(7_000);
    let held = holding(&content, Codec::ReedSolomon);
    let g = held.description().geometry;
    let first = g.content_block_at(0);
    let mut coming = Memory::new(held.description());
    bring_pages(&held, &mut coming);
    for block in first..g.blocks() {
        let n = g.symbols(block);
        assert!(n >= 3, "{n}");
        // In two parts, of which the second pushes out a guest of the first.
        let part = buffer(&held, block, &[n, n + 1]);
        coming.write_partial(&part).unwrap();
        assert_eq!(coming.held().total(), 1 + u64::from(block - first));
        let sources: Vec<u16> = (2..n).collect();
        let mut rest = buffer(&held, block, &sources);
        let result = coming.finish_block(block, Some(&mut rest));
        assert_eq!(result, Ok(BlockResult::Verified));
    }
    bring_block(&held, &mut coming, 0);
    assert_eq!(coming.content(), Some(content));
    let too_few = Memory::new(held.description()).finish_block(first, None);
    assert_eq!(too_few, Ok(BlockResult::Bad));
}

#[test]
fn a_later_run_finds_verified_blocks() {
    let held = holding(&bytes(20_000), Codec::None);
    let first = held.description().geometry.content_block_at(0);
    let mut coming = Memory::new(held.description());
    bring_pages(&held, &mut coming);
    bring_block(&held, &mut coming, first);
    let part = buffer(&held, first + 1, &[0]);
    coming.write_partial(&part).unwrap();
    let before = coming.held();
    coming.abandon(true).unwrap();
    assert_eq!(coming.held(), before);
    assert!(coming.read_at(0, &mut [0; 100]).is_ok());
    coming.abandon(false).unwrap();
    assert!(coming.held().is_empty());
}
