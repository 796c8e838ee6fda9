//! Notices and acknowledgements to receivers.

use crate::ids::{ReceiverId, ShortCodingId};
use crate::wire::{Heard, MoveCause, Notice, NoticeCode};

/// What all are to know is said this often: nobody asks for it.
pub(super) const REPEATED: u32 = 3;

/// That a packet of `receiver` with this counter was heard.
pub(super) fn heard(receiver: ReceiverId, counter: u64) -> Heard {
    let counter = counter as u32;
    Heard { receiver, counter }
}

/// A notice without a cause and addresses.
pub(super) fn notice(
    code: NoticeCode,
    receiver: ReceiverId,
    coding: ShortCodingId,
    text: &str,
) -> Notice {
    Notice {
        receiver,
        coding,
        code,
        cause: MoveCause::None,
        text: text.to_owned(),
        addresses: Vec::new(),
    }
}
