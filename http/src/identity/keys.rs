//! The signing key, made on the first start, and the keys that tokens are verified with.
//!
//! `<data>/keys/signing.pem` signs; every other `*.pem` in the folder (a former `signing.pem` renamed, or another
//! issuer's public key) only verifies. To rotate: rename `signing.pem`, restart; delete the old file once its tokens
//! have expired. A key's id (`kid`) is the start of its fingerprint.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, spki::der::pem::LineEnding};
use ed25519_dalek::{SigningKey, VerifyingKey};
use jsonwebtoken::errors::ErrorKind as JwtError;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rand::TryRngCore;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{ISSUER, Identity, TOKEN_BYTES, TokenError};

/// Clocks may differ by this much.
const LEEWAY: Duration = Duration::from_secs(30);
/// Verified tokens that are remembered; all are forgotten when there are more.
const REMEMBERED: usize = 4096;
const SIGNING: &str = "signing.pem";

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("{path}: {source}", path = path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path}: not an Ed25519 key in PEM (PKCS#8 `PRIVATE KEY`, or `PUBLIC KEY`)", path = path.display())]
    NotAKey { path: PathBuf },
    #[error("{path}: others may read this key; `chmod 600` it, and make a new one if they may have", path = path.display())]
    Exposed { path: PathBuf },
    #[error("the system gives no random numbers: {0}")]
    Random(String),
    #[error("the token cannot be signed: {0}")]
    Sign(String),
}

/// The keys of an installation; cheap to clone.
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    signing: EncodingKey,
    signing_id: String,
    /// By `kid`.
    verifying: HashMap<String, DecodingKey>,
    validation: Validation,
    /// By the token's SHA-256.
    verified: Mutex<HashMap<[u8; 32], Verified>>,
}

struct Verified {
    identity: Identity,
    /// Seconds since 1970.
    expires: u64,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    iss: String,
    aud: Audience,
    exp: u64,
    nbf: Option<u64>,
    iat: Option<u64>,
    #[serde(default)]
    roles: Vec<String>,
}

/// RFC 7519: one audience or several. jsonwebtoken checks it; it is only carried here.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Keys {
    /// Opens the folder of keys, and makes it and the signing key where there is none. Two processes that start at once
    /// end up with the same key.
    pub fn load_or_create(dir: &Path) -> Result<Self, KeyError> {
        fs::create_dir_all(dir).map_err(|source| KeyError::Io { path: dir.to_owned(), source })?;
        let path = dir.join(SIGNING);
        if !path.exists() {
            create(dir, &path)?;
        }
        let signing = read_private(&path)?;
        let mut verifying = HashMap::new();
        for path in pem_files(dir)? {
            let key = if path.ends_with(SIGNING) { signing.verifying_key() } else { read_verifying(&path)? };
            verifying.insert(key_id(&key), DecodingKey::from_ed_der(key.as_bytes()));
        }
        verifying
            .insert(key_id(&signing.verifying_key()), DecodingKey::from_ed_der(signing.verifying_key().as_bytes()));
        Self::new(&signing, verifying)
    }

    /// Keys that live as long as the process: for tests.
    pub fn ephemeral() -> Result<Self, KeyError> {
        let signing = generate()?;
        let public = signing.verifying_key();
        Self::new(&signing, HashMap::from([(key_id(&public), DecodingKey::from_ed_der(public.as_bytes()))]))
    }

    fn new(signing: &SigningKey, verifying: HashMap<String, DecodingKey>) -> Result<Self, KeyError> {
        let der = signing.to_pkcs8_der().map_err(|error| KeyError::Sign(error.to_string()))?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = LEEWAY.as_secs();
        validation.validate_nbf = true;
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        Ok(Self(Arc::new(Inner {
            signing: EncodingKey::from_ed_der(der.as_bytes()),
            signing_id: key_id(&signing.verifying_key()),
            verifying,
            validation,
            verified: Mutex::new(HashMap::new()),
        })))
    }

    /// A token that says `sub` with these roles, for `ttl` from now.
    pub fn sign(&self, sub: &str, roles: &[String], ttl: Duration) -> Result<String, KeyError> {
        let now = now_s();
        let claims = Claims {
            sub: sub.to_owned(),
            iss: ISSUER.to_owned(),
            aud: Audience::One(ISSUER.to_owned()),
            exp: now.saturating_add(ttl.as_secs()),
            nbf: Some(now),
            iat: Some(now),
            roles: roles.to_vec(),
        };
        let header = Header { kid: Some(self.0.signing_id.clone()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, &claims, &self.0.signing).map_err(|error| KeyError::Sign(error.to_string()))
    }

    /// Who the token says, if it holds.
    pub fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        if token.len() > TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let digest: [u8; 32] = Sha256::digest(token).into();
        if let Some(identity) = self.remembered(&digest) {
            return Ok(identity);
        }
        let claims = self.check(token)?;
        let identity = Identity { sub: claims.sub, roles: claims.roles };
        let mut verified = self.0.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.len() >= REMEMBERED {
            verified.clear();
        }
        verified.insert(digest, Verified { identity: identity.clone(), expires: claims.exp });
        Ok(identity)
    }

    fn remembered(&self, digest: &[u8; 32]) -> Option<Identity> {
        let mut verified = self.0.verified.lock().unwrap_or_else(PoisonError::into_inner);
        let known = verified.get(digest)?;
        if known.expires.saturating_add(LEEWAY.as_secs()) > now_s() {
            return Some(known.identity.clone());
        }
        verified.remove(digest);
        None
    }

    fn check(&self, token: &str) -> Result<Claims, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
        let key = match &header.kid {
            Some(kid) => self.0.verifying.get(kid),
            None => self.0.verifying.get(&self.0.signing_id),
        };
        let key = key.ok_or(TokenError::UnknownKey)?;
        match jsonwebtoken::decode::<Claims>(token, key, &self.0.validation) {
            Ok(token) if token.claims.sub.is_empty() => Err(TokenError::Malformed),
            Ok(token) => Ok(token.claims),
            Err(error) => Err(match error.kind() {
                JwtError::ExpiredSignature => TokenError::Expired,
                JwtError::ImmatureSignature => TokenError::NotYet,
                JwtError::InvalidIssuer | JwtError::InvalidAudience => TokenError::NotForUs,
                JwtError::InvalidSignature => TokenError::Signature,
                _ => TokenError::Malformed,
            }),
        }
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("signing_id", &self.0.signing_id).finish_non_exhaustive()
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The first 16 hexadecimal digits of the public key's SHA-256.
fn key_id(key: &VerifyingKey) -> String {
    Sha256::digest(key.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn generate() -> Result<SigningKey, KeyError> {
    let mut seed = [0u8; 32];
    rand::rngs::OsRng.try_fill_bytes(&mut seed).map_err(|error| KeyError::Random(error.to_string()))?;
    Ok(SigningKey::from_bytes(&seed))
}

/// Writes the key to a file of its own, whole and synced, and then links it to its name: a link never replaces, so of two
/// processes one wins and both read what it wrote.
fn create(dir: &Path, path: &Path) -> Result<(), KeyError> {
    let pem = generate()?.to_pkcs8_pem(LineEnding::LF).map_err(|error| KeyError::Sign(error.to_string()))?;
    let draft = dir.join(format!(".signing.{}.{}", std::process::id(), uuid::Uuid::new_v4()));
    let written = write_private(&draft, pem.as_bytes()).and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    // Best effort: a draft that stays behind is no key (its name does not end in .pem).
    let _ = fs::remove_file(&draft);
    written.map_err(|source| KeyError::Io { path: path.to_owned(), source })
}

fn write_private(path: &Path, contents: &[u8]) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(contents)?;
    file.sync_all()
}

fn pem_files(dir: &Path) -> Result<Vec<PathBuf>, KeyError> {
    let io = |source| KeyError::Io { path: dir.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|extension| extension == "pem") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<SecretString, KeyError> {
    fs::read_to_string(path).map(SecretString::from).map_err(|source| match source.kind() {
        ErrorKind::InvalidData => KeyError::NotAKey { path: path.to_owned() },
        _ => KeyError::Io { path: path.to_owned(), source },
    })
}

fn read_private(path: &Path) -> Result<SigningKey, KeyError> {
    refuse_exposed(path)?;
    let pem = read(path)?;
    SigningKey::from_pkcs8_pem(pem.expose_secret()).map_err(|_| KeyError::NotAKey { path: path.to_owned() })
}

fn read_verifying(path: &Path) -> Result<VerifyingKey, KeyError> {
    let pem = read(path)?;
    VerifyingKey::from_public_key_pem(pem.expose_secret()).or_else(|_| Ok(read_private(path)?.verifying_key()))
}

/// A private key that others can read is no secret: refused, as ssh does.
fn refuse_exposed(path: &Path) -> Result<(), KeyError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let metadata = fs::metadata(path).map_err(|source| KeyError::Io { path: path.to_owned(), source })?;
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(KeyError::Exposed { path: path.to_owned() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
