//! The server's side of Cognito's passwords: Secure Remote Password (RFC 5054) in Cognito's variety, which differs in its
//! hash (SHA-256), in how numbers are padded, and in how the session key is derived and proved.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use num_bigint::{BigInt, BigUint};
use rand::Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The 3,072-bit group of RFC 5054 appendix A (RFC 3526 §4), with the generator 2.
const N: &str = "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD\
EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F\
83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B\
E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510\
15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7\
ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C\
BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF";

/// What is kept of a password: enough to check it, not enough to know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verifier {
    salt: String,
    verifier: String,
}

/// What the pool keeps of an exchange between `SRP_A` and `PASSWORD_VERIFIER`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// The client's public number, in hexadecimal.
    a: String,
    /// Ours that is secret.
    secret: String,
}

/// The client's public number is none that it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidNumber;

impl Verifier {
    /// What is kept of `password` for the user called `user` in a pool. `pool` is the part of its id behind the underscore.
    pub fn new(pool: &str, user: &str, password: &str, rng: &mut impl Rng) -> Verifier {
        let mut salt = [0; 16];
        rng.fill_bytes(&mut salt);
        let salt = BigUint::from_bytes_be(&salt);
        let verifier = BigUint::from(2u8).modpow(&private_key(pool, user, password, &salt), &modulus());
        Verifier { salt: hex(&salt), verifier: hex(&verifier) }
    }

    /// What is shown of somebody who has no password, or does not exist: the same at every try, and no password is right.
    pub fn of_nobody(pool: &str, user: &str) -> Verifier {
        let number = |label: &str| hash_of(&[label.as_bytes(), pool.as_bytes(), &[0], user.as_bytes()]);
        let verifier = BigUint::from(2u8).modpow(&number("verifier"), &modulus());
        Verifier { salt: hex(&(number("salt") >> 128)), verifier: hex(&verifier) }
    }

    /// Whether this is the password.
    pub fn is_of(&self, pool: &str, user: &str, password: &str) -> bool {
        let verifier = BigUint::from(2u8).modpow(&private_key(pool, user, password, &number(&self.salt)), &modulus());
        bool::from(hex(&verifier).as_bytes().ct_eq(self.verifier.as_bytes()))
    }

    /// `SALT` for the client.
    pub fn salt(&self) -> &str {
        &self.salt
    }
}

impl Exchange {
    /// Begins an exchange with the client whose public number is `srp_a`, and tells ours (`SRP_B`).
    ///
    /// # Errors
    ///
    /// When `srp_a` is no hexadecimal number, or 0 modulo the group's prime, with which a client could do without the
    /// password (RFC 5054 §2.5.4).
    pub fn begin(srp_a: &str, verifier: &Verifier, rng: &mut impl Rng) -> Result<(Exchange, String), InvalidNumber> {
        let modulus = modulus();
        let a = BigUint::parse_bytes(srp_a.as_bytes(), 16).ok_or(InvalidNumber)?;
        if srp_a.len() > 2 * N.len() || &a % &modulus == BigUint::ZERO {
            return Err(InvalidNumber);
        }
        let mut secret = [0; 64];
        rng.fill_bytes(&mut secret);
        let exchange = Exchange { a: hex(&a), secret: hex(&BigUint::from_bytes_be(&secret)) };
        let b = hex(&exchange.public_number(verifier));
        Ok((exchange, b))
    }

    /// Whether `signature` (`PASSWORD_CLAIM_SIGNATURE`) proves that the client knows the password, over the octets of
    /// `SECRET_BLOCK` and `TIMESTAMP` as the client sent it.
    pub fn is_proved(
        &self,
        verifier: &Verifier,
        pool: &str,
        user: &str,
        secret_block: &[u8],
        timestamp: &str,
        signature: &str,
    ) -> bool {
        let modulus = modulus();
        let a = number(&self.a);
        let b = self.public_number(verifier);
        let u = hash_of(&[&padded(&a), &padded(&b)]);
        let session = (&a * number(&verifier.verifier).modpow(&u, &modulus)).modpow(&number(&self.secret), &modulus);
        let mut key = [0; 16];
        let expanded =
            Hkdf::<Sha256>::new(Some(&padded(&u)), &padded(&session)).expand(b"Caldera Derived Key", &mut key);
        let (Ok(()), Ok(mut mac), Ok(given)) =
            (expanded, Hmac::<Sha256>::new_from_slice(&key), STANDARD.decode(signature))
        else {
            return false;
        };
        for part in [pool.as_bytes(), user.as_bytes(), secret_block, timestamp.as_bytes()] {
            mac.update(part);
        }
        mac.verify_slice(&given).is_ok()
    }

    fn public_number(&self, verifier: &Verifier) -> BigUint {
        let (modulus, generator) = (modulus(), BigUint::from(2u8));
        let k = hash_of(&[&padded(&modulus), &padded(&generator)]);
        (k * number(&verifier.verifier) + generator.modpow(&number(&self.secret), &modulus)) % modulus
    }
}

fn private_key(pool: &str, user: &str, password: &str, salt: &BigUint) -> BigUint {
    let identity = Sha256::digest(format!("{pool}{user}:{password}"));
    hash_of(&[&padded(salt), &identity])
}

fn modulus() -> BigUint {
    number(N)
}

/// The number that `hex` wrote; none of the texts come from outside.
fn number(hex: &str) -> BigUint {
    BigUint::parse_bytes(hex.as_bytes(), 16).unwrap_or_default()
}

fn hex(number: &BigUint) -> String {
    number.to_str_radix(16)
}

/// Big-endian, with a zero in front where the number would else look negative.
fn padded(number: &BigUint) -> Vec<u8> {
    BigInt::from(number.clone()).to_signed_bytes_be()
}

fn hash_of(parts: &[&[u8]]) -> BigUint {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    BigUint::from_bytes_be(&hash.finalize())
}
