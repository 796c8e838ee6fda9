//! The sender's threads that touch files: one reads blocks, one hashes what is to be offered.

use std::ops::ControlFlow;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use super::messages::{Message, Prepare, Prepared, Read};
use crate::driver::control::{Control, Wish};
use crate::store::{HashCache, Source, SourceError};

/// Reads blocks until nobody asks any more.
pub(crate) fn read(jobs: &Receiver<Read>, messages: &Sender<Message>, control: &Control) {
    for Read {
        command,
        source,
        mut buffer,
    } in jobs
    {
        let geometry = &source.description().geometry;
        buffer.resize(
            usize::from(geometry.k()) * usize::from(geometry.symbol_size()),
            0,
        );
        let result = source.read_block(command.block, &mut buffer).map(|_| ());
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

/// Hashes files, one after another with all cores, until nobody asks any more.
pub(crate) fn hash(
    jobs: &Receiver<Prepare>,
    messages: &Sender<Message>,
    control: &Control,
    cache: &HashCache,
    symbol_size: u16,
) {
    for Prepare { file, attempt, k } in jobs {
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
        let opened = Source::open(&file.path, &name, symbol_size, k, cache, progress);
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
