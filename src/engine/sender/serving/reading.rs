//! Which blocks are read next.

use crate::carousel::Piece;
use crate::engine::sender::channels::Channels;
use crate::engine::sender::serving::Serving;
use crate::engine::sender::slots::WantedBlock;
use crate::engine::sender::unicast::Unicast;
use crate::engine::sender::unicast_path::UnicastPath;
use crate::engine::{ObjectKey, ReadCommand};
use crate::ids::BlockNo;

impl Serving {
    /// The next block to read.
    pub(crate) fn poll_read(&mut self) -> Option<ReadCommand> {
        let needed = needed(&self.channels, &self.unicast);
        self.slots.read_next(needed)
    }
}

/// The blocks that are needed next, the most urgent first. A channel sends the first of its objects
/// that it can; the one after is there in time if there is room at the end.
fn needed<'a>(
    channels: &'a Channels,
    unicast: &'a Unicast,
) -> impl Iterator<Item = WantedBlock> + 'a {
    let firsts = || channels.in_turn().filter_map(|c| c.running().next());
    let paths = || unicast.in_turn().filter_map(|id| unicast.path(id));
    let now = firsts().flat_map(|(object, carousel)| {
        let pieces = carousel.current().into_iter().flatten();
        pieces.map(move |piece| wanted(object, piece))
    });
    let later = firsts().flat_map(|(object, carousel)| {
        let pieces = carousel.upcoming();
        pieces.map(move |piece| wanted(object, piece))
    });
    let rest = channels.iter().flat_map(|c| c.running().skip(1));
    let rest = rest.flat_map(|(object, carousel)| {
        let pieces = carousel.current().into_iter().flatten();
        pieces.map(move |piece| wanted(object, piece))
    });
    now.chain(paths().filter_map(UnicastPath::next).map(plain))
        .chain(later)
        .chain(paths().filter_map(UnicastPath::upcoming).map(plain))
        .chain(rest)
}

fn wanted(object: ObjectKey, piece: Piece) -> WantedBlock {
    WantedBlock {
        object,
        block: piece.block,
        parity: piece.parity,
    }
}

fn plain((object, block): (ObjectKey, BlockNo)) -> WantedBlock {
    WantedBlock {
        object,
        block,
        parity: false,
    }
}
