//! What an operator does with a token or a keystore by hand, blocking:
//! `strongroom keys init|generate|import|list`.
//!
//! It runs the same code as the key child, in the caller's own process, so that a key made by hand
//! is held to the same attributes as one made by `signerd`.

use std::path::{Path, PathBuf};

use bitcoin::bip32::Fingerprint;
use cryptoki::{
    context::Pkcs11,
    session::{Session, UserType},
    slot::{Slot, TokenInfo},
    types::AuthPin,
};
use tx::Name;

use crate::{
    device::{Backend, Essentials, TokenIdentity, TokenSelector},
    key::{KeyAlgorithm, KeyId},
    keystore::{self, Keystore},
    protocol::{Failure, KeyDescription, Pin, Text},
    token::{self, Access, Login, Token},
};
pub use crate::{
    keystore::{Derivation, ListedSeed, NewSeed, PathError, SEED_BYTES, Strength},
    token::ListedKey,
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

/// How to reach a device.
#[derive(Debug)]
pub struct Credentials {
    /// Which kind of device, and where it is.
    pub backend: Backend,
    /// The token.
    pub token: TokenSelector,
    /// The user's PIN, or the keystore's passphrase.
    pub pin: Pin,
    /// What the device must be.
    pub profile: Essentials,
}

/// A device that is logged in to. One token at a time in a process: [`Operator::log_out`] ends it.
#[derive(Debug)]
pub struct Operator(Device);

#[derive(Debug)]
enum Device {
    Token { session: Session, token: Token },
    Keystore(Box<Keystore>),
}

/// Says what a device is, if it is there and what the profile describes. No PIN is sent.
///
/// # Errors
/// [`Failure`] says what is wrong with the module, the token or the keystore.
pub fn identify(
    backend: &Backend,
    selector: &TokenSelector,
    profile: Essentials,
) -> Result<TokenIdentity, Failure> {
    match backend {
        Backend::Module(path) => {
            let module = token::load(Path::new(path.as_str()))?;
            let token = Token::select(module, selector, profile)?;
            let identity = token.identity().clone();
            token.finalize()?;
            Ok(identity)
        }
        Backend::Keystore(path) => {
            let identity = keystore::identify(Path::new(path.as_str()));
            let identity = identity.map_err(|error| error.of_keystore())?;
            if !selector.selects(&identity) {
                return Err(Failure::TokenUnknown);
            }
            profile
                .admits(&identity)
                .map_err(|fault| Failure::TokenRefused { fault })?;
            Ok(identity)
        }
    }
}

/// Makes a keystore in a new or empty folder, for a passphrase.
///
/// # Errors
/// [`Failure::KeystoreUnusable`] when the folder is not as it must be or has something in it.
pub fn init_keystore(
    folder: &Path,
    passphrase: &Pin,
    strength: Strength,
) -> Result<TokenIdentity, Failure> {
    keystore::create(folder, passphrase, strength).map_err(|error| error.of_keystore())
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
        let Credentials {
            backend,
            token: selector,
            pin,
            profile,
        } = credentials;
        match backend {
            Backend::Module(path) => {
                let module = token::load(Path::new(path.as_str()))?;
                let token = Token::select(module, selector, profile.clone())?;
                Self::log_in_to_token(token, pin)
            }
            Backend::Keystore(path) => {
                let path = Path::new(path.as_str());
                let keystore = Keystore::open(path, selector, pin, profile.clone())?;
                Ok(Self(Device::Keystore(Box::new(keystore))))
            }
        }
    }

    fn log_in_to_token(token: Token, pin: &Pin) -> Result<Self, Failure> {
        let session = token.open(Access::ReadWrite)?;
        if let Err(failure) = Login::new(pin).ensure(&session) {
            drop(session);
            // The failure to log in is what matters.
            let _ = token.finalize();
            return Err(failure);
        }
        Ok(Self(Device::Token { session, token }))
    }

    /// What the device says of itself.
    pub fn identity(&self) -> &TokenIdentity {
        match &self.0 {
            Device::Token { token, .. } => token.identity(),
            Device::Keystore(keystore) => crate::child::Device::identity(keystore.as_ref()),
        }
    }

    /// Generates a key, reads it back, lets it sign and checks that, and writes it through to the
    /// disk.
    ///
    /// # Errors
    /// [`Failure::KeyExists`], [`Failure::TokenFull`], or what the device says. Nothing is left of a
    /// key that failed.
    pub fn generate(
        &self,
        key: &KeyId,
        algorithm: KeyAlgorithm,
    ) -> Result<KeyDescription, Failure> {
        match &self.0 {
            Device::Token { session, token } => {
                token::generate(session, key, algorithm, token.profile())
                    .map(|made| made.description)
            }
            Device::Keystore(keystore) => keystore.generate(key, algorithm),
        }
    }

    /// Takes a key that was made elsewhere over into a keystore: the text of a Web3 Secret Storage
    /// file or of another keystore's container, and the passphrase of that.
    ///
    /// # Errors
    /// [`Failure::Unsupported`] for a token, whose keys are made inside; [`Failure::PinRejected`]
    /// when the passphrase is not that of the file; otherwise what is wrong with the file.
    pub fn import(
        &self,
        key: &KeyId,
        text: &str,
        passphrase: &Pin,
    ) -> Result<KeyDescription, Failure> {
        self.keystore()?.import(key, text, passphrase)
    }

    /// Writes a seed into a keystore, for the keystore's passphrase: opening the keystore opens no seed. Gives what
    /// wallets name it by.
    ///
    /// # Errors
    /// [`Failure::Unsupported`] for a token, [`Failure::PinRejected`] when the passphrase of what is imported is
    /// another; otherwise what is wrong.
    pub fn add_seed(
        &self,
        name: &Name,
        seed: &NewSeed<'_>,
        passphrase: &Pin,
    ) -> Result<Fingerprint, Failure> {
        self.keystore()?.add_seed(name, seed, passphrase)
    }

    /// Writes the key that a seed has at a path into the keystore.
    ///
    /// # Errors
    /// As [`Self::generate`], and what is wrong with the seed.
    pub fn derive(
        &self,
        key: &KeyId,
        seed: &Name,
        derivation: &Derivation,
        passphrase: &Pin,
    ) -> Result<KeyDescription, Failure> {
        self.keystore()?.derive(key, seed, derivation, passphrase)
    }

    /// Every seed of a keystore, with why its file is none; a token has none.
    ///
    /// # Errors
    /// What is wrong with the folder.
    pub fn seeds(&self) -> Result<Vec<ListedSeed>, Failure> {
        match &self.0 {
            Device::Token { .. } => Ok(Vec::new()),
            Device::Keystore(keystore) => keystore.seeds(),
        }
    }

    /// Keys of a token are made inside, and have no seed.
    fn keystore(&self) -> Result<&Keystore, Failure> {
        match &self.0 {
            Device::Token { .. } => Err(Failure::Unsupported),
            Device::Keystore(keystore) => Ok(keystore),
        }
    }

    /// Every private key on the device, with why `signerd` would not use it.
    ///
    /// # Errors
    /// What the device says.
    pub fn list(&self) -> Result<Vec<ListedKey>, Failure> {
        match &self.0 {
            Device::Token { session, token } => token::list(session, token.profile()),
            Device::Keystore(keystore) => keystore.list(),
        }
    }

    /// Logs out and finalises the module.
    ///
    /// # Errors
    /// What the module says.
    pub fn log_out(self) -> Result<(), Failure> {
        match self.0 {
            Device::Token { session, token } => {
                session.close().map_err(|error| token::failure(&error))?;
                token.finalize()
            }
            Device::Keystore(_) => Ok(()),
        }
    }
}
