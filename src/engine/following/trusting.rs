//! Which offers a following acts on.

use core::net::SocketAddr;

use crate::engine::following::Following;
use crate::engine::following::config::Trust;
use crate::engine::following::context::Context;
use crate::engine::following::session::Session;
use crate::engine::{DropReason, Library, ReceiverEvent};
use crate::ids::SessionId;
use crate::object::Description;
use crate::seal::Fingerprint;
use crate::wire::Offer;

impl Following {
    /// Whether an offer may be acted on: what it describes is signed by the sender trusted, as far
    /// as it is wanted. What is known word for word is not verified again.
    pub(super) fn is_trusted(
        &mut self,
        cx: &mut Context<'_>,
        from: SocketAddr,
        id: SessionId,
        offer: &Offer,
    ) -> bool {
        // Those of other sessions than the one followed are dropped as such: see `is_our_session`.
        let undecided = cx.trusted.is_undecided(cx.config.trust);
        let follows_other = |s: &Session| s.id() != id && (s.is_vouched() || undecided);
        if self.session.as_ref().is_some_and(follows_other)
            || cx.config.takes_answers_only() && !self.follows(id)
        {
            return true;
        }
        if !cx.trusted.takes(cx.config.trust, &offer.signature) {
            cx.stats.dropped.add(DropReason::Untrusted);
            self.meet_stranger(cx, from, offer.signature.fingerprint());
            return false;
        }
        if !cx.config.wants(&offer.description.name) {
            return true;
        }
        let ours = self.session.as_ref().filter(|s| s.id() == id);
        let vouched = ours.is_some_and(Session::is_vouched);
        let known = known(cx.library, offer).filter(|_| vouched);
        if known != Some(&offer.description) {
            let new = known.is_none();
            match cx.trusted.verify(cx.now, id, offer, new) {
                Ok(None) => {}
                Ok(Some(fingerprint)) => cx.out.event(ReceiverEvent::SenderKnown {
                    fingerprint,
                    trusted: matches!(cx.config.trust, Trust::Only(_)),
                }),
                Err(reason) => {
                    cx.stats.dropped.add(reason);
                    return false;
                }
            }
        }
        self.vouch(cx, id);
        true
    }

    /// A session is that of the sender trusted: one that nobody has vouched for makes room.
    fn vouch(&mut self, cx: &mut Context<'_>, id: SessionId) {
        self.liveness.set_estranged(false);
        match &mut self.session {
            Some(session) if session.id() == id => session.vouch(),
            Some(session) if !session.is_vouched() => self.lose_session(cx),
            _ => {}
        }
    }

    fn meet_stranger(
        &mut self,
        cx: &mut Context<'_>,
        address: SocketAddr,
        fingerprint: Fingerprint,
    ) {
        if !self.is_vouched() {
            self.liveness.set_estranged(true);
        }
        cx.trusted.meet(address, fingerprint, cx.out);
    }
}

/// What is known under the coding of an offer.
fn known<'a>(library: &'a Library, offer: &Offer) -> Option<&'a Description> {
    let coding = offer.description.coding().short();
    library.description(library.latest(coding)?)
}
