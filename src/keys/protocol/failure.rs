//! Why a request failed.

use thiserror::Error;

use super::{
    bounded::Text,
    codec::{DecodeError, Reader, Writer},
    fields::{Field, byte_field},
};
use crate::device::IdentityFault;

/// Why the key child, or the device behind it, did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Failure {
    /// The device rejected the PIN. Final: a second attempt may lock it.
    #[error("the device rejected the PIN")]
    PinRejected,
    /// The device locked the PIN.
    #[error("the device locked the PIN")]
    PinLocked,
    /// The device wants the PIN changed.
    #[error("the PIN has expired")]
    PinExpired,
    /// The module could not be loaded or initialised.
    #[error("the PKCS#11 module cannot be used: {reason}")]
    ModuleUnusable {
        /// What the loader or the module said.
        reason: Text<256>,
    },
    /// No token has the label and serial.
    #[error("no token has the label and serial number that are named")]
    TokenUnknown,
    /// Several tokens have the label or the serial number.
    #[error("several tokens are called so; name label and serial number")]
    TokenAmbiguous,
    /// The token is not the one that the profile describes.
    #[error("the token is not what the firmware profile describes")]
    TokenRefused {
        /// What differs.
        #[source]
        fault: IdentityFault,
    },
    /// The device has no room for another object.
    #[error("the token is full")]
    TokenFull,
    /// No key has the label.
    #[error("no such key on the token")]
    KeyUnknown,
    /// Several objects of one class have the label.
    #[error("several keys on the token have this label")]
    KeyAmbiguous,
    /// A key to be generated is there already.
    #[error("the key exists already")]
    KeyExists,
    /// The private key has an attribute that it must not have.
    #[error("the key is refused for its attribute {attribute}")]
    KeyRefused {
        /// The attribute.
        attribute: KeyAttribute,
        /// What was found in place of what must be.
        found: Found,
    },
    /// The public object is missing or unreadable.
    #[error("the key's public object is missing or unreadable")]
    PublicKeyUnreadable,
    /// The input is for another algorithm than the key's.
    #[error("the key is of another algorithm")]
    AlgorithmMismatch,
    /// A new key did not sign a test message correctly; it was destroyed.
    #[error("the new key's test signature is wrong")]
    SelfTestFailed,
    /// The token's files could not be written through; the new key was destroyed.
    #[error("the token's files could not be written through to the disk")]
    SyncFailed,
    /// The device or its module is gone: only a new process can reach it again.
    #[error("the device is gone")]
    DeviceGone,
    /// The session was lost, and a new one did not help.
    #[error("the session was lost")]
    SessionLost,
    /// The device, its profile or this version cannot do it.
    #[error("not supported")]
    Unsupported,
    /// A request before `Hello`, or a second `Hello`.
    #[error("a request out of order")]
    OutOfOrder,
    /// Another error of the device.
    #[error("{function} answered {code}")]
    Device {
        /// The PKCS#11 function.
        function: Text<64>,
        /// Its return value, by name.
        code: Text<64>,
    },
    /// The keystore's folder or `keystore.json` is not as it must be.
    #[error("the keystore cannot be used: {reason}")]
    KeystoreUnusable {
        /// What is not.
        reason: Text<256>,
    },
    /// A key's file is not as it must be.
    #[error("the key's file is refused: {reason}")]
    KeyFileRefused {
        /// What is not.
        reason: Text<256>,
    },
    /// Memory for a secret cannot be locked, so none is read.
    #[error("memory for keys cannot be locked: RLIMIT_MEMLOCK allows no more")]
    MemoryUnlocked,
    /// The message is longer than the firmware profile says that the device signs; it was not sent.
    #[error("the message is longer than the {max} bytes that the device signs")]
    MessageTooLong {
        /// The most, in bytes.
        max: u32,
    },
}

/// An attribute that a private key must have in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyAttribute {
    /// `CKA_TOKEN`: true.
    #[error("CKA_TOKEN")]
    Token,
    /// `CKA_PRIVATE`: true.
    #[error("CKA_PRIVATE")]
    Private,
    /// `CKA_SENSITIVE`: true.
    #[error("CKA_SENSITIVE")]
    Sensitive,
    /// `CKA_ALWAYS_SENSITIVE`: true.
    #[error("CKA_ALWAYS_SENSITIVE")]
    AlwaysSensitive,
    /// `CKA_EXTRACTABLE`: false.
    #[error("CKA_EXTRACTABLE")]
    Extractable,
    /// `CKA_NEVER_EXTRACTABLE`: true.
    #[error("CKA_NEVER_EXTRACTABLE")]
    NeverExtractable,
    /// `CKA_LOCAL`: true.
    #[error("CKA_LOCAL")]
    Local,
    /// `CKA_MODIFIABLE`: false.
    #[error("CKA_MODIFIABLE")]
    Modifiable,
    /// `CKA_COPYABLE`: false.
    #[error("CKA_COPYABLE")]
    Copyable,
    /// `CKA_SIGN`: true.
    #[error("CKA_SIGN")]
    Sign,
    /// `CKA_SIGN_RECOVER`: false.
    #[error("CKA_SIGN_RECOVER")]
    SignRecover,
    /// `CKA_DECRYPT`: false.
    #[error("CKA_DECRYPT")]
    Decrypt,
    /// `CKA_UNWRAP`: false.
    #[error("CKA_UNWRAP")]
    Unwrap,
    /// `CKA_DERIVE`: false.
    #[error("CKA_DERIVE")]
    Derive,
    /// `CKA_ALWAYS_AUTHENTICATE`: false.
    #[error("CKA_ALWAYS_AUTHENTICATE")]
    AlwaysAuthenticate,
    /// `CKA_ALLOWED_MECHANISMS`: the one signature mechanism.
    #[error("CKA_ALLOWED_MECHANISMS")]
    AllowedMechanisms,
    /// `CKA_KEY_TYPE`: of the algorithm.
    #[error("CKA_KEY_TYPE")]
    KeyType,
    /// `CKA_EC_PARAMS`: the algorithm's curve.
    #[error("CKA_EC_PARAMS")]
    Curve,
}

/// What was found in place of what must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The device did not answer for the attribute, which counts as the worst.
    Absent,
    /// False, where it must be true.
    False,
    /// True, where it must be false.
    True,
    /// Another value.
    Other,
}

byte_field!(Found, "found", {
    Found::Absent = 1,
    Found::False = 2,
    Found::True = 3,
    Found::Other = 4,
});

byte_field!(KeyAttribute, "attribute", {
    KeyAttribute::Token = 1,
    KeyAttribute::Private = 2,
    KeyAttribute::Sensitive = 3,
    KeyAttribute::AlwaysSensitive = 4,
    KeyAttribute::Extractable = 5,
    KeyAttribute::NeverExtractable = 6,
    KeyAttribute::Local = 7,
    KeyAttribute::Modifiable = 8,
    KeyAttribute::Copyable = 9,
    KeyAttribute::Sign = 10,
    KeyAttribute::SignRecover = 11,
    KeyAttribute::Decrypt = 12,
    KeyAttribute::Unwrap = 13,
    KeyAttribute::Derive = 14,
    KeyAttribute::AlwaysAuthenticate = 15,
    KeyAttribute::AllowedMechanisms = 16,
    KeyAttribute::KeyType = 17,
    KeyAttribute::Curve = 18,
});

impl Field for IdentityFault {
    fn write(&self, to: &mut Writer<'_>) {
        match self {
            Self::Manufacturer { found } => {
                to.u8(1);
                to.text(found);
            }
            Self::Model { found } => {
                to.u8(2);
                to.text(found);
            }
            Self::Firmware { found } => {
                to.u8(3);
                found.write(to);
            }
            Self::Vulnerable { found } => {
                to.u8(4);
                found.write(to);
            }
            Self::Derives => to.u8(5),
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match from.u8()? {
            1 => Self::Manufacturer {
                found: from.text("manufacturer")?,
            },
            2 => Self::Model {
                found: from.text("model")?,
            },
            3 => Self::Firmware {
                found: Field::read(from)?,
            },
            4 => Self::Vulnerable {
                found: Field::read(from)?,
            },
            5 => Self::Derives,
            _ => {
                let field = "identity fault";
                return Err(DecodeError::Value { field });
            }
        })
    }
}

impl Failure {
    /// Whether this failure says that the PIN must not be sent again before a person acted.
    pub fn is_of_pin(&self) -> bool {
        matches!(self, Self::PinRejected | Self::PinLocked | Self::PinExpired)
    }

    /// Whether it is the device's, and not that of one key or request.
    pub fn is_of_device(&self) -> bool {
        match self {
            Self::DeviceGone
            | Self::SessionLost
            | Self::Device { .. }
            | Self::ModuleUnusable { .. }
            | Self::TokenUnknown
            | Self::TokenAmbiguous
            | Self::TokenRefused { .. }
            | Self::KeystoreUnusable { .. }
            | Self::MemoryUnlocked => true,
            // A rejected PIN ends the use of the device by other means.
            Self::PinRejected | Self::PinLocked | Self::PinExpired => false,
            Self::TokenFull
            | Self::KeyUnknown
            | Self::KeyAmbiguous
            | Self::KeyExists
            | Self::KeyRefused { .. }
            | Self::PublicKeyUnreadable
            | Self::AlgorithmMismatch
            | Self::SelfTestFailed
            | Self::SyncFailed
            | Self::Unsupported
            | Self::OutOfOrder
            | Self::MessageTooLong { .. }
            | Self::KeyFileRefused { .. } => false,
        }
    }

    fn code(&self) -> u8 {
        match self {
            Self::PinRejected => 1,
            Self::PinLocked => 2,
            Self::PinExpired => 3,
            Self::ModuleUnusable { .. } => 4,
            Self::TokenUnknown => 5,
            Self::TokenAmbiguous => 6,
            Self::TokenRefused { .. } => 7,
            Self::TokenFull => 8,
            Self::KeyUnknown => 9,
            Self::KeyAmbiguous => 10,
            Self::KeyExists => 11,
            Self::KeyRefused { .. } => 12,
            Self::PublicKeyUnreadable => 13,
            Self::AlgorithmMismatch => 14,
            Self::SelfTestFailed => 15,
            Self::SyncFailed => 16,
            Self::DeviceGone => 17,
            Self::SessionLost => 18,
            Self::Unsupported => 19,
            Self::OutOfOrder => 20,
            Self::Device { .. } => 21,
            Self::KeystoreUnusable { .. } => 22,
            Self::KeyFileRefused { .. } => 23,
            Self::MemoryUnlocked => 24,
            Self::MessageTooLong { .. } => 25,
        }
    }

    fn without_fields(code: u8) -> Result<Self, DecodeError> {
        Ok(match code {
            1 => Self::PinRejected,
            2 => Self::PinLocked,
            3 => Self::PinExpired,
            5 => Self::TokenUnknown,
            6 => Self::TokenAmbiguous,
            8 => Self::TokenFull,
            9 => Self::KeyUnknown,
            10 => Self::KeyAmbiguous,
            11 => Self::KeyExists,
            13 => Self::PublicKeyUnreadable,
            14 => Self::AlgorithmMismatch,
            15 => Self::SelfTestFailed,
            16 => Self::SyncFailed,
            17 => Self::DeviceGone,
            18 => Self::SessionLost,
            19 => Self::Unsupported,
            20 => Self::OutOfOrder,
            24 => Self::MemoryUnlocked,
            _ => return Err(DecodeError::Value { field: "failure" }),
        })
    }
}

impl Field for Failure {
    fn write(&self, to: &mut Writer<'_>) {
        to.u8(self.code());
        match self {
            Self::ModuleUnusable { reason }
            | Self::KeystoreUnusable { reason }
            | Self::KeyFileRefused { reason } => to.text(reason),
            Self::TokenRefused { fault } => fault.write(to),
            Self::MessageTooLong { max } => to.u32(*max),
            Self::KeyRefused { attribute, found } => {
                attribute.write(to);
                found.write(to);
            }
            Self::Device { function, code } => {
                to.text(function);
                to.text(code);
            }
            _ => {}
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match from.u8()? {
            4 => Self::ModuleUnusable {
                reason: from.text("reason")?,
            },
            7 => Self::TokenRefused {
                fault: Field::read(from)?,
            },
            12 => Self::KeyRefused {
                attribute: Field::read(from)?,
                found: Field::read(from)?,
            },
            21 => Self::Device {
                function: from.text("function")?,
                code: from.text("code")?,
            },
            22 => Self::KeystoreUnusable {
                reason: from.text("reason")?,
            },
            23 => Self::KeyFileRefused {
                reason: from.text("reason")?,
            },
            25 => Self::MessageTooLong { max: from.u32()? },
            code => return Self::without_fields(code),
        })
    }
}
