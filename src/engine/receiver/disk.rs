//! What came of commands to the disk, and how objects end.

use crate::engine::receiver::Receiver;
use crate::engine::{Command, Object, ObjectKey, ObjectState, ReceiverEvent};
use crate::fault::{FaultKind, StoreFault};
use crate::ids::BlockNo;
use crate::range_set::RangeSet;
use crate::symbol_set::SymbolSet;
use crate::time::Time;
use crate::wire::{DataHeader, Done, Outcome};

impl Receiver {
    /// An object has its place on disk, with these blocks verified from an earlier run; or it can't
    /// be kept.
    pub fn handle_opened(
        &mut self,
        now: Time,
        object: ObjectKey,
        result: Result<RangeSet, StoreFault>,
    ) {
        if !self.library.is_lacking(object) {
            return;
        }
        for following in &mut self.followings {
            following.disk_has_answered(now);
        }
        match result {
            Ok(blocks) => {
                self.library.open(object, &blocks);
                for following in &mut self.followings {
                    for block in blocks.iter().flatten() {
                        following.filled(object, block as BlockNo);
                    }
                }
                self.finish_if_verified(object);
            }
            Err(fault) => self.fail(now, object, fault),
        }
    }

    /// What is here of an object already is looked for: until it is said that nothing more
    /// is found, its table alone is asked for. To be said before
    /// [`handle_opened`](Receiver::handle_opened), or later.
    pub fn handle_looking(&mut self, object: ObjectKey) {
        self.library.set_looking(object, true);
    }

    /// Blocks of an object need not come: nobody wants what is in them.
    pub fn handle_unwanted(&mut self, object: ObjectKey, blocks: &[BlockNo]) {
        self.library.set_unwanted(object, blocks);
        for following in &mut self.followings {
            for &block in blocks {
                following.filled(object, block);
            }
        }
        self.finish_if_verified(object);
    }

    /// Symbols of an object's blocks that are here without having come, taken from elsewhere on the
    /// disk; with `is_last` nothing more is looked for, and what is lacking is asked for.
    pub fn handle_found(
        &mut self,
        now: Time,
        object: ObjectKey,
        found: &[(BlockNo, SymbolSet)],
        is_last: bool,
    ) {
        if !self.library.is_lacking(object) {
            return;
        }
        for (block, symbols) in found {
            for symbol in symbols.iter() {
                if self.library.add_symbol(object, *block, symbol) {
                    let block = *block;
                    self.command(Command::Check { object, block });
                }
            }
        }
        if is_last && self.library.set_looking(object, false) {
            self.each(now, |following, cx| following.lack_all(cx, object));
        }
    }

    /// A block has been hashed and is on disk, or not. A block whose expected hash is not known yet
    /// (its page has not come) is reported when it is.
    pub fn handle_checked(
        &mut self,
        now: Time,
        object: ObjectKey,
        block: BlockNo,
        result: Result<(), StoreFault>,
    ) {
        if !self.library.is_lacking(object) {
            return;
        }
        match result {
            Ok(()) => {
                for following in &mut self.followings {
                    following.filled(object, block);
                }
                for address in self.library.verify(now, object, block) {
                    self.out.event(ReceiverEvent::ShutOut { address });
                }
                let ends_table = self.library.get(object).is_some_and(|o| {
                    block < o.geometry().first_content_block() && o.has_table() && !o.is_looking()
                });
                if ends_table {
                    self.each(now, |following, cx| following.lack_all(cx, object));
                }
                self.finish_if_verified(object);
            }
            Err(fault) if fault.kind() == FaultKind::Mismatch => {
                let from = self.library.unverify(object, block);
                self.stats.bad_blocks += 1;
                self.out.event(ReceiverEvent::BadBlock {
                    object,
                    block,
                    from,
                });
                self.each(now, |following, cx| following.lack(cx, object, block));
            }
            Err(fault) => self.fail(now, object, fault),
        }
    }

    /// A symbol that was to be stored was not: its page does not prove itself, or there was no
    /// room.
    pub fn handle_refused(&mut self, now: Time, object: ObjectKey, header: &DataHeader) {
        if self.library.is_lacking(object) {
            self.library.remove(object, header.block, header.symbol);
            self.each(now, |following, cx| {
                following.lack(cx, object, header.block);
            });
        }
    }

    /// An object is under its name, or could not be put there.
    pub fn handle_finished(
        &mut self,
        now: Time,
        object: ObjectKey,
        result: Result<(), StoreFault>,
    ) {
        let state = self.library.get(object).map(Object::state);
        if state != Some(ObjectState::Finishing) {
            return;
        }
        match result {
            Ok(()) => {
                self.library.end(object, Outcome::Complete);
                self.out.event(ReceiverEvent::Complete { object });
                self.announce_done(now, object, Outcome::Complete);
            }
            Err(fault) => self.fail(now, object, fault),
        }
    }

    pub(super) fn finish_if_verified(&mut self, object: ObjectKey) {
        if self.library.finish(object) {
            self.ask_nothing(object);
            self.command(Command::Finish { object });
        }
    }

    fn fail(&mut self, now: Time, object: ObjectKey, fault: StoreFault) {
        let reason = fault.to_string();
        self.library.end(object, Outcome::Failed);
        self.ask_nothing(object);
        self.command(Command::Abandon { object, keep: true });
        self.out.event(ReceiverEvent::Failed { object, reason });
        self.announce_done(now, object, Outcome::Failed);
    }

    /// Every sender that offers an object is told that it has ended.
    fn announce_done(&mut self, now: Time, object: ObjectKey, outcome: Outcome) {
        let Some(coding) = self.coding(object) else {
            return;
        };
        self.each(now, |following, cx| {
            if following.offers(object) {
                following.announce_done(cx, Done { coding, outcome });
            } else {
                following.check_all_ended(cx);
            }
        });
        self.settle();
    }

    /// Gives up on all objects that have not ended; what came of them stays.
    pub(super) fn abandon_all(&mut self, outcome: Outcome) {
        let active = |(key, o): (ObjectKey, &Object)| (!o.has_ended()).then_some(key);
        let active: Vec<ObjectKey> = self.library.iter().filter_map(active).collect();
        for object in active {
            self.library.end(object, outcome);
            self.ask_nothing(object);
            self.command(Command::Abandon { object, keep: true });
        }
    }

    /// Nothing more of an object is to be asked for.
    fn ask_nothing(&mut self, object: ObjectKey) {
        for following in &mut self.followings {
            following.ask_nothing(object);
        }
    }

    /// Has the driver do something for the library.
    pub(super) fn command(&mut self, command: Command) {
        self.out.command(0, command);
    }
}
