//! How a session moves on: what each object does next on its channels, who is forgotten, and when
//! it all ends.

use core::time::Duration;

use crate::engine::sender::lifecycle::Closing;
use crate::engine::sender::notices::{self, notice};
use crate::engine::sender::serving::Serving;
use crate::engine::sender::transmission::Transmission;
use crate::engine::{PacketKind, SenderEvent};
use crate::ids::{ReceiverId, ShortCodingId};
use crate::time::Time;
use crate::wire::{MoveCause, NoticeCode, SenderBody};

impl Serving {
    /// Moves each object on: from cycle to cycle, to the question at the end, to rest.
    pub(super) fn advance(&mut self, now: Time) {
        let may_run = self.lifecycle.sends_data();
        let passes = self.config.passes();
        if may_run {
            self.note_cycles();
            if let Some(limit) = passes {
                self.begin_passes(now, limit);
            }
        }
        for (_, transmission) in self.channels.transmissions_mut() {
            transmission.advance(now, may_run, passes.is_some());
        }
    }

    /// Tells of cycles that have ended.
    fn note_cycles(&mut self) {
        for (object, transmission) in self.channels.transmissions() {
            let Some(end) = transmission.ended_cycle() else {
                continue;
            };
            self.outbox.cycle_ended();
            self.outbox.push_event(SenderEvent::CycleEnded {
                object,
                cycle: end.cycle,
                blocks_left: end.blocks_left,
            });
        }
    }

    /// Begins passes of the objects that are at an end, those of one channel in turn: none begins
    /// its next while another has not ended the last. `limit` passes are all.
    fn begin_passes(&mut self, now: Time, limit: Option<u32>) {
        let mut begun = Vec::new();
        for channel in self.channels.iter_mut() {
            let ended = channel.transmissions().map(|(_, t)| t.passes_ended());
            let Some(ended) = ended.min() else { continue };
            for (object, transmission) in channel.transmissions_mut() {
                if let Some(offers) = transmission.begin_pass(limit, ended) {
                    begun.push((object, offers));
                }
            }
        }
        for (object, offers) in begun {
            // What is sent to somebody who does not know of the object is lost.
            (0..offers).for_each(|_| self.send_offer(now, object));
        }
        self.count_passes(limit);
    }

    /// Somebody is taken to listen to each object that has passes to come.
    pub(super) fn count_passes(&mut self, limit: Option<u32>) {
        for (_, transmission) in self.channels.transmissions_mut() {
            transmission.count_passes(limit);
        }
    }

    /// All that was offered has gone out as often as it was to.
    fn has_passed_all(&self) -> bool {
        let wanted = |(_, t): (_, &Transmission)| t.listeners() > 0;
        self.offers.live().next().is_some() && !self.channels.transmissions().any(wanted)
    }

    /// Tells everybody that the session ends, unless that has begun.
    pub(crate) fn stop(&mut self, now: Time) {
        if self.lifecycle.end(now, notices::REPEATED) {
            for (_, transmission) in self.channels.transmissions_mut() {
                transmission.rest();
            }
            self.unicast.close_all();
        }
        self.update(now);
    }

    /// Ends the session when all is done, and announces that.
    pub(super) fn end_if_done(&mut self, now: Time) {
        if !self.lifecycle.is_ending() && self.is_done() {
            self.send_acknowledgements(now);
            // One of them must come through, as nobody can ask what became of the sender.
            let notices = notices::REPEATED * if self.session.one_way { 4 } else { 1 };
            self.lifecycle.end(now, notices);
        }
        let grtt = self.grtt.get();
        let pause = grtt.clamp(Duration::from_millis(5), Duration::from_millis(100));
        match self.lifecycle.close(now, pause) {
            Some(Closing::Notice) => self.send_end(),
            Some(Closing::Over) => self.outbox.push_event(SenderEvent::Finished),
            None => {}
        }
    }

    /// Nothing is left to do, and nothing to wait for.
    fn is_done(&self) -> bool {
        if self.config.stay || !self.lifecycle.may_end() {
            return false;
        }
        if self.session.one_way {
            return self.has_passed_all();
        }
        let came = self.members.have_joined(self.config.wait_for);
        came && self.members.active() == 0 && !self.members.is_stale()
    }

    /// Tells all groups that were used that the session has ended.
    fn send_end(&mut self) {
        let text = "the sender has finished";
        let end = notice(NoticeCode::Ended, ReceiverId(0), ShortCodingId(0), text);
        for channel in self.channels.iter() {
            let (number, group) = channel.address();
            if number == 0 || channel.next_packet() > 0 {
                let body = SenderBody::Notice(end.clone());
                self.outbox
                    .send_to_group((number, group), body, PacketKind::Notice);
            }
        }
    }

    /// Lets receivers go that are silent for too long, and objects from channels that nobody wants.
    pub(super) fn forget_silent(&mut self, now: Time) {
        if now < self.members.silence_due() || self.lifecycle.is_ending() {
            return;
        }
        let interval = self.tiers.longest_report_interval(self.grtt.get());
        for (receiver, limit) in self.members.forget_silent(now, interval) {
            self.unicast.close(receiver);
            self.outbox.push_event(SenderEvent::Gone {
                receiver,
                cause: MoveCause::Silent,
                reason: format!("nothing heard from it for {:.0} s", limit.as_secs_f64()),
            });
        }
        if self.channels.are_shared() || self.session.one_way {
            return;
        }
        for object in self.channels.close_unwanted(now) {
            self.outbox.push_event(SenderEvent::Stopped { object });
        }
    }
}
