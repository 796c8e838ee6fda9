//! What all packets of a session have in common, and how long they are.

use core::net::SocketAddr;

use crate::config;
use crate::engine::sender::config::SenderConfig;
use crate::engine::{PacketKind, ip_len};
use crate::ids::SessionId;
use crate::units::Rate;
use crate::wire;

/// A session's identity, and what goes around its packets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    /// There is no way back.
    pub(super) one_way: bool,
    /// Packets leave in a group's envelopes.
    pub(super) sealed: bool,
}

impl Session {
    pub(super) fn new(config: &SenderConfig) -> Session {
        Session {
            id: config.session,
            one_way: config.one_way.is_some(),
            sealed: config.sealed,
        }
    }

    /// IP bytes of a packet of a kind with `payload` bytes of UDP payload before it is sealed.
    pub(super) fn ip_len(&self, to: SocketAddr, kind: PacketKind, payload: usize) -> u64 {
        ip_len(to, payload + kind.envelope(self.sealed))
    }

    /// IP bytes of a data packet with a symbol of this size.
    pub(super) fn packet_len(&self, to: SocketAddr, symbol_size: u16) -> u64 {
        self.ip_len(to, PacketKind::Data, wire::data_packet_len(symbol_size))
    }

    /// IP bytes of a data packet of the usual size.
    pub(super) fn usual_packet(&self, to: SocketAddr) -> u64 {
        self.packet_len(to, config::DEFAULT_SYMBOL_SIZE)
    }

    /// Bytes of a padded SYNC, which is to be as long as a data packet when it leaves.
    pub(super) fn padded_len(&self, symbol_size: u16) -> u16 {
        let sealed = self.sealed;
        let more = PacketKind::Sync.envelope(sealed) - PacketKind::Data.envelope(sealed);
        (wire::data_packet_len(symbol_size) - more) as u16
    }

    /// The rate of data packets' UDP payload with all that is around it.
    pub(super) fn on_the_wire(&self, payload: Rate, to: SocketAddr) -> Rate {
        let each = wire::data_packet_len(config::DEFAULT_SYMBOL_SIZE) as f64;
        payload.mul_f64(self.usual_packet(to) as f64 / each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_envelopes_are_sent_too() {
        let rate = |to: &str, sealed| {
            let session = Session {
                id: SessionId(1),
                one_way: false,
                sealed,
            };
            let rate = session.on_the_wire(Rate::from_bps(1_380_000), to.parse().unwrap());
            (rate.as_bps() as f64 / 1_000.0).round()
        };
        assert_eq!(rate("10.0.0.1:1", false), 1_408.0);
        assert_eq!(rate("10.0.0.1:1", true), 1_420.0);
        assert_eq!(rate("[fd00::1]:1", true), 1_440.0);
    }
}
