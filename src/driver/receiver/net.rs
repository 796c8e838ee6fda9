//! What a reactor drives of a receiver: the engine, and what its driver keeps around it. What comes
//! in is in [`arrivals`].
//!
//! Takes datagrams, answers of the disk thread, and time; gives each to the part that it concerns.
//! When the disk can't keep up, packets are dropped and counted.

mod arrivals;
mod events;

use std::collections::HashMap;
#[cfg(unix)]
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crossbeam_channel as channel;

use super::contents::Contents;
use super::discards::Discards;
use super::disk::{Answer, Job, Opened};
use super::groups::{Groups, Hearing};
use super::intake::Intake;
use super::objects::Object;
use crate::driver::events::ReceiverProgress;
use crate::driver::outbox::Outbox;
use crate::driver::outgoing::Outgoing;
use crate::driver::reactor::{Ending, Engine, Look, Sockets};
use crate::driver::socket::{SendFault, Socket};
use crate::driver::{DriverError, ReceiverEvent};
use crate::engine::{self, Burst, Command, Link, ObjectKey, PacketKind, Timer, Via};
use crate::envelope::{ReceiverEnvelopes, Seal};
use crate::fault::StoreFault;
use crate::store::{MovedAside, Remark, Remarks};
use crate::time::Time;
use arrivals::Arrivals;
pub(super) use events::Findings;
use events::Telling;

/// Number of the socket that it sends by, and hears unicast at.
const UNICAST: usize = 0;
/// How long the engine has to say farewell.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the network thread is made of.
pub(crate) struct Setup {
    pub(crate) engine: engine::Receiver,
    pub(crate) envelopes: Option<ReceiverEnvelopes>,
    pub(crate) unicast: Socket,
    pub(crate) hearing: Hearing,
    pub(crate) outbox: Outbox<ReceiverEvent>,
    pub(crate) jobs: channel::Sender<Job>,
    pub(crate) answers: channel::Receiver<Answer>,
    pub(crate) discards: Discards,
}

/// What the network thread leaves behind.
pub(crate) struct Remains {
    pub(crate) engine: engine::Receiver,
    pub(crate) objects: HashMap<ObjectKey, Object>,
    pub(crate) findings: Findings,
    pub(crate) discards: Discards,
    pub(crate) stopped: bool,
    pub(crate) overflowed: u64,
    pub(crate) stalled: u64,
    pub(crate) v4: bool,
}

/// A receiver's parts.
pub(crate) struct Net {
    engine: engine::Receiver,
    answers: channel::Receiver<Answer>,
    contents: Contents,
    groups: Groups,
    arrivals: Arrivals,
    telling: Telling,
}

impl Net {
    pub(crate) fn new(setup: Setup, sockets: &mut Sockets<Via>) -> Result<Net, DriverError> {
        let added = sockets.add(setup.unicast, Via::Unicast, Look::WhenReady);
        added.map_err(|source| DriverError::Socket {
            what: "watch a socket",
            source,
        })?;
        Ok(Net {
            engine: setup.engine,
            answers: setup.answers,
            contents: Contents::new(setup.jobs),
            groups: Groups::new(setup.hearing),
            arrivals: Arrivals {
                envelopes: setup.envelopes,
                discards: setup.discards,
                intake: Intake::default(),
            },
            telling: Telling {
                outbox: setup.outbox,
                findings: Findings::default(),
                ending: Ending::default(),
            },
        })
    }

    /// Tells the engine how far behind this machine is.
    fn look(&mut self, now: Time, sockets: &Sockets<Via>) {
        let (buffers, dropped) = (sockets.buffers(), sockets.dropped_before());
        let pool = self.contents.pool();
        let backlog = self.arrivals.intake.look(now, buffers, dropped, pool);
        self.engine.set_backlog(now, backlog);
    }

    fn on_answer(&mut self, now: Time, answer: Answer) {
        match answer {
            Answer::Buffer(buf) => self.contents.give_back(buf),
            Answer::Page => self.contents.page_done(),
            Answer::Opened { object, result } => self.opened(now, object, result),
            Answer::Checked {
                object,
                block,
                result,
            } => {
                self.engine.handle_checked(now, object, block, result);
            }
            Answer::Looking { object } => self.engine.handle_looking(object),
            Answer::Unwanted { object, blocks } => self.engine.handle_unwanted(object, &blocks),
            Answer::Found {
                object,
                symbols,
                is_last,
            } => self.engine.handle_found(now, object, &symbols, is_last),
            Answer::Finished { object, result } => {
                let result = result.map(|remarks| self.remarked(object, remarks));
                self.engine.handle_finished(now, object, result);
            }
        }
    }

    /// Tells what of an object is not here as it should be.
    fn remarked(&mut self, object: ObjectKey, remarks: Remarks) {
        let Some(known) = self.contents.object(object) else {
            return;
        };
        known.left_out = remarks.count;
        for Remark { path, reason } in remarks.named {
            self.telling.outbox.tell(ReceiverEvent::LeftOut {
                name: known.name.clone(),
                path: path_of(path),
                reason,
            });
        }
    }

    fn opened(&mut self, now: Time, object: ObjectKey, result: Result<Opened, StoreFault>) {
        let result = match result {
            Ok(Opened {
                path,
                recovered,
                looks,
                moved_aside,
            }) => {
                if looks {
                    self.engine.handle_looking(object);
                }
                if let Some(known) = self.contents.object(object) {
                    if let Some(MovedAside { path, replaced }) = moved_aside {
                        self.telling.outbox.tell(ReceiverEvent::MovedAside {
                            name: known.name.clone(),
                            path,
                            replaced,
                        });
                    }
                    known.path = Some(path.clone());
                    self.telling.outbox.tell(ReceiverEvent::Opened {
                        name: known.name.clone(),
                        path,
                        bytes: known.geometry.length(),
                        content: known.content,
                    });
                }
                Ok(recovered)
            }
            Err(fault) => Err(fault),
        };
        self.engine.handle_opened(now, object, result);
    }

    fn on_command(&mut self, now: Time, command: Command, sockets: &mut Sockets<Via>) {
        match command {
            Command::Join(channel) => {
                if !self
                    .groups
                    .join(&channel, sockets, &mut self.telling.outbox)
                {
                    self.engine.handle_join_failed(now, &channel);
                }
            }
            Command::Leave(channel) => self.groups.leave(&channel, sockets),
            Command::Open {
                object,
                description,
            } => self.contents.open(now, object, description),
            Command::Check { object, block } => self.contents.check(object, block),
            Command::Finish { object } => self.contents.finish(object),
            Command::Abandon { object, keep } => self.contents.abandon(object, keep),
        }
    }
}

impl Engine for Net {
    type By = Via;
    type Remains = Remains;

    const BURSTS_A_ROUND: usize = usize::MAX;
    const ANSWERS_AT_ONCE: bool = true;

    fn socket_of(_link: Link) -> usize {
        UNICAST
    }

    fn on_datagram(&mut self, now: Time, from: SocketAddr, via: Via, datagram: &mut [u8]) {
        let (engine, contents) = (&mut self.engine, &mut self.contents);
        let arrivals = &mut self.arrivals;
        arrivals.take(now, (from, via), datagram, engine, contents);
    }

    fn on_batch(&mut self, runs: usize, datagrams: u64) {
        self.arrivals.intake.received(runs, datagrams);
    }

    fn take_message(&mut self, now: Time) -> bool {
        let answer = self.answers.try_recv();
        answer.is_ok_and(|answer| {
            self.on_answer(now, answer);
            true
        })
    }

    fn on_time(&mut self, now: Time, sockets: &Sockets<Via>) {
        if let Some((at, timer)) = self.engine.poll_timeout()
            && at <= now
        {
            if timer == Timer::Report {
                self.look(now, sockets);
            }
            self.engine.handle_timeout(now);
        }
    }

    fn next(&self) -> Option<Time> {
        self.engine.poll_timeout().map(|(at, _)| at)
    }

    fn work(&mut self, now: Time, sockets: &mut Sockets<Via>) {
        while let Some(command) = self.engine.poll_command() {
            self.on_command(now, command, sockets);
        }
        while let Some(event) = self.engine.poll_event() {
            if let engine::ReceiverEvent::SenderFound { session, .. } = &event {
                self.arrivals.follow(*session);
            }
            let contents = &mut self.contents;
            self.telling.on_event(now, event, &self.engine, contents);
        }
        if self.contents.is_broken() {
            self.telling.ending.break_off("disk");
        }
    }

    fn load(&mut self, now: Time, burst: &mut Burst, out: &mut Outgoing) -> bool {
        let loads = self.engine.poll_transmit(now, burst);
        if loads {
            let seal = self.arrivals.envelopes.as_mut().map(|e| e as &mut dyn Seal);
            out.load(burst, &[], 0, seal);
        }
        loads
    }

    /// What can't leave is lost, like on the way.
    fn on_unsent(&mut self, _to: SocketAddr, _size: usize, _fault: SendFault) {}

    fn on_round(&mut self, now: Time, more: bool, sockets: &Sockets<Via>) {
        let waits = more || self.contents.pool().waiting() > 0;
        if self.arrivals.intake.is_due(now, waits) {
            self.look(now, sockets);
        }
    }

    fn figures(&mut self, now: Time, sockets: &Sockets<Via>) {
        self.look(now, sockets);
        let stats = self.engine.stats();
        let naks = stats.sent(PacketKind::Nak).packets;
        // What we could not take in time has to come again, too.
        let lost = stats.lost + self.arrivals.intake.stalled;
        for p in self.engine.progress() {
            let known = self.contents.object(p.object);
            let Some(known) = known.filter(|known| known.is_open()) else {
                continue;
            };
            // Held symbols are of the table and the hash pages, too: never tell more than all.
            let size = u64::from(known.geometry.symbol_size());
            let have = (p.held * size).min(p.length);
            let progress = ReceiverProgress {
                name: known.name.clone(),
                have,
                total: p.length,
                verified: p.verified,
                rate: known.speed.over(now, have),
                lost,
                naks,
            };
            self.telling
                .outbox
                .tell_figures(ReceiverEvent::Progress(progress));
        }
        self.telling.outbox.flush();
    }

    fn stop(&mut self, now: Time) {
        if self.telling.ending.begin(now + FAREWELL, true) {
            self.engine.stop(now);
        }
    }

    fn ending(&self) -> &Ending {
        &self.telling.ending
    }

    fn close(mut self, sockets: &Sockets<Via>) -> Remains {
        self.telling.outbox.tell(ReceiverEvent::Finished);
        self.telling.outbox.close();
        Remains {
            engine: self.engine,
            objects: self.contents.into_objects(),
            findings: self.telling.findings,
            discards: self.arrivals.discards,
            stopped: self.telling.ending.was_told(),
            overflowed: self.arrivals.intake.overflowed,
            stalled: self.arrivals.intake.stalled,
            v4: sockets.get(UNICAST).is_none_or(|s| s.local().is_ipv4()),
        }
    }
}

/// A path of a table as one of this system.
fn path_of(path: Vec<u8>) -> PathBuf {
    #[cfg(unix)]
    {
        let path: OsString = std::os::unix::ffi::OsStringExt::from_vec(path);
        path.into()
    }
    #[cfg(not(unix))]
    String::from_utf8_lossy(&path).into_owned().into()
}
