//! Files on their way to being objects on offer, and back.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel as channel;

use super::session::Session;
use crate::driver::sender::messages::{Job, Prepare, Prepared};
use crate::driver::sender::naming::PathToOffer;
use crate::driver::{NotOffered, SenderEvent, SenderObject};
use crate::engine::ObjectKey;
use crate::store::Store;
use crate::time::Time;

/// How long an object that changed is left alone before it is hashed again; times the attempt, up
/// to [`LONGEST`].
const SETTLE: Duration = Duration::from_millis(500);
/// Attempts after which it waits no longer than that.
const LONGEST: u32 = 10;
/// Least time between two looks at what is on offer, unless it is read: a large folder takes a
/// while.
const LOOKS_APART: Duration = Duration::from_secs(1);

/// An object as the driver knows it.
#[derive(Debug)]
struct Offered {
    path: PathToOffer,
    attempt: u32,
    source: Arc<dyn Store>,
    figures: SenderObject,
    /// When it was looked at last; none while it is.
    looked: Option<Time>,
}

/// What is on offer, what is being made ready, and what could not be.
pub(super) struct Offers {
    objects: HashMap<ObjectKey, Offered>,
    ended: Vec<SenderObject>,
    not_offered: Vec<NotOffered>,
    to_hasher: channel::Sender<Job>,
    /// Jobs that the hashing thread has or will get.
    preparing: usize,
    /// Files that get a while to settle first.
    later: Vec<(Time, Prepare)>,
}

impl Offers {
    pub(super) fn new(to_hasher: channel::Sender<Job>) -> Offers {
        Offers {
            objects: HashMap::new(),
            ended: Vec::new(),
            not_offered: Vec::new(),
            to_hasher,
            preparing: 0,
            later: Vec::new(),
        }
    }

    /// Has what is at a path made ready.
    pub(super) fn named(&mut self, now: Time, path: PathToOffer, session: &mut Session) {
        let prepare = Prepare { path, attempt: 0 };
        self.have_hashed(now, Job::Prepare(prepare), session);
    }

    /// Has an object looked at, whether it is still what was offered.
    pub(super) fn look(&mut self, now: Time, object: ObjectKey) {
        let is_due = |o: &&mut Offered| o.looked.is_some_and(|at| now >= at + LOOKS_APART);
        if let Some(offered) = self.objects.get_mut(&object).filter(is_due) {
            offered.looked = None;
            let source = Arc::clone(&offered.source);
            // A hasher that is gone shows where something is to be hashed.
            let _ = self.to_hasher.send(Job::Look { object, source });
        }
    }

    /// Has all objects looked at.
    pub(super) fn look_at_all(&mut self, now: Time) {
        let objects: Vec<ObjectKey> = self.objects.keys().copied().collect();
        objects.iter().for_each(|&object| self.look(now, object));
    }

    /// An object was looked at.
    pub(super) fn looked(&mut self, now: Time, object: ObjectKey) {
        if let Some(offered) = self.objects.get_mut(&object) {
            offered.looked = Some(now);
        }
    }

    pub(super) fn have_hashed(&mut self, now: Time, job: Job, session: &mut Session) {
        self.one_more(now, session);
        if self.to_hasher.send(job).is_err() {
            session.ending.break_off("hashing");
        }
    }

    /// One job more for the hashing thread.
    fn one_more(&mut self, now: Time, session: &mut Session) {
        if self.preparing == 0 {
            session.engine.set_preparing(now, true);
        }
        self.preparing += 1;
    }

    /// One job less for the hashing thread.
    pub(super) fn prepared(&mut self, now: Time, session: &mut Session) {
        self.preparing = self.preparing.saturating_sub(1);
        if self.preparing > 0 {
            return;
        }
        session.engine.set_preparing(now, false);
        self.stop_if_empty(now, session);
    }

    /// Ends a session that has nothing to offer, unless it is to stay.
    fn stop_if_empty(&mut self, now: Time, session: &mut Session) {
        if self.preparing == 0 && self.objects.is_empty() && !session.engine.config().stay {
            session.stop(now, false);
        }
    }

    pub(super) fn not_offered(&mut self, path: PathBuf, reason: String, session: &mut Session) {
        session.outbox.tell(SenderEvent::OfferFailed {
            path: path.clone(),
            reason: reason.clone(),
        });
        self.not_offered.push(NotOffered { path, reason });
    }

    /// Puts a file that is ready on offer.
    pub(super) fn offer(&mut self, now: Time, prepared: Prepared, session: &mut Session) {
        let description = prepared.description.clone();
        let holes = prepared.source.holes();
        let figures = SenderObject {
            name: description.name.clone(),
            path: prepared.path.path.clone(),
            bytes: description.geometry.length(),
            content: description.content,
            coding: description.coding(),
            cycles: 0,
            left_out: prepared.skipped.len() as u64,
            withdrawn: None,
        };
        for (path, reason) in prepared.skipped.iter().cloned() {
            session
                .outbox
                .tell(SenderEvent::PathSkipped { path, reason });
        }
        match session.engine.offer_sparse(now, description, &holes) {
            Ok(key) => self.offered(now, key, figures, prepared, session),
            Err(error) => self.not_offered(prepared.path.path, error.to_string(), session),
        }
        self.prepared(now, session);
    }

    fn offered(
        &mut self,
        now: Time,
        key: ObjectKey,
        figures: SenderObject,
        prepared: Prepared,
        session: &mut Session,
    ) {
        session.outbox.tell(SenderEvent::Offered {
            name: figures.name.clone(),
            path: figures.path.clone(),
            bytes: figures.bytes,
            content: figures.content,
            coding: figures.coding,
            cached: prepared.cached,
            again: prepared.attempt > 0,
        });
        let offered = Offered {
            path: prepared.path,
            attempt: prepared.attempt,
            source: prepared.source,
            figures,
            looked: Some(now),
        };
        self.objects.insert(key, offered);
    }

    /// An object is no longer sent: it is hashed and offered anew when it has settled.
    pub(super) fn withdrawn(
        &mut self,
        now: Time,
        object: ObjectKey,
        reason: &str,
        session: &mut Session,
    ) {
        let Some(offered) = self.objects.remove(&object) else {
            return;
        };
        let Offered {
            path,
            attempt,
            mut figures,
            ..
        } = offered;
        figures.withdrawn = Some(reason.to_owned());
        self.ended.push(figures);
        let attempt = attempt + 1;
        if session.ending.has_begun() {
            return;
        }
        self.one_more(now, session);
        let wait = SETTLE * attempt.min(LONGEST);
        self.later.push((now + wait, Prepare { path, attempt }));
    }

    /// Has files hashed that have settled.
    pub(super) fn on_time(&mut self, now: Time, session: &mut Session) {
        while let Some(at) = self.later.iter().position(|(at, _)| *at <= now) {
            let (_, prepare) = self.later.swap_remove(at);
            self.preparing -= 1;
            self.have_hashed(now, Job::Prepare(prepare), session);
        }
    }

    /// When the next file has settled.
    pub(super) fn next(&self) -> Option<Time> {
        self.later.iter().map(|(at, _)| *at).min()
    }

    /// A pass over an object is over. Gives the object's name.
    pub(super) fn cycle_ended(&mut self, object: ObjectKey, cycle: u32) -> String {
        if let Some(offered) = self.objects.get_mut(&object) {
            offered.figures.cycles = cycle + 1;
        }
        self.name(object)
    }

    /// An object's name; empty when it is gone.
    pub(super) fn name(&self, object: ObjectKey) -> String {
        let offered = self.objects.get(&object);
        offered.map_or_else(String::new, |o| o.figures.name.clone())
    }

    /// What an object's blocks are read from.
    pub(super) fn source(&self, object: ObjectKey) -> Option<&Arc<dyn Store>> {
        self.objects.get(&object).map(|o| &o.source)
    }

    /// All objects that ever were on offer, by name, and the files that could not be.
    pub(super) fn into_summary(self) -> (Vec<SenderObject>, Vec<NotOffered>) {
        let mut objects = self.ended;
        objects.extend(self.objects.into_values().map(|o| o.figures));
        objects.sort_by(|a, b| a.name.cmp(&b.name));
        (objects, self.not_offered)
    }
}
