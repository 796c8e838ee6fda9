//! The receiver's disk thread: owns the stores being written.
//!
//! Takes jobs in order, answers each. Nobody waits for it: what it can't keep up with shows as
//! buffers that don't come back.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use crate::driver::control::Control;
use crate::engine::ObjectKey;
use crate::fault::{FaultKind, StoreFault};
use crate::fec;
use crate::ids::BlockNo;
use crate::object::Description;
use crate::range_set::RangeSet;
use crate::store::{self, BlockBuf, BlockResult, Destination, MovedAside, Store};

/// What the disk thread is to do.
#[derive(Debug)]
pub(crate) enum Job {
    /// Make a place for an object.
    Open {
        object: ObjectKey,
        description: Box<Description>,
    },
    /// Write the symbols of a block that had to leave memory.
    Partial { object: ObjectKey, buf: BlockBuf },
    /// Check a block that is whole, and write what is not written yet.
    Check {
        object: ObjectKey,
        block: BlockNo,
        buf: Option<BlockBuf>,
    },
    /// Keep a page of hashes.
    Page {
        object: ObjectKey,
        page: u32,
        symbol: Vec<u8>,
    },
    /// Give the file its name.
    Finish { object: ObjectKey },
    /// Give up an object.
    Abandon { object: ObjectKey, keep: bool },
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum Answer {
    Opened {
        object: ObjectKey,
        result: Result<Opened, StoreFault>,
    },
    Checked {
        object: ObjectKey,
        block: BlockNo,
        result: Result<(), StoreFault>,
    },
    Finished {
        object: ObjectKey,
        result: Result<(), StoreFault>,
    },
    /// A buffer is free again.
    Buffer(BlockBuf),
    /// A page is on disk, or refused.
    Page,
}

/// An object's place on disk.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) path: PathBuf,
    /// Blocks that are here from an earlier run.
    pub(crate) recovered: RangeSet,
    pub(crate) moved_aside: Option<MovedAside>,
}

/// The thread's state.
pub(crate) struct Disk {
    destination: Box<dyn Destination>,
    stores: HashMap<ObjectKey, Box<dyn Store>>,
    answers: Sender<Answer>,
    control: Arc<Control>,
}

impl Disk {
    pub(crate) fn new(
        destination: Box<dyn Destination>,
        answers: Sender<Answer>,
        control: Arc<Control>,
    ) -> Disk {
        Disk {
            destination,
            stores: HashMap::new(),
            answers,
            control,
        }
    }

    /// Works until nobody can give it jobs any more. What is not finished then stays for a later
    /// run.
    pub(crate) fn run(mut self, jobs: &Receiver<Job>) {
        // Before the first data comes, which must not wait for it.
        fec::prepare();
        while let Ok(job) = jobs.recv() {
            self.work(job);
            // One wake for all that is done, unless there is more to do soon.
            self.control.wake();
        }
    }

    fn answer(&self, answer: Answer) {
        // Nobody listens any more: the receiver is ending.
        let _ = self.answers.send(answer);
    }

    fn work(&mut self, job: Job) {
        match job {
            Job::Open {
                object,
                description,
            } => self.open(object, &description),
            Job::Partial { object, buf } => self.write_partial(object, buf),
            Job::Check { object, block, buf } => self.check(object, block, buf),
            Job::Page {
                object,
                page,
                symbol,
            } => self.store_page(object, page, &symbol),
            Job::Finish { object } => {
                let result = match self.stores.remove(&object) {
                    Some(mut store) => store.finish(),
                    None => Err(StoreFault::new(FaultKind::Gone, "the file is not open")),
                };
                self.answer(Answer::Finished { object, result });
            }
            Job::Abandon { object, keep } => {
                if let Some(mut store) = self.stores.remove(&object) {
                    // It is given up already; what can't be removed is found by the next run.
                    let _ = store.abandon(keep);
                }
            }
        }
    }

    fn open(&mut self, object: ObjectKey, description: &Description) {
        let result = self.destination.open(description).map(|opened| {
            let store::Opened {
                store,
                path,
                moved_aside,
            } = opened;
            let recovered = store.held();
            self.stores.insert(object, store);
            Opened {
                path,
                recovered,
                moved_aside,
            }
        });
        self.answer(Answer::Opened { object, result });
    }

    fn write_partial(&mut self, object: ObjectKey, buf: BlockBuf) {
        let store = self.stores.get_mut(&object);
        if let Some(Err(fault)) = store.map(|s| s.write_partial(&buf)) {
            self.checked(object, buf.block(), Err(fault));
        }
        self.answer(Answer::Buffer(buf));
    }

    fn check(&mut self, object: ObjectKey, block: BlockNo, mut buf: Option<BlockBuf>) {
        let store = self.stores.get_mut(&object);
        match store.map(|s| s.finish_block(block, buf.as_mut())) {
            // Its page will tell.
            None | Some(Ok(BlockResult::Unproven)) => {}
            Some(Ok(BlockResult::Verified)) => self.checked(object, block, Ok(())),
            Some(Ok(BlockResult::Bad)) => {
                self.checked(object, block, Err(StoreFault::mismatch()));
            }
            Some(Err(fault)) => self.checked(object, block, Err(fault)),
        }
        if let Some(buf) = buf {
            self.answer(Answer::Buffer(buf));
        }
    }

    fn store_page(&mut self, object: ObjectKey, page: u32, symbol: &[u8]) {
        let store = self.stores.get_mut(&object);
        match store.map(|s| s.store_page(page, symbol)) {
            None => {}
            Some(Ok(settled)) => {
                for block in settled.verified {
                    self.checked(object, block, Ok(()));
                }
                for block in settled.bad {
                    self.checked(object, block, Err(StoreFault::mismatch()));
                }
            }
            // Whichever block it is told of, the object can't be kept.
            Some(Err(fault)) => self.checked(object, 1, Err(fault)),
        }
        self.answer(Answer::Page);
    }

    fn checked(&self, object: ObjectKey, block: BlockNo, result: Result<(), StoreFault>) {
        self.answer(Answer::Checked {
            object,
            block,
            result,
        });
    }
}
