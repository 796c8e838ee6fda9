//! The groups that the driver was told to listen to.

use core::net::SocketAddr;

use crate::engine::following::outbox::{FollowingNo, Outbox};
use crate::engine::{Command, DropReason, ReceiverStats};
use crate::wire::{ChannelInfo, Feedback};

/// Most groups that are joined in one session.
const MAX_GROUPS: usize = 2_048;

/// Groups that a following listens to.
#[derive(Debug)]
pub(super) struct Groups {
    of: FollowingNo,
    joined: Vec<ChannelInfo>,
}

impl Groups {
    pub(super) fn new(of: FollowingNo) -> Groups {
        Groups {
            of,
            joined: Vec::new(),
        }
    }

    /// Joins a channel's group, if it is not joined yet.
    pub(super) fn join(
        &mut self,
        channel: ChannelInfo,
        out: &mut Outbox,
        stats: &mut ReceiverStats,
    ) {
        let same = |c: &ChannelInfo| c.group == channel.group && c.source == channel.source;
        if let Some(known) = self.joined.iter_mut().find(|c| same(c)) {
            let feedback = known.feedback;
            known.number = channel.number;
            known.rate = channel.rate;
            if feedback == channel.feedback || channel.feedback == Feedback::Sender {
                return;
            }
            known.feedback = channel.feedback;
        } else if self.joined.len() >= MAX_GROUPS {
            return stats.dropped.add(DropReason::Full);
        } else {
            self.joined.push(channel);
        }
        out.command(self.of, Command::Join(channel));
    }

    /// Leaves the groups for which `leaves` says so.
    pub(super) fn leave(&mut self, leaves: impl Fn(&ChannelInfo) -> bool, out: &mut Outbox) {
        let (gone, stay) = self.joined.iter().partition(|c| leaves(c));
        self.joined = stay;
        let gone: Vec<ChannelInfo> = gone;
        for channel in gone {
            out.command(self.of, Command::Leave(channel));
        }
    }

    /// A group could not be joined.
    pub(super) fn join_failed(&mut self, group: SocketAddr) {
        self.joined.retain(|c| c.group != group);
    }

    /// A group is joined.
    pub(super) fn has(&self, group: SocketAddr) -> bool {
        self.joined.iter().any(|c| c.group == group)
    }

    /// No more groups are joined than may be.
    pub(super) fn is_bounded(&self) -> bool {
        self.joined.len() <= MAX_GROUPS
    }
}
