//! A host that fetches and serves at once.
//!
//! It has a [`Receiver`], whose library says what is here, and a [`Sender`], which offers the same
//! objects in a session of its own, signed by its own key. An [`Edge`] stands between them: blocks
//! join the sender's cycles as they are verified. The blocks that the sender wants to read are
//! those that the receiver has had written.

use std::collections::BTreeMap;

use crate::engine::{Change, ObjectKey, ObjectState, Receiver, Sender};
use crate::time::Time;
use crate::wire::Outcome;

/// What a receiver has, passed on to a sender.
#[derive(Debug)]
pub struct Edge {
    /// The sender's number of each of the receiver's objects that it offers.
    offered: BTreeMap<ObjectKey, ObjectKey>,
    /// More objects may be offered.
    preparing: bool,
}

impl Edge {
    /// An edge of a receiver and a sender that have just started. The sender says that it is about
    /// to offer something until the receiver has ended.
    pub fn new(now: Time, receiver: &mut Receiver, sender: &mut Sender) -> Edge {
        receiver.watch();
        sender.set_preparing(now, true);
        Edge {
            offered: BTreeMap::new(),
            preparing: true,
        }
    }

    /// Passes on what is new at the receiver. To be called after each input to it, once what it has
    /// said is to be stored is, and before the sender is drained.
    pub fn pass_on(&mut self, now: Time, receiver: &mut Receiver, sender: &mut Sender) {
        for change in receiver.take_changes() {
            match change {
                Change::Opened(key) => self.offer(now, key, receiver, sender),
                Change::Verified(key, block) => {
                    if let Some(&object) = self.offered.get(&key)
                        && receiver.library().is_verified(key, block)
                    {
                        sender.handle_block(now, object, block);
                    }
                }
                Change::Ended(key) => self.end(now, key, receiver, sender),
            }
        }
        if self.preparing && receiver.is_finished() {
            self.preparing = false;
            sender.set_preparing(now, false);
        }
    }

    /// The sender's number of one of the receiver's objects, if it is offered.
    pub fn offered(&self, object: ObjectKey) -> Option<ObjectKey> {
        self.offered.get(&object).copied()
    }

    fn offer(&mut self, now: Time, key: ObjectKey, receiver: &Receiver, sender: &mut Sender) {
        let Some(object) = receiver.library().get(key) else {
            return;
        };
        let description = object.description().clone();
        let offered = sender.offer_partial(now, description, object.verified_blocks());
        // What is on offer already, or is more than a session can offer, is not passed on.
        if let Ok(offered) = offered {
            self.offered.insert(key, offered);
        }
    }

    /// What can't be had here as a whole is not offered any more.
    fn end(&mut self, now: Time, key: ObjectKey, receiver: &Receiver, sender: &mut Sender) {
        let state = receiver.library().get(key).map(|o| o.state());
        if state == Some(ObjectState::Ended(Outcome::Complete)) {
            return;
        }
        if let Some(object) = self.offered.remove(&key) {
            sender.withdraw(now, object, "its source has it no more");
        }
    }
}
