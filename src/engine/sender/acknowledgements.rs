//! Joins and dones that are acknowledged on channels, several in one packet.

use core::time::Duration;

use crate::ids::ChannelNo;
use crate::time::Time;
use crate::wire::Heard;

/// How long acknowledgements are gathered into one packet.
const DELAY: Duration = Duration::from_millis(2);
/// Acknowledgements in one packet of 1,200 bytes.
const PER_PACKET: usize = 90;

/// Acknowledgements that wait for others.
#[derive(Debug, Default)]
pub(super) struct Acknowledgements {
    waiting: Vec<(ChannelNo, Heard)>,
    due: Option<Time>,
}

impl Acknowledgements {
    /// Adds one; true if all that wait are to go out now.
    pub(super) fn push(&mut self, now: Time, channel: ChannelNo, heard: Heard) -> bool {
        self.waiting.push((channel, heard));
        let full = self.waiting.len() >= PER_PACKET;
        if !full && self.due.is_none() {
            self.due = Some(now + DELAY);
        }
        full
    }

    /// When those that wait are to go out.
    pub(super) fn due(&self) -> Option<Time> {
        self.due
    }

    /// Takes all that wait, in packets.
    pub(super) fn take(&mut self) -> Vec<(ChannelNo, Vec<Heard>)> {
        self.due = None;
        let mut waiting = core::mem::take(&mut self.waiting);
        waiting.sort_by_key(|&(channel, _)| channel);
        let same = waiting.chunk_by(|a, b| a.0 == b.0);
        let packets = same.flat_map(|same| same.chunks(PER_PACKET));
        let packet = |batch: &[(ChannelNo, Heard)]| {
            let heard = batch.iter().map(|&(_, heard)| heard).collect();
            (batch[0].0, heard)
        };
        packets.map(packet).collect()
    }

    pub(super) fn is_bounded(&self) -> bool {
        self.waiting.len() <= PER_PACKET
    }
}
