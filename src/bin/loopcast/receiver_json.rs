//! A receiver's events as JSON. The names are a contract with scripts; README.md lists them.

use loopcast::driver::{ReceiverEvent, ReceiverProgress};
use loopcast::engine::PathChoice;
use loopcast::wire::NoticeCode;

use std::net::SocketAddr;

use crate::fields::Fields;
use crate::stats::secs;

/// The name and fields of an event; `None` for one that has no name here yet.
pub(crate) fn event(event: &ReceiverEvent) -> Option<(&'static str, Fields)> {
    use ReceiverEvent as E;
    let f = Fields::new();
    Some(match event {
        E::Ready {
            receiver,
            interface,
            address,
        } => {
            let f = f
                .with("receiver", receiver.to_string())
                .with("interface", interface.as_str());
            ("ready", f.with("address", address.to_string()))
        }
        E::SmallBuffer(b) => (
            "small_buffer",
            f.with("wanted", b.wanted).with("got", b.got),
        ),
        E::Heard { session, address } => (
            "heard",
            f.with("session", session.to_string())
                .with("address", address.to_string()),
        ),
        E::AnotherSender { session, address } => (
            "another_sender",
            f.with("session", session.to_string())
                .with("address", address.to_string()),
        ),
        E::SenderKnown {
            fingerprint,
            trusted,
        } => (
            "sender_known",
            f.with("fingerprint", fingerprint.to_string())
                .with("trusted", *trusted),
        ),
        E::StrangerMet {
            fingerprint,
            address,
        } => (
            "stranger_met",
            f.with("fingerprint", fingerprint.to_string())
                .with("address", address.to_string()),
        ),
        E::Opened {
            name,
            path,
            bytes,
            content,
        } => {
            let f = f
                .with("name", name.as_str())
                .with("path", path.to_string_lossy());
            (
                "opened",
                f.with("bytes", *bytes).with("content", content.to_string()),
            )
        }
        E::MovedAside {
            name,
            path,
            replaced,
        } => {
            let f = f
                .with("name", name.as_str())
                .with("path", path.to_string_lossy());
            ("moved_aside", f.with("replaced", *replaced))
        }
        E::NoWayBack => ("no_way_back", f),
        E::PathChosen(path) => ("path", f.with("path", path.name()).with("why", why(*path))),
        E::TierChosen { rate, cause } => (
            "tier",
            f.with("rate_bps", rate.as_bps()).with("why", cause.name()),
        ),
        E::Progress(p) => ("progress", progress(p)),
        E::Complete {
            name,
            path,
            bytes,
            content,
            took,
        } => {
            let f = f
                .with("name", name.as_str())
                .with("path", path.to_string_lossy());
            let f = f.with("bytes", *bytes).with("content", content.to_string());
            ("complete", f.with("seconds", secs(*took)))
        }
        E::Failed { name, reason } => (
            "failed",
            f.with("name", name.as_str())
                .with("reason", reason.as_str()),
        ),
        E::Withdrawn { name, reason } => (
            "withdrawn",
            f.with("name", name.as_str())
                .with("reason", reason.as_str()),
        ),
        E::NoRoom => ("no_room", f),
        E::Redirected { to } => ("redirected", f.with("to", to.to_string())),
        E::Notice { code, cause, text } => {
            let f = f.with("code", notice(*code)).with("text", text.as_str());
            ("notice", f.with("why", cause.name()))
        }
        E::BadBlock { name, block, from } => (
            "bad_block",
            f.with("name", name.as_str())
                .with("block", *block)
                .with("from", texts(from)),
        ),
        E::ShutOut { address } => ("shut_out", f.with("address", address.to_string())),
        E::GaveUp { reason, evicted } => {
            let f = f.with("reason", reason.as_str());
            (
                "gave_up",
                f.with("evicted", evicted.map(|cause| cause.name())),
            )
        }
        E::JoinFailed { group, reason } => (
            "join_failed",
            f.with("group", group.to_string())
                .with("reason", reason.as_str()),
        ),
        E::Finished => ("finished", f),
        _ => return None,
    })
}

/// Addresses as texts.
pub(crate) fn texts(addresses: &[SocketAddr]) -> Vec<String> {
    addresses.iter().map(SocketAddr::to_string).collect()
}

/// A stable word for why a path was taken.
pub(crate) fn why(path: PathChoice) -> &'static str {
    match path {
        PathChoice::Group => "heard",
        PathChoice::UnicastAsked => "asked",
        PathChoice::UnicastSilent => "silence",
        PathChoice::UnicastNoData => "no_data",
        PathChoice::UnicastTooSlow => "too_slow",
        PathChoice::UnicastTold => "told",
    }
}

fn notice(code: NoticeCode) -> &'static str {
    match code {
        NoticeCode::NotFound => "not_found",
        NoticeCode::Elsewhere => "elsewhere",
        NoticeCode::Withdrawn => "withdrawn",
        NoticeCode::Ended => "ended",
        NoticeCode::Evicted => "evicted",
        NoticeCode::UseUnicast => "use_unicast",
    }
}

fn progress(p: &ReceiverProgress) -> Fields {
    Fields::new()
        .with("name", p.name.as_str())
        .with("have", p.have)
        .with("total", p.total)
        .with("verified", p.verified)
        .with("rate_bps", p.rate.as_bps())
        .with("lost", p.lost)
        .with("naks", p.naks)
}
