//! The sender's threads that touch files: one reads blocks, one finds and hashes what is to be
//! offered.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use super::messages::{Job, Message, Prepare, Prepared, Read};
use crate::driver::control::{Control, Wish};
use crate::driver::sender::naming::name_path;
use crate::engine::ReadCommand;
use crate::fault::StoreFault;
use crate::fec::Encoder;
use crate::store::tree::ScanOptions;
use crate::store::{Cut, KnownHashes, Source, SourceError, Store};

/// Most paths of a folder that are told one by one as left out.
const MOST_SKIPPED: usize = 1_000;

/// Reads blocks, and makes their parity when told to, until nobody asks any more.
pub(crate) fn read(jobs: &Receiver<Read>, messages: &Sender<Message>, control: &Control) {
    let mut encoder = Encoder::new();
    for Read {
        command,
        source,
        mut buffer,
    } in jobs
    {
        let result = fill(&command, &*source, &mut buffer, &mut encoder);
        if messages
            .send(Message::Read {
                command,
                buffer,
                result,
            })
            .is_err()
        {
            return;
        }
        control.wake();
    }
}

/// Fills a buffer, which is made as long as it must be and keeps the room that it had.
fn fill(
    command: &ReadCommand,
    store: &dyn Store,
    buffer: &mut Vec<u8>,
    encoder: &mut Encoder,
) -> Result<(), StoreFault> {
    let g = &store.description().geometry;
    let parity = if command.parity {
        g.parity(command.block)
    } else {
        0
    };
    let symbols = usize::from(g.symbols(command.block)) + usize::from(parity);
    buffer.resize(symbols * usize::from(g.symbol_size()), 0);
    let read = if command.parity {
        store.read_block_with_parity(command.block, buffer, encoder)
    } else {
        store.read_block(command.block, buffer)
    };
    read.map(|_| ())
}

/// Finds, hashes and looks at what is offered, one after another with all cores, until nobody asks
/// any more.
pub(crate) fn hash(
    jobs: &Receiver<Job>,
    messages: &Sender<Message>,
    control: &Control,
    known: &KnownHashes,
    how: &(ScanOptions, Cut),
) {
    for job in jobs {
        let message = match job {
            Job::Name(path) => Message::Named {
                named: name_path(&path),
                path,
            },
            Job::Look { object, source } => Message::Looked {
                object,
                result: source.check(),
            },
            Job::Prepare(prepare) => match make_ready(prepare, messages, control, known, how) {
                Some(message) => message,
                None => return,
            },
        };
        if messages.send(message).is_err() {
            return;
        }
        control.wake();
    }
}

/// Hashes an object, unless it is known. None if told to stop.
fn make_ready(
    Prepare { path, attempt }: Prepare,
    messages: &Sender<Message>,
    control: &Control,
    known: &KnownHashes,
    (options, cut): &(ScanOptions, Cut),
) -> Option<Message> {
    let name = path.name.as_str().to_owned();
    let mut hashed = false;
    let progress = |done, total| {
        hashed = true;
        // The network thread passes it on; it is told some times a second.
        let _ = messages.send(Message::Hashing {
            name: name.clone(),
            done,
            total,
        });
        control.wake();
        match control.wish() {
            Wish::Abort => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    };
    match Source::open(
        &path.path, &path.name, path.kind, options, *cut, known, progress,
    ) {
        Ok(source) => {
            let description = source.description().clone();
            Some(Message::Prepared(Box::new(Prepared {
                path,
                attempt,
                cached: !hashed && description.geometry.length() > 0,
                description,
                skipped: skipped(&source),
                source: Arc::new(source),
            })))
        }
        Err(SourceError::Stopped { .. }) => None,
        Err(error) => Some(Message::Unprepared {
            path: path.path,
            reason: error.to_string(),
        }),
    }
}

/// What of a folder is not sent and why, as far as it is told.
fn skipped(source: &Source) -> Vec<(PathBuf, String)> {
    let skipped = source.skipped().iter().take(MOST_SKIPPED);
    let told = skipped.map(|s| (s.full_path(source.path()), s.why.to_string()));
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{ObjectKey, Slot};
    use crate::object::{Codec, ObjectKind, SafeName};

    #[test]
    fn paths_that_are_offered_later_are_named_here() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), "f").unwrap();
        let poll = mio::Poll::new().unwrap();
        let waker = mio::Waker::new(poll.registry(), mio::Token(0)).unwrap();
        let (to_hasher, jobs) = crossbeam_channel::unbounded();
        let (to_net, messages) = crossbeam_channel::unbounded();
        let (here, gone) = (dir.path().join("f"), dir.path().join("gone"));
        for path in [&here, &gone] {
            to_hasher.send(Job::Name(path.clone())).unwrap();
        }
        drop(to_hasher);
        let cut = Cut {
            symbol_size: 1_024,
            block_kib: None,
            codec: Codec::None,
        };
        let control = Control::new(waker);
        let how = (ScanOptions::default(), cut);
        hash(&jobs, &to_net, &control, &KnownHashes::none(), &how);
        let mut named = messages.try_iter().map(|message| match message {
            Message::Named { path, named } => (path, named.map(|n| n.kind).ok()),
            other => panic!("{other:?}"),
        });
        assert_eq!(named.next(), Some((here, Some(ObjectKind::File))));
        assert_eq!(named.next(), Some((gone, None)));
    }

    #[test]
    fn a_slot_is_as_long_as_what_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, vec![5; 10 * 1_024]).unwrap();
        let go = |_, _| ControlFlow::Continue(());
        let cut = Cut {
            symbol_size: 1_024,
            block_kib: Some(8),
            codec: Codec::ReedSolomon,
        };
        let (name, options) = (SafeName::offered("f").unwrap(), ScanOptions::default());
        let (kind, known) = (ObjectKind::File, KnownHashes::none());
        let source = Source::open(&path, &name, kind, &options, cut, &known, go).unwrap();
        let g = source.description().geometry;
        let (mut buffer, mut encoder) = (Vec::new(), Encoder::new());
        for parity in [true, false, true] {
            for block in 0..g.blocks() {
                let command = ReadCommand {
                    slot: Slot(0),
                    object: ObjectKey(0),
                    block,
                    parity,
                };
                fill(&command, &source, &mut buffer, &mut encoder).unwrap();
                let all = g.symbols(block) + if parity { g.parity(block) } else { 0 };
                assert_eq!(buffer.len(), usize::from(all) * 1_024);
            }
        }
    }
}
