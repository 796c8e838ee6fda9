//! A receiver that is killed at any of its writes: a later run is right, and finds what was whole.

use super::fixture::{
    Carrier, blocks, file, folder, offer_table, real, source_with_parity, symbols, table,
    with_trees, wrapping,
};
use super::*;
use crate::object::Codec;
use crate::rng::Rng;
use crate::store::{Memory, Store};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A disk whose user is killed at one of its writes, of which a part may be done.
struct Killed {
    file: File,
    left: Arc<AtomicUsize>,
    torn: bool,
}

impl Disk for Killed {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        Disk::read_at(&self.file, buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let one_less = |left: usize| left.checked_sub(1);
        let (set, get) = (Ordering::Relaxed, Ordering::Relaxed);
        match self.left.fetch_update(set, get, one_less) {
            Ok(1) if self.torn => {
                Disk::write_at(&self.file, &buf[..buf.len() / 2], offset)?;
                Err(io::ErrorKind::BrokenPipe.into())
            }
            Ok(_) => Disk::write_at(&self.file, buf, offset),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn punch(&self, range: std::ops::Range<u64>) {
        if self.left.load(Ordering::Relaxed) > 0 {
            self.file.punch(range);
        }
    }
}

/// Brings everything in an order of the seed's; then, if it is a tree, what waits is placed.
fn receive(sink: &mut Sink, s: &Memory, seed: u64) -> Result<(), SinkError> {
    let g = s.description().geometry;
    let mut c = Carrier::new(s);
    let which = blocks(&g, &["table", "pages", "content"]);
    c.bring_enough(sink, s, &which, &mut Rng::new(seed))?;
    assert!(c.bad.is_empty());
    c.after_table(sink)?;
    Ok(())
}

/// Kills a run at every write, or every few. Gives how many writes a run has.
fn kill_everywhere(s: &Memory, content: &[u8], name: &str, seed: u64) -> usize {
    let g = s.description().geometry;
    let mut kept = 0;
    for kill in 0.. {
        let into = tempfile::tempdir().unwrap();
        let left = Arc::new(AtomicUsize::new(kill));
        let counter = left.clone();
        let wrap = move |file| {
            let left = counter.clone();
            let torn = kill % 2 == 1;
            Box::new(Killed { file, left, torn }) as Box<dyn Disk>
        };
        let means = with_trees(wrapping(wrap), g.length());
        let mut ended = false;
        if let Ok(mut sink) = Sink::open_with(into.path(), s.description(), means) {
            ended = receive(&mut sink, s, seed).is_ok();
        }
        let means = with_trees(real(), g.length());
        let mut sink = Sink::open_with(into.path(), s.description(), means).unwrap();
        let mut c = Carrier::new(s);
        let mut slot = vec![0; g.block_size() as usize];
        for block in sink.held().iter().flatten() {
            let block = block as BlockNo;
            let read = sink.read_block(block, &mut slot).unwrap();
            let right = symbols(s, block).concat();
            assert!(slot[..read] == right[..read], "block {block} at {kill}");
        }
        kept = kept.max(g.blocks() - sink.lacking());
        c.bring_rest(&mut sink, s).unwrap();
        assert_eq!((sink.lacking(), c.bad.len()), (0, 0), "killed at {kill}");
        sink.finish().unwrap();
        assert!(std::fs::read(into.path().join(name)).unwrap() == content);
        assert_eq!(super::fixture::names(into.path()), [name]);
        if ended {
            assert_eq!(kept, g.blocks(), "all is found again");
            return kill;
        }
    }
    unreachable!()
}

#[test]
fn a_file_survives_every_kill() {
    let (s, content) = source_with_parity(70_000, 1);
    let writes = kill_everywhere(&s, &content, "file.bin", 1);
    assert!(writes > 60, "{writes}");
}

#[test]
fn a_tree_survives_every_kill() {
    let content = super::fixture::bytes(70_000, 2);
    let table = table(&[folder(""), file("a", 70_000, 0o644)]);
    for seed in 0..3 {
        let s = offer_table(&table, &content, ObjectKind::Folder, Codec::ReedSolomon);
        let writes = kill_everywhere(&s, &content, "tree.done", seed);
        assert!(writes > 60, "{writes}");
    }
}
