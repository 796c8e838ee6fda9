//! What the engine tells: to the program, to the roster, and for the sockets that only listen.

use std::net::SocketAddr;

use super::Net;
use crate::driver::reactor::Sockets;
use crate::driver::{DeliveryPath, SenderEvent};
use crate::engine::{self, Link, ObjectKey};
use crate::time::Time;

impl Net {
    pub(super) fn on_event(
        &mut self,
        now: Time,
        event: engine::SenderEvent,
        sockets: &mut Sockets<Link>,
    ) {
        use engine::SenderEvent as E;
        let told = match event {
            E::Started { object, group, .. } => {
                self.hear_feedback(object, group, sockets);
                let name = self.offers.name(object);
                Some(SenderEvent::Started { name, group })
            }
            E::Stopped { object } => {
                self.listeners.stop_feedback(object, sockets);
                let name = self.offers.name(object);
                Some(SenderEvent::Stopped { name })
            }
            E::CycleEnded {
                object,
                cycle,
                blocks_left,
            } => Some(SenderEvent::CycleEnded {
                name: self.offers.cycle_ended(object, cycle),
                cycle,
                blocks_left,
            }),
            E::Withdrawn { object, reason } => {
                let name = self.offers.name(object);
                self.listeners.stop_feedback(object, sockets);
                self.offers
                    .withdrawn(now, object, &reason, &mut self.session);
                Some(SenderEvent::Withdrawn { name, reason })
            }
            E::OtherSession { session, address } => {
                self.listeners.stop_other_senders(sockets);
                Some(SenderEvent::AnotherSender { session, address })
            }
            E::Finished => {
                self.session.ending.finish();
                None
            }
            of_receiver => self.of_receiver(now, of_receiver),
        };
        if let Some(told) = told {
            self.session.outbox.tell(told);
        }
    }

    /// What is told of one receiver.
    fn of_receiver(&mut self, now: Time, event: engine::SenderEvent) -> Option<SenderEvent> {
        use engine::SenderEvent as E;
        let roster = &mut self.figures.roster;
        Some(match event {
            E::Joined {
                receiver,
                address,
                unicast,
            } => {
                roster.joined(now, receiver, address, unicast);
                SenderEvent::Joined {
                    receiver,
                    address,
                    path: DeliveryPath::of(unicast),
                }
            }
            E::Returned { receiver, outcome } => {
                roster.returned(receiver, outcome);
                if outcome.is_some() {
                    // It wants something more, as was to be expected.
                    return None;
                }
                SenderEvent::Returned { receiver }
            }
            E::Moved {
                receiver,
                unicast,
                tier,
                cause,
            } => {
                roster.moved(receiver, cause);
                SenderEvent::Moved {
                    receiver,
                    path: DeliveryPath::of(unicast),
                    tier,
                    cause,
                }
            }
            E::Done {
                receiver,
                object,
                outcome,
            } => {
                roster.done_with(now, receiver, object.is_none(), outcome);
                SenderEvent::Done {
                    receiver,
                    name: object.map(|object| self.offers.name(object)),
                    outcome,
                }
            }
            E::Gone {
                receiver,
                cause,
                reason,
            } => {
                roster.gone(now, receiver, cause);
                SenderEvent::Gone {
                    receiver,
                    reason,
                    cause,
                }
            }
            _ => return None,
        })
    }

    fn hear_feedback(&mut self, object: ObjectKey, group: SocketAddr, sockets: &mut Sockets<Link>) {
        let config = self.session.engine.config();
        let base = config.groups.first().is_some_and(|base| *base == group);
        // What goes to the base group is heard with the requests.
        if !config.group_feedback || base {
            return;
        }
        if let Err((to, reason)) = self.listeners.hear_feedback(object, group, sockets) {
            self.session.cannot_send(to, reason);
        }
    }
}
