//! Listing what is on a token.

use cryptoki::{
    object::{Attribute, AttributeType, ObjectClass, ObjectHandle},
    session::Session,
};

use super::{attributes, failure, find};
use crate::{
    device::Essentials,
    key::{KeyId, PublicKey},
    protocol::Failure,
};

/// A private key on a token, whoever made it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedKey {
    /// Its label, with what is not UTF-8 replaced.
    pub label: String,
    /// Its purpose and name, when the label is Strongroom's.
    pub key: Option<KeyId>,
    /// Its public half, or why `signerd` would not use the key.
    pub usable: Result<PublicKey, Failure>,
}

/// Every private key that a logged-in session sees, by label.
pub(crate) fn list(session: &Session, profile: &Essentials) -> Result<Vec<ListedKey>, Failure> {
    let template = [Attribute::Class(ObjectClass::PRIVATE_KEY)];
    let handles = session
        .find_objects(&template)
        .map_err(|error| failure(&error))?;
    let mut keys = Vec::with_capacity(handles.len());
    for handle in handles {
        keys.push(describe(session, handle, profile)?);
    }
    keys.sort_by(|a, b| a.label.cmp(&b.label));
    Ok(keys)
}

fn describe(
    session: &Session,
    handle: ObjectHandle,
    profile: &Essentials,
) -> Result<ListedKey, Failure> {
    let label = match attributes::read(session, handle, &[AttributeType::Label])?.as_slice() {
        [Attribute::Label(label)] => String::from_utf8_lossy(label).into_owned(),
        _ => String::new(),
    };
    let key = KeyId::from_label(&label);
    let usable = match &key {
        Some(key) => find::find(session, key, profile).map(|found| found.description.public),
        None => Err(Failure::KeyUnknown),
    };
    Ok(ListedKey { label, key, usable })
}
