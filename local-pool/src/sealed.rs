//! Texts that the pool gives away and understands when they come back: `Session` and refresh tokens.
//!
//! Like Cognito's they are encrypted and hold all that they stand for, so that the pool remembers nothing of sign-ins that are
//! never finished, and their length is that of what they carry.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use rand::Rng;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;

/// A key that texts are sealed with.
pub struct SealingKey {
    octets: [u8; 32],
    key: LessSafeKey,
}

/// The cryptographic library would not seal.
#[derive(Debug)]
pub struct SealingError;

impl fmt::Display for SealingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot seal a text")
    }
}

impl std::error::Error for SealingError {}

impl SealingKey {
    /// A new key.
    ///
    /// # Errors
    ///
    /// When the library takes no key at all.
    pub fn random(rng: &mut impl Rng) -> Result<SealingKey, SealingError> {
        let mut octets = [0; 32];
        rng.fill_bytes(&mut octets);
        SealingKey::from_octets(octets)
    }

    /// A key from its octets.
    ///
    /// # Errors
    ///
    /// When the library takes no key at all.
    pub fn from_octets(octets: [u8; 32]) -> Result<SealingKey, SealingError> {
        let key = UnboundKey::new(&AES_256_GCM, &octets).map_err(|_| SealingError)?;
        Ok(SealingKey { octets, key: LessSafeKey::new(key) })
    }

    /// The key's octets.
    pub fn octets(&self) -> &[u8; 32] {
        &self.octets
    }

    /// A MAC over some octets, with a key of its own that comes from this one.
    pub fn check(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut key = [0; 64];
        // Never too long, which is all that can be wrong.
        let _ = Hkdf::<Sha256>::new(None, &self.octets).expand(b"check", &mut key);
        let mut mac = Hmac::<Sha256>::new(&key.into());
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }

    /// Seals a value.
    ///
    /// # Errors
    ///
    /// When the value is none that JSON can hold, or the library would not seal.
    pub fn seal(&self, value: &impl Serialize, rng: &mut impl Rng) -> Result<String, SealingError> {
        let mut nonce = [0; NONCE_LEN];
        rng.fill_bytes(&mut nonce);
        let mut sealed = serde_json::to_vec(value).map_err(|_| SealingError)?;
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed)
            .map_err(|_| SealingError)?;
        Ok(URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat()))
    }

    /// Opens a text. `None` unless this key sealed it.
    pub fn open<T: DeserializeOwned>(&self, text: &str) -> Option<T> {
        let mut octets = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = octets.split_first_chunk_mut::<NONCE_LEN>()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.key.open_in_place(nonce, Aad::empty(), sealed).ok()?;
        serde_json::from_slice(opened).ok()
    }
}
