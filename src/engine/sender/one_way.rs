//! A session without a way back: nobody joins or asks, so every object goes out in full, pass after
//! pass, and what describes it is repeated within each pass.

use crate::engine::PacketKind;
use crate::engine::sender::Sender;
use crate::engine::sender::carousel::Carousel;
use crate::symbol_set::SymbolSet;
use crate::time::Time;

/// The file table and the hash pages go out so often in a pass, evenly spread: where 30 % is lost, one
/// of them lacks to a receiver once in two million passes (0.3^12). It costs 12 packets for each 230
/// MB or less.
const COPIES: u64 = 12;

/// How far a carousel is with its passes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Passes {
    begun: u32,
    /// Symbols sent since the description last went out.
    since_copy: u64,
}

impl Sender {
    /// Passes over each object; none for passes without end. None at all where there is a way back.
    pub(super) fn passes(&self) -> Option<Option<u32>> {
        let cycles = self.config.one_way?;
        Some((!self.config.stay).then_some(cycles.get()))
    }

    /// Begins passes of the carousels that are at an end, those of one channel in turn: none begins
    /// its next while another has not ended the last. `limit` passes are all.
    pub(super) fn begin_passes(&mut self, now: Time, limit: Option<u32>) {
        let mut begun = Vec::new();
        for channel in &mut self.channels {
            let ended = channel.carousels.values().map(Carousel::passes_ended).min();
            for (&key, carousel) in &mut channel.carousels {
                if carousel.may_pass(limit) && ended == Some(carousel.passes.begun) {
                    carousel.passes.begun += 1;
                    carousel.walk.want(0..carousel.geometry.blocks());
                    begun.push((key, carousel.offers()));
                }
            }
        }
        for (key, offers) in begun {
            // What is sent to somebody who does not know of the object is lost.
            let offer = self.make_offer(now, key);
            for _ in 0..offers {
                self.send_to_channel(0, offer.clone(), PacketKind::Offer);
            }
        }
        self.count_passes(limit);
    }

    /// Somebody is taken to listen to each carousel that has passes to come.
    pub(super) fn count_passes(&mut self, limit: Option<u32>) {
        for channel in &mut self.channels {
            for carousel in channel.carousels.values_mut() {
                carousel.listeners = u32::from(carousel.is_passing() || carousel.may_pass(limit));
            }
        }
    }

    /// All that was offered has gone out as often as it was to.
    pub(super) fn all_passed(&self) -> bool {
        self.objects.iter().any(|o| o.withdrawn.is_none())
            && self.carousels().all(|(_, c)| c.listeners == 0)
    }
}

impl Carousel {
    fn passes_ended(&self) -> u32 {
        self.passes.begun - u32::from(self.is_passing())
    }

    fn is_passing(&self) -> bool {
        !self.walk.is_at_end() || !self.repairs.is_empty()
    }

    /// Offers before a pass: as many as of the description, fewer where they would cost much.
    fn offers(&self) -> u64 {
        (self.geometry.total_symbols() / 16).clamp(3, COPIES)
    }

    /// Another pass is to come.
    fn may_pass(&self, limit: Option<u32>) -> bool {
        !self.is_passing() && limit.is_none_or(|limit| self.passes.begun < limit)
    }

    /// So many symbols of a pass have left: table and pages follow when it is time.
    pub(super) fn repeat_description(&mut self, sent: usize) {
        self.passes.since_copy += sent as u64;
        let every = (self.geometry.total_symbols() / COPIES).max(1);
        if self.passes.since_copy < every || self.walk.current().is_none() {
            return;
        }
        self.passes.since_copy = 0;
        for block in 0..self.geometry.first_content_block() {
            let all = SymbolSet::full(self.geometry.symbols(block));
            self.repairs.add(block, &all);
        }
    }
}
