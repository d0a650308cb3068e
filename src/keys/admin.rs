//! What an operator does with a token by hand, blocking: `strongroom keys init|generate|list`.
//!
//! It runs the same code as the key child, in the caller's own process, so that a key made by hand
//! is held to the same attributes as one made by `signerd`.

use std::path::{Path, PathBuf};

use cryptoki::{
    context::Pkcs11,
    session::{Session, UserType},
    slot::{Slot, TokenInfo},
    types::AuthPin,
};

pub use crate::token::ListedKey;
use crate::{
    device::{Essentials, TokenIdentity, TokenSelector},
    key::{KeyAlgorithm, KeyId},
    protocol::{Failure, KeyDescription, Pin, Text},
    token::{self, Access, Login, Token},
};

/// A token to be initialised.
#[derive(Debug)]
pub struct NewToken {
    /// The PKCS#11 module's path.
    pub module: PathBuf,
    /// The label that the token gets.
    pub label: Text<32>,
    /// The security officer's PIN that the device came with, where it has one before it is initialised.
    pub factory_so_pin: Option<Pin>,
    /// The security officer's PIN, from now on.
    pub so_pin: Pin,
    /// The user's PIN, from now on.
    pub user_pin: Pin,
    /// What the token must be.
    pub profile: Essentials,
}

/// How to reach a token.
#[derive(Debug)]
pub struct Credentials {
    /// The PKCS#11 module's path.
    pub module: PathBuf,
    /// The token.
    pub token: TokenSelector,
    /// The user's PIN.
    pub pin: Pin,
    /// What the token must be.
    pub profile: Essentials,
}

/// A token that is logged in to. One at a time in a process: [`Operator::log_out`] ends it.
#[derive(Debug)]
pub struct Operator {
    session: Session,
    token: Token,
}

/// Says what a token is, if it is there and what the profile describes. No PIN is sent.
///
/// # Errors
/// [`Failure`] says what is wrong with the module or the token.
pub fn identify(
    module: &Path,
    selector: &TokenSelector,
    profile: Essentials,
) -> Result<TokenIdentity, Failure> {
    let token = Token::select(token::load(module)?, selector, profile)?;
    let identity = token.identity().clone();
    token.finalize()?;
    Ok(identity)
}

/// Initialises the first token of the module that is not (`C_InitToken`, `C_InitPIN`). A token that
/// is initialised is never touched: that would destroy its keys.
///
/// # Errors
/// [`Failure::TokenUnknown`] when there is no such token, [`Failure::TokenAmbiguous`] when one has
/// the label already, [`Failure::TokenRefused`] when it is not what the profile describes, and what
/// the module says.
pub fn init_token(new: &NewToken) -> Result<TokenIdentity, Failure> {
    let module = token::load(&new.module)?;
    let made = init_on(&module, new);
    // What failed first matters more; the process is about to end either way.
    let finalized = module.finalize().map_err(|error| token::failure(&error));
    made.and_then(|identity| finalized.map(|()| identity))
}

fn init_on(module: &Pkcs11, new: &NewToken) -> Result<TokenIdentity, Failure> {
    let slot = free_slot(module, new)?;
    let failed = |error: cryptoki::error::Error| token::failure(&error);
    let so_pin = AuthPin::from(new.so_pin.expose());
    let before = new.factory_so_pin.as_ref().unwrap_or(&new.so_pin);
    let before = AuthPin::from(before.expose());
    module
        .init_token(slot, &before, new.label.as_str())
        .map_err(failed)?;
    let session = module.open_rw_session(slot).map_err(failed)?;
    session.login(UserType::So, Some(&before)).map_err(failed)?;
    if new.factory_so_pin.is_some() {
        session.set_pin(&before, &so_pin).map_err(failed)?;
    }
    let user_pin = AuthPin::from(new.user_pin.expose());
    session.init_pin(&user_pin).map_err(failed)?;
    session.logout().map_err(failed)?;
    if info(module, slot)?.user_pin_to_be_changed() {
        // The device takes no PIN but one that its user set.
        session
            .login(UserType::User, Some(&user_pin))
            .map_err(failed)?;
        session.set_pin(&user_pin, &user_pin).map_err(failed)?;
        session.logout().map_err(failed)?;
    }
    session.close().map_err(failed)?;
    token::after_change(&new.profile)?;
    info(module, slot).map(|info| token::identity_of(&info))
}

/// The first slot whose token is not initialised.
fn free_slot(module: &Pkcs11, new: &NewToken) -> Result<Slot, Failure> {
    let mut free = None;
    let slots = module
        .get_slots_with_token()
        .map_err(|error| token::failure(&error))?;
    for slot in slots {
        let info = info(module, slot)?;
        if !info.token_initialized() {
            free = free.or(Some((slot, token::identity_of(&info))));
        } else if info.label() == new.label.as_str() {
            return Err(Failure::TokenAmbiguous);
        }
    }
    let (slot, identity) = free.ok_or(Failure::TokenUnknown)?;
    new.profile
        .admits(&identity)
        .map_err(|fault| Failure::TokenRefused { fault })?;
    Ok(slot)
}

fn info(module: &Pkcs11, slot: Slot) -> Result<TokenInfo, Failure> {
    module
        .get_token_info(slot)
        .map_err(|error| token::failure(&error))
}

impl Operator {
    /// Logs in, once. A rejected PIN is not sent again.
    ///
    /// # Errors
    /// [`Failure`] says what is wrong with the module, the token or the PIN.
    pub fn log_in(credentials: &Credentials) -> Result<Self, Failure> {
        let module = token::load(&credentials.module)?;
        let token = Token::select(module, &credentials.token, credentials.profile.clone())?;
        let session = token.open(Access::ReadWrite)?;
        if let Err(failure) = Login::new(&credentials.pin).ensure(&session) {
            drop(session);
            // The failure to log in is what matters.
            let _ = token.finalize();
            return Err(failure);
        }
        Ok(Self { session, token })
    }

    /// What the token says of itself.
    pub fn identity(&self) -> &TokenIdentity {
        self.token.identity()
    }

    /// Generates a key, reads its attributes back, lets it sign and checks that, and writes it
    /// through to the disk.
    ///
    /// # Errors
    /// [`Failure::KeyExists`], [`Failure::TokenFull`], or what the module says. Nothing is left of a
    /// key that failed.
    pub fn generate(
        &self,
        key: &KeyId,
        algorithm: KeyAlgorithm,
    ) -> Result<KeyDescription, Failure> {
        token::generate(&self.session, key, algorithm, self.token.profile())
            .map(|made| made.description)
    }

    /// Every private key on the token, with why `signerd` would not use it.
    ///
    /// # Errors
    /// What the module says.
    pub fn list(&self) -> Result<Vec<ListedKey>, Failure> {
        token::list(&self.session, self.token.profile())
    }

    /// Logs out and finalises the module.
    ///
    /// # Errors
    /// What the module says.
    pub fn log_out(self) -> Result<(), Failure> {
        self.session
            .close()
            .map_err(|error| token::failure(&error))?;
        self.token.finalize()
    }
}
