//! Generating keys.

use cryptoki::{
    mechanism::Mechanism,
    object::{Attribute, ObjectClass},
    session::Session,
};
use sha2::{Digest, Sha256};

use super::{TokenKey, attributes, failure, find, point::Curve, sign, sync};
use crate::{
    device::Essentials,
    key::{KeyAlgorithm, KeyId},
    protocol::Failure,
    self_test,
};

/// Generates a key on the token, through a session that may write. When this answers, the key was
/// read back, has signed, and is on the disk; when it fails, no object with its label is left.
pub(crate) fn generate(
    session: &Session,
    key: &KeyId,
    algorithm: KeyAlgorithm,
    profile: &Essentials,
) -> Result<TokenKey, Failure> {
    let curve = Curve::of(algorithm).filter(|_| profile.algorithms.contains(algorithm));
    let curve = curve.ok_or(Failure::Unsupported)?;
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        if !find::objects(session, class, key)?.is_empty() {
            return Err(Failure::KeyExists);
        }
    }
    let made = make(session, key, curve, profile)
        .and_then(|()| find::find(session, key, profile))
        .and_then(|made| self_test(session, &made).map(|()| made))
        .and_then(|made| sync::after_change(profile).map(|()| made));
    if made.is_err() {
        // The first failure is what matters; a half-made key that stays is refused when found.
        let _ = find::destroy(session, key, profile);
    }
    made
}

fn make(session: &Session, key: &KeyId, curve: Curve, profile: &Essentials) -> Result<(), Failure> {
    let mechanism = match curve {
        Curve::Secp256k1 => Mechanism::EccKeyPairGen,
        Curve::Edwards25519 => Mechanism::EccEdwardsKeyPairGen,
    };
    // Other tools pair the two objects by CKA_ID.
    let id = Attribute::Id(Sha256::digest(key.label()).to_vec());
    let mut public = find::labelled(ObjectClass::PUBLIC_KEY, key);
    public.push(id.clone());
    public.extend(attributes::public_template(curve, profile));
    let mut private = find::labelled(ObjectClass::PRIVATE_KEY, key);
    private.push(id);
    private.extend(attributes::private_template(curve, profile));
    match session.generate_key_pair(&mechanism, &public, &private) {
        Ok(_) => Ok(()),
        // SoftHSM says CKR_GENERAL_ERROR when its disk is full.
        Err(_) if sync::is_full(profile) => Err(Failure::TokenFull),
        Err(error) => Err(failure(&error)),
    }
}

/// Lets the new key sign its test message on the device.
fn self_test(session: &Session, key: &TokenKey) -> Result<(), Failure> {
    let public = &key.description.public;
    let input = self_test::input(public).ok_or(Failure::SelfTestFailed)?;
    let signature = sign::sign(session, key, &input).map_err(|fault| match fault {
        sign::SignFault::Stale => Failure::SessionLost,
        sign::SignFault::Failed(failure) => failure,
    })?;
    self_test::passes(public, |_| Some(signature))
        .then_some(())
        .ok_or(Failure::SelfTestFailed)
}
