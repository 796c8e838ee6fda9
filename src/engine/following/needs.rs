//! What blocks lack, as a NAK says it.

use core::ops::Range;

use crate::assemble::Holdings;
use crate::ids::BlockNo;
use crate::wire::{self, Need};

/// A NAK is kept to this many bytes of UDP payload.
const NAK_LEN: usize = 1_200;
/// So few missing symbols are named even where a number would do.
const FEW: usize = 3;

/// What the blocks lack, as entries that fit a NAK, lowest first; and the first block that did not
/// fit. Of blocks with parity it may be enough to say how many symbols, `by_number`; not where some
/// were here before, as those that the sender takes for new need not be.
pub(super) fn needs_of(
    holdings: &Holdings,
    runs: impl Iterator<Item = Range<BlockNo>>,
    by_number: bool,
) -> (Vec<Need>, Option<BlockNo>) {
    let mut entries: Vec<Need> = Vec::new();
    let mut room = NAK_LEN - wire::NAK_EMPTY_LEN;
    for run in runs {
        let mut block = run.start;
        while block < run.end {
            let end = holdings.absent_until(block, run.end);
            let lacking = holdings.lacking(block);
            let by_number = by_number && !holdings.is_found(block);
            let need = if end > block {
                Need::Blocks {
                    first: block,
                    count: end - block,
                }
            } else if by_number && lacking > FEW && holdings.geometry().parity(block) > 0 {
                Need::Count {
                    block,
                    lacking: lacking as u16,
                }
            } else {
                Need::Symbols {
                    block,
                    missing: holdings.missing(block),
                }
            };
            let at = block;
            block = end.max(at + 1);
            if holdings.is_complete(at) {
                continue;
            }
            if let (Need::Blocks { count: more, .. }, Some(Need::Blocks { first, count })) =
                (&need, entries.last_mut())
                && *first + *count == at
            {
                *count += more;
                continue;
            }
            let len = need.encoded_len();
            if len > room || entries.len() >= wire::MAX_NEEDS {
                return (entries, Some(at));
            }
            room -= len;
            entries.push(need);
        }
    }
    (entries, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Geometry;

    #[test]
    fn runs_of_absent_blocks_are_one_entry_and_the_packet_is_kept_to() {
        let g = Geometry::new(10_000 * 512 * 1024, 1024, 512, 0, 64).unwrap();
        let mut h = Holdings::new(g);
        let (entries, next) = needs_of(&h, h.incomplete(), false);
        assert_eq!(
            (entries, next),
            (
                vec![Need::Blocks {
                    first: 0,
                    count: g.blocks()
                }],
                None
            )
        );
        for block in 0..g.blocks() {
            for symbol in (0..g.symbols(block)).step_by(2) {
                h.insert(block, symbol);
            }
        }
        let (entries, next) = needs_of(&h, h.incomplete(), false);
        let len: usize = entries.iter().map(Need::encoded_len).sum();
        assert!(len + wire::NAK_EMPTY_LEN <= NAK_LEN && entries.len() > 5);
        assert_eq!(next, Some(entries.last().unwrap().first_block() + 1));
    }
}
