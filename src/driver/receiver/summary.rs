//! What a receiver has to say when it has ended.

use super::net::Remains;
use super::objects;
use crate::driver::{BadSource, Loss, ReceiverSummary, RunOutcome, Spent, Traffic};
use crate::engine::{DropReason, PacketKind};
use crate::ids::ReceiverId;
use crate::time::Time;

/// The figures of a receiver by what its network thread left.
pub(super) fn summary(
    id: ReceiverId,
    now: Time,
    remains: Remains,
    spent: Spent,
) -> ReceiverSummary {
    let findings = remains.findings;
    let (whole, rest): (Vec<_>, Vec<_>) = remains.objects.values().partition(|o| o.is_complete());
    // A version that was withdrawn is made up for by a later one under its name.
    let made_up = |o: &&objects::Object| whole.iter().any(|w| w.name == o.name);
    let (complete, lacking) = (whole.len(), rest.iter().filter(|o| !made_up(o)).count());
    let left_out = whole.iter().any(|o| o.left_out > 0);
    let outcome = if remains.stopped {
        RunOutcome::Stopped
    } else if complete > 0 && lacking == 0 && findings.gave_up.is_none() && !left_out {
        RunOutcome::Complete
    } else if findings.evicted.is_some() {
        RunOutcome::Evicted
    } else if complete > 0 {
        RunOutcome::Partial
    } else if findings.gave_up.is_some() && !findings.refused_by_sender {
        RunOutcome::TimedOut
    } else {
        RunOutcome::Failed
    };
    let stats = remains.engine.stats();
    let sealed = remains.engine.config().sealed;
    let own = remains.overflowed + remains.stalled + remains.discards.data();
    let dropped = DropReason::ALL.into_iter().map(|r| (r, stats.dropped(r)));
    let dropped = dropped
        .filter(|(r, n)| *n > 0 && *r != DropReason::Duplicate)
        .collect();
    let bad_sources = remains.engine.bad_sources();
    ReceiverSummary {
        outcome,
        receiver: id,
        session: findings.session,
        sender: findings.sender,
        path: findings.path,
        sent: Traffic::with_headers(remains.v4, sealed, |kind| stats.sent(kind)),
        received: Traffic::with_headers(remains.v4, sealed, |kind| stats.received(kind)),
        loss: Loss {
            network: stats.lost.saturating_sub(own),
            overflowed: remains.overflowed,
            stalled: remains.stalled,
            discarded: remains.discards.packets(),
            dropped,
        },
        duplicates: stats.dropped(DropReason::Duplicate),
        naks_sent: stats.sent(PacketKind::Nak).packets,
        naks_suppressed: stats.naks_suppressed,
        bad_blocks: stats.bad_blocks,
        bad_sources: bad_sources
            .map(|(address, blocks)| BadSource { address, blocks })
            .collect(),
        objects: objects::summary(now, remains.objects),
        gave_up: findings.gave_up,
        evicted: findings.evicted,
        spent,
    }
}
