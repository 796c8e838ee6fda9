//! What happens to servers' and receivers' machines, event by event.

use core::net::SocketAddr;

use crate::engine::Link as Socket;
use crate::engine::{Command, ObjectKey, ReceiverEvent, Slot};
use crate::fault::{FaultKind, StoreFault};
use crate::fec::Encoder;
use crate::ids::BlockNo;
use crate::sim::event::Event;
use crate::sim::{Content, Outcome, World};
use crate::time::Time;

impl World {
    pub(super) fn handle(&mut self, event: Event) {
        if let Some(server) = event.server()
            && let server = &mut self.servers[server as usize]
            && server.pauses_until.is_some()
        {
            return server.pending.push(event);
        }
        match event {
            Event::ServerStart(server) => self.start_server(server),
            Event::ServerResume(server) => self.resume_server(server),
            Event::Link(host, link) => self.set_link(host as usize, *link),
            Event::ServerWake(index) => self.wake_server(index),
            Event::Start(host) => {
                self.hosts[host as usize].started = true;
                self.drain_host(host);
            }
            Event::Wake(host) => {
                if self.hosts[host as usize].wake == self.now && !self.hosts[host as usize].killed {
                    self.hosts[host as usize].wake = Time::NEVER;
                    self.note(2, u64::from(host));
                    self.hosts[host as usize].tell_backlog(self.now);
                    self.hosts[host as usize].receiver.handle_timeout(self.now);
                    self.drain_host(host);
                }
            }
            Event::Down(host, packets, via) => {
                for i in 0..packets.count() {
                    self.deliver(host, &packets, i, via);
                }
                self.drain_host(host);
            }
            Event::DownSome(host, packets, taken, via) => {
                for i in (0..packets.count()).filter(|i| taken & (1 << i) != 0) {
                    self.deliver(host, &packets, i, via);
                }
                self.drain_host(host);
            }
            Event::DownOne(host, packets, i, via) => {
                self.deliver(host, &packets, usize::from(i), via);
                self.drain_host(host);
            }
            Event::Foreign(host, from, bytes) => {
                self.deliver_foreign(host, from, &bytes);
                self.drain_host(host);
            }
            Event::Up(host, server, bytes) => {
                if !self.servers[server as usize].up {
                    return;
                }
                self.note(4, u64::from(host));
                let from = self.hosts[host as usize].address;
                self.say_to(server, from, &bytes);
            }
            Event::Said(from, bytes) => self.say_to(0, from, &bytes),
            Event::Read(server, run, slot, object, block) => {
                self.read(server, run, slot, object, block);
            }
            Event::Checked(host, object, block) => self.checked(host, object, block),
            Event::Finished(host, object) => self.finished(host, object),
        }
    }

    fn checked(&mut self, index: u32, object: ObjectKey, block: BlockNo) {
        let host = &mut self.hosts[index as usize];
        if host.killed {
            return;
        }
        if let Some(result) = host.disk.check(object, block) {
            self.tell_checked(index, object, block, result);
        }
        self.drain_host(index);
    }

    /// Tells a receiver what became of a block.
    pub(super) fn tell_checked(
        &mut self,
        index: u32,
        object: ObjectKey,
        block: BlockNo,
        result: Result<(), StoreFault>,
    ) {
        let host = &mut self.hosts[index as usize];
        let mismatch = matches!(&result, Err(fault) if fault.kind() == FaultKind::Mismatch);
        host.receiver
            .handle_checked(self.now, object, block, result);
        if let (true, Some(checker)) = (mismatch, &mut self.checker) {
            let rotten = host.disk.rotten;
            checker.block_was_wrong(index, &host.receiver, object, block, rotten);
        }
    }

    fn finished(&mut self, index: u32, object: ObjectKey) {
        let host = &self.hosts[index as usize];
        if host.killed {
            return;
        }
        let content = self.content_of(index, object);
        let right = content.is_none_or(|content| host.disk.matches(object, content));
        assert!(
            right || self.checker.is_none(),
            "receiver {index} is to name {object:?}, which has wrong bytes"
        );
        let host = &mut self.hosts[index as usize];
        let result = if right {
            host.disk.finish(object)
        } else {
            Err(StoreFault::mismatch())
        };
        host.receiver.handle_finished(self.now, object, result);
        self.drain_host(index);
    }

    /// The content that a receiver's object is, by its coding.
    pub(super) fn content_of(&self, host: u32, object: ObjectKey) -> Option<&Content> {
        let coding = self.hosts[host as usize].receiver.coding(object)?;
        self.known
            .iter()
            .find(|c| c.description().coding().short() == coding)
    }

    fn wake_server(&mut self, index: u32) {
        let server = &mut self.servers[index as usize];
        if server.wake == self.now && server.up {
            server.wake = Time::NEVER;
            server.sender.handle_timeout(self.now);
            self.note(1, u64::from(index));
            self.drain_server(index);
        }
    }

    /// A datagram reaches a server.
    fn say_to(&mut self, index: u32, from: SocketAddr, bytes: &[u8]) {
        let server = &mut self.servers[index as usize];
        let sender = &mut server.sender;
        sender.handle_datagram(self.now, from, Socket(1), bytes);
        self.drain_server(index);
    }

    /// A server has read a block.
    fn read(&mut self, index: u32, run: u32, slot: Slot, object: ObjectKey, block: BlockNo) {
        let server = &mut self.servers[index as usize];
        if run != server.run {
            return;
        }
        if let Some((host, _)) = &server.edge {
            let receiver = &self.hosts[*host as usize].receiver;
            let coding = server
                .sender
                .description(object)
                .map(|d| d.coding().short());
            let key = coding.and_then(|coding| receiver.library().latest(coding));
            let is_here = key.is_some_and(|key| receiver.library().is_verified(key, block));
            assert!(is_here, "an edge is to send what it does not have");
        }
        let mut result = Ok(());
        if let Some(Some(content)) = server.contents.get(object.0 as usize) {
            let g = content.description().geometry;
            let symbols = usize::from(g.symbols(block)) + usize::from(g.parity(block));
            let mut bytes = vec![0; symbols * usize::from(g.symbol_size())];
            let store = content.store();
            let read = store.read_block_with_parity(block, &mut bytes, &mut Encoder::new());
            result = read.map(|_| ());
            server.slots.insert(slot, bytes);
        }
        server.sender.handle_read(self.now, slot, result);
        self.drain_server(index);
    }

    /// Ends a pause of a server's process. As in the driver's loop, timers come before datagrams.
    fn resume_server(&mut self, index: u32) {
        let server = &mut self.servers[index as usize];
        if server.pauses_until.is_none_or(|end| end > self.now) {
            return;
        }
        server.pauses_until = None;
        server.wake = Time::NEVER;
        let due = server.sender.poll_timeout();
        if server.up && due.is_some_and(|(at, _)| at <= self.now) {
            server.sender.handle_timeout(self.now);
        }
        self.drain_server(index);
        let pending = core::mem::take(&mut self.servers[index as usize].pending);
        for event in pending {
            if !matches!(event, Event::ServerWake(_)) {
                self.handle(event);
            }
        }
    }

    pub(super) fn drain_server(&mut self, index: u32) {
        let server = &self.servers[index as usize];
        if !server.up || server.pauses_until.is_some() {
            return;
        }
        let mut burst = core::mem::take(&mut self.burst);
        loop {
            let mut more = false;
            let server = &mut self.servers[index as usize];
            let mut reads = Vec::new();
            while let Some(read) = server.sender.poll_read() {
                more = true;
                let at = self.now + self.config.read_time;
                // What was in the slot is gone from here on.
                server.slots.remove(&read.slot);
                let what = Event::Read(index, server.run, read.slot, read.object, read.block);
                reads.push((at, what));
            }
            for (at, read) in reads {
                self.push(at, read);
            }
            while self.servers[index as usize]
                .sender
                .poll_transmit(self.now, &mut burst)
            {
                more = true;
                self.transmit(index, &mut burst);
            }
            let server = &mut self.servers[index as usize];
            while let Some(event) = server.sender.poll_event() {
                server.events.push((self.now, event));
            }
            if !more {
                break;
            }
        }
        self.burst = burst;
        let server = &mut self.servers[index as usize];
        if let Some(checker) = &mut self.checker {
            checker.sender_drained(self.now, index, &server.sender);
        }
        if let Some((at, _)) = server.sender.poll_timeout() {
            let at = at.max(self.now);
            if at < server.wake {
                server.wake = at;
                self.push(at, Event::ServerWake(index));
            }
        }
    }

    pub(super) fn drain_host(&mut self, index: u32) {
        let host = &self.hosts[index as usize];
        if host.killed || !host.started {
            return;
        }
        loop {
            let mut more = false;
            while let Some(command) = self.hosts[index as usize].receiver.poll_command() {
                more = true;
                self.carry_out(index, command);
            }
            let mut burst = core::mem::take(&mut self.burst);
            while self.hosts[index as usize]
                .receiver
                .poll_transmit(self.now, &mut burst)
            {
                more = true;
                let bytes = core::mem::take(&mut burst.control);
                self.send_up(index, burst.to, burst.kind, bytes);
            }
            self.burst = burst;
            if !more {
                break;
            }
        }
        let now = self.now;
        let host = &mut self.hosts[index as usize];
        while let Some(event) = host.receiver.poll_event() {
            let failed = host
                .events
                .iter()
                .any(|(_, e)| matches!(e, ReceiverEvent::Failed { .. }));
            match event {
                ReceiverEvent::Finished if !failed => host.outcome = Outcome::Complete(now),
                ReceiverEvent::Finished | ReceiverEvent::GaveUp { .. } => {
                    host.outcome = Outcome::Failed(now)
                }
                _ => {}
            }
            host.events.push((now, event));
        }
        if let Some((at, _)) = host.receiver.poll_timeout() {
            let at = at.max(now);
            if at < host.wake {
                host.wake = at;
                self.push(at, Event::Wake(index));
            }
        }
        if let Some(checker) = &mut self.checker {
            let host = &self.hosts[index as usize];
            checker.host_drained(now, index, &host.receiver);
        }
        self.pass_on(index);
    }

    /// What is new at a receiver is passed on, if its host is an edge.
    fn pass_on(&mut self, index: u32) {
        let host = &mut self.hosts[index as usize];
        let Some(server_index) = host.serves else {
            return;
        };
        let server = &mut self.servers[server_index as usize];
        if let Some((_, edge)) = &mut server.edge {
            edge.pass_on(self.now, &mut host.receiver, &mut server.sender);
            server.find_contents(&self.known);
        }
        self.drain_server(server_index);
    }

    fn carry_out(&mut self, index: u32, command: Command) {
        match command {
            Command::Open {
                object,
                description,
            } => {
                let real = self.known.iter().any(|c| *c.description() == *description);
                let host = &mut self.hosts[index as usize];
                let kept = host.disk.open(object, &description, real);
                if let Some(checker) = &mut self.checker {
                    checker.opened(index, object, &description, &kept);
                }
                host.receiver.handle_opened(self.now, object, Ok(kept));
            }
            Command::Check { object, block } => {
                let at = self.hosts[index as usize].written_at(self.now, self.config.write_time);
                self.push(at, Event::Checked(index, object, block));
            }
            Command::Finish { object } => {
                let at = self.hosts[index as usize].written_at(self.now, self.config.write_time);
                self.push(at, Event::Finished(index, object));
            }
            Command::Join(channel) => self.hosts[index as usize].joined.push(channel.group.ip()),
            Command::Leave(channel) => {
                let gone = channel.group.ip();
                let until = self.now + self.config.leave_time;
                let host = &mut self.hosts[index as usize];
                host.joined.retain(|&g| g != gone);
                host.left.retain(|&(g, _)| g != gone);
                host.left.push((gone, until));
            }
            Command::Abandon { object, .. } => {
                self.hosts[index as usize].disk.abandon(object);
            }
        }
    }
}
