//! What goes over the network, and what of it arrives.

use core::net::SocketAddr;
use std::sync::Arc;

use crate::config;
use crate::engine::{Burst, ObjectKey, PacketKind, Verdict, Via};
use crate::fault::StoreFault;
use crate::sim::event::{Event, Packets, What};
use crate::sim::{Outcome, World};
use crate::time::Time;
use crate::wire::{self, DataHeader};

impl World {
    /// A server sends.
    pub(super) fn transmit(&mut self, index: u32, burst: &mut Burst) {
        let packets = Arc::new(self.packets_of(index, burst));
        let (count, bytes) = self.count_sent(index, burst.kind, &packets);
        let server = &self.servers[index as usize];
        let is_group = server.groups.contains(&burst.to);
        if let Some(heard) = self.overheard.as_mut().filter(|_| is_group) {
            packets.write_to(heard);
        }
        if let Some(&host) = self.by_address.get(&burst.to) {
            return self.send_down(host, &packets, Via::Unicast);
        }
        if burst.kind == PacketKind::Repair && self.repairs_to_lose > 0 {
            self.repairs_to_lose = self.repairs_to_lose.saturating_sub(count);
            return;
        }
        let lost = |&(from, until): &(Time, Time)| from <= self.now && self.now < until;
        if self.shared.iter().any(lost) || !is_group {
            return;
        }
        let group = burst.to.ip();
        for host in 0..self.hosts.len() as u32 {
            if self.hosts[host as usize].joined.contains(&group) {
                self.send_down(host, &packets, Via::Group);
            } else {
                self.hosts[host as usize].fill_link(self.now, group, bytes);
            }
        }
    }

    /// What a server sends, as packets.
    fn packets_of(&self, index: u32, burst: &mut Burst) -> Packets {
        let server = &self.servers[index as usize];
        let what = match burst.run {
            None => What::Control(core::mem::take(&mut burst.control)),
            Some(run) => {
                let size = server
                    .sender
                    .description(run.object)
                    .map_or(config::DEFAULT_SYMBOL_SIZE, |d| d.geometry.symbol_size());
                let real = server.contents[run.object.0 as usize].is_some();
                let slot = server.slots.get(&run.slot).filter(|_| real);
                assert!(
                    slot.is_some() || !real,
                    "{run:?} is sent from a slot that was given away"
                );
                let mut headers = Vec::new();
                let mut bytes = slot.map(|_| Vec::new());
                burst.for_each_packet(size, |header, at| {
                    headers.push(header);
                    if let (Some(bytes), Some(slot)) = (&mut bytes, slot) {
                        let mut packet = Vec::new();
                        wire::write_data(&header, &slot[at], &mut packet);
                        bytes.push(packet);
                    }
                });
                let len = match run.part_len {
                    Some(len) => usize::from(len) + wire::PART_HEADER_LEN + wire::TRAILER_LEN,
                    None => wire::data_packet_len(size),
                };
                What::Data {
                    headers,
                    len,
                    symbol_size: size,
                    bytes,
                }
            }
        };
        Packets {
            from: server.address,
            what,
        }
    }

    /// Counts what a server sends: packets, and their bytes of IP.
    fn count_sent(&mut self, index: u32, kind: PacketKind, packets: &Packets) -> (u64, u64) {
        let count = packets.count();
        let around = 28 + kind.envelope(self.config.sealed) as u64;
        let bytes: u64 = (0..count).map(|i| packets.payload(i) as u64 + around).sum();
        if let Some(checker) = &mut self.checker {
            // The checker knows the first server's rate.
            if index == 0 {
                checker.sent(self.now, bytes);
            }
            if let What::Data { headers, .. } = &packets.what {
                checker.sent_data(headers);
            }
        }
        let count = count as u64;
        self.totals.sender_packets += count;
        self.totals.sender_bytes += bytes;
        if matches!(packets.what, What::Data { .. }) {
            self.totals.data_packets += count;
        }
        (count, bytes)
    }

    fn send_down(&mut self, index: u32, packets: &Arc<Packets>, via: Via) {
        let now = self.now;
        let host = &mut self.hosts[index as usize];
        if host.outcome != Outcome::Running || host.killed || !host.started {
            return;
        }
        let caught = (Arc::clone(packets), 0, via);
        let again = host.caught.pass(&mut host.rng, host.link.replay, &caught);
        if let Some(((packets, i, via), after)) = again {
            self.push(now + after, Event::DownOne(index, packets, i, via));
        }
        let host = &mut self.hosts[index as usize];
        if host.link.is_plain() {
            let at = now + host.link.delay;
            return self.push(at, Event::Down(index, Arc::clone(packets), via));
        }
        if host.link.is_orderly() && packets.count() <= 64 {
            return self.send_run(index, packets, via);
        }
        for i in 0..packets.count() {
            let host = &mut self.hosts[index as usize];
            let mut leaves = now;
            if let Some((rate, queue)) = host.link.rate {
                let bytes = packets.payload(i) as u64 + 28;
                let waiting = rate.bytes_in(host.free_at.since(now));
                if waiting + bytes > queue {
                    continue;
                }
                host.free_at = host.free_at.max(now) + rate.time_for(bytes);
                leaves = host.free_at;
            }
            let twice = host.rng.chance(host.link.duplicate);
            for _ in 0..1 + u8::from(twice) {
                let host = &mut self.hosts[index as usize];
                let at = leaves + host.link.delay + host.rng.duration(host.link.jitter);
                self.push(
                    at,
                    Event::DownOne(index, Arc::clone(packets), i as u16, via),
                );
            }
        }
    }

    /// A run through a bottleneck that keeps its order: what fits the queue comes together, when the
    /// last of it has left.
    fn send_run(&mut self, index: u32, packets: &Arc<Packets>, via: Via) {
        let now = self.now;
        let host = &mut self.hosts[index as usize];
        let Some((rate, queue)) = host.link.rate else {
            return;
        };
        let mut taken = 0u64;
        for i in 0..packets.count() {
            let bytes = packets.payload(i) as u64 + 28;
            let waiting = rate.bytes_in(host.free_at.since(now));
            if waiting + bytes <= queue {
                host.free_at = host.free_at.max(now) + rate.time_for(bytes);
                taken |= 1 << i;
            }
        }
        if taken != 0 {
            let at = host.free_at + host.link.delay;
            self.push(at, Event::DownSome(index, Arc::clone(packets), taken, via));
        }
    }

    pub(super) fn send_up(&mut self, index: u32, to: SocketAddr, kind: PacketKind, bytes: Vec<u8>) {
        self.note(5, u64::from(index));
        if let Some(checker) = &mut self.checker {
            checker.receiver_sent(index, &bytes);
        }
        self.totals.receiver_packets += 1;
        let len = (bytes.len() + 28 + kind.envelope(self.config.sealed)) as u64;
        self.totals.receiver_bytes += len;
        if kind == PacketKind::Nak {
            self.totals.naks += 1;
            self.totals.nak_bytes += len;
        }
        let now = self.now;
        let host = &mut self.hosts[index as usize];
        if host.link.is_cut(now, to.ip().is_multicast()) || host.up.loses(&mut host.rng) {
            return;
        }
        let at = now + host.link.delay + host.rng.duration(host.link.jitter);
        let mut bytes = Arc::new(bytes);
        let servers: Vec<u32> = self.servers_at(to).collect();
        let first = servers.first().copied().unwrap_or_default();
        let caught = (Arc::clone(&bytes), first);
        let host = &mut self.hosts[index as usize];
        let again = host
            .caught_up
            .pass(&mut host.rng, host.link.replay, &caught);
        if host.is_damaged() {
            bytes = Arc::new(host.damaged(&bytes));
        }
        if let Some(((bytes, server), after)) = again {
            self.push(now + after, Event::Up(index, server, bytes));
        }
        for &server in &servers {
            self.push(at, Event::Up(index, server, Arc::clone(&bytes)));
        }
        if self.config.group_feedback && to.ip().is_multicast() && !servers.is_empty() {
            self.send_to_group(index, to, first, &bytes);
        }
    }

    /// Servers that hear what is sent to this address.
    fn servers_at(&self, to: SocketAddr) -> impl Iterator<Item = u32> {
        let servers = (0u32..).zip(&self.servers);
        servers.filter(move |(_, s)| s.hears(to)).map(|(i, _)| i)
    }

    /// What a receiver sends to a group reaches the others, as if it were from the server.
    fn send_to_group(&mut self, index: u32, to: SocketAddr, server: u32, bytes: &[u8]) {
        let packets = Arc::new(Packets {
            from: self.servers[server as usize].address,
            what: What::Control(bytes.to_vec()),
        });
        let delay = self.hosts[index as usize].link.delay;
        for other in 0..self.hosts.len() as u32 {
            if other != index && self.hosts[other as usize].joined.contains(&to.ip()) {
                // A star: each delay is that to the centre and out again to the sender.
                let at = self.now + (delay + self.hosts[other as usize].link.delay) / 2;
                self.push(at, Event::Down(other, Arc::clone(&packets), Via::Group));
            }
        }
    }

    pub(super) fn deliver(&mut self, index: u32, packets: &Packets, i: usize, via: Via) {
        let host = &mut self.hosts[index as usize];
        if host.killed
            || !host.started
            || host.link.is_cut(self.now, via == Via::Group)
            || packets.payload(i) > host.link.mtu_payload
        {
            return;
        }
        if host.down.loses(&mut host.rng)
            || via == Via::Group && host.down_group.loses(&mut host.rng)
        {
            return;
        }
        if host.is_damaged() {
            let whole = match &packets.what {
                What::Control(bytes) => Some(bytes),
                What::Data { bytes, .. } => bytes.as_ref().map(|b| &b[i]),
            };
            if let Some(damaged) = whole.map(|bytes| host.damaged(bytes)) {
                let from = packets.from;
                let verdict = host.receiver.handle_datagram(self.now, from, via, &damaged);
                assert_eq!(verdict, Verdict::Ignore, "a wrong bit is not noticed");
            }
            return;
        }
        match &packets.what {
            What::Control(bytes) => {
                host.receiver
                    .handle_datagram(self.now, packets.from, via, bytes);
                self.note(3, u64::from(index));
            }
            What::Data { headers, bytes, .. } => {
                let bytes = bytes.as_ref().map(|b| b[i].as_slice());
                self.deliver_data(index, packets, i, via, headers[i], bytes);
            }
        }
    }

    fn deliver_data(
        &mut self,
        index: u32,
        packets: &Packets,
        i: usize,
        via: Via,
        header: DataHeader,
        packet: Option<&[u8]>,
    ) {
        let host = &mut self.hosts[index as usize];
        let (from, len) = (packets.from, packets.payload(i));
        let verdict = host.receiver.handle_data(self.now, from, &header, via, len);
        // Real bytes go the whole way through the wire format.
        let payload = packet.map(|p| match wire::parse(p) {
            Ok(wire::Packet::Data(parsed, payload)) if parsed == header => payload.to_vec(),
            other => panic!("a packet of ours became {other:?}"),
        });
        let (object, whole) = match verdict {
            Verdict::Ignore => return,
            Verdict::Store { object } => (object, payload.unwrap_or_default()),
            Verdict::Part { object } => {
                let What::Data { symbol_size, .. } = &packets.what else {
                    return;
                };
                let key = (object, header.block, header.symbol);
                let piece = packets.piece(i);
                let whole = host.parts.add(key, *symbol_size, piece, payload.as_deref());
                let Some(whole) = whole else { return };
                match host.receiver.handle_assembled(self.now, from, &header) {
                    Verdict::Store { .. } => (object, whole),
                    _ => return,
                }
            }
        };
        if let Some(checker) = &mut self.checker {
            checker.stored(index, object, &header);
        }
        if !self.has_room(index, object, &header, packets) {
            return;
        }
        let holds = self.write(index, object, &header, whole);
        assert!(holds, "a page of ours does not prove itself");
    }

    /// Whether a symbol may wait for the disk.
    fn has_room(
        &mut self,
        index: u32,
        object: ObjectKey,
        header: &DataHeader,
        packets: &Packets,
    ) -> bool {
        let host = &mut self.hosts[index as usize];
        let (Some(disk), What::Data { symbol_size, .. }) = (&mut host.disk.slow, &packets.what)
        else {
            return true;
        };
        let takes = disk.takes(self.now, (*symbol_size).into());
        if disk.is_to_be_told(self.now) {
            host.tell_backlog(self.now);
        }
        if !takes {
            host.receiver.handle_refused(self.now, object, header);
            if let Some(checker) = &mut self.checker {
                checker.refused(index, object, header);
            }
        }
        takes
    }

    /// What somebody else sent reaches a receiver, which may take it for the sender's.
    pub(super) fn deliver_foreign(&mut self, index: u32, from: SocketAddr, datagram: &[u8]) {
        let host = &mut self.hosts[index as usize];
        if host.killed || !host.started || host.link.is_cut(self.now, true) {
            return;
        }
        let verdict = host
            .receiver
            .handle_datagram(self.now, from, Via::Group, datagram);
        self.note(6, u64::from(index));
        let (Verdict::Store { object }, Ok(wire::Packet::Data(header, payload))) =
            (verdict, wire::parse(datagram))
        else {
            return;
        };
        self.hosts[index as usize].disk.rotten = true;
        if let Some(checker) = &mut self.checker {
            checker.stored(index, object, &header);
        }
        if !self.write(index, object, &header, payload.to_vec())
            && let Some(checker) = &mut self.checker
        {
            checker.refused(index, object, &header);
        }
    }

    /// A receiver writes a symbol to its disk, which may damage it; false if it does not prove itself.
    fn write(
        &mut self,
        index: u32,
        object: ObjectKey,
        header: &DataHeader,
        mut symbol: Vec<u8>,
    ) -> bool {
        let host = &mut self.hosts[index as usize];
        if !host.disk.has(object) {
            return true;
        }
        let kept = host.disk.put(&mut host.rng, object, header, &mut symbol);
        let settled = kept.unwrap_or_else(|fault| panic!("memory can't keep a symbol: {fault}"));
        if settled.refused {
            host.receiver.handle_refused(self.now, object, header);
            return false;
        }
        for block in settled.verified {
            self.tell_checked(index, object, block, Ok(()));
        }
        for block in settled.bad {
            self.tell_checked(index, object, block, Err(StoreFault::mismatch()));
        }
        true
    }
}
