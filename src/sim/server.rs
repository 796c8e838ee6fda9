//! A server's machine: its engine, its process and its block buffers.

use core::net::SocketAddr;
use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{Edge, ObjectKey, Sender, SenderConfig, SenderError, SenderEvent, Slot};
use crate::ids::SessionId;
use crate::object::Description;
use crate::rng::Rng;
use crate::seal::SigningKey;
use crate::secret::Secret;
use crate::sim::event::Event;
use crate::sim::{Config, Content};
use crate::time::Time;

/// One that sends: its engine, and what its process has.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) sender: Sender,
    /// Its process lives.
    pub(super) up: bool,
    /// How often it was started anew.
    pub(super) run: u32,
    pub(super) wake: Time,
    /// End of the current pause of its process.
    pub(super) pauses_until: Option<Time>,
    /// Events for it that arrived during the pause.
    pub(super) pending: Vec<Event>,
    pub(super) events: Vec<(Time, SenderEvent)>,
    /// Where it answers.
    pub(super) address: SocketAddr,
    pub(super) groups: Vec<SocketAddr>,
    /// The bytes of its objects, by key.
    pub(super) contents: Vec<Option<Content>>,
    pub(super) withdrawn: BTreeSet<ObjectKey>,
    pub(super) slots: BTreeMap<Slot, Vec<u8>>,
    /// It passes on what a receiver on the same host gets.
    pub(super) edge: Option<(u32, Edge)>,
}

impl Server {
    /// A server that starts at `now` and offers nothing yet.
    pub(super) fn new(
        config: &Config,
        address: SocketAddr,
        groups: Vec<SocketAddr>,
        rng: &mut Rng,
        now: Time,
    ) -> Result<Server, SenderError> {
        Ok(Server {
            sender: new_sender(config, &groups, rng, now)?,
            up: true,
            run: 0,
            wake: Time::NEVER,
            pauses_until: None,
            pending: Vec::new(),
            events: Vec::new(),
            address,
            groups,
            contents: Vec::new(),
            withdrawn: BTreeSet::new(),
            slots: BTreeMap::new(),
            edge: None,
        })
    }

    /// Offers an object, with its bytes if there are any.
    pub(super) fn offer(
        &mut self,
        now: Time,
        description: Description,
        content: Option<Content>,
    ) -> Result<ObjectKey, SenderError> {
        let key = self.sender.offer(now, description)?;
        self.contents.push(content);
        Ok(key)
    }

    /// The objects that it offers and that were not here before get their bytes, if they have any.
    pub(super) fn find_contents(&mut self, known: &[Content]) {
        while let Some(description) = self
            .sender
            .description(ObjectKey(self.contents.len() as u32))
        {
            let content = known.iter().find(|c| c.description() == description);
            self.contents.push(content.cloned());
        }
    }

    /// Its process is started anew, with what was on offer and a session of its own.
    pub(super) fn start(&mut self, config: &Config, rng: &mut Rng, now: Time) {
        self.pauses_until = None;
        self.pending.clear();
        let fresh = new_sender(config, &self.groups, rng, now);
        debug_assert!(fresh.is_ok(), "it was possible before");
        let Ok(fresh) = fresh else { return };
        let old = core::mem::replace(&mut self.sender, fresh);
        let contents = core::mem::take(&mut self.contents);
        for (key, content) in contents.into_iter().enumerate() {
            let key = ObjectKey(key as u32);
            if !self.withdrawn.contains(&key)
                && let Some(description) = old.description(key)
                && self.sender.offer(now, description.clone()).is_ok()
            {
                self.contents.push(content);
            }
        }
        self.withdrawn.clear();
        self.slots.clear();
        self.up = true;
    }

    /// Its process dies.
    pub(super) fn stop(&mut self) {
        self.up = false;
        self.wake = Time::NEVER;
        self.run += 1;
    }

    /// Packets for this address and port are for it: it answers there, or takes requests of a
    /// group.
    pub(super) fn hears(&self, to: SocketAddr) -> bool {
        let requests = |g: &SocketAddr| g.ip() == to.ip() && g.port() + 1 == to.port();
        to == self.address || self.groups.iter().any(requests)
    }
}

fn new_sender(
    config: &Config,
    groups: &[SocketAddr],
    rng: &mut Rng,
    now: Time,
) -> Result<Sender, SenderError> {
    let sender = SenderConfig {
        session: SessionId(rng.next_u64() | 1),
        seed: rng.next_u64(),
        secret: [7; 32],
        key: SigningKey::new(&Secret::new([7; 32])),
        sealed: config.sealed,
        groups: groups.to_vec(),
        source: None,
        group_feedback: config.group_feedback,
        rate: config.rate,
        tiers: config.tiers.clone(),
        ladder: config.ladder,
        adapt: config.adapt,
        min_rate: config.min_rate,
        roster: config.roster,
        wait_for: config.wait_for,
        stay: config.stay,
        one_way: config.one_way,
        surplus: config.surplus,
        fade: config.fade,
        slots: config.slots,
        elsewhere: Vec::new(),
    };
    Sender::new(sender, now)
}
