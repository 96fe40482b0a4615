//! The tokens of a sign-in, with Cognito's claims: JSON Web Tokens signed with RS256.

use std::fmt;
use std::sync::Arc;

use auth_challenge::challenge::UnixSeconds;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use uuid::Builder;

use crate::settings::{ClientSettings, TokenKind};
use crate::trigger::{ClaimChanges, Groups, TokenChanges};
use crate::users::{User, is_verification};

/// Signs tokens. Cognito signs ID and access tokens with different keys, so that nobody gets away with knowing one.
#[derive(Clone)]
pub struct TokenSigner {
    issuer: String,
    id: Arc<SigningKey>,
    access: Arc<SigningKey>,
}

/// Which sign-in tokens come from. Refreshed tokens share it with those that they replace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// `origin_jti`.
    pub(crate) jti: String,
    /// `auth_time`.
    pub(crate) auth_time: u64,
    /// The user's epoch then.
    pub(crate) epoch: u64,
}

/// What an access token says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccessToken {
    pub(crate) username: String,
    pub(crate) origin_jti: Option<String>,
    pub(crate) event_id: String,
    /// `exp`.
    pub(crate) expires_at: u64,
    /// Whether it serves for the user pool API.
    pub(crate) has_scope: bool,
}

/// The scope of access tokens that come from the API.
const SCOPE: &str = "aws.cognito.signin.user.admin";

/// Claims that no trigger can change, because clients rely on them.
const FIXED_CLAIMS: [&str; 20] = [
    "acr",
    "amr",
    "at_hash",
    "aud",
    "auth_time",
    "azp",
    "client_id",
    "cognito:username",
    "event_id",
    "exp",
    "iat",
    "identities",
    "iss",
    "jti",
    "nbf",
    "nonce",
    "origin_jti",
    "sub",
    "token_use",
    "username",
];

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

    /// The private keys, for [`from_pkcs8`](Self::from_pkcs8): that of ID tokens and that of access tokens.
    ///
    /// # Errors
    ///
    /// When the library does not give them.
    pub fn to_pkcs8(&self) -> Result<[Vec<u8>; 2], KeyError> {
        Ok([self.id.to_pkcs8()?, self.access.to_pkcs8()?])
    }

    /// Keys of an earlier run.
    ///
    /// # Errors
    ///
    /// When they are none.
    pub fn from_pkcs8(issuer: String, [id, access]: [&[u8]; 2]) -> Result<TokenSigner, KeyError> {
        let key = |der| KeyPair::from_pkcs8(der).map(SigningKey::new).map(Arc::new).map_err(|_| KeyError);
        Ok(TokenSigner { issuer, id: key(id)?, access: key(access)? })
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

    /// The ID and access token of a sign-in, issued at `now` in the course of `event_id`.
    pub(crate) fn sign(
        &self,
        client: &ClientSettings,
        user: &User,
        (origin, event_id): (&Origin, &str),
        changes: &TokenChanges,
        now: UnixSeconds,
        rng: &mut impl Rng,
    ) -> Result<(String, String), KeyError> {
        let groups =
            changes.groups.clone().unwrap_or_else(|| Groups { names: user.groups.clone(), ..Groups::default() });
        let mut common = |kind, token_use: &str| {
            let mut claims = claims(json!({
                "sub": user.attributes.get("sub"),
                "iss": self.issuer,
                "event_id": event_id,
                "auth_time": origin.auth_time,
                "iat": now.0,
                "exp": now.0.saturating_add(client.validity(kind)),
                "jti": uuid(rng),
                "token_use": token_use,
            }));
            if client.revokes_tokens() {
                claims.insert("origin_jti".to_owned(), json!(origin.jti));
            }
            if !groups.names.is_empty() {
                claims.insert("cognito:groups".to_owned(), json!(groups.names));
            }
            claims
        };

        // Attributes first: what tokens say for themselves is not for users to choose.
        let mut id = Map::new();
        for (name, value) in &user.attributes {
            let value = if is_verification(name) { json!(value == "true") } else { json!(value) };
            id.insert(name.clone(), value);
        }
        id.extend(common(TokenKind::Id, "id"));
        id.extend(claims(json!({"aud": client.client_id(), "cognito:username": user.username})));
        if !groups.roles.is_empty() {
            id.insert("cognito:roles".to_owned(), json!(groups.roles));
        }
        if let Some(role) = &groups.preferred_role {
            id.insert("cognito:preferred_role".to_owned(), json!(role));
        }
        change(&mut id, &changes.id);

        let mut access = common(TokenKind::Access, "access");
        let scopes: Vec<&str> = std::iter::once(SCOPE)
            .chain(changes.scopes_to_add.iter().map(String::as_str))
            .filter(|scope| !changes.scopes_to_suppress.iter().any(|suppressed| suppressed == scope))
            .collect();
        access.extend(claims(json!({
            "client_id": client.client_id(), "username": user.username, "scope": scopes.join(" "),
        })));
        change(&mut access, &changes.access);
        Ok((self.id.sign(&id)?, self.access.sign(&access)?))
    }

    /// Whether we signed this: it is an ID or access token.
    pub(crate) fn has_signed(&self, token: &str) -> bool {
        self.id.open(token).is_some() || self.access.open(token).is_some()
    }

    /// Reads an access token of ours.
    pub(crate) fn read_access_token(&self, token: &str) -> Option<AccessToken> {
        let claims = self.access.open(token)?;
        let text = |claim: &str| claims[claim].as_str().map(ToOwned::to_owned);
        let is_ours = claims["token_use"] == "access" && claims["iss"] == self.issuer.as_str();
        let scopes = text("scope").unwrap_or_default();
        is_ours.then_some(AccessToken {
            username: text("username")?,
            origin_jti: text("origin_jti"),
            event_id: text("event_id")?,
            expires_at: claims["exp"].as_u64()?,
            has_scope: scopes.split(' ').any(|scope| scope == SCOPE),
        })
    }
}

/// A random UUID.
pub(crate) fn uuid(rng: &mut impl Rng) -> String {
    let mut octets = [0; 16];
    rng.fill_bytes(&mut octets);
    Builder::from_random_bytes(octets).into_uuid().to_string()
}

fn claims(claims: Value) -> Map<String, Value> {
    claims.as_object().cloned().unwrap_or_default()
}

fn change(claims: &mut Map<String, Value>, changes: &ClaimChanges) {
    let may_change = |claim: &String| !FIXED_CLAIMS.contains(&claim.as_str());
    let added = changes.add.iter().filter(|(claim, _)| may_change(claim));
    claims.extend(added.map(|(claim, value)| (claim.clone(), value.clone())));
    // Last: AWS's guide says that a claim that is both suppressed and replaced is suppressed.
    claims.retain(|claim, _| !(may_change(claim) && changes.suppress.contains(claim)));
}

struct SigningKey {
    id: String,
    pair: KeyPair,
}

impl SigningKey {
    fn generate() -> Result<SigningKey, KeyError> {
        Ok(SigningKey::new(KeyPair::generate(KeySize::Rsa2048)?))
    }

    fn new(pair: KeyPair) -> SigningKey {
        // Different for each key, so that nobody takes a key of an earlier run for this one.
        let id = URL_SAFE_NO_PAD.encode(Sha256::digest(pair.public_key().as_ref()));
        SigningKey { id, pair }
    }

    fn to_pkcs8(&self) -> Result<Vec<u8>, KeyError> {
        Ok(self.pair.as_der()?.as_ref().to_vec())
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

    /// The claims of a text that [`sign`](Self::sign) made. The header cannot choose how it is checked.
    fn open(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (_, claims) = signed.split_once('.')?;
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.pair.public_key().as_ref());
        key.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }
}
