//! Finding keys by their labels.

use cryptoki::{
    object::{Attribute, AttributeType, ObjectClass, ObjectHandle},
    session::Session,
};

use super::{
    attributes, failure,
    point::{self, Curve},
};
use crate::{
    device::Essentials,
    key::{KeyId, PublicKey},
    protocol::{Failure, KeyDescription, Residence},
};

/// A key that was found and whose attributes hold. The handle is good for every session of the
/// process until it logs out.
#[derive(Clone, Debug)]
pub(crate) struct TokenKey {
    pub(crate) description: KeyDescription,
    pub(super) handle: ObjectHandle,
}

impl TokenKey {
    /// The private object.
    pub(crate) fn handle(&self) -> ObjectHandle {
        self.handle
    }
}

/// The template of an object of a key: its class and its label. The key's type is read, not asked
/// for, so that a second object of another type under one label does not go unseen.
pub(super) fn labelled(class: ObjectClass, key: &KeyId) -> Vec<Attribute> {
    let label = key.label().into_bytes();
    vec![Attribute::Class(class), Attribute::Label(label)]
}

/// All objects of one class with the key's label.
pub(super) fn objects(
    session: &Session,
    class: ObjectClass,
    key: &KeyId,
) -> Result<Vec<ObjectHandle>, Failure> {
    session
        .find_objects(&labelled(class, key))
        .map_err(|error| failure(&error))
}

/// Finds a key, checks every attribute of its private object, reads its public object.
pub(crate) fn find(
    session: &Session,
    key: &KeyId,
    profile: &Essentials,
) -> Result<TokenKey, Failure> {
    let handle = only(&objects(session, ObjectClass::PRIVATE_KEY, key)?)?;
    let curve = attributes::check_private(session, handle, profile)?;
    let public = public(session, key)?;
    if Curve::of(public.algorithm()) != Some(curve) {
        return Err(Failure::PublicKeyUnreadable);
    }
    Ok(TokenKey {
        description: KeyDescription {
            key: key.clone(),
            public,
            residence: Residence::Token,
        },
        handle,
    })
}

/// Reads a key's public object. It alone has the point: a private object need not.
pub(crate) fn public(session: &Session, key: &KeyId) -> Result<PublicKey, Failure> {
    let handles = objects(session, ObjectClass::PUBLIC_KEY, key)?;
    let handle = match only(&handles) {
        Err(Failure::KeyUnknown) => return Err(Failure::PublicKeyUnreadable),
        found => found?,
    };
    let curve = attributes::curve_of(session, handle)?;
    let params = attributes::read(session, handle, &[AttributeType::EcParams])?;
    attributes::check_curve(curve, &params)?;
    let point = point_of(session, handle)?;
    point::public_key(curve, &point).ok_or(Failure::PublicKeyUnreadable)
}

/// `CKA_EC_POINT` of a key's public object, as the device has it.
pub(crate) fn public_point(session: &Session, key: &KeyId) -> Result<Vec<u8>, Failure> {
    let handles = objects(session, ObjectClass::PUBLIC_KEY, key)?;
    point_of(session, only(&handles)?)
}

fn point_of(session: &Session, object: ObjectHandle) -> Result<Vec<u8>, Failure> {
    match attributes::read(session, object, &[AttributeType::EcPoint])?.as_slice() {
        [Attribute::EcPoint(bytes)] => Ok(bytes.clone()),
        _ => Err(Failure::PublicKeyUnreadable),
    }
}

/// Destroys a key's private and public objects, through a session that may write.
pub(crate) fn destroy(session: &Session, key: &KeyId, profile: &Essentials) -> Result<(), Failure> {
    let mut found = Found::Nothing;
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        for object in objects(session, class, key)? {
            session.destroy_object(object).map_err(|e| failure(&e))?;
            found = Found::Something;
        }
    }
    match found {
        Found::Nothing => Err(Failure::KeyUnknown),
        Found::Something => super::sync::after_change(profile),
    }
}

enum Found {
    Nothing,
    Something,
}

fn only(handles: &[ObjectHandle]) -> Result<ObjectHandle, Failure> {
    match handles {
        [] => Err(Failure::KeyUnknown),
        [handle] => Ok(*handle),
        _ => Err(Failure::KeyAmbiguous),
    }
}
