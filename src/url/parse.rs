//! From text to a URL and back.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use super::{GroupRange, Place, SCHEME, Url, UrlError};

/// Most bytes in a host name (RFC 1035 §2.3.4, without the root's dot).
const MAX_HOST_LEN: usize = 253;

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}://")?;
        match self.source {
            Some(IpAddr::V4(ip)) => write!(f, "{ip}@")?,
            Some(IpAddr::V6(ip)) => write!(f, "[{ip}]@")?,
            None => {}
        }
        let (address, prefix) = match &self.place {
            Place::Name(name) => {
                f.write_str(name)?;
                (None, None)
            }
            Place::Address(ip) => (Some(*ip), None),
            Place::Groups(range) => (
                Some(range.first()),
                (range.len() > 1).then_some(range.prefix()),
            ),
        };
        match (address, &self.interface) {
            (Some(IpAddr::V6(ip)), Some(interface)) => write!(f, "[{ip}%{interface}]")?,
            (Some(IpAddr::V6(ip)), None) => write!(f, "[{ip}]")?,
            (Some(IpAddr::V4(ip)), _) => write!(f, "{ip}")?,
            (None, _) => {}
        }
        if let Some(prefix) = prefix {
            write!(f, "/{prefix}")?;
        }
        write!(f, ":{}", self.port)?;
        if let Some(name) = &self.name {
            f.write_str("/")?;
            encode(name, f)?;
        }
        match self.fingerprint {
            Some(fingerprint) => write!(f, "#{fingerprint}"),
            None => Ok(()),
        }
    }
}

/// Writes `name` with all but unreserved characters (RFC 3986 §2.3) and `/` percent-encoded, so that
/// no shell finds anything in it to expand.
fn encode(name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    name.bytes().try_for_each(|b| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
            write!(f, "{}", char::from(b))
        }
        _ => write!(f, "%{b:02X}"),
    })
}

/// The name that `text` stands for, or `None` if it is not percent-encoded UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&b, tail)) = rest.split_first() {
        rest = tail;
        if b == b'%' {
            let (&[high, low], tail) = rest.split_first_chunk::<2>()?;
            let digit = |b: u8| char::from(b).to_digit(16);
            bytes.push((digit(high)? * 16 + digit(low)?) as u8);
            rest = tail;
        } else {
            bytes.push(b);
        }
    }
    String::from_utf8(bytes).ok()
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Url, UrlError> {
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => rest,
            _ => return Err(UrlError::Scheme(text.to_owned())),
        };
        let (rest, fingerprint) = match rest.split_once('#') {
            Some((rest, fingerprint)) => (rest, Some(fingerprint)),
            None => (rest, None),
        };
        let (source, rest) = split_source(rest)?;
        let (host, interface, rest) = split_host(rest)?;
        let (prefix, rest) = split_prefix(rest);
        let shown = || match prefix {
            Some(prefix) => format!("{host}/{prefix}"),
            None => host.to_owned(),
        };
        let rest = match rest.strip_prefix(':') {
            Some(rest) => rest,
            None if host.is_empty() => return Err(UrlError::NoHost),
            None => return Err(UrlError::NoPort(shown())),
        };
        let (port, name) = rest.split_once('/').unwrap_or((rest, ""));
        if host.is_empty() {
            return Err(UrlError::NoHost);
        }
        if port.is_empty() {
            return Err(UrlError::NoPort(shown()));
        }
        if port.contains(':') {
            return Err(UrlError::Brackets(format!("{host}:{port}")));
        }
        let port = number(port).ok_or_else(|| UrlError::Port(port.to_owned()))?;

        let mut place = parse_place(host)?;
        if let Some(prefix) = prefix {
            place = Place::Groups(with_prefix(&place, host, prefix)?);
        }
        let mut url = Url::new(place, port)?;
        url.interface = interface.map(str::to_owned);
        if let Some(source) = source {
            url = url.with_source(source)?;
        }
        let name = decode(name).ok_or_else(|| UrlError::NameEncoding(name.to_owned()))?;
        url = url.with_name(&name)?;
        if let Some(text) = fingerprint {
            let wrong = |_| UrlError::Fingerprint(text.to_owned());
            url = url.with_fingerprint(text.parse().map_err(wrong)?);
        }
        Ok(url)
    }
}

/// A decimal number without sign.
fn number<N: FromStr>(text: &str) -> Option<N> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

/// Splits `SOURCE@` off.
fn split_source(rest: &str) -> Result<(Option<IpAddr>, &str), UrlError> {
    // A name may have an @ of its own, behind the first slash.
    let authority = rest.split('/').next().unwrap_or(rest);
    let Some((source, _)) = authority.split_once('@') else {
        return Ok((None, rest));
    };
    let bare = source
        .strip_prefix('[')
        .and_then(|s| s.strip_suffix(']'))
        .unwrap_or(source);
    let ip = bare
        .parse()
        .map_err(|_| UrlError::Source(source.to_owned()))?;
    Ok((Some(ip), &rest[source.len() + 1..]))
}

/// Splits host or group off (in its brackets if it has any, without interface), and its interface.
fn split_host(rest: &str) -> Result<(&str, Option<&str>, &str), UrlError> {
    if !rest.starts_with('[') {
        let end = rest.find([':', '/']).unwrap_or(rest.len());
        return Ok((&rest[..end], None, &rest[end..]));
    }
    let Some(end) = rest.find(']') else {
        return Err(UrlError::Ipv6(
            rest.split('/').next().unwrap_or(rest).to_owned(),
        ));
    };
    let inside = &rest[1..end];
    let tail = &rest[end + 1..];
    let Some((ip, interface)) = inside.split_once('%') else {
        return Ok((&rest[..=end], None, tail));
    };
    let plausible =
        |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '/' | '%' | '@' | '[');
    if interface.is_empty() || !interface.chars().all(plausible) {
        return Err(UrlError::Interface(interface.to_owned()));
    }
    if ip.parse::<Ipv6Addr>().is_err() {
        return Err(UrlError::Ipv6(inside.to_owned()));
    }
    Ok((ip, Some(interface), tail))
}

/// Splits `/PREFIX` off: digits that a port follows, as against a name.
fn split_prefix(rest: &str) -> (Option<&str>, &str) {
    let Some(tail) = rest.strip_prefix('/') else {
        return (None, rest);
    };
    let end = tail
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(tail.len());
    if end == 0
        || tail[end..].starts_with('/')
        || !(end == tail.len() || tail[end..].starts_with(':'))
    {
        return (None, rest);
    }
    (Some(&tail[..end]), &tail[end..])
}

/// The place that `host` names: an IPv6 address with or without brackets, an IPv4 address, a name.
fn parse_place(host: &str) -> Result<Place, UrlError> {
    if host.contains(['[', ']', ':']) {
        let bare = host
            .strip_prefix('[')
            .and_then(|s| s.strip_suffix(']'))
            .unwrap_or(host);
        let ip: Ipv6Addr = bare.parse().map_err(|_| UrlError::Ipv6(host.to_owned()))?;
        return Place::from_ip(ip.into());
    }
    if host.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        let ip: Ipv4Addr = host.parse().map_err(|_| UrlError::Ipv4(host.to_owned()))?;
        return Place::from_ip(ip.into());
    }
    let known = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let label = |l: &str| (1..=63).contains(&l.len()) && l.bytes().all(known);
    let labels = host.strip_suffix('.').unwrap_or(host);
    if labels.len() > MAX_HOST_LEN || !labels.split('.').all(label) {
        return Err(UrlError::Host(host.to_owned()));
    }
    Ok(Place::Name(host.to_owned()))
}

fn with_prefix(place: &Place, host: &str, prefix: &str) -> Result<GroupRange, UrlError> {
    let Place::Groups(one) = place else {
        return Err(UrlError::PrefixWithoutGroup {
            host: host.to_owned(),
            prefix: prefix.to_owned(),
        });
    };
    // A number too large for a u8 is as wrong as 255, which no family has.
    GroupRange::new(one.first(), number(prefix).unwrap_or(u8::MAX)).map_err(|e| match e {
        UrlError::Prefix { least, most, .. } => UrlError::Prefix {
            prefix: prefix.to_owned(),
            least,
            most,
        },
        e => e,
    })
}

#[cfg(test)]
mod tests {
    use super::super::groups::mask;
    use super::*;
    use crate::seal::Fingerprint;
    use proptest::prelude::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    fn error(text: &str) -> UrlError {
        match text.parse::<Url>() {
            Ok(url) => panic!("{text} was taken for {url:?}"),
            Err(e) => e,
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn group_with_name() {
        let u = url("loopcast://239.192.7.1:4700/film.mkv");
        assert_eq!(
            u.group_range().unwrap().iter().collect::<Vec<_>>(),
            [ip("239.192.7.1")]
        );
        assert_eq!(
            (u.port(), u.name(), u.source(), u.interface()),
            (4700, Some("film.mkv"), None, None)
        );
        assert!(u.is_group());
    }

    #[test]
    fn source_before_a_group() {
        let u = url("loopcast://10.0.0.1@232.1.1.1:4700");
        assert_eq!(u.source(), Some(ip("10.0.0.1")));
        assert!(u.group_range().unwrap().wants_source());
        let u = url("loopcast://[2001:db8::1]@[ff35::7%2]:4700");
        assert_eq!(
            (u.source(), u.interface()),
            (Some(ip("2001:db8::1")), Some("2"))
        );
        assert!(u.group_range().unwrap().wants_source());
        assert!(
            !url("loopcast://[ff15::7]:1")
                .group_range()
                .unwrap()
                .wants_source()
        );
    }

    #[test]
    fn interface_in_brackets() {
        let u = url("loopcast://[ff15::7%eth0]:4700");
        assert_eq!(u.interface(), Some("eth0"));
        assert_eq!(u.group_range().unwrap().first(), ip("ff15::7"));
        assert_eq!(u.to_string(), "loopcast://[ff15::7%eth0]:4700");
    }

    #[test]
    fn hosts() {
        let u = url("LoopCast://server.lan:4700/a/b.bin");
        assert_eq!(
            (u.place(), u.name()),
            (&Place::Name("server.lan".into()), Some("a/b.bin"))
        );
        assert!(!u.is_group());
        assert_eq!(
            url("loopcast://10.0.0.1:4700/").place(),
            &Place::Address(ip("10.0.0.1"))
        );
        assert_eq!(
            url("loopcast://[::1]:4700").place(),
            &Place::Address(ip("::1"))
        );
        assert_eq!(url("loopcast://h:1/x@y:2/24:3").name(), Some("x@y:2/24:3"));
    }

    #[test]
    fn fingerprints() {
        let print = "plc4qwd2asa72a64ge33sfzpme4okp2p";
        let u = url(&format!("loopcast://h:1/a%23b#{}", print.to_uppercase()));
        assert_eq!(
            (u.name(), u.fingerprint()),
            (Some("a#b"), print.parse().ok())
        );
        assert_eq!(u.to_string(), format!("loopcast://h:1/a%23b#{print}"));
        assert_eq!(url("loopcast://h:1").fingerprint(), None);
        for bad in ["", "a", "a#b", &print[1..]] {
            let error = error(&format!("loopcast://h:1#{bad}"));
            assert_eq!(error, UrlError::Fingerprint(bad.to_owned()));
        }
        assert!(matches!(
            url(&format!("loopcast://239.1.1.1:4700#{print}")).to_send_to(),
            Err(UrlError::FingerprintNotWanted(_))
        ));
    }

    #[test]
    fn ranges() {
        let r = url("loopcast://239.192.7.0/24:4700").to_send_to().unwrap();
        assert_eq!(
            (r.first(), r.prefix(), r.len()),
            (ip("239.192.7.0"), 24, 256)
        );
        assert_eq!((r.get(255), r.get(256)), (Some(ip("239.192.7.255")), None));
        let r = url("loopcast://[ff15::1:400%eth0]/118:4700")
            .to_send_to()
            .unwrap();
        assert_eq!((r.len(), r.get(1023)), (1024, Some(ip("ff15::1:7ff"))));
        assert_eq!(
            url("loopcast://239.1.1.1/32:1").to_string(),
            "loopcast://239.1.1.1:1"
        );
    }

    #[test]
    fn bad_ones_say_why() {
        use UrlError as E;
        assert!(matches!(error("http://239.1.1.1:80"), E::Scheme(_)));
        assert!(matches!(error("239.1.1.1:80"), E::Scheme(_)));
        assert_eq!(error("loopcast://:4700"), E::NoHost);
        assert_eq!(error("loopcast:///film"), E::NoHost);
        assert_eq!(error("loopcast://239.1.1.1"), E::NoPort("239.1.1.1".into()));
        assert_eq!(
            error("loopcast://239.1.1.1:"),
            E::NoPort("239.1.1.1".into())
        );
        assert_eq!(
            error("loopcast://server/film.mkv"),
            E::NoPort("server".into())
        );
        assert_eq!(
            error("loopcast://239.1.1.0/24"),
            E::NoPort("239.1.1.0/24".into())
        );
        for port in ["0", "65535", "65536", "+1", "x"] {
            assert_eq!(
                error(&format!("loopcast://239.1.1.1:{port}")),
                E::Port(port.into())
            );
        }
        assert!(matches!(error("loopcast://239.1.1:4700"), E::Ipv4(_)));
        assert!(matches!(error("loopcast://239.1.1.256:4700"), E::Ipv4(_)));
        assert!(matches!(error("loopcast://[ff15::zz]:4700"), E::Ipv6(_)));
        assert!(matches!(error("loopcast://[ff15::7:4700"), E::Ipv6(_)));
        assert!(matches!(error("loopcast://[239.1.1.1]:4700"), E::Ipv6(_)));
        assert!(matches!(error("loopcast://ff15::7:4700"), E::Brackets(_)));
        assert!(matches!(
            error("loopcast://[ff15::7%]:4700"),
            E::Interface(_)
        ));
        assert!(matches!(error("loopcast://a b:4700"), E::Host(_)));
        assert!(matches!(error("loopcast://a..b:4700"), E::Host(_)));
        assert!(matches!(error("loopcast://0.0.0.0:4700"), E::Unusable(..)));
        assert!(matches!(
            error("loopcast://255.255.255.255:4700"),
            E::Unusable(..)
        ));
        assert!(matches!(
            error("loopcast://224.0.0.251:4700"),
            E::Unusable(..)
        ));
        assert!(matches!(
            error("loopcast://10.0.0.0/24:4700"),
            E::PrefixWithoutGroup { .. }
        ));
        assert!(matches!(
            error("loopcast://server/24:4700"),
            E::PrefixWithoutGroup { .. }
        ));
        for prefix in ["0", "21", "33", "256", "99999"] {
            assert!(
                matches!(
                    error(&format!("loopcast://239.0.0.0/{prefix}:1")),
                    E::Prefix { .. }
                ),
                "{prefix}"
            );
        }
        let bits = E::HostBits {
            given: ip("239.1.1.1"),
            prefix: 24,
            first: ip("239.1.1.0"),
        };
        assert_eq!(error("loopcast://239.1.1.1/24:4700"), bits);
        assert!(matches!(
            error("loopcast://me@239.1.1.1:4700"),
            E::Source(_)
        ));
        assert!(matches!(
            error("loopcast://239.1.1.2@239.1.1.1:4700"),
            E::SourceNotHost(_)
        ));
        assert!(matches!(
            error("loopcast://0.0.0.0@239.1.1.1:4700"),
            E::SourceNotHost(_)
        ));
        assert!(matches!(
            error("loopcast://10.0.0.1@server:4700"),
            E::SourceWithoutGroup(_)
        ));
        assert!(matches!(
            error("loopcast://10.0.0.1@[ff15::7]:4700"),
            E::Families { .. }
        ));
        assert!(matches!(error("loopcast://h:1/50%"), E::NameEncoding(_)));
        assert!(matches!(error("loopcast://h:1/%+1"), E::NameEncoding(_)));
        assert!(matches!(error("loopcast://h:1/%ff"), E::NameEncoding(_)));
        assert_eq!(
            error(&format!("loopcast://h:1/{}", "x".repeat(256))),
            E::NameLength(256)
        );
        assert!(matches!(
            url("loopcast://10.0.0.1:4700").to_send_to(),
            Err(E::NotAGroup(_))
        ));
        assert!(matches!(
            url("loopcast://239.1.1.1:4700/x").to_send_to(),
            Err(E::NameNotWanted(_))
        ));
    }

    #[test]
    fn every_error_is_a_sentence_without_its_type() {
        assert_eq!(
            error("loopcast://239.1.1.1/24:4700").to_string(),
            "239.1.1.1/24 is not the start of its range: write 239.1.1.0/24"
        );
        assert_eq!(
            error("loopcast://server/film.mkv").to_string(),
            "no port after `server`: add one, as in loopcast://server:4700"
        );
    }

    prop_compose! {
        fn group()(v4 in any::<u32>(), v6 in any::<u128>(), is_v4: bool, host_bits in 0u8..=10) -> GroupRange {
            let (ip, all): (IpAddr, u8) = if is_v4 {
                (Ipv4Addr::from_bits(0xe100_0000 | (v4 & 0x0eff_ffff)).into(), 32)
            } else {
                (Ipv6Addr::from_bits((0xff << 120) | (v6 >> 8)).into(), 128)
            };
            GroupRange::new(mask(ip, all - host_bits), all - host_bits).unwrap()
        }
    }

    proptest! {
        #[test]
        fn what_is_written_parses_back(
            range in group(),
            source in proptest::option::of((any::<u32>(), any::<u128>())),
            interface in proptest::option::of("[a-z]{1,8}[0-9.:-]{0,3}"),
            port in 1u16..u16::MAX,
            name in proptest::option::of("\\PC{1,40}|[a-z/%:@# ]{1,40}"),
            key in proptest::option::of(any::<[u8; 32]>()),
        ) {
            let mut u = Url::groups(range, port).unwrap();
            if let Some((v4, v6)) = source {
                let of_family = if range.first().is_ipv4() {
                    IpAddr::from(Ipv4Addr::from_bits((v4 & 0x7fff_ffff) | 1))
                } else {
                    Ipv6Addr::from_bits((v6 >> 4) | 1).into()
                };
                u = u.with_source(of_family).unwrap();
            }
            if range.first().is_ipv6() {
                u.interface = interface;
            }
            u = u.with_name(name.as_deref().unwrap_or("")).unwrap();
            u.fingerprint = key.map(|key| Fingerprint::of(&key));
            prop_assert_eq!(&url(&u.to_string()), &u);
        }

        #[test]
        fn any_text_is_refused_or_comes_back(text in "(loopcast://)?[0-9a-z.:/@#%\\[\\]]{0,40}|\\PC{0,60}") {
            if let Ok(u) = text.parse::<Url>() {
                prop_assert_eq!(url(&u.to_string()), u);
            }
        }

        #[test]
        fn a_range_holds_what_shares_its_prefix(range in group(), n in any::<u16>()) {
            match range.get(n) {
                Some(ip) => prop_assert_eq!(mask(ip, range.prefix()), range.first()),
                None => prop_assert!(n >= range.len()),
            }
            prop_assert_eq!(range.iter().count(), usize::from(range.len()));
        }
    }
}
