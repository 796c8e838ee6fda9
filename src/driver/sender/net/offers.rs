//! Files on their way to being objects on offer, and back.

use std::path::PathBuf;

use super::{ATTEMPTS, Net, Offered, SETTLE};
use crate::config;
use crate::driver::paths::Found;
use crate::driver::sender::messages::{Job, Prepare, Prepared};
use crate::driver::{NotOffered, SenderEvent, SenderObject};
use crate::engine::{self, ObjectKey};
use crate::ids::ContentId;
use crate::time::Time;

impl Net {
    /// Tells of what was left out, and has the files made ready.
    pub(super) fn found(&mut self, now: Time, found: Found) {
        for path in found.skipped {
            self.outbox.tell(SenderEvent::PathSkipped { path });
        }
        for file in found.files {
            let (attempt, k) = (0, None);
            self.prepare(now, Prepare { file, attempt, k });
        }
    }

    pub(super) fn prepare(&mut self, now: Time, prepare: Prepare) {
        self.have_hashed(now, Job::Prepare(prepare));
    }

    pub(super) fn have_hashed(&mut self, now: Time, job: Job) {
        if self.preparing == 0 {
            self.engine.set_preparing(now, true);
        }
        self.preparing += 1;
        if self.to_hasher.send(job).is_err() {
            self.broken = Some("hashing");
        }
    }

    /// One job less for the hashing thread.
    pub(super) fn prepared(&mut self, now: Time) {
        self.preparing = self.preparing.saturating_sub(1);
        if self.preparing > 0 {
            return;
        }
        self.engine.set_preparing(now, false);
        if self.objects.is_empty() && !self.engine.config().stay {
            self.stop(now, false);
        }
    }

    pub(super) fn not_offered(&mut self, path: PathBuf, reason: String) {
        self.outbox.tell(SenderEvent::OfferFailed {
            path: path.clone(),
            reason: reason.clone(),
        });
        self.not_offered.push(NotOffered { path, reason });
    }

    pub(super) fn offer(&mut self, now: Time, prepared: Prepared) {
        let Prepared {
            file,
            attempt,
            source,
            description,
            content,
            cached,
        } = prepared;
        let (name, path) = (description.name.clone(), file.path.clone());
        let (bytes, coding) = (description.geometry.length(), description.coding());
        let k = description.geometry.k();
        match self.engine.offer(now, description) {
            Ok(key) => {
                let figures = SenderObject {
                    name: name.clone(),
                    path: path.clone(),
                    bytes,
                    content,
                    coding,
                    cycles: 0,
                    withdrawn: None,
                };
                self.objects.insert(
                    key,
                    Offered {
                        file,
                        attempt,
                        source,
                        figures,
                    },
                );
                let again = attempt > 0;
                self.outbox.tell(SenderEvent::Offered {
                    name,
                    path,
                    bytes,
                    content,
                    coding,
                    cached,
                    again,
                });
            }
            Err(error) => {
                let twice = matches!(error, engine::SenderError::Twice(_));
                match another_k(k, &self.cuts_of(content)).filter(|_| twice) {
                    Some(k) => {
                        let k = Some(k);
                        self.prepare(now, Prepare { file, attempt, k });
                    }
                    None => self.not_offered(path, error.to_string()),
                }
            }
        }
        self.prepared(now);
    }

    /// How the objects on offer are cut that have the same bytes.
    fn cuts_of(&self, content: ContentId) -> Vec<u16> {
        let same = |o: &&Offered| o.figures.content == content;
        let same = self.objects.values().filter(same);
        same.map(|o| o.source.description().geometry.k()).collect()
    }

    /// An object is no longer sent: its file is hashed and offered anew, unless that was done too
    /// often.
    pub(super) fn withdrawn(&mut self, now: Time, object: ObjectKey, reason: &str) {
        let Some(offered) = self.objects.remove(&object) else {
            return;
        };
        self.stop_feedback(object);
        let Offered {
            file,
            attempt,
            mut figures,
            ..
        } = offered;
        figures.withdrawn = Some(reason.to_owned());
        self.ended_objects.push(figures);
        let attempt = attempt + 1;
        if self.stop_at.is_some() {
            return;
        }
        if attempt > ATTEMPTS {
            let reason =
                format!("it has changed {attempt} times while it was sent; stop what writes it");
            self.not_offered(file.path, reason);
            if self.preparing == 0 && self.objects.is_empty() && !self.engine.config().stay {
                self.stop(now, false);
            }
            return;
        }
        if self.preparing == 0 {
            self.engine.set_preparing(now, true);
        }
        self.preparing += 1;
        self.later.push((
            now + SETTLE * attempt,
            Prepare {
                file,
                attempt,
                k: None,
            },
        ));
    }
}

/// How to cut up a file that would be cut with `k`, as one of the same bytes is: files are told apart by bytes
/// and cut, so the cut has to differ from those `taken`. A little, which costs nothing; none when there are
/// absurdly many. Each is less than the one before, so that a file is not hashed for ever.
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
