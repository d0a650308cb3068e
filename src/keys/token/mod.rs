//! A PKCS#11 token, by blocking calls. The key child and the command line share this code, so that
//! there is one way to log in, one to find a key, one to make one.

mod attributes;
mod failure;
mod find;
mod generate;
mod list;
mod login;
mod point;
mod session;
mod sign;
mod sync;

#[cfg(test)]
pub(crate) mod tests;

use std::path::Path;

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    session::Session,
    slot::{Slot, TokenInfo},
};

pub(crate) use failure::{failure, is_stale};
pub(crate) use find::{TokenKey, destroy, find, public, public_point};
pub(crate) use generate::generate;
pub use list::ListedKey;
pub(crate) use list::list;
pub(crate) use login::{LoggedIn, Login};
pub(crate) use session::TokenDevice;
pub(crate) use sign::{SignFault, sign};
pub(crate) use sync::after_change;
pub use sync::softhsm_tokens;

use crate::{
    device::{Essentials, FirmwareVersion, IdentityFault, Quirks, TokenIdentity, TokenSelector},
    protocol::{Failure, Text},
};

/// A module, initialised, and the one token of it that is used.
///
/// There is one in a process: PKCS#11 state belongs to the process, not to a value.
#[derive(Debug)]
pub(crate) struct Token {
    module: Pkcs11,
    slot: Slot,
    identity: TokenIdentity,
    profile: Essentials,
}

/// Whether a session may change the token.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Access {
    ReadOnly,
    ReadWrite,
}

/// Loads and initialises a module. Nothing finalises it but [`Pkcs11::finalize`].
pub(crate) fn load(path: &Path) -> Result<Pkcs11, Failure> {
    let unusable = |error: cryptoki::error::Error| Failure::ModuleUnusable {
        reason: Text::cut(&error.to_string()),
    };
    let module = Pkcs11::new(path).map_err(unusable)?;
    // Sessions are used from several threads.
    let locking = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
    module.initialize(locking).map_err(unusable)?;
    Ok(module)
}

/// What the token in a slot says of itself.
pub(crate) fn identity_of(info: &TokenInfo) -> TokenIdentity {
    let firmware = info.firmware_version();
    TokenIdentity {
        label: Text::cut(info.label()),
        manufacturer: Text::cut(info.manufacturer_id()),
        model: Text::cut(info.model()),
        serial: Text::cut(info.serial_number()),
        firmware: FirmwareVersion {
            major: firmware.major(),
            minor: firmware.minor(),
        },
    }
}

/// Whether the token has a mechanism that derives keys.
fn derives(module: &Pkcs11, slot: Slot) -> Result<bool, Failure> {
    let mechanisms = module.get_mechanism_list(slot);
    for mechanism in mechanisms.map_err(|error| failure(&error))? {
        let info = module.get_mechanism_info(slot, mechanism);
        if info.map_err(|error| failure(&error))?.derive() {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Token {
    /// Finds the token and holds it against its profile, before any PIN is sent.
    pub(crate) fn select(
        module: Pkcs11,
        selector: &TokenSelector,
        profile: Essentials,
    ) -> Result<Self, Failure> {
        let mut found = None;
        for slot in module.get_slots_with_token().map_err(|e| failure(&e))? {
            let info = module.get_token_info(slot).map_err(|e| failure(&e))?;
            let identity = identity_of(&info);
            if !info.token_initialized() || !selector.selects(&identity) {
                continue;
            }
            if found.replace((slot, identity)).is_some() {
                return Err(Failure::TokenAmbiguous);
            }
        }
        let (slot, identity) = found.ok_or(Failure::TokenUnknown)?;
        profile
            .admits(&identity)
            .map_err(|fault| Failure::TokenRefused { fault })?;
        if profile.quirks.contains(Quirks::SAYS_DERIVE) && derives(&module, slot)? {
            let fault = IdentityFault::Derives;
            return Err(Failure::TokenRefused { fault });
        }
        Ok(Self {
            module,
            slot,
            identity,
            profile,
        })
    }

    /// What the token says of itself.
    pub(crate) fn identity(&self) -> &TokenIdentity {
        &self.identity
    }

    /// What its profile says of it.
    pub(crate) fn profile(&self) -> &Essentials {
        &self.profile
    }

    /// Opens a session, not logged in by itself.
    pub(crate) fn open(&self, access: Access) -> Result<Session, Failure> {
        let only_writing = self.profile.quirks.contains(Quirks::ONLY_WRITING_SESSIONS);
        match access {
            Access::ReadOnly if !only_writing => self.module.open_ro_session(self.slot),
            Access::ReadOnly | Access::ReadWrite => self.module.open_rw_session(self.slot),
        }
        .map_err(|error| failure(&error))
    }

    /// Ends the use of the module. Every session must be closed and every thread out of it: a call
    /// during or after this crashes the process (seen with SoftHSM 2.6.1).
    pub(crate) fn finalize(&self) -> Result<(), Failure> {
        self.module
            .clone()
            .finalize()
            .map_err(|error| failure(&error))
    }
}
