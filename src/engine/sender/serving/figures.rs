//! Figures of receivers and channels, for people.

use crate::engine::ObjectKey;
use crate::engine::sender::channel::Channel;
use crate::engine::sender::figures::{ChannelFigures, ReceiverFigures};
use crate::engine::sender::member::Member;
use crate::engine::sender::offers::Offered;
use crate::engine::sender::serving::Serving;
use crate::ids::ReceiverId;
use crate::wire::Outcome;

impl Serving {
    /// The receivers it knows, in the order of their ids.
    pub(crate) fn receivers(&self) -> impl Iterator<Item = ReceiverFigures> + '_ {
        let all = self.offers.live().map(|(_, o)| o.symbols()).sum();
        self.members
            .iter()
            .map(move |(id, member)| self.receiver(id, member, all))
    }

    /// A receiver; `all` are the symbols of all objects on offer.
    fn receiver(&self, id: ReceiverId, member: &Member, all: u64) -> ReceiverFigures {
        let find = |key: u64| self.offers.find(ObjectKey(key as u32));
        let symbols_wanted = if member.wants().wants_all() {
            all
        } else {
            let named = member.wants().named();
            named.map(|key| find(key).map_or(0, Offered::symbols)).sum()
        };
        let figures = member.figures();
        let report = figures.report;
        let symbols_held = match member.outcome() {
            Some(Outcome::Complete) => symbols_wanted,
            _ => report.symbols_held.min(symbols_wanted),
        };
        let size = find(0).map_or(0, |o| u64::from(o.geometry().symbol_size()));
        ReceiverFigures {
            receiver: id,
            address: member.contact().address,
            unicast: self.unicast.serves(id),
            tier: self.tiers.rate_of(member.tier()),
            outcome: member.outcome(),
            symbols_held,
            symbols_wanted,
            bytes_left: (symbols_wanted - symbols_held) * size,
            throughput: report.throughput,
            packets: report.packets,
            lost: report.lost,
            overflowed: report.overflowed,
            stalled: report.stalled,
            naks: figures.naks,
        }
    }

    /// The channels that run.
    pub(crate) fn channels(&self) -> impl Iterator<Item = ChannelFigures> + '_ {
        let running = |tier| self.channels.running(tier).collect();
        (0..self.tiers.len()).flat_map(move |tier| self.figures(tier, running(tier)))
    }

    /// The channels that data has left on.
    pub(crate) fn channels_used(&self) -> impl Iterator<Item = ChannelFigures> + '_ {
        (0..self.tiers.len()).flat_map(|tier| {
            let channels = self.channels.on_tier(tier);
            let used = channels.filter(|c| c.next_packet() > 0);
            self.figures(tier, used.collect())
        })
    }

    /// Figures of channels of a tier, which share its rate.
    fn figures(&self, tier: usize, channels: Vec<&Channel>) -> Vec<ChannelFigures> {
        let rate = self.tiers.get(tier).pacer().rate();
        let rate = rate.mul_f64(1.0 / channels.len().max(1) as f64);
        let figures = channels.iter().map(|channel| ChannelFigures {
            group: channel.group(),
            tier: self.tiers.rate_of(tier),
            rate,
            listeners: channel.listeners(),
            sent: channel.next_packet(),
        });
        figures.collect()
    }
}
