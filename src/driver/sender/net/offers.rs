//! Files on their way to being objects on offer, and back.

use std::path::PathBuf;

use super::{ATTEMPTS, Net, Offered, SETTLE};
use crate::config;
use crate::driver::sender::messages::{Prepare, Prepared};
use crate::driver::{SenderEvent, SenderObject};
use crate::engine::{self, ObjectKey};
use crate::ids::ContentId;
use crate::time::Time;

impl Net {
    pub(super) fn prepare(&mut self, now: Time, prepare: Prepare) {
        if self.preparing == 0 {
            self.engine.set_preparing(now, true);
        }
        self.preparing += 1;
        if self.to_hasher.send(prepare).is_err() {
            self.broken = Some("hashing");
        }
    }

    /// One file less to prepare.
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
        self.not_offered.push((path, reason));
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
            Err(engine::SenderError::Twice(_))
                if another_k(k, self.of_content(content)).is_some() =>
            {
                let k = another_k(k, self.of_content(content));
                self.prepare(now, Prepare { file, attempt, k });
            }
            Err(error) => self.not_offered(path, error.to_string()),
        }
        self.prepared(now);
    }

    /// Objects on offer that have the same bytes.
    pub(super) fn of_content(&self, content: ContentId) -> usize {
        self.objects
            .values()
            .filter(|o| o.figures.content == content)
            .count()
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

/// How to cut up a file that has the same bytes as `others` files on offer, which would be cut with
/// `k`: files are told apart by bytes and cut, so the cut has to differ. A little, which costs
/// nothing; none when there are absurdly many.
fn another_k(k: u16, others: usize) -> Option<u16> {
    let usual = if k > config::SMALL_K {
        config::LARGE_K
    } else {
        config::SMALL_K
    };
    let others = u16::try_from(others).ok()?;
    usual
        .checked_sub(others)
        .filter(|&k| k >= config::SMALL_K / 2)
}
