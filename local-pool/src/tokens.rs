//! The tokens of a sign-in, with Cognito's claims: JSON Web Tokens signed with RS256.

use std::fmt;
use std::sync::Arc;

use auth_challenge::challenge::UnixSeconds;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use uuid::Builder;

use crate::pool::PoolConfig;
use crate::users::User;

/// Signs tokens. Cognito signs ID and access tokens with different keys, so that nobody gets away with knowing one.
#[derive(Clone)]
pub struct TokenSigner {
    issuer: String,
    id: Arc<SigningKey>,
    access: Arc<SigningKey>,
}

/// The tokens of one sign-in.
pub(crate) struct Tokens {
    pub(crate) id: String,
    pub(crate) access: String,
    pub(crate) refresh: String,
}

/// The cryptographic library could not make or use a key.
#[derive(Debug)]
pub struct KeyError;

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot make or use an RSA key")
    }
}

impl std::error::Error for KeyError {}

impl From<aws_lc_rs::error::Unspecified> for KeyError {
    fn from(_: aws_lc_rs::error::Unspecified) -> KeyError {
        KeyError
    }
}

impl TokenSigner {
    /// New keys. `issuer` is the URL under which the public ones are found, at `/.well-known/jwks.json`.
    ///
    /// # Errors
    ///
    /// When no key can be made.
    pub fn generate(issuer: String) -> Result<TokenSigner, KeyError> {
        Ok(TokenSigner { issuer, id: Arc::new(SigningKey::generate()?), access: Arc::new(SigningKey::generate()?) })
    }

    /// The public keys as a JSON Web Key Set (RFC 7517 §5).
    pub fn jwks(&self) -> Value {
        let keys = [&self.id, &self.access].map(|key| {
            let public = key.pair.public_key();
            let encode = |number: &[u8]| URL_SAFE_NO_PAD.encode(number);
            json!({
                "kid": key.id, "kty": "RSA", "alg": "RS256", "use": "sig",
                "n": encode(public.modulus().big_endian_without_leading_zero()),
                "e": encode(public.exponent().big_endian_without_leading_zero()),
            })
        });
        json!({ "keys": keys })
    }

    /// The tokens of a sign-in that succeeded at `now`, valid for `validity` seconds.
    pub(crate) fn sign(
        &self,
        config: &PoolConfig,
        user: &User,
        now: UnixSeconds,
        validity: u64,
        rng: &mut impl Rng,
    ) -> Result<Tokens, KeyError> {
        let mut uuid = || {
            let mut octets = [0; 16];
            rng.fill_bytes(&mut octets);
            Builder::from_random_bytes(octets).into_uuid().to_string()
        };
        let common = Map::from_iter(
            [
                ("sub", json!(user.attributes.get("sub"))),
                ("iss", json!(self.issuer)),
                ("origin_jti", json!(uuid())),
                ("event_id", json!(uuid())),
                ("auth_time", json!(now.0)),
                ("iat", json!(now.0)),
                ("exp", json!(now.0.saturating_add(validity))),
            ]
            .map(|(claim, value)| (claim.to_owned(), value)),
        );
        let mut id = common.clone();
        for (name, value) in &user.attributes {
            // Flags are texts in events and flags in tokens; the user's status is in neither token.
            let value = if name.ends_with("_verified") { json!(value == "true") } else { json!(value) };
            if name != "cognito:user_status" {
                id.insert(name.clone(), value);
            }
        }
        let mut add = |claims: &mut Map<String, Value>, particular: Value| {
            claims.insert("jti".to_owned(), json!(uuid()));
            if let Value::Object(particular) = particular {
                claims.extend(particular);
            }
        };
        add(&mut id, json!({"aud": config.client_id, "token_use": "id", "cognito:username": user.username}));
        let mut access = common;
        let scope = "aws.cognito.signin.user.admin";
        add(
            &mut access,
            json!({"client_id": config.client_id, "token_use": "access", "scope": scope, "username": user.username}),
        );
        let mut refresh = [0; 512];
        rng.fill_bytes(&mut refresh);
        Ok(Tokens {
            id: self.id.sign(&id)?,
            access: self.access.sign(&access)?,
            refresh: URL_SAFE_NO_PAD.encode(refresh),
        })
    }
}

struct SigningKey {
    id: String,
    pair: KeyPair,
}

impl SigningKey {
    fn generate() -> Result<SigningKey, KeyError> {
        let pair = KeyPair::generate(KeySize::Rsa2048)?;
        // Different for each key, so that nobody takes a key of an earlier run for this one.
        let id = URL_SAFE_NO_PAD.encode(Sha256::digest(pair.public_key().as_ref()));
        Ok(SigningKey { id, pair })
    }

    /// A JSON Web Signature in compact form (RFC 7515 §7.1).
    fn sign(&self, claims: &Map<String, Value>) -> Result<String, KeyError> {
        let encode = |part: String| URL_SAFE_NO_PAD.encode(part);
        let header = json!({"kid": self.id, "alg": "RS256"}).to_string();
        let signed = format!("{}.{}", encode(header), encode(Value::from(claims.clone()).to_string()));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
