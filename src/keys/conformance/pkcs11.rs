//! PKCS#11 tokens: what only they can be asked for.

use std::{path::Path, sync::Arc};

use cryptoki::{
    mechanism::{
        Mechanism,
        elliptic_curve::{EcKdf, Ecdh1DeriveParams},
    },
    object::{Attribute, AttributeType, KeyType, ObjectClass},
    session::Session,
};
use policy::KeyAlgorithm;

use super::{
    Subject, facts,
    report::{Notes, Outcome},
};
use crate::{
    admin::Credentials,
    device::{Backend, TokenIdentity},
    key::{KeyId, PublicKey},
    profile::{Limit, NoLimit, PointEncoding, PrehashLength, Profile},
    protocol::{Failure, SignInput},
    token::{self, Access, Login, SignFault, Token, TokenKey, failure},
};

/// How many sessions a key child opens at most, and the anchor.
const SESSIONS: u16 = 65;
/// Digests of these lengths are handed to the device, none of which Strongroom ever does.
const DIGESTS: [usize; 6] = [1, 20, 31, 33, 48, 64];

/// A session of a token that is logged in to.
pub(super) struct Logged<'a> {
    credentials: &'a Credentials,
    token: Arc<Token>,
    session: Session,
}

impl<'a> Logged<'a> {
    /// Loads the module, holds the token to its profile, and logs in, once.
    pub(super) fn in_to(credentials: &'a Credentials) -> Result<Self, Failure> {
        // A keystore is not asked by PKCS#11.
        let Backend::Module(path) = &credentials.backend else {
            return Err(Failure::Unsupported);
        };
        let module = token::load(Path::new(path.as_str()))?;
        let token = Token::select(module, &credentials.token, credentials.profile.clone())?;
        let session = token.open(Access::ReadWrite)?;
        if let Err(failure) = Login::new(&credentials.pin).ensure(&session) {
            drop(session);
            // The failure to log in is what matters.
            let _ = token.finalize();
            return Err(failure);
        }
        let token = Arc::new(token);
        Ok(Self {
            credentials,
            token,
            session,
        })
    }

    pub(super) fn identity(&self) -> &TokenIdentity {
        self.token.identity()
    }

    /// Logs out and finalises the module.
    pub(super) fn close(self) -> Result<(), Failure> {
        self.session.close().map_err(|error| failure(&error))?;
        let token = Arc::try_unwrap(self.token).map_err(|_| Failure::OutOfOrder)?;
        token.finalize()
    }
}

impl Subject for Logged<'_> {
    type Key = TokenKey;

    fn generate(&self, key: &KeyId, algorithm: KeyAlgorithm) -> Result<TokenKey, Failure> {
        let mut profile = self.token.profile().clone();
        profile.algorithms = profile.algorithms.with(algorithm);
        token::generate(&self.session, key, algorithm, &profile)
    }

    fn find(&self, key: &KeyId) -> Result<TokenKey, Failure> {
        token::find(&self.session, key, self.token.profile())
    }

    fn public(key: &TokenKey) -> PublicKey {
        key.description.public
    }

    fn sign(&self, key: &TokenKey, input: &SignInput) -> Result<Vec<u8>, Failure> {
        match token::sign(&self.session, key, input) {
            Ok(raw) => Ok(raw.as_bytes().to_vec()),
            Err(SignFault::Stale) => Err(Failure::SessionLost),
            Err(SignFault::Failed(failure)) => Err(failure),
        }
    }

    fn destroy(&self, key: &KeyId) -> Result<(), Failure> {
        token::destroy(&self.session, key, self.token.profile())
    }

    fn beside(&self) -> Result<Self, Failure> {
        Ok(Self {
            credentials: self.credentials,
            token: Arc::clone(&self.token),
            session: self.token.open(Access::ReadOnly)?,
        })
    }

    fn try_further(&self, key: &TokenKey, profile: &Profile, notes: &mut Notes) {
        let algorithm = key.description.public.algorithm();
        let mut case = |what: &str, outcome| notes.case(format!("{algorithm} {what}"), outcome);
        case("secret unreadable", self.secret(key));
        case("no attribute changed", self.changed(key));
        case("no copy", self.copied(key));
        case("not wrapped", self.wrapped(key));
        case("no other mechanism", self.other_mechanism(key));
        if algorithm == KeyAlgorithm::Secp256k1 {
            case("nothing derived", self.derived(key));
            self.digests(key, profile, notes);
        }
        self.point(key, profile, notes);
    }

    fn reopened(self) -> Result<Self, Failure> {
        let credentials = self.credentials;
        self.close()?;
        Self::in_to(credentials)
    }
}

/// What must be refused.
fn must_refuse<T>(tried: Result<T, cryptoki::error::Error>, otherwise: &str) -> Outcome {
    match tried {
        Err(error) => Outcome::Passed(failure(&error).to_string()),
        Ok(_) => Outcome::Failed(otherwise.to_owned()),
    }
}

impl Logged<'_> {
    fn secret(&self, key: &TokenKey) -> Outcome {
        match self
            .session
            .get_attributes(key.handle(), &[AttributeType::Value])
        {
            Err(error) => Outcome::Passed(failure(&error).to_string()),
            Ok(read) if read.is_empty() => Outcome::Passed("CKA_VALUE is not said".to_owned()),
            Ok(_) => Outcome::Failed("CKA_VALUE was read".to_owned()),
        }
    }

    fn changed(&self, key: &TokenKey) -> Outcome {
        let changes = [
            Attribute::Derive(true),
            Attribute::Extractable(true),
            Attribute::Sensitive(false),
        ];
        for change in changes {
            // Some modules answer that they did what they did not: what counts is what is read back.
            let _answer = self.session.update_attributes(key.handle(), &[change]);
        }
        match self.find(&key.description.key) {
            Ok(_) => Outcome::Passed("each is read back as it was".to_owned()),
            Err(failure) => Outcome::Failed(failure.to_string()),
        }
    }

    fn copied(&self, key: &TokenKey) -> Outcome {
        let template = [
            Attribute::Token(false),
            Attribute::Extractable(true),
            Attribute::Derive(true),
        ];
        must_refuse(
            self.session.copy_object(key.handle(), &template),
            "it was copied, and the copy can be extracted",
        )
    }

    fn wrapped(&self, key: &TokenKey) -> Outcome {
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Token(false),
            Attribute::ValueLen(32.into()),
            Attribute::Wrap(true),
        ];
        let wrapping = match self.session.generate_key(&Mechanism::AesKeyGen, &template) {
            Ok(wrapping) => wrapping,
            Err(error) => {
                return Outcome::NotTried(format!("no key to wrap with: {}", failure(&error)));
            }
        };
        let by = [
            Mechanism::AesKeyWrapPad,
            Mechanism::AesKeyWrap,
            Mechanism::AesCbcPad([0; 16]),
        ];
        let tried = by.map(|by| self.session.wrap_key(&by, wrapping, key.handle()));
        let _gone = self.session.destroy_object(wrapping);
        if tried.iter().any(Result::is_ok) {
            return Outcome::Failed("it was wrapped by a key of the caller's".to_owned());
        }
        let known = |why: &Failure| *why != Failure::Unsupported;
        let mut why = tried
            .into_iter()
            .filter_map(Result::err)
            .map(|error| failure(&error));
        match why.find(known) {
            Some(why) => Outcome::Passed(why.to_string()),
            None => Outcome::NotTried("it wraps by no mechanism that is known here".to_owned()),
        }
    }

    fn other_mechanism(&self, key: &TokenKey) -> Outcome {
        let other = match key.description.public.algorithm() {
            KeyAlgorithm::Secp256k1 => Mechanism::EcdsaSha256,
            KeyAlgorithm::Ed25519 | KeyAlgorithm::Bip340 => Mechanism::Ecdsa,
        };
        let signed = self.session.sign(&other, key.handle(), &[0; 32]);
        must_refuse(
            signed,
            "it signs by a mechanism that CKA_ALLOWED_MECHANISMS has not",
        )
    }

    /// The key's own point serves as the other side's.
    fn derived(&self, key: &TokenKey) -> Outcome {
        let point = match key.description.public {
            PublicKey::Secp256k1(point) => point.to_vec(),
            PublicKey::Ed25519(_) | PublicKey::Bip340(_) => {
                return Outcome::NotTried("no such curve".to_owned());
            }
        };
        let parameters = Ecdh1DeriveParams::new(EcKdf::null(), &point);
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::GENERIC_SECRET),
            Attribute::ValueLen(32.into()),
            Attribute::Sensitive(false),
            Attribute::Extractable(true),
            Attribute::Token(false),
        ];
        let mechanism = Mechanism::Ecdh1Derive(parameters);
        let derived = self.session.derive_key(&mechanism, key.handle(), &template);
        must_refuse(derived, "a shared secret was derived")
    }

    fn digests(&self, key: &TokenKey, profile: &Profile, notes: &mut Notes) {
        let taken: Vec<_> = DIGESTS
            .into_iter()
            .filter(|bytes| {
                let digest = vec![0x5a; *bytes];
                (self.session.sign(&Mechanism::Ecdsa, key.handle(), &digest)).is_ok()
            })
            .collect();
        let (value, how) = match taken.as_slice() {
            [] => (PrehashLength::Enforced, String::new()),
            taken => (
                PrehashLength::NotEnforced,
                format!("it signs {taken:?} bytes"),
            ),
        };
        let fact = &profile.prehash_length;
        facts::seen("prehash_length", fact, &value, &how, notes);
    }

    fn point(&self, key: &TokenKey, profile: &Profile, notes: &mut Notes) {
        let read = token::public_point(&self.session, &key.description.key);
        let value = match (read, key.description.public) {
            (Ok(point), PublicKey::Secp256k1(_)) if point.len() == 65 => PointEncoding::Raw,
            (Ok(point), PublicKey::Ed25519(_)) if point.len() == 32 => PointEncoding::Raw,
            (Ok(_), _) => PointEncoding::DerOctetString,
            (Err(_), _) => PointEncoding::Unknown,
        };
        facts::seen("point_encoding", &profile.point_encoding, &value, "", notes);
    }
}

/// Opens as many sessions as are ever needed, or as there can be.
pub(super) fn try_sessions(token: &Logged<'_>, profile: &Profile, notes: &mut Notes) {
    let mut open = Vec::new();
    let refused = (1..SESSIONS).find_map(|_| match token.beside() {
        Ok(session) => {
            open.push(session);
            None
        }
        Err(failure) => Some(failure),
    });
    // The first one is the caller's.
    let count = u32::try_from(open.len())
        .unwrap_or(u32::MAX)
        .saturating_add(1);
    let (value, how) = match refused {
        None => (Limit::Word(NoLimit::None), format!("{count} were open")),
        Some(failure) => (Limit::At(count), format!("the next one: {failure}")),
    };
    facts::seen("sessions_max", &profile.sessions_max, &value, &how, notes);
}
