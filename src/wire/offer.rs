//! The body of OFFER: description, who signed it, and channels.

use core::net::SocketAddr;

use super::fields::{Put, Reader, clip};
use super::{
    ChannelInfo, Feedback, MAX_CHANNELS, MAX_NAME_LEN, MAX_SYMBOL, Offer, Signature, WireError,
};
use crate::config::{MAX_GRTT, MIN_GRTT};
use crate::ids::{SessionId, UNICAST_CHANNELS};
use crate::object::{Codec, Description, Geometry, ObjectKind};
use crate::seal::{BadSignature, Fingerprint, PublicKey, SigningKey};

impl Offer {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        debug_assert!(self.index < self.total && self.channels.len() <= MAX_CHANNELS);
        out.put_u64(self.sent_at);
        out.put_u32(self.index);
        out.put_u32(self.total);
        out.put_micros(self.grtt.clamp(MIN_GRTT, MAX_GRTT));
        out.put_u32(self.receivers.max(1));
        write_description(&self.description, out);
        out.put_bytes(&self.signature.key);
        out.put_bytes(&self.signature.bytes);
        let channels = &self.channels[..self.channels.len().min(MAX_CHANNELS)];
        out.put_u8(channels.len() as u8);
        for channel in channels {
            channel.write(out);
        }
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Offer, WireError> {
        let sent_at = r.nonzero_u64()?;
        let index = r.u32()?;
        let total = r.u32()?;
        if index >= total {
            return Err(WireError::Range);
        }
        let grtt = r.micros_in(MIN_GRTT, MAX_GRTT)?;
        let receivers = r.u32_from(1)?;
        let description = read_description(r)?;
        let signature = Signature {
            key: r.array()?,
            bytes: r.array()?,
        };
        let count = usize::from(r.u8()?);
        if count > MAX_CHANNELS {
            return Err(WireError::Count);
        }
        let mut channels = Vec::with_capacity(count);
        for _ in 0..count {
            channels.push(ChannelInfo::read(r)?);
        }
        Ok(Offer {
            sent_at,
            index,
            total,
            grtt,
            receivers,
            description,
            signature,
            channels,
        })
    }
}

impl Signature {
    /// A sender's signature of a description in a session, as it stands in the offer.
    pub fn of(session: SessionId, description: &Description, key: &SigningKey) -> Signature {
        Signature {
            key: key.public().to_bytes(),
            bytes: key.sign(&signed_bytes(session, description)),
        }
    }

    /// Whether the sender whose key this says signed the description in this session. Costs about
    /// 50 us.
    ///
    /// # Errors
    /// [`BadSignature`] if not, or if the key is none.
    pub fn verify(
        &self,
        session: SessionId,
        description: &Description,
    ) -> Result<(), BadSignature> {
        let signed = signed_bytes(session, description);
        PublicKey::from_bytes(&self.key)?.verify(&signed, &self.bytes)
    }

    /// Of the key that it says, whether that is true or not.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.key)
    }
}

/// A description has one form on the wire, so what was read is what was signed. The session goes
/// with it: one of another session, of what was on offer then, does not hold in this one.
fn signed_bytes(session: SessionId, description: &Description) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.put_u64(session.0);
    write_description(description, &mut bytes);
    bytes
}

fn write_description(d: &Description, out: &mut Vec<u8>) {
    debug_assert!(is_codable(d.codec, &d.geometry) && !d.name.is_empty());
    let name = clip(&d.name, MAX_NAME_LEN);
    let g = &d.geometry;
    out.put_bytes(&d.content.0);
    out.put_u64(g.length());
    out.put_bytes(&d.table.0);
    out.put_u32(g.table_len());
    out.put_u16(g.symbol_size());
    out.put_u16(g.m());
    out.put_u8(g.block_kib().ilog2() as u8);
    out.put_u8(d.codec.number());
    out.put_u8(d.kind.number());
    out.put_u8(name.len() as u8);
    out.put_bytes(name.as_bytes());
}

fn read_description(r: &mut Reader<'_>) -> Result<Description, WireError> {
    let content = r.hash()?;
    let length = r.u64()?;
    let table = r.hash()?;
    let table_len = r.u32()?;
    let symbol_size = r.u16()?;
    let m = r.u16()?;
    let block_log = u32::from(r.u8()?);
    let codec = Codec::from_number(r.u8()?).ok_or(WireError::Range)?;
    let kind = ObjectKind::from_number(r.u8()?).ok_or(WireError::Range)?;
    let name_len = usize::from(r.u8()?);
    if name_len == 0 {
        return Err(WireError::Range);
    }
    let name = r.text(name_len)?;
    let block_kib = 1u32.checked_shl(block_log).ok_or(WireError::Geometry)?;
    let geometry = Geometry::new(length, symbol_size, block_kib, m, table_len)
        .map_err(|_| WireError::Geometry)?;
    if !is_codable(codec, &geometry) {
        return Err(WireError::Geometry);
    }
    Ok(Description {
        name,
        kind,
        content,
        table,
        geometry,
        codec,
    })
}

/// Whether the codec can make the parity that the geometry speaks of, and its symbols have numbers.
fn is_codable(codec: Codec, g: &Geometry) -> bool {
    codec.makes(g.m()) && u32::from(g.k()) + u32::from(g.m()) <= u32::from(MAX_SYMBOL) + 1
}

impl ChannelInfo {
    /// The group and port that its NAKs and reports go to, if they go to a group.
    pub fn feedback_group(&self) -> Option<SocketAddr> {
        match self.feedback {
            Feedback::Sender => None,
            Feedback::Group { port } => Some(SocketAddr::new(self.group.ip(), port)),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.put_u16(self.number);
        out.put_u8(self.tier);
        out.put_kbps(self.rate);
        out.put_socket(Some(self.group));
        out.put_ip(self.source);
        out.put_u16(match self.feedback {
            Feedback::Sender => 0,
            Feedback::Group { port } => port,
        });
    }

    fn read(r: &mut Reader<'_>) -> Result<ChannelInfo, WireError> {
        let number = r.u16()?;
        if number >= UNICAST_CHANNELS {
            return Err(WireError::Range);
        }
        let tier = r.u8()?;
        if usize::from(tier) >= MAX_CHANNELS {
            return Err(WireError::Range);
        }
        let rate = r.kbps()?;
        // A receiver joins the group and sends to it: it may not be made to point at a host.
        let group = r
            .socket()?
            .filter(|a| a.ip().is_multicast())
            .ok_or(WireError::Address)?;
        let source = r.ip()?;
        if source.is_some_and(|ip| {
            ip.is_multicast() || ip.is_unspecified() || ip.is_ipv4() != group.is_ipv4()
        }) {
            return Err(WireError::Address);
        }
        let feedback = match r.u16()? {
            0 => Feedback::Sender,
            port => Feedback::Group { port },
        };
        Ok(ChannelInfo {
            number,
            tier,
            group,
            source,
            rate,
            feedback,
        })
    }
}
