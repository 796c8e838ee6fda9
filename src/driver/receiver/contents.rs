//! What a receiver has of its objects: symbols in memory, and the disk thread behind.
//!
//! Takes symbols, and what the engine wants of the disk; gives jobs to the disk thread. Their
//! number has no limit of its own: buffers and pages on their way do.

use std::collections::HashMap;
use std::net::SocketAddr;

use crossbeam_channel as channel;

use super::disk::Job;
use super::objects::Object;
use super::parts::Parts;
use crate::engine::ObjectKey;
use crate::ids::BlockNo;
use crate::object::Description;
use crate::store::{BlockBuf, BlockPool, DEFAULT_POOL, Put};
use crate::time::Time;
use crate::wire::DataHeader;

/// Most hash pages on their way to disk.
const MAX_PAGES: usize = 4_096;

/// What became of a symbol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stored {
    /// It is kept.
    Kept,
    /// There is no room for it: the disk is behind.
    Stalled,
    /// It is wrong, or of an object that is not kept.
    Refused,
}

/// Objects, their blocks in memory, and the way to the disk thread.
pub(crate) struct Contents {
    objects: HashMap<ObjectKey, Object>,
    pool: BlockPool,
    parts: Parts,
    jobs: channel::Sender<Job>,
    pages_on_their_way: usize,
    /// The disk thread has died.
    broken: bool,
}

impl Contents {
    pub(crate) fn new(jobs: channel::Sender<Job>) -> Contents {
        Contents {
            objects: HashMap::new(),
            pool: BlockPool::new(DEFAULT_POOL),
            parts: Parts::default(),
            jobs,
            pages_on_their_way: 0,
            broken: false,
        }
    }

    fn job(&mut self, job: Job) {
        self.broken |= self.jobs.send(job).is_err();
    }

    /// Whether the disk thread has died.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Blocks in memory.
    pub(crate) fn pool(&self) -> &BlockPool {
        &self.pool
    }

    /// An object that there is something to tell of.
    pub(crate) fn know(&mut self, now: Time, object: ObjectKey, description: &Description) {
        let new = || Object::new(now, description);
        self.objects.entry(object).or_insert_with(new);
    }

    pub(crate) fn object(&mut self, object: ObjectKey) -> Option<&mut Object> {
        self.objects.get_mut(&object)
    }

    /// An object's name; empty when it is not known.
    pub(crate) fn name(&self, object: ObjectKey) -> String {
        let known = self.objects.get(&object);
        known.map_or_else(String::new, |known| known.name.clone())
    }

    pub(crate) fn into_objects(self) -> HashMap<ObjectKey, Object> {
        self.objects
    }

    /// Makes a place for an object.
    pub(crate) fn open(&mut self, now: Time, object: ObjectKey, description: Box<Description>) {
        self.pool.open(object.0, &description.geometry);
        self.know(now, object, &description);
        self.job(Job::Open {
            object,
            description,
        });
    }

    /// Has a block checked and written.
    pub(crate) fn check(&mut self, object: ObjectKey, block: BlockNo) {
        let buf = self.pool.take(object.0, block);
        self.job(Job::Check { object, block, buf });
    }

    /// Has a file given its name.
    pub(crate) fn finish(&mut self, object: ObjectKey) {
        self.close(object);
        self.job(Job::Finish { object });
    }

    /// Gives up an object; what came of it is kept or not.
    pub(crate) fn abandon(&mut self, object: ObjectKey, keep: bool) {
        self.close(object);
        self.job(Job::Abandon { object, keep });
    }

    fn close(&mut self, object: ObjectKey) {
        self.pool.close(object.0);
        self.parts.close(object);
    }

    /// A buffer is free again.
    pub(crate) fn give_back(&mut self, buf: BlockBuf) {
        self.pool.give_back(buf);
    }

    /// A page has come to the disk.
    pub(crate) fn page_done(&mut self) {
        self.pages_on_their_way -= 1;
    }

    /// Puts a symbol where it belongs.
    pub(crate) fn store(
        &mut self,
        object: ObjectKey,
        header: &DataHeader,
        payload: &[u8],
    ) -> Stored {
        let known = self.objects.get(&object);
        let page = known.and_then(|known| {
            let is_page = known.geometry.is_page(header.block);
            is_page.then(|| known.checker.check(header.block, payload).is_ok())
        });
        match page {
            Some(false) => Stored::Refused,
            Some(true) => self.store_page(object, header.block, payload),
            None => self.store_symbol(object, header, payload),
        }
    }

    fn store_page(&mut self, object: ObjectKey, block: BlockNo, payload: &[u8]) -> Stored {
        if self.pages_on_their_way >= MAX_PAGES {
            return Stored::Stalled;
        }
        self.pages_on_their_way += 1;
        let symbol = payload.to_vec();
        self.job(Job::Page {
            object,
            block,
            symbol,
        });
        Stored::Kept
    }

    fn store_symbol(&mut self, object: ObjectKey, header: &DataHeader, payload: &[u8]) -> Stored {
        let (block, symbol) = (header.block, header.symbol);
        match self.pool.put(object.0, block, symbol, payload) {
            Put::Kept => Stored::Kept,
            Put::Evicted(buf) => {
                let object = ObjectKey(buf.object());
                self.job(Job::Partial { object, buf });
                Stored::Kept
            }
            Put::Stalled => Stored::Stalled,
            Put::Unknown => Stored::Refused,
        }
    }

    /// Adds a piece of a symbol; gives the symbol when it is whole.
    pub(crate) fn add_part(
        &mut self,
        object: ObjectKey,
        header: &DataHeader,
        from: SocketAddr,
        payload: &[u8],
    ) -> Option<Vec<u8>> {
        let size = self.objects.get(&object)?.geometry.symbol_size();
        let key = (object, header.block, header.symbol, from);
        self.parts.add(key, size, header.part.unwrap_or(0), payload)
    }
}
