//! PKCS#11 return values as failures.

use cryptoki::error::{Error, RvError};

use crate::protocol::{Failure, Text};

/// The failure that an error of the module stands for.
pub(crate) fn failure(error: &Error) -> Failure {
    let Error::Pkcs11(code, function) = error else {
        return other(error);
    };
    match code {
        RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange => Failure::PinRejected,
        RvError::PinLocked => Failure::PinLocked,
        RvError::PinExpired => Failure::PinExpired,
        RvError::DeviceMemory => Failure::TokenFull,
        RvError::DeviceError
        | RvError::DeviceRemoved
        | RvError::TokenNotPresent
        | RvError::TokenNotRecognized
        | RvError::SlotIdInvalid
        | RvError::CryptokiNotInitialized => Failure::DeviceGone,
        RvError::SessionClosed | RvError::SessionHandleInvalid | RvError::UserNotLoggedIn => {
            Failure::SessionLost
        }
        RvError::FunctionNotSupported | RvError::MechanismInvalid | RvError::CurveNotSupported => {
            Failure::Unsupported
        }
        _ => Failure::Device {
            function: Text::cut(&format!("{function:?}")),
            code: Text::cut(&format!("{code:?}")),
        },
    }
}

/// Whether the error says that a session, a login or a handle has gone stale, so that the call did
/// nothing and a new session can make it again.
pub(crate) fn is_stale(error: &Error) -> bool {
    let Error::Pkcs11(code, _) = error else {
        return false;
    };
    matches!(
        code,
        RvError::SessionClosed
            | RvError::SessionHandleInvalid
            | RvError::UserNotLoggedIn
            | RvError::KeyHandleInvalid
            | RvError::ObjectHandleInvalid
    )
}

/// An error of the binding itself.
fn other(error: &Error) -> Failure {
    match error {
        Error::NullFunctionPointer | Error::NotSupported => Failure::Unsupported,
        _ => Failure::Device {
            function: Text::cut("binding"),
            code: Text::cut(&error.to_string()),
        },
    }
}
