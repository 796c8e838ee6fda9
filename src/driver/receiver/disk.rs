//! The receiver's disk thread: owns the stores being written.
//!
//! Takes jobs in order, answers each. Nobody waits for it: what it can't keep up with shows as
//! buffers that don't come back.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TryRecvError};

use crate::driver::control::Control;
use crate::engine::ObjectKey;
use crate::fault::{FaultKind, StoreFault};
use crate::fec;
use crate::ids::BlockNo;
use crate::object::{Description, Part};
use crate::range_set::RangeSet;
use crate::store::{self, BlockBuf, BlockResult, Destination, MovedAside, Remarks, Settled, Store};
use crate::symbol_set::SymbolSet;

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
        block: BlockNo,
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
        result: Result<Remarks, StoreFault>,
    },
    /// The table is here: what else is is looked for now.
    Looking { object: ObjectKey },
    /// Blocks of an object that nobody wants.
    Unwanted {
        object: ObjectKey,
        blocks: Vec<BlockNo>,
    },
    /// Symbols are here without having come; with `is_last` nothing more is looked for.
    Found {
        object: ObjectKey,
        symbols: Vec<(BlockNo, SymbolSet)>,
        is_last: bool,
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
    /// More of it may be here, and is looked for once its table has come.
    pub(crate) looks: bool,
    pub(crate) moved_aside: Option<MovedAside>,
}

/// An object on disk.
#[derive(Debug)]
struct Kept {
    store: Box<dyn Store>,
    /// Blocks of its table that are verified.
    table: RangeSet,
    stage: Stage,
}

/// Progress of the search for what is here already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// The table has not come.
    Table,
    /// The search goes on.
    Looking,
    /// The search is over.
    Looked,
}

impl Kept {
    /// A block is verified.
    fn verified(&mut self, block: BlockNo) {
        let g = &self.store.description().geometry;
        if self.stage == Stage::Table && block < g.first_content_block() {
            self.table.insert(u64::from(block)..u64::from(block) + 1);
            let mut data = g.blocks_of(Part::Table);
            if data.all(|block| self.table.contains(block.into())) {
                self.stage = Stage::Looking;
            }
        }
    }
}

/// The thread's state.
pub(crate) struct Disk {
    destination: Box<dyn Destination>,
    stores: HashMap<ObjectKey, Kept>,
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
        while let Some(job) = self.next(jobs) {
            self.work(job);
            // One wake for all that is done, unless there is more to do soon.
            self.control.wake();
        }
    }

    /// The next job. While there is none it looks for what is here already.
    fn next(&mut self, jobs: &Receiver<Job>) -> Option<Job> {
        loop {
            let looking = self.stores.iter().find(|(_, k)| k.stage == Stage::Looking);
            let Some((&object, _)) = looking else {
                return jobs.recv().ok();
            };
            match jobs.try_recv() {
                Ok(job) => return Some(job),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => self.look(object),
            }
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
                block,
                symbol,
            } => self.store_page(object, block, &symbol),
            Job::Finish { object } => {
                let result = match self.stores.remove(&object) {
                    Some(mut kept) => kept.store.finish().map(|()| kept.store.remarks()),
                    None => Err(StoreFault::new(FaultKind::Gone, "the file is not open")),
                };
                self.answer(Answer::Finished { object, result });
            }
            Job::Abandon { object, keep } => {
                if let Some(mut kept) = self.stores.remove(&object) {
                    // It is given up already; what can't be removed is found by the next run.
                    let _ = kept.store.abandon(keep);
                }
            }
        }
    }

    fn open(&mut self, object: ObjectKey, description: &Description) {
        let result = self.destination.open(description).map(|opened| {
            let store::Opened {
                store,
                path,
                looks,
                moved_aside,
            } = opened;
            let recovered = store.held();
            let mut kept = Kept {
                store,
                table: RangeSet::new(),
                stage: Stage::Table,
            };
            let held = recovered.iter().flatten();
            held.for_each(|block| kept.verified(block as BlockNo));
            self.stores.insert(object, kept);
            Opened {
                path,
                looks,
                recovered,
                moved_aside,
            }
        });
        self.answer(Answer::Opened { object, result });
    }

    /// Looks for some of what is here already.
    fn look(&mut self, object: ObjectKey) {
        let Some(kept) = self.stores.get_mut(&object) else {
            return;
        };
        let settled = kept.store.after_table();
        let more = settled.as_ref().is_ok_and(|settled| settled.more);
        if !more {
            kept.stage = Stage::Looked;
        }
        match settled {
            Ok(mut settled) => {
                let symbols = std::mem::take(&mut settled.here);
                let blocks = std::mem::take(&mut settled.unwanted);
                if !blocks.is_empty() {
                    self.answer(Answer::Unwanted { object, blocks });
                }
                self.settled(object, settled);
                let is_last = !more;
                self.answer(Answer::Found {
                    object,
                    symbols,
                    is_last,
                });
            }
            Err(fault) => self.checked(object, 0, Err(fault)),
        }
    }

    fn write_partial(&mut self, object: ObjectKey, buf: BlockBuf) {
        let kept = self.stores.get_mut(&object);
        if let Some(Err(fault)) = kept.map(|k| k.store.write_partial(&buf)) {
            self.checked(object, buf.block(), Err(fault));
        }
        self.answer(Answer::Buffer(buf));
    }

    fn check(&mut self, object: ObjectKey, block: BlockNo, mut buf: Option<BlockBuf>) {
        let kept = self.stores.get_mut(&object);
        match kept.map(|k| k.store.finish_block(block, buf.as_mut())) {
            // Its page will tell.
            None | Some(Ok(BlockResult::Unproven)) => {}
            Some(Ok(BlockResult::Verified)) => self.verified(object, block),
            Some(Ok(BlockResult::Bad)) => {
                self.checked(object, block, Err(StoreFault::mismatch()));
            }
            Some(Err(fault)) => self.checked(object, block, Err(fault)),
        }
        if let Some(buf) = buf {
            self.answer(Answer::Buffer(buf));
        }
    }

    fn store_page(&mut self, object: ObjectKey, block: BlockNo, symbol: &[u8]) {
        let kept = self.stores.get_mut(&object);
        match kept.map(|k| k.store.store_page(block, symbol)) {
            None => {}
            Some(Ok(settled)) => self.settled(object, settled),
            Some(Err(fault)) => self.checked(object, block, Err(fault)),
        }
        self.answer(Answer::Page);
    }

    fn settled(&mut self, object: ObjectKey, settled: Settled) {
        for block in settled.verified {
            self.verified(object, block);
        }
        for block in settled.bad {
            self.checked(object, block, Err(StoreFault::mismatch()));
        }
    }

    fn verified(&mut self, object: ObjectKey, block: BlockNo) {
        if let Some(kept) = self.stores.get_mut(&object) {
            let waited = kept.stage == Stage::Table;
            kept.verified(block);
            if waited && kept.stage == Stage::Looking {
                self.answer(Answer::Looking { object });
            }
        }
        self.checked(object, block, Ok(()));
    }

    fn checked(&self, object: ObjectKey, block: BlockNo, result: Result<(), StoreFault>) {
        self.answer(Answer::Checked {
            object,
            block,
            result,
        });
    }
}
