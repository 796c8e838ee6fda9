//! Data packets of the session: what they tell of its channels and of the sender's position.

use core::net::SocketAddr;
use core::time::Duration;

use crate::engine::following::Following;
use crate::engine::following::channel::Arrival;
use crate::engine::following::context::Context;
use crate::engine::following::limits::BELIEVED;
use crate::engine::following::unicast::UnicastRx;
use crate::engine::{DropReason, Library, ObjectKey, PacketKind, Via, ip_len};
use crate::ids::{ChannelNo, UNICAST_CHANNELS};
use crate::time::Time;
use crate::wire::DataHeader;

/// Least time between two NAKs because of gaps on unicast.
const GAP_PAUSE: Duration = Duration::from_millis(10);

impl Following {
    /// A data packet of the session came, of `len` bytes of UDP payload: counts it, and gives the
    /// object that its symbol is for.
    ///
    /// # Errors
    /// Why the symbol is not taken.
    pub(crate) fn hear_data(
        &mut self,
        cx: &mut Context<'_>,
        from: SocketAddr,
        header: &DataHeader,
        via: Via,
        len: usize,
    ) -> Result<ObjectKey, DropReason> {
        self.liveness.heard_data(cx.now);
        let unicast = header.channel >= UNICAST_CHANNELS;
        let kind = match (unicast, header.repair) {
            (true, _) => PacketKind::UnicastData,
            (false, true) => PacketKind::Repair,
            (false, false) => PacketKind::Data,
        };
        cx.stats.received.add(kind, 1, len as u64);
        self.reports.data_came(len);
        let bytes = ip_len(from, len + kind.envelope(cx.config.sealed));
        // What is known of a channel, or a path, comes from those that are listened to. A symbol is
        // welcome on any.
        let listens = match via {
            Via::Unicast if unicast => self.takes_path(cx.now, header.channel),
            _ => !unicast && self.proves(cx.library, header.channel),
        };
        let arrival = if listens {
            let channel = self.channels.get(header.channel);
            channel.arrived(cx.now, header.packet, bytes)
        } else {
            Arrival::Late
        };
        if listens && unicast {
            self.unicast_came(cx.now, header, arrival, len);
        } else if listens && via == Via::Group {
            let choice = self.path.probe().heard_full(cx.now);
            self.take_path(cx, choice);
        }
        let key = cx.library.find(header.coding);
        let key = key.ok_or(DropReason::NotWanted)?;
        self.follow_position(cx, key, header, arrival)?;
        Ok(key)
    }

    /// A packet came on the path that serves it by unicast.
    fn unicast_came(&mut self, now: Time, header: &DataHeader, arrival: Arrival, len: usize) {
        self.path.probe().heard_unicast(now);
        self.channels.heard_size(len);
        let gap = matches!(arrival, Arrival::Newest { skipped: 1.. });
        let pause = self.timing().grtt.max(GAP_PAUSE);
        let path = self.unicast_path(now, header.channel);
        path.arrived(now, header.packet, gap);
        if gap {
            path.ask_soon(now, pause);
        }
    }

    /// The sender's position on the object moves to where the packet is from.
    fn follow_position(
        &mut self,
        cx: &mut Context<'_>,
        key: ObjectKey,
        header: &DataHeader,
        arrival: Arrival,
    ) -> Result<(), DropReason> {
        let timing = self.timing();
        let object = cx.library.get(key).ok_or(DropReason::NotWanted)?;
        if !object.geometry().has(header.block, header.symbol) {
            return Err(DropReason::OutOfRange);
        }
        if !object.is_lacking() {
            return Err(DropReason::NotWanted);
        }
        let is_news = !header.repair && arrival != Arrival::Late;
        let on_group = header.channel < UNICAST_CHANNELS && !self.path.is_off_group();
        if is_news
            && on_group
            && !self.silent
            && let Some(rx) = self.objects.get_mut(key)
            && rx.listens_on(header.channel)
        {
            rx.saw_data(cx.now, object.holdings(), header.block, timing, cx.rng);
        }
        Ok(())
    }

    /// It is served by unicast, on this path: another may take its place once nothing comes on it.
    pub(super) fn takes_path(&self, now: Time, channel: ChannelNo) -> bool {
        let silent = |u: &UnicastRx| now.since(u.newest_at) >= BELIEVED;
        let path = self.unicast.as_ref();
        self.path.is_unicast() && path.is_none_or(|u| u.channel == channel || silent(u))
    }

    pub(super) fn unicast_path(&mut self, now: Time, channel: ChannelNo) -> &mut UnicastRx {
        if self.unicast.as_ref().is_some_and(|u| u.channel != channel) {
            self.unicast = None;
        }
        self.unicast
            .get_or_insert_with(|| UnicastRx::new(now, channel))
    }

    /// What is heard on a channel shows that data gets here: on one that something it lacks runs
    /// on, or on any while it does not know of one. That announcements get here says nothing of
    /// another group.
    pub(super) fn proves(&self, library: &Library, number: ChannelNo) -> bool {
        let mut lacking = self.objects.lacking(library).peekable();
        lacking.peek().is_none() || lacking.any(|(rx, _)| rx.listens_on(number))
    }
}
