//! What a key on a token must be. Every attribute is set explicitly at generation and read back
//! each time a key is found: defaults differ between modules, and some are dangerous.

use cryptoki::{
    mechanism::MechanismType,
    object::{Attribute, AttributeType, KeyType, ObjectHandle},
    session::Session,
};

use super::{
    failure,
    point::{self, Curve},
};
use crate::{
    device::{Essentials, Quirks},
    protocol::{Failure, Found, KeyAttribute},
};

/// An attribute that is true or false.
struct Flag {
    name: KeyAttribute,
    attribute: fn(bool) -> Attribute,
    must_be: bool,
    /// Whether a template may have it: the device itself keeps the history of a key.
    given: Given,
}

#[derive(PartialEq, Eq)]
enum Given {
    InTemplate,
    ByDevice,
}

const fn set(name: KeyAttribute, attribute: fn(bool) -> Attribute, must_be: bool) -> Flag {
    let given = Given::InTemplate;
    Flag {
        name,
        attribute,
        must_be,
        given,
    }
}

const fn kept(name: KeyAttribute, attribute: fn(bool) -> Attribute, must_be: bool) -> Flag {
    let given = Given::ByDevice;
    Flag {
        name,
        attribute,
        must_be,
        given,
    }
}

/// Every flag of a private key. A key that can be modified or copied could be made to derive, and a
/// derivation with chosen points gives the key away.
static PRIVATE: [Flag; 15] = [
    set(KeyAttribute::Token, Attribute::Token, true),
    set(KeyAttribute::Private, Attribute::Private, true),
    set(KeyAttribute::Sensitive, Attribute::Sensitive, true),
    set(KeyAttribute::Extractable, Attribute::Extractable, false),
    set(KeyAttribute::Modifiable, Attribute::Modifiable, false),
    set(KeyAttribute::Copyable, Attribute::Copyable, false),
    set(KeyAttribute::Sign, Attribute::Sign, true),
    set(KeyAttribute::SignRecover, Attribute::SignRecover, false),
    set(KeyAttribute::Decrypt, Attribute::Decrypt, false),
    set(KeyAttribute::Unwrap, Attribute::Unwrap, false),
    set(KeyAttribute::Derive, Attribute::Derive, false),
    set(
        KeyAttribute::AlwaysAuthenticate,
        Attribute::AlwaysAuthenticate,
        false,
    ),
    kept(
        KeyAttribute::AlwaysSensitive,
        Attribute::AlwaysSensitive,
        true,
    ),
    kept(
        KeyAttribute::NeverExtractable,
        Attribute::NeverExtractable,
        true,
    ),
    kept(KeyAttribute::Local, Attribute::Local, true),
];

impl Flag {
    fn kind(&self) -> AttributeType {
        (self.attribute)(true).attribute_type()
    }

    /// Whether what the module says of it means anything.
    fn is_meant(&self, profile: &Essentials) -> bool {
        let unless = match self.name {
            KeyAttribute::Copyable => Quirks::NO_COPYABLE,
            KeyAttribute::Derive => Quirks::SAYS_DERIVE,
            KeyAttribute::Local => Quirks::SAYS_NOT_LOCAL,
            _ => return true,
        };
        !profile.quirks.contains(unless)
    }
}

/// The PKCS#11 type of a key on this curve.
pub(super) fn key_type(curve: Curve) -> KeyType {
    match curve {
        Curve::Secp256k1 => KeyType::EC,
        Curve::Edwards25519 => KeyType::EC_EDWARDS,
    }
}

/// The one mechanism that a key on this curve may be used with.
pub(super) fn mechanism(curve: Curve) -> MechanismType {
    match curve {
        Curve::Secp256k1 => MechanismType::ECDSA,
        Curve::Edwards25519 => MechanismType::EDDSA,
    }
}

/// What a private key is generated with, its label apart.
pub(super) fn private_template(curve: Curve, profile: &Essentials) -> Vec<Attribute> {
    let mut template: Vec<_> = PRIVATE
        .iter()
        .filter(|flag| flag.given == Given::InTemplate && flag.is_meant(profile))
        .map(|flag| (flag.attribute)(flag.must_be))
        .collect();
    template.push(Attribute::KeyType(key_type(curve)));
    if knows_mechanisms(profile) {
        template.push(Attribute::AllowedMechanisms(vec![mechanism(curve)]));
    }
    template
}

/// What a public object is generated with, its label apart. It is not private, so that it can be
/// read before a login.
pub(super) fn public_template(curve: Curve, profile: &Essentials) -> Vec<Attribute> {
    let params = point::params(curve, profile.edwards_params);
    vec![
        Attribute::KeyType(key_type(curve)),
        Attribute::EcParams(params.to_vec()),
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Modifiable(false),
        Attribute::Verify(true),
        Attribute::VerifyRecover(false),
        Attribute::Encrypt(false),
        Attribute::Wrap(false),
        Attribute::Derive(false),
    ]
}

/// Refuses a private key with any attribute that it must not have, and any that the device does not
/// answer for: `C_GetAttributeValue` leaves out what it will not say.
pub(super) fn check_private(
    session: &Session,
    key: ObjectHandle,
    profile: &Essentials,
) -> Result<Curve, Failure> {
    let curve = curve_of(session, key)?;
    let flags: Vec<_> = PRIVATE.iter().filter(|f| f.is_meant(profile)).collect();
    let kinds: Vec<_> = flags.iter().map(|flag| flag.kind()).collect();
    let answered = read(session, key, &kinds)?;
    for flag in flags {
        check_flag(flag, &answered)?;
    }
    let params = read(session, key, &[AttributeType::EcParams])?;
    check_curve(curve, &params)?;
    if knows_mechanisms(profile) {
        check_mechanisms(session, key, curve)?;
    }
    Ok(curve)
}

/// Whether a key can be held to one mechanism.
fn knows_mechanisms(profile: &Essentials) -> bool {
    !profile.quirks.contains(Quirks::NO_ALLOWED_MECHANISMS)
}

/// The curve that a key's type is for.
pub(super) fn curve_of(session: &Session, key: ObjectHandle) -> Result<Curve, Failure> {
    let answered = read(session, key, &[AttributeType::KeyType])?;
    let found = match answered.as_slice() {
        [Attribute::KeyType(KeyType::EC)] => return Ok(Curve::Secp256k1),
        [Attribute::KeyType(KeyType::EC_EDWARDS)] => return Ok(Curve::Edwards25519),
        [] => Found::Absent,
        _ => Found::Other,
    };
    Err(refused(KeyAttribute::KeyType, found))
}

/// Refuses a key on another curve than its type's.
pub(super) fn check_curve(curve: Curve, answered: &[Attribute]) -> Result<(), Failure> {
    let found = match answered {
        [Attribute::EcParams(params)] if point::is_curve(curve, params) => return Ok(()),
        [] => Found::Absent,
        _ => Found::Other,
    };
    Err(refused(KeyAttribute::Curve, found))
}

/// Reads attributes; what the device does not answer for is missing.
pub(super) fn read(
    session: &Session,
    object: ObjectHandle,
    kinds: &[AttributeType],
) -> Result<Vec<Attribute>, Failure> {
    session
        .get_attributes(object, kinds)
        .map_err(|error| failure(&error))
}

fn check_flag(flag: &Flag, answered: &[Attribute]) -> Result<(), Failure> {
    let wanted = (flag.attribute)(flag.must_be);
    let kind = flag.kind();
    let mut of_kind = answered.iter().filter(|a| a.attribute_type() == kind);
    let found = match (of_kind.next(), of_kind.next()) {
        (Some(value), None) if *value == wanted => return Ok(()),
        (Some(_), None) if flag.must_be => Found::False,
        (Some(_), None) => Found::True,
        (None, _) => Found::Absent,
        (Some(_), Some(_)) => Found::Other,
    };
    Err(refused(flag.name, found))
}

fn check_mechanisms(session: &Session, key: ObjectHandle, curve: Curve) -> Result<(), Failure> {
    let answered = read(session, key, &[AttributeType::AllowedMechanisms])?;
    let found = match answered.as_slice() {
        [Attribute::AllowedMechanisms(allowed)] if *allowed == [mechanism(curve)] => {
            return Ok(());
        }
        [] => Found::Absent,
        _ => Found::Other,
    };
    Err(refused(KeyAttribute::AllowedMechanisms, found))
}

fn refused(attribute: KeyAttribute, found: Found) -> Failure {
    Failure::KeyRefused { attribute, found }
}
