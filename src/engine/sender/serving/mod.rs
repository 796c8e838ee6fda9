//! One session that is sent: its parts, and what passes between them.
//!
//! * this file: the parts, and what time does;
//! * [`offering`]: objects that come and go; [`progress`]: what each does next, and when all is
//!   over;
//! * [`requests`]: what receivers say; [`joining`]: who joins and who is done; [`unlisted`]: who
//!   is not listed; [`listeners`]: who lacks something, counted;
//! * [`answers`]: what is lacked; [`eviction`]: what one receiver may cost the others;
//! * [`syncs`]: what is said unasked; [`transmit`], [`reading`]: what leaves next; [`rates`]: how
//!   fast; [`figures`]: for people.

mod answers;
mod eviction;
mod figures;
mod joining;
mod listeners;
mod offering;
mod progress;
mod rates;
mod reading;
mod requests;
mod syncs;
mod transmit;
mod unlisted;

use core::time::Duration;

use crate::config;
use crate::engine::output::earliest;
use crate::engine::sender::absence::Absence;
use crate::engine::sender::acknowledgements::Acknowledgements;
use crate::engine::sender::channels::Channels;
use crate::engine::sender::config::SenderConfig;
use crate::engine::sender::lent::Lent;
use crate::engine::sender::lifecycle::Lifecycle;
use crate::engine::sender::members::Members;
use crate::engine::sender::offers::Offers;
use crate::engine::sender::other_sessions::OtherSessions;
use crate::engine::sender::outbox::Outbox;
use crate::engine::sender::session::Session;
use crate::engine::sender::slots::Slots;
use crate::engine::sender::tiers::Tiers;
use crate::engine::sender::unicast::Unicast;
use crate::engine::{SenderEvent, SenderStats, Timer};
use crate::rate::{Grtt, Pacer};
use crate::time::Time;
use crate::units::Rate;

/// One session that is sent.
#[derive(Debug)]
pub(super) struct Serving {
    config: SenderConfig,
    session: Session,
    lifecycle: Lifecycle,
    absence: Absence,
    offers: Offers,
    members: Members,
    channels: Channels,
    tiers: Tiers,
    unicast: Unicast,
    slots: Slots,
    outbox: Outbox,
    acknowledgements: Acknowledgements,
    grtt: Grtt,
    /// Paces all that is sent.
    pacer: Pacer,
    other_sessions: OtherSessions,
    /// An object's cycle or repairs came to an end with the last run.
    recheck: bool,
}

impl Serving {
    /// A session that starts at `now`, of a configuration that was checked.
    pub(super) fn new(config: SenderConfig, now: Time) -> Serving {
        let session = Session::new(&config);
        let packet = session.usual_packet(config.groups[0]);
        let pacer = Pacer::new(config.rate, packet, now);
        let lent = Lent::new(now, config.rate, Pacer::new(Rate::ZERO, packet, now));
        Serving {
            session,
            lifecycle: Lifecycle::new(session.one_way),
            absence: Absence::new(now),
            offers: Offers::new(now),
            members: Members::new(now, config.roster),
            channels: Channels::new(&config, &pacer),
            tiers: Tiers::new(&config, &pacer),
            unicast: Unicast::new(pacer.clone(), lent),
            slots: Slots::new(config.slots),
            outbox: Outbox::new(&config),
            acknowledgements: Acknowledgements::default(),
            grtt: Grtt::new(now),
            pacer,
            other_sessions: OtherSessions::default(),
            recheck: false,
            config,
        }
    }

    pub(super) fn config(&self) -> &SenderConfig {
        &self.config
    }

    pub(super) fn stats(&self) -> &SenderStats {
        self.outbox.stats()
    }

    pub(super) fn is_over(&self) -> bool {
        self.lifecycle.is_over()
    }

    pub(super) fn poll_event(&mut self) -> Option<SenderEvent> {
        self.outbox.pop_event()
    }

    /// The group round-trip time as receivers are told it: a quarter above the measured, because
    /// RFC 5401 §5.1 wants a value that covers the whole group, and the highest sample so far does
    /// not. It keeps the NAKs for a loss shared by a thousand below five (`benches/scale.rs`).
    pub(super) fn grtt(&self) -> Duration {
        (self.grtt.get() * 5 / 4).min(config::MAX_GRTT)
    }

    /// Time has passed.
    pub(super) fn handle_timeout(&mut self, now: Time) {
        self.notice_absence(now);
        self.forget_silent(now);
        self.follow_unlisted(now);
        self.adapt_rates(now);
        self.lend(now);
        if self.acknowledgements.due().is_some_and(|at| at <= now) {
            self.send_acknowledgements(now);
        }
        self.send_syncs(now);
        self.announce(now);
        self.unicast.handle_timeout(now);
        self.update(now);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), and why.
    pub(super) fn poll_timeout(&self) -> Option<(Time, Timer)> {
        let next = self.next_timer();
        self.absence.expect(next.map_or(Time::NEVER, |(at, _)| at));
        next
    }

    fn next_timer(&self) -> Option<(Time, Timer)> {
        if self.lifecycle.is_over() {
            return None;
        }
        let set = |at: Option<Time>| at.filter(|&at| at != Time::NEVER);
        let pacing = set(self.next_transmit());
        let heard = self.acknowledgements.due();
        if let Some(at) = self.lifecycle.closing_due() {
            return earliest([
                (pacing, Timer::Pacing),
                (heard, Timer::Heard),
                (Some(at), Timer::Close),
            ]);
        }
        let sync = self.channels.transmissions().map(|(_, t)| t.sync_due());
        let silence = self.members.silence_due();
        let silence = silence.min(self.channels.unlisted_due());
        earliest([
            (pacing, Timer::Pacing),
            (set(sync.min()), Timer::Sync),
            (set(Some(self.offers.announce_due())), Timer::Announce),
            (heard, Timer::Heard),
            (Some(silence), Timer::Silence),
            (self.members.count_due(), Timer::Silence),
            (set(self.unicast.next_due()), Timer::Unicast),
            (set(self.tiers.next_round()), Timer::Rate),
            (self.next_lending(), Timer::Rate),
        ])
    }

    /// Whoever wakes it much later than it asked for was stopped, or had no processor.
    fn notice_absence(&mut self, now: Time) {
        if self.absence.notice(now) {
            self.members.handle_absence(now);
            self.tiers.handle_absence(now);
        }
    }

    /// Brings counts and phases up to date after any input.
    fn update(&mut self, now: Time) {
        if self.members.count_due().is_some_and(|at| at <= now) {
            self.count_listeners(now);
        }
        self.advance(now);
        self.start_tiers(now);
        if self.next_lending().is_none() {
            self.unicast.lent_mut().rest(now);
        }
        self.end_if_done(now);
    }

    /// Checks that every queue, table and set is within its cap, and that tables agree.
    ///
    /// # Errors
    /// What is not so.
    pub(super) fn check_bounds(&self) -> Result<(), &'static str> {
        let ensure = |holds: bool, what| if holds { Ok(()) } else { Err(what) };
        ensure(self.outbox.is_bounded(), "the outbox is too long")?;
        ensure(self.members.is_bounded(), "too many receivers are known")?;
        ensure(
            self.acknowledgements.is_bounded(),
            "too many acknowledgements wait",
        )?;
        ensure(
            self.other_sessions.is_bounded(),
            "too many other sessions are known",
        )?;
        ensure(self.offers.is_bounded(), "too many objects are on offer")?;
        ensure(
            self.tiers.iter().all(|t| t.is_bounded()),
            "too many receivers' shares are kept",
        )?;
        self.channels.iter().try_for_each(|c| c.check_bounds())
    }
}
