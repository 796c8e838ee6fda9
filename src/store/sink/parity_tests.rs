//! Blocks that are restored: any mixture of symbols, little memory, broken runs, lies.

use super::fixture::{
    Carrier, K, SIZE, blocks, buffer, names, part_of, source_with_parity, symbols,
};
use super::*;
use crate::rng::Rng;
use crate::store::{BlockResult, Memory, Store};
use proptest::prelude::*;

fn bring(c: &mut Carrier, sink: &mut Sink, s: &Memory, kinds: &[&str], seed: u64) {
    let which = blocks(&s.description().geometry, kinds);
    c.bring_enough(sink, s, &which, &mut Rng::new(seed))
        .unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_enough_symbols_give_the_file(len in 0usize..100_000, seed: u64) {
        let (s, content) = source_with_parity(len, seed);
        let into = tempfile::tempdir().unwrap();
        let mut sink = Sink::open(into.path(), s.description()).unwrap();
        let mut c = Carrier::new(&s);
        bring(&mut c, &mut sink, &s, &["table", "pages", "content"], seed);
        prop_assert_eq!((sink.lacking(), c.bad.len()), (0, 0));
        prop_assert!(c.pool.allocated() <= 4 * usize::from(K) * SIZE);
        prop_assert!(len < 80_000 || c.evictions > 0);
        prop_assert!(std::fs::read(sink.finish().unwrap()).unwrap() == content);
    }

    /// One block, of which each symbol is on disk or in memory, by several evictions.
    #[test]
    fn symbols_may_wait_anywhere(
        last_len in 1usize..=4 * SIZE,
        order in Just((0..8u16).collect::<Vec<u16>>()).prop_shuffle(),
        cuts in proptest::collection::vec(0usize..=8, 0..4),
        last_in_memory: bool,
        seed: u64,
    ) {
        let (s, content) = source_with_parity(4 * SIZE + last_len, seed);
        let g = s.description().geometry;
        let block = g.blocks() - 1;
        let n = usize::from(g.symbols(block));
        let all = symbols(&s, block);
        let there = order.into_iter().filter(|&x| usize::from(x) < all.len());
        let order: Vec<u16> = there.take(n).collect();
        let into = tempfile::tempdir().unwrap();
        let mut sink = Sink::open(into.path(), s.description()).unwrap();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(n)).collect();
        cuts.extend([0, n]);
        cuts.sort_unstable();
        let mut parts: Vec<&[u16]> = cuts.windows(2).map(|w| &order[w[0]..w[1]]).collect();
        parts.retain(|p| !p.is_empty());
        let in_memory = if last_in_memory { parts.pop() } else { None };
        for part in parts {
            sink.write_partial(&buffer(&g, block, &all, part)).unwrap();
        }
        let mut buf = in_memory.map(|part| buffer(&g, block, &all, part));
        let result = sink.finish_block(block, buf.as_mut()).unwrap();
        prop_assert_eq!(result, BlockResult::Unproven);
        let mut c = Carrier::new(&s);
        bring(&mut c, &mut sink, &s, &["table", "pages"], seed);
        prop_assert!(c.bad.is_empty());
        let others: Vec<BlockNo> = g.blocks_of(Part::Content).filter(|&b| b != block).collect();
        c.bring_enough(&mut sink, &s, &others, &mut Rng::new(seed)).unwrap();
        prop_assert!(std::fs::read(sink.finish().unwrap()).unwrap() == content);
    }
}

#[test]
fn parity_alone_is_enough() {
    let (s, content) = source_with_parity(50_000, 1);
    let g = s.description().geometry;
    let into = tempfile::tempdir().unwrap();
    let mut sink = Sink::open(into.path(), s.description()).unwrap();
    bring(&mut Carrier::new(&s), &mut sink, &s, &["table", "pages"], 1);
    for block in g.blocks_of(Part::Content) {
        let n = g.symbols(block);
        let parity: Vec<u16> = (g.parity(block)..g.parity(block) + n).collect();
        let mut buf = buffer(&g, block, &symbols(&s, block), &parity);
        assert_eq!(
            sink.finish_block(block, Some(&mut buf)).unwrap(),
            BlockResult::Verified
        );
    }
    assert_eq!(std::fs::read(sink.finish().unwrap()).unwrap(), content);
}

#[test]
fn too_few_symbols_are_bad_and_nothing_is_written() {
    let (s, _) = source_with_parity(40_000, 1);
    let g = s.description().geometry;
    let into = tempfile::tempdir().unwrap();
    let mut sink = Sink::open(into.path(), s.description()).unwrap();
    let block = g.data_block(Part::Content, 1);
    let all = symbols(&s, block);
    let mut buf = buffer(&g, block, &all, &[0, 5, 6]);
    let bad = sink.finish_block(block, Some(&mut buf)).unwrap();
    assert_eq!(bad, BlockResult::Bad);
    assert_eq!(
        sink.finish_block(block, None).unwrap(),
        BlockResult::Bad,
        "nothing at all"
    );
    assert!(!part_of(into.path()).exists());
    // What was on disk of it does not count for the next attempt.
    sink.write_partial(&buffer(&g, block, &all, &[1, 7]))
        .unwrap();
    assert_eq!(sink.finish_block(block, None).unwrap(), BlockResult::Bad);
    let mut buf = buffer(&g, block, &all, &[0, 2]);
    let bad = sink.finish_block(block, Some(&mut buf)).unwrap();
    assert_eq!(bad, BlockResult::Bad);
}

#[test]
fn a_lie_in_parity_is_found_and_the_block_comes_again() {
    for pages_first in [true, false] {
        let (s, content) = source_with_parity(50_000, 3);
        let g = s.description().geometry;
        let into = tempfile::tempdir().unwrap();
        let mut sink = Sink::open(into.path(), s.description()).unwrap();
        let mut c = Carrier::new(&s);
        if pages_first {
            bring(&mut c, &mut sink, &s, &["pages"], 1);
        }
        let block = g.data_block(Part::Content, 2);
        let mut all = symbols(&s, block);
        all[5][100] ^= 1;
        for symbol in [0, 5, 1, 3] {
            c.bring(&mut sink, block, symbol, &all[usize::from(symbol)])
                .unwrap();
        }
        assert_eq!(c.bad, if pages_first { vec![block] } else { vec![] });
        bring(&mut c, &mut sink, &s, &["pages"], 1);
        assert_eq!(c.bad, [block]);
        bring(&mut c, &mut sink, &s, &["content", "table"], 1);
        assert_eq!(std::fs::read(sink.finish().unwrap()).unwrap(), content);
    }
}

#[test]
fn a_later_run_goes_on_with_whole_blocks() {
    let (s, content) = source_with_parity(200_000, 4);
    let g = s.description().geometry;
    let into = tempfile::tempdir().unwrap();
    let mut sink = Sink::open(into.path(), s.description()).unwrap();
    let mut c = Carrier::new(&s);
    bring(&mut c, &mut sink, &s, &["pages", "table"], 1);
    let all = blocks(&g, &["content"]);
    let (first, second) = all.split_at(all.len() / 2);
    c.bring_enough(&mut sink, &s, first, &mut Rng::new(1))
        .unwrap();
    for &block in second {
        let all = symbols(&s, block);
        sink.write_partial(&buffer(&g, block, &all, &[6, 1]))
            .unwrap();
    }
    drop(sink);
    let mut sink = Sink::open(into.path(), s.description()).unwrap();
    let recovered: u64 = sink.held().iter().map(|r| r.end - r.start).sum();
    let pages = g.pages(Part::Content) as usize;
    assert_eq!(recovered as usize, 1 + pages + first.len());
    // What was there of the others is forgotten: they begin anew.
    let block = second[0];
    let mut buf = buffer(&g, block, &symbols(&s, block), &[0, 2]);
    let bad = sink.finish_block(block, Some(&mut buf)).unwrap();
    assert_eq!(bad, BlockResult::Bad);
    let mut c = Carrier::new(&s);
    c.bring_enough(&mut sink, &s, second, &mut Rng::new(2))
        .unwrap();
    assert!(c.bad.is_empty() && c.evictions > 0);
    assert_eq!(std::fs::read(sink.finish().unwrap()).unwrap(), content);
}

/// Bytes of a file that are on the disk.
fn room(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).map_or(0, |m| m.blocks() * 512)
}

#[test]
fn a_finished_blocks_room_is_given_back() {
    let (s, content) = source_with_parity(30 * SIZE + 1, 5);
    let g = s.description().geometry;
    let into = tempfile::tempdir().unwrap();
    let spool = into.path().join("file.bin.part.spool");
    let mut sink = Sink::open(into.path(), s.description()).unwrap();
    bring(&mut Carrier::new(&s), &mut sink, &s, &["table", "pages"], 1);
    for block in g.blocks_of(Part::Content) {
        let all = symbols(&s, block);
        let n = g.symbols(block);
        let parity: Vec<u16> = (n..2 * n - 1).collect();
        sink.write_partial(&buffer(&g, block, &all, &parity))
            .unwrap();
    }
    assert!(!part_of(into.path()).exists(), "nothing is whole yet");
    let waiting = room(&spool);
    assert!(waiting >= 7 * 4_096, "{waiting}");
    for block in g.blocks_of(Part::Content) {
        let mut buf = buffer(&g, block, &symbols(&s, block), &[0]);
        let result = sink.finish_block(block, Some(&mut buf)).unwrap();
        assert_eq!(result, BlockResult::Verified);
    }
    #[cfg(target_os = "linux")]
    assert!(room(&spool) < waiting / 4, "{} of {waiting}", room(&spool));
    assert_eq!(std::fs::read(sink.finish().unwrap()).unwrap(), content);
    assert_eq!(names(into.path()), ["file.bin"]);
}

#[test]
fn what_is_kept_is_without_a_spool() {
    let (s, _) = source_with_parity(20_000, 5);
    let g = s.description().geometry;
    let into = tempfile::tempdir().unwrap();
    let mut sink = Sink::open(into.path(), s.description()).unwrap();
    let block = g.data_block(Part::Content, 1);
    sink.write_partial(&buffer(&g, block, &symbols(&s, block), &[1]))
        .unwrap();
    assert_eq!(
        names(into.path()),
        ["file.bin.part.spool", "file.bin.part.state"]
    );
    sink.abandon(true).unwrap();
    assert_eq!(names(into.path()), ["file.bin.part.state"]);
    sink.abandon(false).unwrap();
    assert!(names(into.path()).is_empty());
}
