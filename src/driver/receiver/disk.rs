//! The receiver's disk thread: owns the files being written.
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
use crate::store::{BlockBuf, BlockResult, MovedAside, Sink};

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
        result: Result<PathBuf, StoreFault>,
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
    into: PathBuf,
    sinks: HashMap<ObjectKey, Sink>,
    answers: Sender<Answer>,
    control: Arc<Control>,
}

impl Disk {
    pub(crate) fn new(into: PathBuf, answers: Sender<Answer>, control: Arc<Control>) -> Disk {
        Disk {
            into,
            sinks: HashMap::new(),
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
            } => {
                let opened = Sink::open(&self.into, &description);
                let result = opened.map(|sink| {
                    let found = Opened {
                        path: sink.path(),
                        recovered: sink.recovered().clone(),
                        moved_aside: sink.moved_aside().cloned(),
                    };
                    self.sinks.insert(object, sink);
                    found
                });
                self.answer(Answer::Opened {
                    object,
                    result: result.map_err(StoreFault::from),
                });
            }
            Job::Partial { object, buf } => {
                let written = self.sinks.get_mut(&object).map(|s| s.write_partial(&buf));
                if let Some(Err(error)) = written {
                    let fault = Err(StoreFault::from(error));
                    self.answer(Answer::Checked {
                        object,
                        block: buf.block(),
                        result: fault,
                    });
                }
                self.answer(Answer::Buffer(buf));
            }
            Job::Check {
                object,
                block,
                mut buf,
            } => {
                let checked = self
                    .sinks
                    .get_mut(&object)
                    .map(|s| s.finish_block(block, buf.as_mut()));
                let result = match checked {
                    // Its page will tell.
                    None | Some(Ok(BlockResult::Unproven)) => None,
                    Some(Ok(BlockResult::Verified)) => Some(Ok(())),
                    Some(Ok(BlockResult::Bad)) => Some(Err(StoreFault::mismatch())),
                    Some(Err(error)) => Some(Err(error.into())),
                };
                if let Some(result) = result {
                    self.answer(Answer::Checked {
                        object,
                        block,
                        result,
                    });
                }
                if let Some(buf) = buf {
                    self.answer(Answer::Buffer(buf));
                }
            }
            Job::Page {
                object,
                page,
                symbol,
            } => {
                match self
                    .sinks
                    .get_mut(&object)
                    .map(|s| s.store_page(page, &symbol))
                {
                    Some(Ok(settled)) => {
                        for block in settled.verified {
                            self.answer(Answer::Checked {
                                object,
                                block,
                                result: Ok(()),
                            });
                        }
                        for block in settled.bad {
                            let result = Err(StoreFault::mismatch());
                            self.answer(Answer::Checked {
                                object,
                                block,
                                result,
                            });
                        }
                    }
                    Some(Err(error)) => {
                        let result = Err(error.into());
                        // Whichever block it is told of, the object can't be kept.
                        self.answer(Answer::Checked {
                            object,
                            block: 1,
                            result,
                        });
                    }
                    None => {}
                }
                self.answer(Answer::Page);
            }
            Job::Finish { object } => {
                let sink = self.sinks.remove(&object);
                let result = match sink {
                    Some(sink) => sink.finish().map_err(StoreFault::from),
                    None => Err(StoreFault::new(FaultKind::Gone, "the file is not open")),
                };
                self.answer(Answer::Finished { object, result });
            }
            Job::Abandon { object, keep } => {
                if let Some(sink) = self.sinks.remove(&object) {
                    // It is given up already; what can't be removed is found by the next run.
                    let _ = sink.abandon(keep);
                }
            }
        }
    }
}
