//! What the engine tells: to the program, and for the sockets that only listen.

use std::net::SocketAddr;

use mio::Token;

use super::{Listener, Net, Purpose};
use crate::driver::events::SenderProgress;
use crate::driver::sender::roster::Which;
use crate::driver::socket::Socket;
use crate::driver::{DeliveryPath, DriverError, SenderEvent, Traffic};
use crate::engine::{self, ObjectKey, PacketKind};
use crate::time::Time;

/// Receivers told of one by one while it runs.
const SHOWN: usize = 8;

impl Net {
    pub(super) fn on_event(&mut self, event: engine::SenderEvent) {
        use engine::SenderEvent as E;
        let now = self.clock.now();
        let told = match event {
            E::Joined {
                receiver,
                address,
                unicast,
            } => {
                self.roster.joined(now, receiver, address, unicast);
                SenderEvent::Joined {
                    receiver,
                    address,
                    path: DeliveryPath::of(unicast),
                }
            }
            E::Returned { receiver, outcome } => {
                self.roster.returned(receiver, outcome);
                if outcome.is_some() {
                    // It wants something more, as was to be expected.
                    return;
                }
                SenderEvent::Returned { receiver }
            }
            E::Started { object, group, .. } => {
                self.listen_for_feedback(object, group);
                SenderEvent::Started {
                    name: self.name(object),
                    group,
                }
            }
            E::Stopped { object } => {
                self.stop_feedback(object);
                SenderEvent::Stopped {
                    name: self.name(object),
                }
            }
            E::Moved {
                receiver,
                unicast,
                tier,
                cause,
            } => {
                self.roster.moved(receiver, cause);
                SenderEvent::Moved {
                    receiver,
                    path: DeliveryPath::of(unicast),
                    tier,
                    cause,
                }
            }
            E::CycleEnded {
                object,
                cycle,
                blocks_left,
            } => {
                if let Some(offered) = self.objects.get_mut(&object) {
                    offered.figures.cycles = cycle + 1;
                }
                SenderEvent::CycleEnded {
                    name: self.name(object),
                    cycle,
                    blocks_left,
                }
            }
            E::Done {
                receiver,
                object,
                outcome,
            } => {
                self.roster
                    .done_with(now, receiver, object.is_none(), outcome);
                let name = object.map(|o| self.name(o));
                SenderEvent::Done {
                    receiver,
                    name,
                    outcome,
                }
            }
            E::Gone {
                receiver,
                cause,
                reason,
            } => {
                self.roster.gone(now, receiver, cause);
                SenderEvent::Gone {
                    receiver,
                    reason,
                    cause,
                }
            }
            E::Withdrawn { object, reason } => {
                let name = self.name(object);
                self.withdrawn(now, object, &reason);
                SenderEvent::Withdrawn { name, reason }
            }
            E::OtherSession { session, address } => {
                // Once is enough, and its data costs us every packet.
                self.stop_listening(|purpose| *purpose == Purpose::OtherSenders);
                SenderEvent::AnotherSender { session, address }
            }
            E::Finished => {
                self.finished = true;
                return;
            }
        };
        self.outbox.tell(told);
    }

    pub(super) fn listen_for_feedback(&mut self, object: ObjectKey, group: SocketAddr) {
        let config = self.engine.config();
        let base = config.groups.first().is_some_and(|base| *base == group);
        // What goes to the base group is heard with the requests.
        if !config.group_feedback || base {
            return;
        }
        let known = self
            .listeners
            .values_mut()
            .find_map(|l| match &mut l.purpose {
                Purpose::Feedback(objects) if l.group == group.ip() => Some(objects),
                _ => None,
            });
        if let Some(objects) = known {
            objects.insert(object);
            return;
        }
        let feedback = SocketAddr::new(group.ip(), group.port() + 1);
        let opened = Socket::on_group(feedback, None, &self.interface);
        let listened = opened.map_err(|e| e.to_string()).and_then(|socket| {
            let purpose = Purpose::Feedback([object].into());
            self.listen(Listener {
                socket,
                purpose,
                group: group.ip(),
            })
            .map_err(|e| e.to_string())
        });
        if let Err(reason) = listened {
            self.cannot_send(feedback, reason);
        }
    }

    pub(super) fn listen(&mut self, mut listener: Listener) -> Result<(), DriverError> {
        let token = self.next_listener;
        let registered = listener.socket.register(self.poll.registry(), Token(token));
        registered.map_err(|source| DriverError::Socket {
            what: "watch a socket",
            source,
        })?;
        self.next_listener += 1;
        self.listeners.insert(token, listener);
        self.ready.push(token);
        Ok(())
    }

    /// An object is no longer sent: groups that no other is sent to are left.
    pub(super) fn stop_feedback(&mut self, object: ObjectKey) {
        self.stop_listening(|purpose| match purpose {
            Purpose::Feedback(objects) => objects.remove(&object) && objects.is_empty(),
            _ => false,
        });
    }

    fn stop_listening(&mut self, is_over: impl Fn(&mut Purpose) -> bool) {
        let registry = self.poll.registry();
        let interface = &self.interface;
        self.listeners.retain(|_, listener| {
            let stays = !is_over(&mut listener.purpose);
            if !stays {
                listener.socket.leave(listener.group, None, interface);
                // Closing takes it out anyway.
                let _ = listener.socket.deregister(registry);
            }
            stays
        });
    }

    pub(super) fn name(&self, object: ObjectKey) -> String {
        self.objects
            .get(&object)
            .map(|o| o.figures.name.clone())
            .unwrap_or_default()
    }

    pub(super) fn figures(&mut self, now: Time) {
        self.roster.update(now, self.engine.receivers());
        let unlisted = self.engine.unlisted();
        let stats = self.engine.stats();
        let sent_bytes = Traffic::with_headers(self.v4, self.engine.config().sealed, |kind| {
            stats.sent(kind)
        })
        .total()
        .bytes;
        self.outbox
            .tell_figures(SenderEvent::Progress(SenderProgress {
                tiers: self.roster.tiers(self.engine.channels(), Which::Present),
                slowest: self.roster.slowest(SHOWN),
                sent_bytes,
                rate: self.speed.over(now, sent_bytes),
                receivers: self.roster.present().saturating_add(unlisted),
                unlisted,
                done: self.roster.done(),
                repairs: stats.repairs,
                naks: stats.received(PacketKind::Nak).packets,
            }));
        self.outbox.flush();
    }
}
