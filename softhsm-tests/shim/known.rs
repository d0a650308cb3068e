//! Keys whose secrets are known, so that signatures can be made of them with any `k`.

use std::{
    collections::HashMap,
    ptr,
    sync::{Mutex, PoisonError},
};

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_ATTRIBUTE_PTR, CK_MECHANISM_PTR, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE,
    CK_ULONG, CKA_EC_POINT, CKA_LABEL, CKR_GENERAL_ERROR, CKR_OK,
};
use k256::{
    Scalar, SecretKey, U256,
    ecdsa::hazmat::SignPrimitive,
    elliptic_curve::{ops::Reduce, sec1::ToEncodedPoint},
};

use crate::{folder, module};

/// A point on secp256k1, without compression, as an octet string in DER.
const POINT_BYTES: usize = 67;
const LABEL_BYTES_MAX: usize = 32;

/// How nonces are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nonce {
    /// Each another.
    Good,
    /// All the same.
    One,
    /// The highest bits are.
    Top(u32),
    /// The lowest bits are.
    Bottom(u32),
}

impl Nonce {
    /// Puts bits of a constant in the place of some of those of `k`.
    fn bend(self, k: &mut [u8; 32]) {
        let byte = |place: usize| 8 * place as u32;
        // Of this byte, so many places from the end in question, the bits that are the constant's.
        let count = |place: usize, bits: u32| bits.saturating_sub(byte(place)).min(8);
        let bend = |k: &mut u8, mask: u8| *k = (*k & !mask) | (0x5a & mask);
        match self {
            Self::Good => {}
            Self::One => *k = [2; 32],
            Self::Top(bits) => {
                for (place, k) in k.iter_mut().enumerate() {
                    bend(k, !(0xff_u16 >> count(place, bits)) as u8);
                }
            }
            Self::Bottom(bits) => {
                for (place, k) in k.iter_mut().rev().enumerate() {
                    bend(k, !(0xff_u16 << count(place, bits)) as u8);
                }
            }
        }
    }
}

/// The key that each session signs with.
static SIGNING: Mutex<Option<HashMap<CK_SESSION_HANDLE, CK_OBJECT_HANDLE>>> = Mutex::new(None);

fn is_known() -> bool {
    folder().is_some_and(|folder| folder.join("known-secrets").exists())
}

/// `C_SignInit`, which takes note of the key.
pub(crate) unsafe extern "C" fn sign_init(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM_PTR,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    let Some(real) = module().and_then(|module| module.real.C_SignInit) else {
        return CKR_GENERAL_ERROR;
    };
    let mut signing = SIGNING.lock().unwrap_or_else(PoisonError::into_inner);
    signing.get_or_insert_default().insert(session, key);
    drop(signing);
    // SAFETY: the caller's arguments, as they are.
    unsafe { real(session, mechanism, key) }
}

/// `C_GetAttributeValue`, with the point of the known secret.
pub(crate) unsafe fn attribute_value(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: CK_ATTRIBUTE_PTR,
    count: CK_ULONG,
) -> CK_RV {
    let Some(real) = module().and_then(|module| module.real.C_GetAttributeValue) else {
        return CKR_GENERAL_ERROR;
    };
    // SAFETY: the caller's arguments, as they are.
    let answer = unsafe { real(session, object, template, count) };
    if answer != CKR_OK || template.is_null() || !is_known() {
        return answer;
    }
    // SAFETY: the caller's template has `count` attributes.
    let attributes = unsafe { std::slice::from_raw_parts(template, count as usize) };
    for attribute in attributes {
        let is_point = attribute.type_ == CKA_EC_POINT && !attribute.pValue.is_null();
        if is_point && attribute.ulValueLen as usize == POINT_BYTES {
            let Some(secret) = secret(session, object) else {
                return CKR_GENERAL_ERROR;
            };
            let point = secret.public_key().to_encoded_point(false);
            // SAFETY: after CKR_OK a value that is not null has `ulValueLen` bytes.
            let bytes =
                unsafe { std::slice::from_raw_parts_mut(attribute.pValue.cast(), POINT_BYTES) };
            bytes[..2].copy_from_slice(&[0x04, 0x41]);
            bytes[2..].copy_from_slice(point.as_bytes());
        }
    }
    answer
}

/// Puts a signature by the known secret in the place of SoftHSM's.
pub(crate) fn sign(session: CK_SESSION_HANDLE, digest: &[u8], signature: &mut [u8], nonce: Nonce) {
    let signing = SIGNING.lock().unwrap_or_else(PoisonError::into_inner);
    let key = signing
        .as_ref()
        .and_then(|keys| keys.get(&session).copied());
    drop(signing);
    let (Ok(digest), Some(key), true) = (<[u8; 32]>::try_from(digest), key, is_known()) else {
        return;
    };
    if let Some(secret) = secret(session, key) {
        sign_by(&secret, digest, signature, nonce);
    }
}

/// Puts a signature by a key that is nobody's in the place of SoftHSM's.
pub(crate) fn sign_by_another(digest: &[u8], signature: &mut [u8]) {
    if let (Ok(digest), Ok(secret)) = (
        <[u8; 32]>::try_from(digest),
        SecretKey::from_slice(&[7; 32]),
    ) {
        sign_by(&secret, digest, signature, Nonce::Good);
    }
}

fn sign_by(secret: &SecretKey, digest: [u8; 32], signature: &mut [u8], nonce: Nonce) {
    let scalar = secret.to_nonzero_scalar();
    let z = <Scalar as Reduce<U256>>::reduce(U256::from_be_slice(&digest));
    // Another one for each digest, which anybody can guess: nothing depends on these keys.
    let mut k: [u8; 32] = (z * *scalar * *scalar).to_bytes().into();
    nonce.bend(&mut k);
    let k = <Scalar as Reduce<U256>>::reduce(U256::from_be_slice(&k));
    let inverse = Option::<Scalar>::from(k.invert());
    if let (Ok((made, _)), Some(inverse)) = (scalar.try_sign_prehashed(k, &digest.into()), inverse)
    {
        // As it comes out, as devices give it, and not made low.
        let s = inverse * (z + *made.r() * *scalar);
        signature[..32].copy_from_slice(&made.r().to_bytes());
        signature[32..].copy_from_slice(&s.to_bytes());
    }
}

/// The secret of a key: its label, as a number.
fn secret(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) -> Option<SecretKey> {
    let real = module()?.real.C_GetAttributeValue?;
    let mut label = [0_u8; LABEL_BYTES_MAX];
    let mut attribute = CK_ATTRIBUTE {
        type_: CKA_LABEL,
        pValue: ptr::from_mut(&mut label).cast(),
        ulValueLen: LABEL_BYTES_MAX as CK_ULONG,
    };
    // SAFETY: one attribute, with room for as many bytes as it says.
    let answer = unsafe { real(session, object, &raw mut attribute, 1) };
    (answer == CKR_OK)
        .then(|| SecretKey::from_slice(&label).ok())
        .flatten()
}
