//! What can be wrong with a URL.

use core::net::IpAddr;

use thiserror::Error;

use crate::seal::Fingerprint;

use super::{MAX_GROUPS, MAX_NAME_LEN};

/// What is wrong with a URL, and what to write instead.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum UrlError {
    /// It starts with no scheme, or with another one.
    #[error("`{0}` does not start with loopcast:// (as in loopcast://239.192.7.1:4700)")]
    Scheme(String),
    /// No host or group stands before the port.
    #[error("no host or group before the port: write one, as in loopcast://239.192.7.1:4700")]
    NoHost,
    /// No port is given.
    #[error("no port after `{0}`: add one, as in loopcast://{0}:4700")]
    NoPort(String),
    /// The port is no number that can be used.
    #[error("port `{0}` can't be used: write a number from 1 to 65534 (the next port is used too)")]
    Port(String),
    /// Neither an address nor a host name.
    #[error("`{0}` is neither an address nor a host name")]
    Host(String),
    /// All digits and dots, but no IPv4 address.
    #[error("`{0}` is not an IPv4 address: it takes four numbers from 0 to 255, as in 239.192.7.1")]
    Ipv4(String),
    /// No IPv6 address stands between the brackets, or a bracket is missing.
    #[error("`{0}` is not an IPv6 address in brackets, as in [ff15::7] or [ff15::7%eth0]")]
    Ipv6(String),
    /// An IPv6 address without brackets.
    #[error(
        "`{0}` has several colons: write an IPv6 address in brackets, as in loopcast://[ff15::7]:4700"
    )]
    Brackets(String),
    /// The interface after `%` is empty or has characters that no interface has.
    #[error("`{0}` is not an interface's name or number")]
    Interface(String),
    /// The address can name no single host or group.
    #[error("{0} names neither one host nor a group that may be used: {1}")]
    Unusable(IpAddr, &'static str),
    /// A prefix on something that is not a group.
    #[error(
        "`/{prefix}` makes a range of groups, but {host} is not a multicast group: leave it out"
    )]
    PrefixWithoutGroup {
        /// What it stands behind.
        host: String,
        /// The prefix.
        prefix: String,
    },
    /// The prefix is no number that can be used.
    #[error(
        "prefix `/{prefix}` can't be used: write /{least} to /{most} (at most {MAX_GROUPS} groups)"
    )]
    Prefix {
        /// What was written.
        prefix: String,
        /// The widest range.
        least: u8,
        /// A single group.
        most: u8,
    },
    /// The group has bits set behind the prefix.
    #[error("{given}/{prefix} is not the start of its range: write {first}/{prefix}")]
    HostBits {
        /// What was written.
        given: IpAddr,
        /// The prefix.
        prefix: u8,
        /// The range's first group.
        first: IpAddr,
    },
    /// What stands before `@` is no address.
    #[error(
        "`{0}` before the @ is not an address: write the sender's own address there, as in 10.0.0.1@232.1.1.1"
    )]
    Source(String),
    /// The source is a group, or no host at all.
    #[error(
        "source {0} is not the address of one host: write the sender's own address before the @"
    )]
    SourceNotHost(IpAddr),
    /// A source before something that is not a group.
    #[error(
        "a source before @ goes with a multicast group only: {0} is none, so leave the source out"
    )]
    SourceWithoutGroup(String),
    /// Source and group are of different families.
    #[error(
        "source {source_address} and group {group} are not of one family: use two IPv4 or two IPv6 addresses"
    )]
    Families {
        /// The source.
        source_address: IpAddr,
        /// The group.
        group: IpAddr,
    },
    /// The name has a `%` that starts no escape, or decodes to something that is not UTF-8.
    #[error("name `{0}` is not percent-encoded UTF-8: write a plain % as %25")]
    NameEncoding(String),
    /// The name is too long.
    #[error("the name has {0} bytes, where {MAX_NAME_LEN} are possible")]
    NameLength(usize),
    /// What stands after `#` is no fingerprint.
    #[error(
        "`{0}` after the # is no fingerprint, which has 32 characters, a to z and 2 to 7 (a # in a name is written %23)"
    )]
    Fingerprint(String),
    /// A group is needed and something else is given.
    #[error(
        "{0} is not a multicast group: send to one from 239.0.0.0/8, as in loopcast://239.192.7.1:4700"
    )]
    NotAGroup(String),
    /// A name where only a place is wanted.
    #[error("`/{0}` is an object's name, which has no place in where to send: leave it out")]
    NameNotWanted(String),
    /// A fingerprint where only a place is wanted.
    #[error(
        "`#{0}` has no place in where to send, which is always signed with one's own key: leave it out"
    )]
    FingerprintNotWanted(Fingerprint),
}
