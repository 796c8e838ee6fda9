//! What goes over the network, and what of it arrives.

use core::net::SocketAddr;
use std::sync::Arc;

use crate::config;
use crate::engine::{Burst, ObjectKey, PacketKind, Verdict, Via};
use crate::fault::StoreFault;
use crate::sim::event::{Event, Packets};
use crate::sim::{Outcome, World};
use crate::time::Time;
use crate::wire::{self, DataHeader};

impl World {
    pub(super) fn transmit(&mut self, burst: &mut Burst) {
        let packets = match burst.run {
            None => Packets::Control(core::mem::take(&mut burst.control)),
            Some(run) => {
                let size = self.symbol_size(run.object);
                let real = self.contents[run.object.0 as usize].is_some();
                let slot = self.slots.get(&run.slot).filter(|_| real);
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
                Packets::Data {
                    headers,
                    len,
                    symbol_size: size,
                    bytes,
                }
            }
        };
        let count = packets.count();
        let around = 28 + burst.kind.envelope(self.config.sealed) as u64;
        let bytes: u64 = (0..count).map(|i| packets.payload(i) as u64 + around).sum();
        if let Some(checker) = &mut self.checker {
            checker.sent(self.now, bytes);
            if let Packets::Data { headers, .. } = &packets {
                checker.sent_data(headers);
            }
        }
        let count = count as u64;
        self.totals.sender_packets += count;
        self.totals.sender_bytes += bytes;
        if matches!(packets, Packets::Data { .. }) {
            self.totals.data_packets += count;
        }
        if let Some(heard) = &mut self.overheard
            && self.groups.contains(&burst.to)
        {
            packets.write_to(heard);
        }
        let packets = Arc::new(packets);
        if let Some(&host) = self.by_address.get(&burst.to) {
            return self.send_down(host, &packets, Via::Unicast);
        }
        if burst.kind == PacketKind::Repair && self.repairs_to_lose > 0 {
            self.repairs_to_lose = self.repairs_to_lose.saturating_sub(count);
            return;
        }
        let lost = |&(from, until): &(Time, Time)| from <= self.now && self.now < until;
        if self.shared.iter().any(lost) || !self.groups.contains(&burst.to) {
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

    fn symbol_size(&self, object: ObjectKey) -> u16 {
        self.sender
            .description(object)
            .map_or(config::DEFAULT_SYMBOL_SIZE, |d| d.geometry.symbol_size())
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
        let again = host.caught_up.pass(&mut host.rng, host.link.replay, &bytes);
        if host.is_damaged() {
            bytes = Arc::new(host.damaged(&bytes));
        }
        if let Some((bytes, after)) = again {
            self.push(now + after, Event::Up(index, bytes));
        }
        if to == self.sender_address {
            return self.push(at, Event::Up(index, bytes));
        }
        let feedback = |g: &SocketAddr| g.ip() == to.ip() && g.port() + 1 == to.port();
        if !self.groups.iter().any(feedback) {
            return;
        }
        self.push(at, Event::Up(index, Arc::clone(&bytes)));
        if self.config.group_feedback {
            let packets = Arc::new(Packets::Control(bytes.to_vec()));
            let delay = self.hosts[index as usize].link.delay;
            for other in 0..self.hosts.len() as u32 {
                if other != index && self.hosts[other as usize].joined.contains(&to.ip()) {
                    // A star: each delay is that to the centre and out again to the sender.
                    let at = now + (delay + self.hosts[other as usize].link.delay) / 2;
                    self.push(at, Event::Down(other, Arc::clone(&packets), Via::Group));
                }
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
            let whole = match packets {
                Packets::Control(bytes) => Some(bytes),
                Packets::Data { bytes, .. } => bytes.as_ref().map(|b| &b[i]),
            };
            if let Some(damaged) = whole.map(|bytes| host.damaged(bytes)) {
                let from = self.sender_address;
                let verdict = host.receiver.handle_datagram(self.now, from, via, &damaged);
                assert_eq!(verdict, Verdict::Ignore, "a wrong bit is not noticed");
            }
            return;
        }
        match packets {
            Packets::Control(bytes) => {
                host.receiver
                    .handle_datagram(self.now, self.sender_address, via, bytes);
                self.note(3, u64::from(index));
            }
            Packets::Data { headers, bytes, .. } => {
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
        let verdict = host.receiver.handle_data(
            self.now,
            self.sender_address,
            &header,
            via,
            packets.payload(i),
        );
        // Real bytes go the whole way through the wire format.
        let payload = packet.map(|p| match wire::parse(p) {
            Ok(wire::Packet::Data(parsed, payload)) if parsed == header => payload.to_vec(),
            other => panic!("a packet of ours became {other:?}"),
        });
        let (object, whole) = match verdict {
            Verdict::Ignore => return,
            Verdict::Store { object } => (object, payload.unwrap_or_default()),
            Verdict::Part { object } => {
                let Packets::Data { symbol_size, .. } = packets else {
                    return;
                };
                let key = (object, header.block, header.symbol);
                let piece = packets.piece(i);
                let whole = host.parts.add(key, *symbol_size, piece, payload.as_deref());
                let Some(whole) = whole else { return };
                match host
                    .receiver
                    .handle_assembled(self.now, self.sender_address, &header)
                {
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
        let (Some(disk), Packets::Data { symbol_size, .. }) = (&mut host.disk.slow, packets) else {
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
