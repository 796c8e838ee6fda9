//! Sessions of other senders that are heard of on our groups.

use crate::ids::SessionId;

/// Sessions that are remembered, so that each is told of once.
const REMEMBERED: usize = 16;

/// Other senders' sessions.
#[derive(Debug, Default)]
pub(super) struct OtherSessions {
    known: Vec<SessionId>,
}

impl OtherSessions {
    /// A session was heard of: true if that is news.
    pub(super) fn handle(&mut self, session: SessionId) -> bool {
        let news = self.known.len() < REMEMBERED && !self.known.contains(&session);
        if news {
            self.known.push(session);
        }
        news
    }

    pub(super) fn is_bounded(&self) -> bool {
        self.known.len() <= REMEMBERED
    }
}
