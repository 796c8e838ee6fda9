//! What comes in: datagrams from the sockets, opened and parsed, to the engine and to the blocks that they belong to.

use std::net::SocketAddr;

use super::{Net, UNICAST};
use crate::driver::DriverError;
use crate::driver::receiver::disk::Job;
use crate::driver::socket::Batch;
use crate::engine::{ObjectKey, Verdict, Via};
use crate::store::Put;
use crate::time::Time;
use crate::wire::{self, DataHeader, Packet};

/// Batches received from one socket before the others are looked at again.
const BATCHES_A_ROUND: usize = 8;
/// Most hash pages on their way to disk.
const MAX_PAGES: usize = 4_096;

impl Net {
    /// Receives a bounded number of datagrams; true when there may be more.
    pub(super) fn receive(&mut self) -> bool {
        let mut ready = std::mem::take(&mut self.ready);
        let mut batch = self.batch.take().unwrap_or_default();
        let groups = ready.iter().any(|&token| token != UNICAST);
        ready.retain(|&token| self.receive_from(token, &mut batch));
        self.batch = Some(batch);
        if groups {
            self.rhythm.looked(self.clock.now());
        }
        // Handling may have joined groups.
        self.ready.append(&mut ready);
        !self.ready.is_empty()
    }

    /// Groups are watched while it waits for what comes, and not while it looks at times.
    pub(super) fn keep_rhythm(&mut self) -> Result<(), DriverError> {
        let watch = self.rhythm.next().is_none();
        if watch == self.watches {
            return Ok(());
        }
        self.watches = watch;
        let watched = self.groups.watch(self.poll.registry(), watch);
        watched.map_err(|source| DriverError::Socket {
            what: "watch the groups",
            source,
        })
    }

    fn receive_from(&mut self, token: usize, batch: &mut Batch) -> bool {
        let via = if token == UNICAST {
            Via::Unicast
        } else {
            Via::Group
        };
        for _ in 0..BATCHES_A_ROUND {
            let socket = if token == UNICAST {
                Some(&self.unicast)
            } else {
                self.groups.get(token)
            };
            let Some(socket) = socket else { return false };
            let runs = match socket.receive(batch) {
                Ok(0) => return false,
                Ok(runs) => runs,
                // An answer to something that we sent (a port is closed there); there may be more.
                Err(_) => continue,
            };
            let now = self.clock.now();
            let mut datagrams = 0;
            for (from, datagram) in batch.datagrams() {
                self.take(now, from, via, datagram);
                datagrams += 1;
            }
            if via == Via::Group {
                self.rhythm.received(datagrams);
            }
            self.intake.received(runs, datagrams);
            self.take_answers(now);
        }
        true
    }

    fn take(&mut self, now: Time, from: SocketAddr, via: Via, datagram: &mut [u8]) {
        let data = datagram.first().is_some_and(|b| matches!(b & 0xf, 1 | 2));
        if (self.drop_group && via == Via::Group) || self.drop_rng.chance(self.drop_rate) {
            self.discarded += 1;
            self.discarded_data += u64::from(data);
            return;
        }
        let datagram = match &mut self.envelopes {
            None => &*datagram,
            Some(envelopes) => match envelopes.open(now, datagram) {
                Ok(plain) => &datagram[plain],
                Err(refused) => return self.engine.handle_unopened(refused),
            },
        };
        match data.then(|| wire::parse(datagram)) {
            Some(Ok(Packet::Data(header, payload))) => {
                let verdict = self
                    .engine
                    .handle_data(now, from, &header, via, datagram.len());
                self.on_verdict(now, from, verdict, &header, payload);
            }
            // The engine counts what does not parse.
            _ => {
                self.engine.handle_datagram(now, from, via, datagram);
            }
        }
        self.drain();
    }

    fn on_verdict(
        &mut self,
        now: Time,
        from: SocketAddr,
        verdict: Verdict,
        header: &DataHeader,
        payload: &[u8],
    ) {
        match verdict {
            Verdict::Ignore => {}
            Verdict::Store { object } => self.store(now, object, header, payload),
            Verdict::Part { object } => {
                let Some(known) = self.objects.get(&object) else {
                    return;
                };
                let (size, offset) = (known.geometry.symbol_size(), header.part.unwrap_or(0));
                let key = (object, header.block, header.symbol, from);
                if let Some(whole) = self.parts.add(key, size, offset, payload) {
                    let header = DataHeader {
                        part: None,
                        ..*header
                    };
                    let verdict = self.engine.handle_assembled(now, from, &header);
                    if let Verdict::Store { object } = verdict {
                        self.store(now, object, &header, &whole);
                    }
                }
            }
        }
    }

    /// Puts a symbol where it belongs, or says that it can't.
    fn store(&mut self, now: Time, object: ObjectKey, header: &DataHeader, payload: &[u8]) {
        let page = self
            .objects
            .get(&object)
            .and_then(|known| Some((known, known.checker.page_at(header.block, header.symbol)?)));
        let kept = match page {
            Some((known, page)) => {
                let holds = known.checker.check(page, payload).is_ok();
                let room = self.pages_on_their_way < MAX_PAGES;
                self.intake.stalled += u64::from(holds && !room);
                if holds && room {
                    self.pages_on_their_way += 1;
                    self.job(Job::Page {
                        object,
                        page,
                        symbol: payload.to_vec(),
                    });
                }
                holds && room
            }
            None => match self
                .pool
                .put(object.0, header.block, header.symbol, payload)
            {
                Put::Kept => true,
                Put::Evicted(buf) => {
                    self.job(Job::Partial {
                        object: ObjectKey(buf.object()),
                        buf,
                    });
                    true
                }
                Put::Stalled => {
                    self.intake.stalled += 1;
                    false
                }
                Put::Unknown => false,
            },
        };
        if !kept {
            self.engine.handle_refused(now, object, header);
        }
    }
}
