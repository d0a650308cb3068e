//! What a passkey's device and the browser say, read strictly (WebAuthn level 3, 6.1 and 7.2).

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::{ApprovalPage, Passkey, key::decoded};

/// A passkey's assertion, each part in base64url without padding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    /// What the device signed first: the page's hash, flags and a counter, 37 bytes.
    pub authenticator_data: String,
    /// What the browser says of the page and the challenge, JSON.
    pub client_data: String,
    /// The signature over the first and the hash of the second.
    pub signature: String,
}

/// Why an assertion counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AssertionError {
    /// A part is no base64url, or too long.
    #[error("{part} is no base64url without padding, or too long")]
    Encoding {
        /// Which.
        part: &'static str,
    },
    /// The device's part has another length: an extension, a new key, or something else behind it.
    #[error("the authenticator data has {found} bytes, not {LENGTH}")]
    Length {
        /// How many.
        found: usize,
    },
    /// A flag is set that no assertion for the page has, or one without that which it rests on.
    #[error("the authenticator data has flags {flags:#04x}, of which some are not taken")]
    Flags {
        /// All of them.
        flags: u8,
    },
    /// The key was made for another relying party.
    #[error("the passkey is of another relying party than the approval page")]
    RelyingParty,
    /// Nobody touched the device.
    #[error("nobody confirmed the passkey's use")]
    NotPresent,
    /// Nobody gave their PIN, finger or face.
    #[error("the passkey's device did not verify who uses it")]
    NotVerified,
    /// What the browser says is not read.
    #[error("the client data is no JSON object of type, challenge and origin")]
    ClientData,
    /// It is about something else than using a passkey.
    #[error("the client data is of another type than webauthn.get")]
    Type,
    /// It is about another text.
    #[error("the challenge is not the hash of the statement")]
    Challenge,
    /// It was asked for by another page.
    #[error("the passkey was asked for by another page than the approval page")]
    Origin,
    /// The page was in a frame of another one.
    #[error("the passkey was asked for in a frame of another page")]
    CrossOrigin,
}

/// An assertion that is about the text and of the page; whose it is, is asked of it.
#[derive(Debug)]
#[must_use]
pub struct Answered {
    signed: Vec<u8>,
    signature: Vec<u8>,
}

/// The length of the authenticator data of an assertion without extensions: hash, flags, counter.
const LENGTH: usize = 37;
/// A browser's object has about 200 bytes beside the origin.
const CLIENT_DATA_BYTES_MAX: usize = 2_048;
/// Of ES256 in DER at the most.
const SIGNATURE_BYTES_MAX: usize = 72;

const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
/// The key may be copied to other devices, and is.
const BACKUP_ELIGIBLE: u8 = 0x08;
const BACKED_UP: u8 = 0x10;

/// What is read of the browser's part. Others may stand beside it: browsers add some to keep programs from
/// comparing the whole.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
    top_origin: Option<IgnoredAny>,
}

impl Assertion {
    /// The challenge for a text: the SHA-256 of it, in base64url.
    pub fn challenge(text: &str) -> String {
        Base64UrlUnpadded::encode_string(&Sha256::digest(text))
    }

    /// The assertion, if it is about this text and was asked for by this page. The counter is not looked at: it
    /// shows copies of a device to a service that keeps it, and a copy of a key is not told by it. What an
    /// assertion can be used for is bounded by the text.
    ///
    /// # Errors
    /// [`AssertionError`].
    pub fn answers(&self, text: &str, page: &ApprovalPage) -> Result<Answered, AssertionError> {
        let authenticator_data = part("authenticator_data", &self.authenticator_data, 64)?;
        let client_data = part("client_data", &self.client_data, CLIENT_DATA_BYTES_MAX)?;
        let signature = part("signature", &self.signature, SIGNATURE_BYTES_MAX)?;
        of_device(&authenticator_data, page)?;
        of_browser(&client_data, text, page)?;
        let mut signed = authenticator_data;
        signed.extend_from_slice(&Sha256::digest(&client_data));
        Ok(Answered { signed, signature })
    }
}

impl Answered {
    /// Whether this key made it.
    pub fn is_by(&self, key: &Passkey) -> bool {
        key.signed(&self.signed, &self.signature)
    }
}

fn part(part: &'static str, text: &str, bytes_max: usize) -> Result<Vec<u8>, AssertionError> {
    // Four characters for three bytes: what is longer is not even decoded.
    let fits = text.len() <= bytes_max.saturating_mul(4).div_ceil(3);
    let bytes = fits.then(|| decoded(text)).flatten();
    bytes.ok_or(AssertionError::Encoding { part })
}

fn of_device(data: &[u8], page: &ApprovalPage) -> Result<(), AssertionError> {
    let found = data.len();
    let data: &[u8; LENGTH] = data
        .try_into()
        .map_err(|_| AssertionError::Length { found })?;
    let [hash @ .., flags, _, _, _, _] = data;
    if *hash != <[u8; 32]>::from(Sha256::digest(page.rp_id())) {
        return Err(AssertionError::RelyingParty);
    }
    let is_set = |flag: u8| flags & flag != 0;
    let known = USER_PRESENT | USER_VERIFIED | BACKUP_ELIGIBLE | BACKED_UP;
    if is_set(!known) || (is_set(BACKED_UP) && !is_set(BACKUP_ELIGIBLE)) {
        return Err(AssertionError::Flags { flags: *flags });
    }
    if !is_set(USER_PRESENT) {
        return Err(AssertionError::NotPresent);
    }
    match is_set(USER_VERIFIED) {
        true => Ok(()),
        false => Err(AssertionError::NotVerified),
    }
}

fn of_browser(data: &[u8], text: &str, page: &ApprovalPage) -> Result<(), AssertionError> {
    // An array of the same values would be read as the object.
    if data.first() != Some(&b'{') {
        return Err(AssertionError::ClientData);
    }
    let data: ClientData = serde_json::from_slice(data).map_err(|_| AssertionError::ClientData)?;
    if data.r#type != "webauthn.get" {
        return Err(AssertionError::Type);
    }
    if data.challenge != Assertion::challenge(text) {
        return Err(AssertionError::Challenge);
    }
    if data.origin != page.origin() {
        return Err(AssertionError::Origin);
    }
    match data.cross_origin || data.top_origin.is_some() {
        true => Err(AssertionError::CrossOrigin),
        false => Ok(()),
    }
}
