//! Which symbol of a block stands in which of its places, in memory or on disk.
//!
//! A block has as many places as source symbols. A source symbol stands in its own place; a parity symbol
//! is a guest in the place of a source symbol that is not there, and moves on when that comes. So
//! whatever comes, a block takes no more room than it has bytes, and when all places are taken there
//! is enough to restore it.

use crate::ids::SymbolNo;
use crate::symbol_set::SymbolSet;

/// Nobody stands here.
const EMPTY: u16 = u16::MAX;

/// The places of one block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Places {
    /// The symbol in each place.
    at: Vec<u16>,
    present: SymbolSet,
    /// No place from here on is free. Guests begin at the end, where source symbols that come in
    /// order push them out last.
    free_below: u16,
}

/// Where a symbol that comes is to be put.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Seat {
    /// Nowhere: it is here already, or every place is taken and it is not needed.
    None,
    /// Here. The guest that stands there moves first: to another place, or nowhere if all are taken.
    At {
        place: u16,
        guest_moves_to: Option<u16>,
    },
}

/// What to copy to bring one set of places into another.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Merge {
    /// Guests that are pushed out, from where to where: to be read before anything is written.
    pub(crate) moves: Vec<(u16, u16)>,
    /// From a place there to a place here, ascending in the places there.
    pub(crate) copies: Vec<(u16, u16)>,
}

impl Places {
    /// The places of a block of so many source symbols, all free.
    pub(crate) fn new(symbols: u16) -> Places {
        Places {
            at: vec![EMPTY; usize::from(symbols)],
            present: SymbolSet::with_capacity(symbols),
            free_below: symbols,
        }
    }

    /// Symbols that are here, source and parity.
    pub(crate) fn present(&self) -> &SymbolSet {
        &self.present
    }

    fn symbols(&self) -> u16 {
        self.at.len() as u16
    }

    /// Source symbols that are here.
    pub(crate) fn sources(&self) -> usize {
        match self.present.next_at(self.symbols()) {
            None => self.present.len(),
            Some(_) => self.occupied().filter(|(place, s)| place == s).count(),
        }
    }

    /// Places that are taken, and by which symbol, ascending.
    pub(crate) fn occupied(&self) -> impl Iterator<Item = (u16, SymbolNo)> + '_ {
        let all = (0..).zip(self.at.iter().copied());
        all.filter(|&(_, symbol)| symbol != EMPTY)
    }

    /// A symbol of the block comes.
    pub(crate) fn add(&mut self, symbol: SymbolNo) -> Seat {
        if !self.present.insert(symbol) {
            return Seat::None;
        }
        let Some(&guest) = self.at.get(usize::from(symbol)) else {
            return match self.take_free(symbol) {
                Some(place) => Seat::At {
                    place,
                    guest_moves_to: None,
                },
                None => {
                    self.present.remove(symbol);
                    Seat::None
                }
            };
        };
        self.at[usize::from(symbol)] = symbol;
        let guest_moves_to = (guest != EMPTY).then(|| self.reseat(guest)).flatten();
        Seat::At {
            place: symbol,
            guest_moves_to,
        }
    }

    /// Adds all that `other` has, which is to be copied as told.
    pub(crate) fn merge(&mut self, other: &Places) -> Merge {
        let mut merge = Merge::default();
        let mut pushed_out = Vec::new();
        let is_source = |&(place, symbol): &(u16, SymbolNo)| place == symbol;
        for (place, symbol) in other.occupied().filter(is_source) {
            if self.present.insert(symbol) {
                let seat = &mut self.at[usize::from(place)];
                if *seat != EMPTY {
                    pushed_out.push((place, *seat));
                }
                *seat = symbol;
                merge.copies.push((place, place));
            }
        }
        for (from, guest) in pushed_out {
            if let Some(to) = self.reseat(guest) {
                merge.moves.push((from, to));
            }
        }
        for (from, symbol) in other.occupied().filter(|o| !is_source(o)) {
            if self.present.contains(symbol) {
                continue;
            }
            let same = &mut self.at[usize::from(from)];
            let to = if *same == EMPTY {
                *same = symbol;
                Some(from)
            } else {
                self.take_free(symbol)
            };
            if let Some(to) = to {
                self.present.insert(symbol);
                merge.copies.push((from, to));
            }
        }
        merge.copies.sort_unstable();
        merge
    }

    /// Another place for a guest, or it is gone.
    fn reseat(&mut self, guest: SymbolNo) -> Option<u16> {
        let to = self.take_free(guest);
        if to.is_none() {
            self.present.remove(guest);
        }
        to
    }

    /// Seats a symbol in the last free place.
    fn take_free(&mut self, symbol: SymbolNo) -> Option<u16> {
        let below = &self.at[..usize::from(self.free_below)];
        let place = below.iter().rposition(|&s| s == EMPTY);
        // A place that is taken never becomes free.
        self.free_below = place.unwrap_or(0) as u16;
        self.at[place?] = symbol;
        place.map(|p| p as u16)
    }

    /// The places as bytes for the sidecar: for each place the number of its symbol plus 1, 0 for
    /// none.
    #[cfg(any(test, feature = "store"))]
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let numbers = self.at.iter().map(|symbol| symbol.wrapping_add(1));
        numbers.flat_map(u16::to_be_bytes).collect()
    }

    /// From bytes; symbols that can't be where they are said to be, or are not below `end`, are
    /// left out.
    #[cfg(any(test, feature = "store"))]
    pub(crate) fn from_bytes(bytes: &[u8], end: u16) -> Places {
        let numbers = bytes.as_chunks().0.iter().map(|b| u16::from_be_bytes(*b));
        let mut places = Places::new(numbers.len() as u16);
        for (place, number) in numbers.enumerate() {
            let symbol = number.wrapping_sub(1);
            let is_guest = usize::from(symbol) >= places.at.len() && symbol < end;
            if (usize::from(symbol) == place || is_guest) && places.present.insert(symbol) {
                places.at[place] = symbol;
            }
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Does to a row of values what a seat says; the row holds in each place the symbol there.
    fn put(row: &mut [u16], seat: Seat, symbol: u16) {
        if let Seat::At {
            place,
            guest_moves_to,
        } = seat
        {
            if let Some(to) = guest_moves_to {
                row[usize::from(to)] = row[usize::from(place)];
            }
            row[usize::from(place)] = symbol;
        }
    }

    fn check(places: &Places, row: &[u16]) {
        let taken: BTreeMap<u16, u16> = places.occupied().collect();
        assert_eq!(taken.len(), places.present().len());
        for (&place, &symbol) in &taken {
            assert_eq!(row[usize::from(place)], symbol);
            assert!(symbol == place || usize::from(symbol) >= row.len());
            assert!(places.present().contains(symbol));
        }
        let sources = taken.iter().filter(|(p, s)| p == s).count();
        assert_eq!(places.sources(), sources);
        let bytes = places.to_bytes();
        let again = Places::from_bytes(&bytes, 40);
        assert!(again.occupied().eq(places.occupied()));
    }

    fn filled(symbols: &[u16]) -> (Places, Vec<u16>) {
        let (mut places, mut row) = (Places::new(12), vec![999; 12]);
        for &symbol in symbols {
            let before = places.present().clone();
            let seat = places.add(symbol);
            assert!(
                seat != Seat::None || before.contains(symbol) || before.len() == 12,
                "refused without need"
            );
            put(&mut row, seat, symbol);
            assert!(places.present().len() >= before.len());
            check(&places, &row);
        }
        (places, row)
    }

    proptest! {
        #[test]
        fn every_symbol_is_where_it_is_said_to_be(
            first in proptest::collection::vec(0..40u16, 0..30),
            second in proptest::collection::vec(0..40u16, 0..30),
        ) {
            let (mut places, mut row) = filled(&first);
            let (other, other_row) = filled(&second);
            let mut union = places.present().clone();
            union.union_with(other.present());
            let merge = places.merge(&other);
            let moved: Vec<u16> = merge.moves.iter().map(|m| row[usize::from(m.0)]).collect();
            for &(from, to) in &merge.copies {
                row[usize::from(to)] = other_row[usize::from(from)];
            }
            for (&(_, to), symbol) in merge.moves.iter().zip(moved) {
                row[usize::from(to)] = symbol;
            }
            check(&places, &row);
            prop_assert!(merge.copies.is_sorted());
            prop_assert!(places.present().is_subset(&union));
            prop_assert_eq!(places.present().len(), union.len().min(12));
            let mut sources = union.clone();
            sources.remove_range(12..40);
            prop_assert!(sources.is_subset(places.present()));
        }

        #[test]
        fn bytes_of_any_kind_are_places(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let places = Places::from_bytes(&bytes, 40);
            let row: Vec<u16> = places.at.clone();
            check(&places, &row);
        }
    }

    #[test]
    fn symbols_in_order_move_few_guests() {
        let mut places = Places::new(100);
        for parity in 100..110 {
            places.add(parity);
        }
        let mut moves = 0;
        for source in (0..100).filter(|s| s % 10 != 0) {
            let seat = places.add(source);
            moves += u32::from(matches!(
                seat,
                Seat::At {
                    guest_moves_to: Some(_),
                    ..
                }
            ));
        }
        assert!(places.present().len() == 100 && moves < 20, "{moves}");
    }
}
