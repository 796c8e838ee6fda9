//! A sender's events as JSON. The names are a contract with scripts; README.md lists them.

use std::net::SocketAddr;

use loopcast::driver::{SenderEvent, SenderProgress, SenderTier};

use crate::advice::Ways;
use crate::fields::Fields;
use crate::stats::{self, outcome_word};

/// The name and fields of an event; `None` for one that has no name here yet. `ways` lead to the sender,
/// once it listens.
pub(crate) fn event(event: &SenderEvent, ways: Option<&Ways>) -> Option<(&'static str, Fields)> {
    use SenderEvent as E;
    let f = Fields::new();
    Some(match event {
        E::Listening {
            session,
            group,
            interface,
            addresses,
            fingerprint,
        } => {
            let addresses: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
            let f = f
                .with("session", session.to_string())
                .with("group", group.map(|g| g.to_string()));
            (
                "listening",
                f.with("interface", interface.as_str())
                    .with("addresses", addresses)
                    .with("fingerprint", fingerprint.to_string())
                    .with("url", ways.map(|w| w.group.to_string())),
            )
        }
        E::KeyMade { path } => ("key_made", f.with("path", path.to_string_lossy())),
        E::KeyNotKept { reason } => ("key_not_kept", f.with("reason", reason.as_str())),
        E::SmallBuffer(b) => (
            "small_buffer",
            f.with("wanted", b.wanted).with("got", b.got),
        ),
        E::Hashing { name, done, total } => (
            "hashing",
            f.with("name", name.as_str())
                .with("done", *done)
                .with("total", *total),
        ),
        E::Offered {
            name,
            path,
            bytes,
            content,
            coding,
            cached,
            again,
        } => {
            let f = f
                .with("name", name.as_str())
                .with("path", path.to_string_lossy())
                .with("bytes", *bytes);
            let f = f
                .with("content", content.to_string())
                .with("coding", coding.0.to_string());
            ("offered", f.with("cached", *cached).with("again", *again))
        }
        E::OfferFailed { path, reason } => (
            "offer_failed",
            f.with("path", path.to_string_lossy())
                .with("reason", reason.as_str()),
        ),
        E::PathSkipped { path } => ("path_skipped", f.with("path", path.to_string_lossy())),
        E::Withdrawn { name, reason } => (
            "withdrawn",
            f.with("name", name.as_str())
                .with("reason", reason.as_str()),
        ),
        E::Joined {
            receiver,
            address,
            path,
        } => {
            let f = f
                .with("receiver", receiver.to_string())
                .with("address", address.to_string());
            ("joined", f.with("path", path.name()))
        }
        E::Returned { receiver } => ("returned", f.with("receiver", receiver.to_string())),
        E::Moved {
            receiver,
            path,
            tier,
            cause,
        } => {
            let f = f
                .with("receiver", receiver.to_string())
                .with("path", path.name());
            (
                "moved",
                f.with("tier_bps", tier.as_bps()).with("why", cause.name()),
            )
        }
        E::Done {
            receiver,
            name,
            outcome,
        } => {
            let f = f
                .with("receiver", receiver.to_string())
                .with("name", name.as_deref());
            ("done", f.with("outcome", outcome_word(*outcome)))
        }
        E::Gone {
            receiver,
            cause,
            reason,
        } => {
            let f = f.with("receiver", receiver.to_string());
            let f = f.with("reason", reason.as_str());
            ("gone", f.with("why", cause.name()))
        }
        E::Started { name, group } => (
            "started",
            f.with("name", name.as_str())
                .with("group", group.to_string()),
        ),
        E::CycleEnded {
            name,
            cycle,
            blocks_left,
        } => {
            let f = f.with("name", name.as_str()).with("cycle", *cycle);
            ("cycle_ended", f.with("blocks_left", *blocks_left))
        }
        E::Stopped { name } => ("stopped", f.with("name", name.as_str())),
        E::Progress(p) => ("progress", progress(p)),
        E::AnotherSender { session, address } => (
            "another_sender",
            f.with("session", session.to_string())
                .with("address", address.to_string()),
        ),
        E::AddressSkipped { address, reason } => (
            "address_skipped",
            f.with("address", address.to_string())
                .with("reason", reason.as_str()),
        ),
        E::TooLarge { size } => ("too_large", f.with("size", *size)),
        E::CannotSend { to, reason } => (
            "cannot_send",
            f.with("to", to.to_string()).with("reason", reason.as_str()),
        ),
        E::Finished => ("finished", f),
        _ => return None,
    })
}

fn progress(p: &SenderProgress) -> Fields {
    Fields::new()
        .with("sent_bytes", p.sent_bytes)
        .with("rate_bps", p.rate.as_bps())
        .with("receivers", p.receivers)
        .with("unlisted", p.unlisted)
        .with("done", p.done)
        .with("repairs", p.repairs)
        .with("naks", p.naks)
        .array("tiers", p.tiers.iter().map(tier))
        .array("slowest", p.slowest.iter().map(stats::standing))
}

/// How a tier fares.
pub(crate) fn tier(t: &SenderTier) -> Fields {
    Fields::new()
        .with("group", t.group.map(|g| g.to_string()))
        .with("tier_bps", t.tier.as_bps())
        .with("rate_bps", t.rate.as_bps())
        .with("sent_packets", t.sent)
        .with("listeners", t.receivers)
        .with("packets", t.packets)
        .with("lost", t.lost)
        .with("overflowed", t.overflowed)
        .with("stalled", t.stalled)
        .with("progress", t.progress)
        .with("seconds_left", t.remaining.map(stats::secs))
}
