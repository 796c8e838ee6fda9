//! Which packets of a receiver have come, so that each is taken once.

/// Counters of a receiver's latest packets: the 64 up to the highest (RFC 4303 §3.4.3).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReplayWindow {
    highest: Option<u64>,
    /// Bit `i` stands for the counter `i` below the highest.
    seen: u64,
}

impl ReplayWindow {
    /// The packet with this counter came: false if it came before, or is too old to tell.
    pub(super) fn accept(&mut self, counter: u64) -> bool {
        match self.highest {
            Some(highest) if counter <= highest => {
                let age = highest - counter;
                if age >= 64 || self.seen & (1 << age) != 0 {
                    return false;
                }
                self.seen |= 1 << age;
            }
            before => {
                let ahead = before.map_or(64, |highest| counter - highest);
                self.seen = if ahead < 64 { self.seen << ahead } else { 0 } | 1;
                self.highest = Some(counter);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_is_taken_once() {
        let mut w = ReplayWindow::default();
        assert!(w.accept(0) && !w.accept(0));
        assert!(w.accept(5) && w.accept(3) && !w.accept(3) && !w.accept(5));
        assert!(w.accept(70) && !w.accept(5) && w.accept(7) && !w.accept(6));
        assert!(w.accept(u64::MAX) && !w.accept(u64::MAX));
    }
}
