//! Files on their way to being objects on offer, and back.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel as channel;

use super::session::Session;
use crate::config;
use crate::driver::paths::{FileToOffer, Found};
use crate::driver::sender::messages::{Job, Prepare, Prepared};
use crate::driver::{NotOffered, SenderEvent, SenderObject};
use crate::engine::{self, ObjectKey};
use crate::ids::ContentId;
use crate::store::Store;
use crate::time::Time;

/// How often a file that keeps changing is offered anew.
const ATTEMPTS: u32 = 5;
/// How long a file that changed is left alone before it is hashed again; times the attempt.
const SETTLE: Duration = Duration::from_millis(500);

/// An object as the driver knows it.
#[derive(Debug)]
struct Offered {
    file: FileToOffer,
    attempt: u32,
    source: Arc<dyn Store>,
    figures: SenderObject,
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

    /// Tells of what was left out, and has the files made ready.
    pub(super) fn found(&mut self, now: Time, found: Found, session: &mut Session) {
        for path in found.skipped {
            session.outbox.tell(SenderEvent::PathSkipped { path });
        }
        for file in found.files {
            let (attempt, k) = (0, None);
            let prepare = Prepare { file, attempt, k };
            self.have_hashed(now, Job::Prepare(prepare), session);
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
        let figures = SenderObject {
            name: description.name.clone(),
            path: prepared.file.path.clone(),
            bytes: description.geometry.length(),
            content: prepared.content,
            coding: description.coding(),
            cycles: 0,
            withdrawn: None,
        };
        match session.engine.offer(now, description) {
            Ok(key) => self.offered(key, figures, prepared, session),
            Err(error) => self.refused(now, &error, prepared, session),
        }
        self.prepared(now, session);
    }

    fn offered(
        &mut self,
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
            file: prepared.file,
            attempt: prepared.attempt,
            source: prepared.source,
            figures,
        };
        self.objects.insert(key, offered);
    }

    /// The engine does not take it: a file of the same bytes as another is cut differently.
    fn refused(
        &mut self,
        now: Time,
        error: &engine::SenderError,
        prepared: Prepared,
        session: &mut Session,
    ) {
        let Prepared {
            file,
            attempt,
            description,
            content,
            ..
        } = prepared;
        let twice = matches!(error, engine::SenderError::Twice(_));
        let taken = self.cuts_of(content);
        match another_k(description.geometry.k(), &taken).filter(|_| twice) {
            Some(k) => {
                let k = Some(k);
                let prepare = Prepare { file, attempt, k };
                self.have_hashed(now, Job::Prepare(prepare), session);
            }
            None => self.not_offered(file.path, error.to_string(), session),
        }
    }

    /// How the objects on offer are cut that have the same bytes.
    fn cuts_of(&self, content: ContentId) -> Vec<u16> {
        let same = |o: &&Offered| o.figures.content == content;
        let same = self.objects.values().filter(same);
        same.map(|o| o.source.description().geometry.k()).collect()
    }

    /// An object is no longer sent: its file is hashed and offered anew, unless that was done too
    /// often.
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
            file,
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
        if attempt > ATTEMPTS {
            let reason =
                format!("it has changed {attempt} times while it was sent; stop what writes it");
            self.not_offered(file.path, reason, session);
            return self.stop_if_empty(now, session);
        }
        self.one_more(now, session);
        let k = None;
        let prepare = Prepare { file, attempt, k };
        self.later.push((now + SETTLE * attempt, prepare));
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

/// How to cut up a file that would be cut with `k`, as one of the same bytes is: files are told
/// apart by bytes and cut, so the cut has to differ from those `taken`. A little, which costs
/// nothing; none when there are absurdly many. Each is less than the one before, so that a file is
/// not hashed for ever.
fn another_k(k: u16, taken: &[u16]) -> Option<u16> {
    (config::SMALL_K / 2..k).rev().find(|k| !taken.contains(k))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_files_are_cut_in_ways_that_are_free() {
        assert_eq!(another_k(512, &[512, 510]), Some(511));
        assert_eq!(another_k(511, &[512, 511, 510]), Some(509));
        let all: Vec<u16> = (0..=1_024).collect();
        assert_eq!(another_k(1_024, &all), None);
        assert_eq!(another_k(config::SMALL_K / 2, &[]), None);
    }
}
