//! Reading and writing single fields: integers, addresses, texts, durations.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;

use super::WireError;
use crate::ids::{Hash, MAX_PACKET_NO, PacketNo};
use crate::units::Rate;

/// No sender runs at more: 1 Tbit/s. Keeps sums of rates far from overflow.
pub(super) const MAX_RATE_BPS: u64 = 1_000_000_000_000;

/// A position in a slice that can't leave it.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or(WireError::Body)?;
        self.rest = rest;
        Ok(taken)
    }

    /// How many bytes are left.
    pub(super) fn len(&self) -> usize {
        self.rest.len()
    }

    /// All that is left.
    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(WireError::Body)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, WireError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16, WireError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(super) fn u48(&mut self) -> Result<PacketNo, WireError> {
        let high = u64::from(self.u16()?);
        Ok(high << 32 | u64::from(self.u32()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, WireError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// A `u64` that must not be 0.
    pub(super) fn nonzero_u64(&mut self) -> Result<u64, WireError> {
        match self.u64()? {
            0 => Err(WireError::Range),
            n => Ok(n),
        }
    }

    /// A `u32` from `min` on.
    pub(super) fn u32_from(&mut self, min: u32) -> Result<u32, WireError> {
        let n = self.u32()?;
        if n < min {
            Err(WireError::Range)
        } else {
            Ok(n)
        }
    }

    pub(super) fn hash(&mut self) -> Result<Hash, WireError> {
        Ok(Hash(self.array()?))
    }

    pub(super) fn micros(&mut self) -> Result<Duration, WireError> {
        Ok(Duration::from_micros(u64::from(self.u32()?)))
    }

    /// A duration of `min` to `max`.
    pub(super) fn micros_in(
        &mut self,
        min: Duration,
        max: Duration,
    ) -> Result<Duration, WireError> {
        let d = self.micros()?;
        if d < min || d > max {
            Err(WireError::Range)
        } else {
            Ok(d)
        }
    }

    pub(super) fn rate(&mut self) -> Result<Rate, WireError> {
        match self.u64()? {
            bps if bps > MAX_RATE_BPS => Err(WireError::Range),
            bps => Ok(Rate::from_bps(bps)),
        }
    }

    /// A rate in kbit/s.
    pub(super) fn kbps(&mut self) -> Result<Rate, WireError> {
        Ok(Rate::from_bps(u64::from(self.u32()?) * 1_000))
    }

    /// `len` bytes of UTF-8 without control characters.
    pub(super) fn text(&mut self, len: usize) -> Result<String, WireError> {
        let text = core::str::from_utf8(self.take(len)?).map_err(|_| WireError::Text)?;
        if text.chars().any(char::is_control) {
            return Err(WireError::Text);
        }
        Ok(text.to_owned())
    }

    /// An address of family 4 or 6, or none (family 0).
    pub(super) fn ip(&mut self) -> Result<Option<IpAddr>, WireError> {
        match self.u8()? {
            0 => Ok(None),
            4 => Ok(Some(Ipv4Addr::from(self.array::<4>()?).into())),
            6 => Ok(Some(Ipv6Addr::from(self.array::<16>()?).into())),
            _ => Err(WireError::Address),
        }
    }

    /// An address and a port other than 0, or none.
    pub(super) fn socket(&mut self) -> Result<Option<SocketAddr>, WireError> {
        let Some(ip) = self.ip()? else {
            return Ok(None);
        };
        match self.u16()? {
            0 => Err(WireError::Address),
            port => Ok(Some(SocketAddr::new(ip, port))),
        }
    }
}

/// Appending fields to a datagram. Values beyond a field's range become the nearest in it.
pub(super) trait Put {
    fn put_u8(&mut self, n: u8);
    fn put_u16(&mut self, n: u16);
    fn put_u32(&mut self, n: u32);
    fn put_u48(&mut self, n: PacketNo);
    fn put_u64(&mut self, n: u64);
    fn put_bytes(&mut self, b: &[u8]);
    fn put_micros(&mut self, d: Duration);
    fn put_rate(&mut self, r: Rate);
    fn put_kbps(&mut self, r: Rate);
    fn put_ip(&mut self, ip: Option<IpAddr>);
    fn put_socket(&mut self, a: Option<SocketAddr>);
}

impl Put for Vec<u8> {
    fn put_u8(&mut self, n: u8) {
        self.push(n);
    }

    fn put_u16(&mut self, n: u16) {
        self.extend_from_slice(&n.to_be_bytes());
    }

    fn put_u32(&mut self, n: u32) {
        self.extend_from_slice(&n.to_be_bytes());
    }

    fn put_u48(&mut self, n: PacketNo) {
        self.extend_from_slice(&n.min(MAX_PACKET_NO).to_be_bytes()[2..]);
    }

    fn put_u64(&mut self, n: u64) {
        self.extend_from_slice(&n.to_be_bytes());
    }

    fn put_bytes(&mut self, b: &[u8]) {
        self.extend_from_slice(b);
    }

    fn put_micros(&mut self, d: Duration) {
        self.put_u32(u32::try_from(d.as_micros()).unwrap_or(u32::MAX));
    }

    fn put_rate(&mut self, r: Rate) {
        self.put_u64(r.as_bps().min(MAX_RATE_BPS));
    }

    /// Rounded up, so that what is more than nothing stays so.
    fn put_kbps(&mut self, r: Rate) {
        let kbps = r.as_bps().div_ceil(1_000);
        self.put_u32(u32::try_from(kbps).unwrap_or(u32::MAX));
    }

    fn put_ip(&mut self, ip: Option<IpAddr>) {
        match ip {
            None => self.put_u8(0),
            Some(IpAddr::V4(ip)) => {
                self.put_u8(4);
                self.put_bytes(&ip.octets());
            }
            Some(IpAddr::V6(ip)) => {
                self.put_u8(6);
                self.put_bytes(&ip.octets());
            }
        }
    }

    fn put_socket(&mut self, a: Option<SocketAddr>) {
        self.put_ip(a.map(|a| a.ip()));
        if let Some(a) = a {
            self.put_u16(a.port());
        }
    }
}

/// The longest beginning of `text` that has at most `max` bytes and ends between characters.
pub(super) fn clip(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
