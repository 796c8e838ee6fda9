//! Where a session is, and whose: `loopcast://[SOURCE@]HOST-OR-GROUP[/PREFIX]:PORT[/NAME][#FINGERPRINT]`.
//!
//! Takes text in, gives checked parts out, and writes them back the same. Says whether a place is a
//! group, an address or a host name; looks nothing up and opens nothing.

use core::net::IpAddr;

use crate::seal::Fingerprint;

mod error;
mod groups;
mod parse;

pub use error::UrlError;
use groups::unusable;
pub use groups::{GroupRange, MAX_GROUPS};

/// What a URL starts with.
pub const SCHEME: &str = "loopcast";

/// Most bytes in a name, as in a [`Description`](crate::object::Description).
pub const MAX_NAME_LEN: usize = 255;

/// A session's place, and perhaps one object's name there and its sender's fingerprint.
///
/// Made by [`str::parse`] or by [`Url::groups`], [`Url::address`] and the `with_` methods. Its text
/// form parses back to an equal value:
///
/// ```
/// use loopcast::url::Url;
///
/// let url: Url = "loopcast://239.192.7.1:4700/film%20one.mkv".parse()?;
/// assert_eq!(url.name(), Some("film one.mkv"));
/// assert_eq!(url.to_string(), "loopcast://239.192.7.1:4700/film%20one.mkv");
/// # Ok::<(), loopcast::url::UrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Url {
    source: Option<IpAddr>,
    place: Place,
    interface: Option<String>,
    port: u16,
    name: Option<String>,
    fingerprint: Option<Fingerprint>,
}

/// Where a URL leads.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    /// Multicast groups: one, or a range of which the first is the base group.
    Groups(GroupRange),
    /// A sender's own address.
    Address(IpAddr),
    /// A sender's host name, not looked up.
    Name(String),
}

impl Url {
    /// The place of a sender on `groups`.
    ///
    /// # Errors
    ///
    /// [`UrlError::Port`] unless `port` is 1 to 65534.
    pub fn groups(groups: GroupRange, port: u16) -> Result<Url, UrlError> {
        Url::new(Place::Groups(groups), port)
    }

    /// The place at an address: a group if it is multicast, a sender's own address otherwise.
    ///
    /// # Errors
    ///
    /// [`UrlError::Unusable`] for addresses that name nobody, and [`UrlError::Port`] unless `port` is
    /// 1 to 65534.
    pub fn address(address: IpAddr, port: u16) -> Result<Url, UrlError> {
        Url::new(Place::from_ip(address)?, port)
    }

    fn new(place: Place, port: u16) -> Result<Url, UrlError> {
        if port == 0 || port == u16::MAX {
            return Err(UrlError::Port(port.to_string()));
        }
        Ok(Url {
            source: None,
            place,
            interface: None,
            port,
            name: None,
            fingerprint: None,
        })
    }

    /// The same place with an object's name; an empty one stands for none.
    ///
    /// # Errors
    ///
    /// [`UrlError::NameLength`] beyond [`MAX_NAME_LEN`] bytes.
    pub fn with_name(mut self, name: &str) -> Result<Url, UrlError> {
        if name.len() > MAX_NAME_LEN {
            return Err(UrlError::NameLength(name.len()));
        }
        self.name = (!name.is_empty()).then(|| name.to_owned());
        Ok(self)
    }

    /// The same place with the fingerprint of the sender's key.
    pub fn with_fingerprint(mut self, fingerprint: Fingerprint) -> Url {
        self.fingerprint = Some(fingerprint);
        self
    }

    /// The same place with a source, for source-specific multicast.
    ///
    /// # Errors
    ///
    /// When the place is no group, or `source` is no host's address or of the other family.
    pub fn with_source(mut self, source: IpAddr) -> Result<Url, UrlError> {
        let Place::Groups(range) = &self.place else {
            return Err(UrlError::SourceWithoutGroup(self.host_text()));
        };
        if source.is_multicast() || unusable(source).is_some() {
            return Err(UrlError::SourceNotHost(source));
        }
        let group = range.first();
        if source.is_ipv4() != group.is_ipv4() {
            return Err(UrlError::Families {
                source_address: source,
                group,
            });
        }
        self.source = Some(source);
        Ok(self)
    }

    /// The one source that the group is to be heard from (SSM), if given.
    pub fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// Where it leads.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Its groups, if it leads to any.
    pub fn group_range(&self) -> Option<GroupRange> {
        match self.place {
            Place::Groups(range) => Some(range),
            _ => None,
        }
    }

    /// Whether it leads to a multicast group rather than to a host.
    pub fn is_group(&self) -> bool {
        self.group_range().is_some()
    }

    /// The interface written after `%` in an IPv6 address: a name or an index.
    pub fn interface(&self) -> Option<&str> {
        self.interface.as_deref()
    }

    /// The port of data and of requests to a sender's own address, 1 to 65534. Requests and feedback
    /// to a group go to the next one.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The object's name, decoded, 1 to [`MAX_NAME_LEN`] bytes; `None` means all that is offered.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The only sender to be believed, if given.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
    }

    /// The groups to send to.
    ///
    /// # Errors
    ///
    /// [`UrlError::NotAGroup`] for a host, [`UrlError::NameNotWanted`] when an object is named, and
    /// [`UrlError::FingerprintNotWanted`] when a sender is.
    pub fn to_send_to(&self) -> Result<GroupRange, UrlError> {
        if let Some(name) = &self.name {
            return Err(UrlError::NameNotWanted(name.clone()));
        }
        if let Some(fingerprint) = self.fingerprint {
            return Err(UrlError::FingerprintNotWanted(fingerprint));
        }
        self.group_range()
            .ok_or_else(|| UrlError::NotAGroup(self.host_text()))
    }

    /// Host or group as written, without brackets and interface.
    fn host_text(&self) -> String {
        match &self.place {
            Place::Groups(range) => range.first().to_string(),
            Place::Address(ip) => ip.to_string(),
            Place::Name(name) => name.clone(),
        }
    }
}

impl Place {
    fn from_ip(ip: IpAddr) -> Result<Place, UrlError> {
        if let Some(why) = unusable(ip) {
            return Err(UrlError::Unusable(ip, why));
        }
        Ok(if ip.is_multicast() {
            Place::Groups(GroupRange::one(ip))
        } else {
            Place::Address(ip)
        })
    }
}
