//! Who a sender is: its Ed25519 key, and the short text that people compare.

use core::fmt;
use core::str::FromStr;

use ed25519_dalek::Signer as _;
use thiserror::Error;

use crate::secret::Secret;

/// Bytes of a public key.
pub const PUBLIC_LEN: usize = 32;
/// Bytes of a signature.
pub const SIGNATURE_LEN: usize = 64;
/// Bytes of a fingerprint: 160 bits, which nobody finds a second key for, in 32 characters.
pub const FINGERPRINT_LEN: usize = 20;

const FINGERPRINT: &str = "loopcast 1 sender fingerprint";
/// What is signed begins with this, so that no signature serves for anything else.
const CONTEXT: &[u8; 24] = b"loopcast 1 description\0\0";
/// RFC 4648's digits of base 32, in lower case.
const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A sender's secret key. `Debug` hides it; it is wiped when dropped.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

/// A sender's public key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PublicKey(ed25519_dalek::VerifyingKey);

/// The first 20 bytes of a hash (BLAKE3's `derive_key`) of a public key. Written as 32 characters,
/// `a` to `z` and `2` to `7`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; FINGERPRINT_LEN]);

/// A signature that is not this key's of these bytes, or a key that is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the signature is not the sender's")]
pub struct BadSignature;

/// A text that is no fingerprint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("a fingerprint is 32 characters, a to z and 2 to 7")]
pub struct FingerprintError;

impl SigningKey {
    /// From its seed, 32 random bytes, as [`KeyKind::Sender`](crate::secret::KeyKind) files hold it.
    pub fn new(seed: &Secret) -> SigningKey {
        SigningKey(ed25519_dalek::SigningKey::from_bytes(seed.expose()))
    }

    /// What others know it by.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs a description, and the session that it stands in.
    pub fn sign(&self, description: &[u8]) -> [u8; SIGNATURE_LEN] {
        self.0.sign(&message(description)).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(of {})", self.public().fingerprint())
    }
}

impl PublicKey {
    /// From the network.
    ///
    /// # Errors
    ///
    /// [`BadSignature`] if it is no point of the curve, or one under which anything can be signed.
    pub fn from_bytes(bytes: &[u8; PUBLIC_LEN]) -> Result<PublicKey, BadSignature> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| BadSignature)?;
        if key.is_weak() {
            return Err(BadSignature);
        }
        Ok(PublicKey(key))
    }

    /// As it travels.
    pub fn to_bytes(&self) -> [u8; PUBLIC_LEN] {
        self.0.to_bytes()
    }

    /// What people compare.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.0.as_bytes())
    }

    /// Whether the sender signed this description.
    ///
    /// # Errors
    ///
    /// [`BadSignature`] if not. It is strict: of each signature there is one form.
    pub fn verify(
        &self,
        description: &[u8],
        signature: &[u8; SIGNATURE_LEN],
    ) -> Result<(), BadSignature> {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.0
            .verify_strict(&message(description), &signature)
            .map_err(|_| BadSignature)
    }
}

impl Fingerprint {
    /// Of a public key as it travels, whether it is one or not.
    pub fn of(key: &[u8; PUBLIC_LEN]) -> Fingerprint {
        let hash = blake3::derive_key(FINGERPRINT, key);
        Fingerprint(core::array::from_fn(|i| hash[i]))
    }
}

fn message(description: &[u8]) -> Vec<u8> {
    [CONTEXT, description].concat()
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Five bytes are eight digits.
        for five in self.0.as_chunks::<5>().0 {
            let bits = five.iter().fold(0u64, |n, &b| n << 8 | u64::from(b));
            for digit in (0..8).rev() {
                let digit = DIGITS[(bits >> (5 * digit) & 31) as usize];
                write!(f, "{}", char::from(digit))?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Fingerprint, FingerprintError> {
        let mut bytes = [0; FINGERPRINT_LEN];
        let (eights, rest) = text.as_bytes().as_chunks::<8>();
        if eights.len() != FINGERPRINT_LEN / 5 || !rest.is_empty() {
            return Err(FingerprintError);
        }
        for (five, eight) in bytes.as_chunks_mut::<5>().0.iter_mut().zip(eights) {
            let mut bits = 0u64;
            for c in eight {
                let digit = DIGITS.iter().position(|d| *d == c.to_ascii_lowercase());
                bits = bits << 5 | digit.ok_or(FingerprintError)? as u64;
            }
            five.copy_from_slice(&bits.to_be_bytes()[3..]);
        }
        Ok(Fingerprint(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::new(&Secret::new([seed; 32]))
    }

    /// Vectors made with Python's cryptography and base64, and a BLAKE3 written from its paper.
    #[test]
    fn golden_signature() {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(hex(&key(7).public().to_bytes()), PUBLIC);
        assert_eq!(hex(&key(7).sign(b"description")), SIGNATURE);
    }
    const PUBLIC: &str = "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c";
    const SIGNATURE: &str = "6971903cc862c570c49bfa5bbcf6f945c2ba219c561d27af1a22cb12e3277ae458273cbfbff9eb7c92826a1f65b5e2f5bda1b51c9bd3d84a33005962f66d4409";

    #[test]
    fn golden_fingerprint() {
        assert_eq!(key(7).public().fingerprint().to_string(), PRINT);
        let bytes: [u8; 20] = core::array::from_fn(|i| i as u8 * 13);
        assert_eq!(Fingerprint(bytes).to_string(), BASE32);
    }
    const PRINT: &str = "plc4qwd2asa72a64ge33sfzpme4okp2p";
    const BASE32: &str = "aagrujzuifhfw2dvqkhzzknwypin32xx";

    #[test]
    fn a_signature_is_one_senders_of_one_description() {
        let signature = key(1).sign(b"film");
        let public = PublicKey::from_bytes(&key(1).public().to_bytes()).unwrap();
        assert_eq!(public.verify(b"film", &signature), Ok(()));
        assert_eq!(public.verify(b"films", &signature), Err(BadSignature));
        assert_eq!(
            key(2).public().verify(b"film", &signature),
            Err(BadSignature)
        );
        for at in 0..SIGNATURE_LEN {
            let mut other = signature;
            other[at] ^= 1;
            assert_eq!(public.verify(b"film", &other), Err(BadSignature));
        }
        // The point of order one: anything could be signed.
        let mut weak = [0; 32];
        weak[0] = 1;
        assert_eq!(PublicKey::from_bytes(&weak), Err(BadSignature));
    }

    #[test]
    fn nothing_secret_is_shown() {
        let seed = Secret::new(*b"0123456789abcdef0123456789abcdef");
        let shown = format!("{:?}", SigningKey::new(&seed));
        assert_eq!(shown.len(), "SigningKey(of )".len() + 32, "{shown}");
    }

    proptest! {
        #[test]
        fn fingerprints_round_trip(bytes: [u8; 20]) {
            let text = Fingerprint(bytes).to_string();
            prop_assert_eq!(text.len(), 32);
            prop_assert_eq!(text.parse(), Ok(Fingerprint(bytes)));
            prop_assert_eq!(text.to_uppercase().parse(), Ok(Fingerprint(bytes)));
            prop_assert!(text[1..].parse::<Fingerprint>().is_err());
            let wrong = ["1", &text[1..]].concat();
            prop_assert!(wrong.parse::<Fingerprint>().is_err());
        }
    }
}
