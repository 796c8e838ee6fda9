//! The sender's threads that touch files: one reads blocks, one finds and hashes what is to be offered.

use std::ops::ControlFlow;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use super::messages::{Job, Message, Prepare, Prepared, Read};
use crate::driver::control::{Control, Wish};
use crate::driver::paths;
use crate::engine::ReadCommand;
use crate::fault::StoreFault;
use crate::fec::Encoder;
use crate::object::Codec;
use crate::store::{HashCache, Source, SourceError, Store};

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

/// How objects are cut into symbols and blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) symbol_size: u16,
    /// Source symbols in a block; by the object's length when none.
    pub(crate) k: Option<u16>,
    pub(crate) codec: Codec,
}

/// Finds and hashes files, one after another with all cores, until nobody asks any more.
pub(crate) fn hash(
    jobs: &Receiver<Job>,
    messages: &Sender<Message>,
    control: &Control,
    cache: &HashCache,
    cut: Cut,
) {
    for job in jobs {
        let Prepare { file, attempt, k } = match job {
            Job::Prepare(prepare) => prepare,
            Job::Find(path) => {
                let found = paths::expand(std::slice::from_ref(&path));
                if messages.send(Message::Found { path, found }).is_err() {
                    return;
                }
                control.wake();
                continue;
            }
        };
        let name = file.name.as_str().to_owned();
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
        let Cut {
            symbol_size, codec, ..
        } = cut;
        let k = k.or(cut.k);
        let opened = Source::open(&file.path, &name, symbol_size, k, codec, cache, progress);
        let message = match opened {
            Ok(source) => {
                let description = source.description().clone();
                Message::Prepared(Box::new(Prepared {
                    attempt,
                    content: description.content,
                    cached: !hashed && description.geometry.length() > 0,
                    description,
                    source: Arc::new(source),
                    file,
                }))
            }
            Err(SourceError::Stopped { .. }) => return,
            Err(error) => Message::Unprepared {
                path: file.path,
                reason: error.to_string(),
            },
        };
        if messages.send(message).is_err() {
            return;
        }
        control.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{ObjectKey, Slot};
    use crate::fec::Decoder;

    #[test]
    fn files_of_a_folder_that_is_offered_later_are_found_here() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), "f").unwrap();
        let poll = mio::Poll::new().unwrap();
        let waker = mio::Waker::new(poll.registry(), mio::Token(0)).unwrap();
        let (to_hasher, jobs) = crossbeam_channel::unbounded();
        let (to_net, messages) = crossbeam_channel::unbounded();
        let gone = dir.path().join("gone");
        for path in [dir.path().to_owned(), gone.clone()] {
            to_hasher.send(Job::Find(path)).unwrap();
        }
        drop(to_hasher);
        let cut = Cut {
            symbol_size: 1_024,
            k: None,
            codec: Codec::None,
        };
        let control = Control::new(waker);
        hash(&jobs, &to_net, &control, &HashCache::none(), cut);
        let mut found = messages.try_iter().map(|message| match message {
            Message::Found { path, found } => (path, found.map(|f| f.files.len()).ok()),
            other => panic!("{other:?}"),
        });
        assert_eq!(found.next(), Some((dir.path().to_owned(), Some(1))));
        assert_eq!(found.next(), Some((gone, None)));
    }

    #[test]
    fn a_slot_is_as_long_as_what_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, vec![5; 10 * 1_024]).unwrap();
        let go = |_, _| ControlFlow::Continue(());
        let cache = HashCache::none();
        let codec = Codec::ReedSolomon;
        let source = Source::open(&path, "f", 1_024, Some(8), codec, &cache, go).unwrap();
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
        // The last read was of the last block, 5 symbols of content.
        let mut decoder = Decoder::new();
        let mut decoding = decoder.begin(5, 8, 1_024).unwrap();
        for symbol in 8..13 {
            let bytes = &buffer[usize::from(symbol) * 1_024..][..1_024];
            decoding.add(symbol, bytes).unwrap();
        }
        let mut block = vec![0; 5 * 1_024];
        decoding.restore(&mut block).unwrap();
        assert_eq!(block, vec![5; 5 * 1_024]);
    }
}
