//! From the engine's bursts to datagrams on their way out.
//!
//! Takes a burst and the bytes of its slot, builds the packets in one buffer that is used over and
//! over, and sends them in as few calls as possible. What a full socket does not take stays for
//! later.

use std::net::SocketAddr;

use crate::driver::socket::{SendFault, Socket};
use crate::engine::{Burst, Link};
use crate::envelope::Seal;
use crate::wire;

/// Datagrams that are being sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    to: SocketAddr,
    link: Link,
    bytes: Vec<u8>,
    /// Where each run of equal-sized datagrams (the last may be shorter) ends, and that size.
    runs: Vec<(usize, usize)>,
    sent: usize,
    run: usize,
}

impl Outgoing {
    pub(crate) fn new() -> Outgoing {
        Outgoing {
            to: SocketAddr::from(([0; 4], 0)),
            link: Link::GROUP,
            bytes: Vec::with_capacity(1 << 17),
            runs: Vec::new(),
            sent: 0,
            run: 0,
        }
    }

    /// Nothing is on its way.
    pub(crate) fn is_empty(&self) -> bool {
        self.run == self.runs.len()
    }

    /// Where to and by which socket what is on its way goes.
    pub(crate) fn way(&self) -> (SocketAddr, Link) {
        (self.to, self.link)
    }

    /// Bytes in one datagram of the run that is being sent.
    pub(crate) fn segment(&self) -> usize {
        self.runs.get(self.run).map_or(0, |r| r.1)
    }

    /// Takes a burst, in envelopes if there is what makes them; `slot` has the bytes of its block, if it is a
    /// run of data packets.
    pub(crate) fn load(
        &mut self,
        burst: &Burst,
        slot: &[u8],
        symbol_size: u16,
        mut seal: Option<&mut dyn Seal>,
    ) {
        self.to = burst.to;
        self.link = burst.link;
        self.clear();
        if burst.run.is_none() {
            self.bytes.extend_from_slice(&burst.control);
            if let Some(seal) = seal {
                seal.seal(&mut self.bytes, 0);
            }
            if !self.bytes.is_empty() {
                self.runs.push((self.bytes.len(), self.bytes.len()));
            }
            return;
        }
        let Outgoing { bytes, runs, .. } = self;
        let mut closed = true;
        burst.for_each_packet(symbol_size, |header, range| {
            // A slot that is too short is the engine's bug; it sends nothing rather than panics.
            let Some(payload) = slot.get(range) else {
                return;
            };
            let start = bytes.len();
            wire::write_data(&header, payload, bytes);
            if let Some(seal) = &mut seal {
                seal.seal(bytes, start);
            }
            let len = bytes.len() - start;
            if len == 0 {
                return;
            }
            match runs.last_mut() {
                Some(last) if !closed && len <= last.1 => {
                    last.0 = bytes.len();
                    closed = len < last.1;
                }
                _ => {
                    runs.push((bytes.len(), len));
                    closed = false;
                }
            }
        });
    }

    /// Sends what has not been sent yet by `socket`, which must be that of its link.
    pub(crate) fn send(&mut self, socket: &mut Socket) -> Result<(), SendFault> {
        while let Some(&(end, segment)) = self.runs.get(self.run) {
            let (sent, fault) = socket.send_run(self.to, &self.bytes[self.sent..end], segment);
            self.sent += sent;
            if let Some(fault) = fault {
                return Err(fault);
            }
            self.run += 1;
        }
        Ok(())
    }

    /// Gives up what has not been sent.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.runs.clear();
        self.sent = 0;
        self.run = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{ObjectKey, Run, Slot};
    use crate::ids::{SessionId, ShortCodingId};
    use crate::wire::{DataHeader, Packet};

    fn burst(part_len: Option<u16>, symbols: &[u16]) -> Burst {
        let first = DataHeader {
            channel: 1,
            session: SessionId(2),
            coding: ShortCodingId(3),
            packet: 100,
            block: 4,
            symbol: symbols[0],
            repair: false,
            one_way: false,
            part: None,
        };
        let run = Run {
            first,
            object: ObjectKey(0),
            slot: Slot(0),
            part_len,
        };
        Burst {
            run: Some(run),
            symbols: symbols.to_vec(),
            ..Burst::default()
        }
    }

    fn slot() -> Vec<u8> {
        (0..8u8)
            .flat_map(|n| std::iter::repeat_n(n, 1_024))
            .collect()
    }

    #[test]
    fn a_run_of_symbols_is_one_run_of_datagrams() {
        let mut out = Outgoing::new();
        out.load(&burst(None, &[1, 2, 7]), &slot(), 1_024, None);
        let size = wire::data_packet_len(1_024);
        assert_eq!(out.runs, [(3 * size, size)]);
        for (n, datagram) in out.bytes.chunks(size).enumerate() {
            let Packet::Data(header, payload) = wire::parse(datagram).unwrap() else {
                panic!()
            };
            assert_eq!(
                (header.packet, header.symbol),
                (100 + n as u64, [1, 2, 7][n])
            );
            assert!(payload.iter().all(|&b| u16::from(b) == header.symbol));
        }
    }

    #[test]
    fn parts_that_end_short_end_their_run() {
        let mut out = Outgoing::new();
        out.load(&burst(Some(400), &[1, 2]), &slot(), 1_024, None);
        // 400, 400, 224 for each symbol, with 40 bytes around.
        assert_eq!(
            out.runs,
            [(440 + 440 + 264, 440), (2 * (440 + 440 + 264), 440)]
        );
    }

    #[test]
    fn a_slot_too_short_sends_nothing() {
        let mut out = Outgoing::new();
        out.load(&burst(None, &[7]), &slot()[..1_000], 1_024, None);
        assert!(out.is_empty());
    }

    #[test]
    fn it_is_used_over_and_over() {
        let mut socket = Socket::at_own_address([127, 0, 0, 1].into(), 0, 1).unwrap();
        let mut out = Outgoing::new();
        for _ in 0..3 {
            let mut burst = burst(None, &[0, 1]);
            burst.to = socket.local();
            out.load(&burst, &slot(), 1_024, None);
            assert!(!out.is_empty());
            out.send(&mut socket).unwrap();
            assert!(out.is_empty());
        }
    }
}
