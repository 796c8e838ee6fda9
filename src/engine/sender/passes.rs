//! How far an object is with its passes, where there is no way back: nobody asks, so it goes out in
//! full, pass after pass, and what describes it is repeated within each pass.

/// Hash pages, and a file table of one block, go out this often in a pass, evenly spread: where 30
/// % is lost, one of them lacks to a receiver once in two million passes (0.3^12). It costs 12
/// packets for each 230 MB or less.
const COPIES: u64 = 12;

/// Passes begun over an object.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Passes {
    begun: u32,
    /// Symbols sent since the description last went out.
    since_copy: u64,
}

impl Passes {
    /// Passes that have ended, if the last one `is_running` or not.
    pub(super) fn ended(&self, is_running: bool) -> u32 {
        self.begun - u32::from(is_running)
    }

    pub(super) fn begun(&self) -> u32 {
        self.begun
    }

    /// Another pass is to come after those begun, of `limit` in all.
    pub(super) fn may_begin(&self, limit: Option<u32>) -> bool {
        limit.is_none_or(|limit| self.begun < limit)
    }

    pub(super) fn begin(&mut self) {
        self.begun += 1;
    }

    /// Offers before a pass of `symbols`: as many as of the description, fewer where they would
    /// cost much.
    pub(super) fn offers(symbols: u64) -> u64 {
        (symbols / 16).clamp(3, COPIES)
    }

    /// `sent` symbols of a pass of `symbols` have left: true when the description is to follow,
    /// unless the pass `is_over`.
    pub(super) fn sent(&mut self, sent: usize, symbols: u64, is_over: bool) -> bool {
        self.since_copy += sent as u64;
        let due = self.since_copy >= (symbols / COPIES).max(1) && !is_over;
        if due {
            self.since_copy = 0;
        }
        due
    }
}
