//! One receiver that a sender knows by its random id.

use core::net::SocketAddr;
use core::ops::Range;
use core::time::Duration;

use crate::engine::sender::losses::Losses;
use crate::engine::sender::replay_window::ReplayWindow;
use crate::engine::sender::wants::Wants;
use crate::engine::{Link, ObjectKey};
use crate::ids::PacketNo;
use crate::rate::Lag;
use crate::time::Time;
use crate::units::Rate;
use crate::wire::{MoveCause, Outcome, Report, Request};

/// What a receiver may not do any more, and why.
#[derive(Clone, Copy, Debug)]
pub(super) enum Eviction {
    /// It was told, then, to leave its groups: it is served by unicast and nothing else.
    FromGroups(MoveCause, Time),
    /// It is not served any more.
    FromSession(MoveCause),
}

/// A receiver.
#[derive(Debug)]
pub(super) struct Member {
    contact: Contact,
    counters: ReplayWindow,
    /// Counter of the last join that was followed.
    join: u64,
    wants: Wants,
    /// The tier it listens on, or did before it went over to unicast.
    tier: usize,
    /// It joined where it is with some of what it wants.
    held: bool,
    /// It fell silent, or had to go.
    gone: bool,
    eviction: Option<Eviction>,
    figures: Figures,
    losses: Losses,
    /// Whether it gets too little.
    lag: Lag,
    /// The next packet of its channel when it last reported.
    passed: PacketNo,
    /// The rate that it believes it can take; zero when it does not say.
    downlink: Rate,
    /// Whether all that is sent on its tier is sent to it: nobody there lacks more objects.
    whole: bool,
}

/// Where a receiver is heard, and when it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contact {
    pub(super) address: SocketAddr,
    pub(super) link: Link,
    pub(super) last_heard: Time,
    /// How long it may be silent after that: it knows of no other interval between its reports than
    /// it was told then.
    pub(super) patience: Duration,
}

/// What a receiver has told of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures {
    /// Its latest report.
    pub(super) report: Report,
    /// NAKs that it has sent.
    pub(super) naks: u64,
}

impl Member {
    pub(super) fn new(now: Time, address: SocketAddr, link: Link) -> Member {
        Member {
            contact: Contact {
                address,
                link,
                last_heard: now,
                patience: Duration::ZERO,
            },
            counters: ReplayWindow::default(),
            join: 0,
            wants: Wants::default(),
            tier: 0,
            held: false,
            gone: false,
            eviction: None,
            figures: Figures {
                report: Report {
                    throughput: Rate::from_bps(0),
                    ..Report::default()
                },
                naks: 0,
            },
            losses: Losses::default(),
            lag: Lag::new(now),
            passed: 0,
            downlink: Rate::ZERO,
            whole: false,
        }
    }

    pub(super) fn contact(&self) -> &Contact {
        &self.contact
    }

    /// Its address, and the socket it is answered from.
    pub(super) fn address(&self) -> (SocketAddr, Link) {
        (self.contact.address, self.contact.link)
    }

    /// It was heard, and may be silent for `patience`.
    pub(super) fn heard(&mut self, now: Time, from: SocketAddr, link: Link, patience: Duration) {
        self.contact = Contact {
            address: from,
            link,
            last_heard: now,
            patience,
        };
    }

    /// Its packet number `counter` came: false if it came before, or is too old to tell.
    pub(super) fn is_fresh(&mut self, counter: u64) -> bool {
        self.counters.accept(counter)
    }

    /// Its join with packet number `counter` came: false if it is not fresh, or if a later one has
    /// come already, as where packets overtake each other. What came under the name of a receiver
    /// that was gone, with whatever number, need not have been its own.
    pub(super) fn accepts_join(&mut self, counter: u64) -> bool {
        if self.gone {
            self.counters = ReplayWindow::default();
            self.join = 0;
        }
        if !self.is_fresh(counter) {
            return false;
        }
        let is_last = counter >= self.join;
        self.join = self.join.max(counter);
        is_last
    }

    /// It has joined on a tier.
    pub(super) fn settle(&mut self, tier: usize, request: &Request) {
        self.tier = tier;
        self.held = request.holds;
        self.downlink = request.downlink;
        self.gone = false;
        self.wants.resume();
    }

    pub(super) fn wants(&self) -> &Wants {
        &self.wants
    }

    pub(super) fn wants_mut(&mut self) -> &mut Wants {
        &mut self.wants
    }

    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.wants.outcome()
    }

    /// It is here and lacks something of the object.
    pub(super) fn lacks(&self, object: ObjectKey) -> bool {
        self.is_active() && self.wants.lack(object)
    }

    /// Keys of all objects, of this many, that it lacks something of.
    pub(super) fn lacked(&self, objects: u64) -> impl Iterator<Item = Range<u64>> + '_ {
        let wants = self.is_active().then_some(&self.wants);
        wants.into_iter().flat_map(move |w| w.lacked(objects))
    }

    /// Number of objects, of this many, that it lacks something of.
    pub(super) fn count_lacked(&self, objects: u64) -> u64 {
        self.lacked(objects).map(|r| r.end - r.start).sum()
    }

    /// It is here and not done.
    pub(super) fn is_active(&self) -> bool {
        !self.gone && self.outcome().is_none()
    }

    pub(super) fn tier(&self) -> usize {
        self.tier
    }

    /// It is here and not done, and the tier is its own, if it is not on unicast.
    pub(super) fn listens_on(&self, tier: usize) -> bool {
        self.tier == tier && self.is_active()
    }

    /// It joined where it is with some of what it wants.
    pub(super) fn held(&self) -> bool {
        self.held
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }

    /// It fell silent.
    pub(super) fn leave(&mut self) {
        self.gone = true;
    }

    pub(super) fn eviction(&self) -> Option<Eviction> {
        self.eviction
    }

    /// It is served by unicast and nothing else from now on.
    pub(super) fn evict_from_groups(&mut self, now: Time, cause: MoveCause) {
        self.eviction = Some(Eviction::FromGroups(cause, now));
    }

    /// It is not served any more.
    pub(super) fn evict(&mut self, cause: MoveCause) {
        self.gone = true;
        self.eviction = Some(Eviction::FromSession(cause));
    }

    pub(super) fn figures(&self) -> &Figures {
        &self.figures
    }

    /// It reports; gives its report before.
    pub(super) fn handle_report(&mut self, report: Report) -> Report {
        core::mem::replace(&mut self.figures.report, report)
    }

    /// It has finished with everything, as its report may not say yet.
    pub(super) fn note_complete(&mut self) {
        let held = &mut self.figures.report.symbols_held;
        *held = (*held).max(1);
    }

    pub(super) fn count_nak(&mut self) {
        self.figures.naks += 1;
    }

    pub(super) fn losses(&self) -> &Losses {
        &self.losses
    }

    /// What it lost since its report before.
    pub(super) fn add_losses(&mut self, came: u64, lost: u64) {
        self.losses.add(came, lost);
    }

    /// What it lost until now says nothing of its path.
    pub(super) fn forget_losses(&mut self) {
        self.losses = Losses::default();
    }

    /// What it gets is judged anew.
    pub(super) fn restart_lag(&mut self, now: Time) {
        self.lag = Lag::new(now);
    }

    /// It reports, when the next packet of its channel is `next`: the mean rate of packets of this
    /// many IP bytes since its report before.
    pub(super) fn pass(&mut self, now: Time, next: PacketNo, packet_len: u64) -> Rate {
        let packets = next.saturating_sub(core::mem::replace(&mut self.passed, next));
        let bytes = packets * packet_len;
        let over = now.since(self.lag.since()).as_secs_f64();
        Rate::from_bps((bytes as f64 * 8.0 / over.max(1e-3)) as u64)
    }

    /// It got `delivered` of what was `sent`: true if that is less than `least` for too long.
    pub(super) fn lags(&mut self, now: Time, delivered: Rate, sent: Rate, least: Rate) -> bool {
        self.lag.handle(now, delivered, sent, least)
    }

    pub(super) fn downlink(&self) -> Rate {
        self.downlink
    }

    /// All that is sent on its tier is sent to it.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    pub(super) fn set_whole(&mut self, whole: bool) {
        self.whole = whole;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member() -> Member {
        let address = SocketAddr::from(([10, 0, 0, 1], 1));
        Member::new(Time::ZERO, address, Link(1))
    }

    #[test]
    fn a_number_that_a_receiver_does_not_come_to_is_forgotten_when_it_is_gone() {
        let mut member = member();
        assert!(member.accepts_join(7) && member.accepts_join(u64::MAX));
        assert!(!member.accepts_join(8));
        member.leave();
        assert!(member.accepts_join(9) && !member.is_fresh(9));
    }

    #[test]
    fn what_it_lacks_is_all_of_what_it_lacks() {
        const OBJECTS: u32 = 40;
        let mut rng = crate::rng::Rng::new(1);
        for round in 0..300 {
            let mut member = member();
            if round % 3 == 0 {
                member.wants.want_all();
            }
            member.gone = round % 50 == 1;
            for _ in 0..round % 70 {
                let key = ObjectKey(rng.below(u64::from(OBJECTS)) as u32);
                match rng.below(2) {
                    0 => member.wants.want(key),
                    _ => member.wants.finish(key),
                }
            }
            let lacked = member.lacked(u64::from(OBJECTS)).flatten();
            let each = (0..OBJECTS).filter(|&key| member.lacks(ObjectKey(key)));
            assert!(lacked.eq(each.map(u64::from)));
        }
    }
}
