//! Secret keys: 32 bytes that are wiped, derived from, never printed, and kept in files as text.
//!
//! Takes bytes or a key file's text, gives keys and texts. It draws no entropy and touches no file.

use core::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

/// Bytes in a secret: the key of AES-256, the seed of Ed25519.
pub const SECRET_LEN: usize = 32;

/// 32 secret bytes, uniformly random or derived from such. Wiped when dropped; `Debug` hides them.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; SECRET_LEN]>);

/// What a key file's secret is for. It stands in the file, so that none is taken for another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyKind {
    /// The master key of one archive.
    Archive,
    /// The key that all of a group share.
    Group,
    /// A sender's signing key (the Ed25519 seed).
    Sender,
}

/// Why a text is no key file of the kind wanted. None of it tells what the text was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum KeyTextError {
    /// It holds a key of another kind.
    #[error("it holds {}, where {} is needed", found.words(), wanted.words())]
    Kind {
        /// What it holds.
        found: KeyKind,
        /// What was asked for.
        wanted: KeyKind,
    },
    /// It is no key file.
    #[error("it is not a loopcast key file")]
    NotAKey,
    /// The key in it is cut short or has characters that are no hexadecimal digits.
    #[error("the key in it is damaged: 64 hexadecimal digits are needed")]
    Damaged,
}

impl KeyKind {
    const ALL: [KeyKind; 3] = [KeyKind::Archive, KeyKind::Group, KeyKind::Sender];

    /// What stands before the digits in a file.
    fn prefix(self) -> &'static str {
        match self {
            KeyKind::Archive => "loopcast-archive-key-1:",
            KeyKind::Group => "loopcast-group-key-1:",
            KeyKind::Sender => "loopcast-sender-key-1:",
        }
    }

    /// It with its article, for people.
    pub fn words(self) -> &'static str {
        match self {
            KeyKind::Archive => "the key of an archive",
            KeyKind::Group => "a group key",
            KeyKind::Sender => "a sender's key",
        }
    }
}

impl Secret {
    /// Takes bytes that must be random or derived. The caller wipes its own copy.
    pub fn new(bytes: [u8; SECRET_LEN]) -> Secret {
        Secret(Zeroizing::new(bytes))
    }

    /// The bytes, to be used at once and not kept.
    pub fn expose(&self) -> &[u8; SECRET_LEN] {
        &self.0
    }

    /// HKDF-SHA256 (RFC 5869) of it, with the parts of `info` one after the other.
    ///
    /// The parts must be such that no two uses of one secret make the same bytes: a label that none
    /// other begins with, then fields of fixed length.
    pub fn derive(&self, salt: &[u8], info: &[&[u8]]) -> Secret {
        let mut out = Secret::new([0; SECRET_LEN]);
        Hkdf::<Sha256>::new(Some(salt), self.expose())
            .expand_multi_info(info, &mut *out.0)
            .expect("32 bytes are fewer than the 8,160 that HKDF can give");
        out
    }

    /// The text of a key file: one line.
    pub fn to_text(&self, kind: KeyKind) -> Zeroizing<String> {
        let prefix = kind.prefix();
        // Long enough at once: a text that grows leaves copies behind.
        let mut text = String::with_capacity(prefix.len() + 2 * SECRET_LEN + 1);
        text.push_str(prefix);
        for byte in self.expose() {
            for digit in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(digit.into(), 16));
            }
        }
        text.push('\n');
        Zeroizing::new(text)
    }

    /// Reads the text of a key file; blanks around it do not count.
    pub fn from_text(text: &str, wanted: KeyKind) -> Result<Secret, KeyTextError> {
        let text = text.trim();
        let digits_of = |kind: KeyKind| Some((kind, text.strip_prefix(kind.prefix())?));
        let (found, digits) = KeyKind::ALL
            .into_iter()
            .find_map(digits_of)
            .ok_or(KeyTextError::NotAKey)?;
        if found != wanted {
            return Err(KeyTextError::Kind { found, wanted });
        }
        let mut secret = Secret::new([0; SECRET_LEN]);
        let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
        if pairs.len() != SECRET_LEN || !rest.is_empty() {
            return Err(KeyTextError::Damaged);
        }
        for (byte, &[high, low]) in secret.0.iter_mut().zip(pairs) {
            let digit = |c: u8| char::from(c).to_digit(16).ok_or(KeyTextError::Damaged);
            *byte = (digit(high)? << 4 | digit(low)?) as u8;
        }
        Ok(secret)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_round_trip_and_are_of_one_kind() {
        let secret = Secret::new(core::array::from_fn(|i| i as u8 * 7));
        for kind in KeyKind::ALL {
            let text = secret.to_text(kind);
            let again = Secret::from_text(&format!(" {}\r\n", *text), kind).unwrap();
            assert_eq!(again.expose(), secret.expose());
            for wanted in KeyKind::ALL.into_iter().filter(|&k| k != kind) {
                let error = Secret::from_text(&text, wanted).unwrap_err();
                assert_eq!(
                    error,
                    KeyTextError::Kind {
                        found: kind,
                        wanted
                    }
                );
            }
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let text = Secret::new([0xab; 32]).to_text(KeyKind::Group);
        let parse = |text: &str| Secret::from_text(text, KeyKind::Group).unwrap_err();
        assert_eq!(parse(""), KeyTextError::NotAKey);
        assert_eq!(parse("-----BEGIN"), KeyTextError::NotAKey);
        assert_eq!(parse(&text.replace("ab", "gb")), KeyTextError::Damaged);
        assert_eq!(parse(&text.replacen("ab", "é", 1)), KeyTextError::Damaged);
        assert_eq!(parse(&text[..text.len() - 2]), KeyTextError::Damaged);
        assert_eq!(parse(&format!("{}0", text.trim())), KeyTextError::Damaged);
    }

    #[test]
    fn nothing_secret_is_printed() {
        let secret = Secret::new([0x5a; 32]);
        let shown = format!("{secret:?} {secret:#?}");
        assert!(!shown.contains("5a") && !shown.contains("90"), "{shown}");
    }
}
