//! What a sender has to say when it has ended.

use super::net::Remains;
use super::roster::Which;
use crate::driver::{Loss, RunOutcome, SenderSummary, Spent, Traffic};
use crate::engine::{DropReason, PacketKind};
use crate::ids::SessionId;
use crate::seal::Fingerprint;

/// The figures of a sender by what its network thread left.
pub(super) fn summary(
    session: SessionId,
    fingerprint: Fingerprint,
    remains: Remains,
    spent: Spent,
) -> SenderSummary {
    let Remains {
        engine,
        roster,
        objects,
        not_offered,
        stopped,
        overflowed,
        v4,
    } = remains;
    let (stats, sealed) = (engine.stats(), engine.config().sealed);
    let outcome = if stopped {
        RunOutcome::Stopped
    } else if objects.iter().all(|o| o.withdrawn.is_some()) && !not_offered.is_empty() {
        RunOutcome::Failed
    } else if !not_offered.is_empty()
        || roster.some_lack()
        || objects.iter().any(|o| o.left_out > 0)
    {
        RunOutcome::Partial
    } else {
        RunOutcome::Complete
    };
    let dropped = DropReason::ALL.into_iter().map(|r| (r, stats.dropped(r)));
    SenderSummary {
        outcome,
        session,
        fingerprint,
        sent: Traffic::with_headers(v4, sealed, |kind| stats.sent(kind)),
        received: Traffic::with_headers(v4, sealed, |kind| stats.received(kind)),
        loss: Loss {
            overflowed,
            dropped: dropped.filter(|(_, n)| *n > 0).collect(),
            ..Loss::default()
        },
        repairs: stats.repairs,
        naks_received: stats.received(PacketKind::Nak).packets,
        receivers_known: roster.ever(),
        most_unlisted: stats.most_unlisted,
        tiers: roster.tiers(engine.channels_used(), Which::All),
        receivers: roster.into_receivers(),
        objects,
        not_offered,
        spent,
    }
}
