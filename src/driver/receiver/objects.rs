//! The objects that a receiver has to do with, as its driver knows them.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::driver::ReceiverObject;
use crate::driver::speed::Speed;
use crate::engine::ObjectKey;
use crate::ids::ContentId;
use crate::object::{Checker, Description, Geometry};
use crate::time::Time;

/// One of them.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) name: String,
    pub(crate) geometry: Geometry,
    pub(crate) content: ContentId,
    pub(crate) checker: Checker,
    pub(crate) path: Option<PathBuf>,
    pub(crate) speed: Speed,
    /// Paths that are not here as they should be.
    pub(crate) left_out: u64,
    opened: Time,
    ended: Option<Time>,
    complete: bool,
    error: Option<String>,
}

impl Object {
    pub(crate) fn new(now: Time, description: &Description) -> Object {
        Object {
            name: description.name.clone(),
            geometry: description.geometry,
            content: description.content,
            checker: Checker::new(description),
            path: None,
            speed: Speed::default(),
            left_out: 0,
            opened: now,
            ended: None,
            complete: false,
            error: None,
        }
    }

    /// It has ended, completely or for this reason.
    pub(crate) fn end(&mut self, now: Time, error: Option<String>) {
        self.ended.get_or_insert(now);
        self.complete = error.is_none();
        self.error = error;
    }

    /// It is under its name.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Neither complete nor given up.
    pub(crate) fn is_open(&self) -> bool {
        self.ended.is_none()
    }

    /// From its opening to its end, or to now.
    pub(crate) fn took(&self, now: Time) -> std::time::Duration {
        self.ended.unwrap_or(now).since(self.opened)
    }
}

/// All of them, in the order they were opened.
pub(crate) fn summary(now: Time, objects: HashMap<ObjectKey, Object>) -> Vec<ReceiverObject> {
    let mut all: Vec<(ObjectKey, Object)> = objects.into_iter().collect();
    all.sort_by_key(|(key, _)| *key);
    let one = |(_, o): (ObjectKey, Object)| ReceiverObject {
        took: o.took(now),
        bytes: o.geometry.length(),
        name: o.name,
        path: o.path,
        content: o.content,
        complete: o.complete,
        left_out: o.left_out,
        error: o.error,
    };
    all.into_iter().map(one).collect()
}
