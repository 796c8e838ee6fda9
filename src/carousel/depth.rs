//! Over how many blocks a burst of losses is spread.

/// The most: a NAK for a block waits until its whole window has passed.
const MOST: u64 = 16;
/// Bytes of source symbols in a window, at most: half of a receiver's buffers
/// (`store::DEFAULT_POOL`), as the blocks of the last window are on their way to its disk when
/// those of the next come.
const WINDOW: u64 = 16 << 20;

/// Blocks of `block_bytes` to send in turn, so that a burst of `burst` packets takes no more from
/// any of them than half of its `surplus`: the other half is for what else is lost. 1 without a
/// surplus, as what is lost is then asked for wherever it was.
///
/// A sender with `slots` buffers keeps one window in them, reads the next, and has one left.
pub fn depth(burst: u64, surplus: u16, block_bytes: u64, slots: usize) -> u16 {
    if surplus == 0 {
        return 1;
    }
    let in_memory = slots.saturating_sub(1) as u64 / 2;
    let most = MOST.min(WINDOW / block_bytes.max(1)).min(in_memory);
    let wanted = burst.saturating_mul(2).div_ceil(surplus.into());
    wanted.min(most).max(1) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_takes_half_of_the_surplus_of_each() {
        // 100 ms at 100 Mbit/s are 890 packets.
        assert_eq!(
            depth(890, 410, 4_096 * 1_344, 7),
            3,
            "as many as fit memory"
        );
        assert_eq!(depth(89, 291, 4_096 * 1_344, 7), 1);
        assert_eq!(depth(100, 40, 512 * 1_344, 24), 5);
        assert_eq!(depth(u64::MAX, 1, 64, 4_096), 16);
        assert_eq!([depth(900, 0, 64, 24), depth(0, 40, 64, 24)], [1, 1]);
    }

    proptest! {
        #[test]
        fn memory_is_bounded(
            burst: u64, surplus: u16, block in 1_u64..1 << 33, slots in 0_usize..5_000,
        ) {
            let blocks = depth(burst, surplus, block, slots);
            prop_assert!((1..=16).contains(&blocks));
            prop_assert!(blocks == 1 || 2 * usize::from(blocks) < slots);
            prop_assert!(blocks == 1 || u64::from(blocks) * block <= WINDOW);
        }
    }
}
