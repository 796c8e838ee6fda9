//! Notices of the sender: to this receiver or to all.

use crate::engine::following::Following;
use crate::engine::following::context::Context;
use crate::engine::{ObjectKey, ReceiverEvent, Via};
use crate::ids::ShortCodingId;
use crate::wire::{MoveCause, Notice, NoticeCode};

/// What a notice tells that is not for one following alone to act on.
#[derive(Debug)]
pub(crate) enum News {
    /// The sender has withdrawn an object, for this reason.
    Withdrawn(ObjectKey, String),
    /// The sender serves this receiver no more.
    Evicted(MoveCause, String),
}

impl Following {
    pub(super) fn hear_notice(
        &mut self,
        cx: &mut Context<'_>,
        via: Via,
        notice: Notice,
    ) -> Option<News> {
        let to_us = notice.receiver == cx.config.id;
        if !to_us && notice.receiver.0 != 0 {
            return None;
        }
        let nothing_active = || self.objects.active(cx.library).next().is_none();
        match notice.code {
            NoticeCode::Withdrawn => {
                return self.hear_withdrawn(cx, notice.coding, notice.text);
            }
            NoticeCode::Ended => self.sender_ended(cx, notice.text),
            NoticeCode::Evicted | NoticeCode::UseUnicast
                if to_us && via == Via::Unicast && !self.joining.is_leaving() =>
            {
                return self.hear_eviction(cx, &notice);
            }
            NoticeCode::NotFound if to_us && nothing_active() => {
                tell(cx, &notice);
                self.give_up(notice.text);
            }
            NoticeCode::Elsewhere if to_us && nothing_active() => {
                self.redirect(cx, &notice);
            }
            _ => {}
        }
        None
    }

    /// The sender does not know it any more, or wants it elsewhere.
    fn hear_eviction(&mut self, cx: &mut Context<'_>, notice: &Notice) -> Option<News> {
        let dismissed = matches!(notice.cause, MoveCause::TooSlow | MoveCause::AsksTooMuch);
        match (notice.code, cx.config.via) {
            (NoticeCode::UseUnicast, Some(Via::Unicast)) => {}
            (NoticeCode::UseUnicast, None) if self.path.was_told() => {}
            (NoticeCode::UseUnicast, None) => {
                tell(cx, notice);
                self.tier.set_cause(notice.cause);
                self.leave_tiers(cx, None);
                let choice = self.path.probe().told(cx.now);
                self.take_path(cx, Some(choice));
            }
            _ => {
                let invited = self.session.as_ref().is_some_and(|s| s.is_unlisted());
                if !invited || dismissed {
                    tell(cx, notice);
                }
                if dismissed {
                    return self.dismissed(cx, notice);
                }
                self.joining.must_join(cx.now);
            }
        }
        None
    }

    /// The sender serves it no more: it leaves in peace and keeps what came.
    fn dismissed(&self, cx: &Context<'_>, notice: &Notice) -> Option<News> {
        if cx.library.needs_nothing() || self.joining.is_leaving() {
            return None;
        }
        let text = &notice.text;
        let reason = format!("the sender does not serve this receiver any more: {text}");
        Some(News::Evicted(notice.cause, reason))
    }

    fn hear_withdrawn(
        &mut self,
        cx: &mut Context<'_>,
        coding: ShortCodingId,
        reason: String,
    ) -> Option<News> {
        let key = cx.library.find(coding)?;
        if cx.library.has_ended(key) || !self.objects.has(key) {
            return None;
        }
        self.objects.drop(key);
        Some(News::Withdrawn(key, reason))
    }

    /// What is offered may have changed, because something was withdrawn.
    pub(crate) fn look_again(&mut self, cx: &Context<'_>) {
        self.joining.look_again(cx.now);
    }

    /// The sender has ended its session.
    fn sender_ended(&mut self, cx: &mut Context<'_>, text: String) {
        if self.joining.is_leaving() {
            self.joining.dones_mut().forget();
            return self.check_left();
        }
        // What is here in full may still be on its way through the hash to the disk.
        if !cx.library.is_empty() && cx.library.needs_nothing() {
            // What is being synced will be finished; nobody is left to be told.
            self.session = None;
            return;
        }
        cx.out.event(ReceiverEvent::Notice {
            code: NoticeCode::Ended,
            cause: MoveCause::None,
            text,
        });
        self.give_up("the sender has ended its session before everything was here".to_owned());
    }
}

fn tell(cx: &mut Context<'_>, notice: &Notice) {
    cx.out.event(ReceiverEvent::Notice {
        code: notice.code,
        cause: notice.cause,
        text: notice.text.clone(),
    });
}
