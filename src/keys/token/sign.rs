//! Signing, on the device.

use cryptoki::{
    context::Function,
    error::Error,
    mechanism::{
        Mechanism,
        eddsa::{EddsaParams, EddsaSignatureScheme},
    },
    session::Session,
};

use super::{TokenKey, failure, is_stale, point::Curve};
use crate::protocol::{Bytes, Failure, SignInput, Text};

/// Why a device did not sign.
#[derive(Debug)]
pub(crate) enum SignFault {
    /// The session, the login or the handle had gone stale before anything was signed: the same
    /// call may be made again on a new session.
    Stale,
    /// Anything else. Whether a signature was made is not known.
    Failed(Failure),
}

/// Signs. What comes back is the device's word and is checked by the server.
pub(crate) fn sign(
    session: &Session,
    key: &TokenKey,
    input: &SignInput,
) -> Result<Bytes<128>, SignFault> {
    let algorithm = input.algorithm();
    if key.description.public.algorithm() != algorithm {
        return Err(SignFault::Failed(Failure::AlgorithmMismatch));
    }
    let mechanism = match Curve::of(algorithm) {
        Some(Curve::Secp256k1) => Mechanism::Ecdsa,
        Some(Curve::Edwards25519) => {
            Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519))
        }
        None => return Err(SignFault::Failed(Failure::Unsupported)),
    };
    let signature = session
        .sign(&mechanism, key.handle, input.as_bytes())
        .map_err(|error| fault(&error))?;
    Bytes::new(&signature).map_err(|_| {
        SignFault::Failed(Failure::Device {
            function: Text::cut("Sign"),
            code: Text::cut("signature too long"),
        })
    })
}

/// Only an error of `C_SignInit` says that nothing was signed.
fn fault(error: &Error) -> SignFault {
    match error {
        Error::Pkcs11(_, Function::SignInit) if is_stale(error) => SignFault::Stale,
        _ => SignFault::Failed(failure(error)),
    }
}
