//! `strongroom keys seed` and `strongroom keys derive`.

use std::path::PathBuf;

use ::keys::KeyId;
use ::keys::admin::{Derivation, NewSeed, Operator, SEED_BYTES};
use ::keys::protocol::Pin;
use bip39::{Language, Mnemonic};
use bitcoin::bip32::Fingerprint;
use clap::Args as ClapArgs;
use tx::{Chain, Name};
use zeroize::Zeroizing;

use super::error::KeysError;
use super::pin::{Entry, read};
use super::report::{Generated, MadeSeed};
use super::{Algorithm, PinArgs, Purpose, TokenArgs, ended, key_file, of_file};
use crate::failure::Failure;
use crate::output::Answer;

/// `strongroom keys seed`.
#[derive(Debug, ClapArgs)]
pub struct Seed {
    #[command(flatten)]
    token: TokenArgs,
    #[command(flatten)]
    pin: PinArgs,
    /// The seed's name.
    #[arg(long)]
    name: Name,
    /// Take the seed of a recovery phrase (BIP-39, English words), which is asked for.
    #[arg(long, conflicts_with = "file")]
    phrase: bool,
    /// A file with the phrase, of mode 0600, in place of asking.
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    phrase_file: Option<PathBuf>,
    /// A file with the passphrase that the phrase was made with, of mode 0600, where it has one.
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    phrase_passphrase_file: Option<PathBuf>,
    /// The seed's file of another keystore.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A file with the passphrase of that keystore, of mode 0600 [default: asked for].
    #[arg(long, value_name = "FILE", requires = "file")]
    file_pin_file: Option<PathBuf>,
}

/// `strongroom keys derive`.
#[derive(Debug, ClapArgs)]
pub struct Derive {
    #[command(flatten)]
    token: TokenArgs,
    #[command(flatten)]
    pin: PinArgs,
    /// The seed's name.
    #[arg(long)]
    seed: Name,
    /// Where the key is, as m/44'/60'/0'/0/0.
    #[arg(long)]
    path: String,
    /// The key's name, as the policy's accounts have it.
    #[arg(long)]
    name: Name,
    /// What it may be used for, for ever.
    #[arg(long, value_enum, default_value_t = Purpose::Spend)]
    purpose: Purpose,
    /// What it signs with.
    #[arg(long, value_enum, default_value_t = Algorithm::Secp256k1)]
    algorithm: Algorithm,
    /// A chain whose address is shown, as eip155:1; several may be given.
    #[arg(long)]
    chain: Vec<Chain>,
}

impl Seed {
    /// Writes the seed.
    ///
    /// # Errors
    /// See [`KeysError`].
    pub fn run(&self) -> Result<Answer, Failure> {
        let made = match &self.file {
            Some(path) => {
                let text = key_file(path)?;
                let what = "the file's passphrase";
                let passphrase = &read(self.file_pin_file.as_deref(), what, Entry::Known)?;
                let text = &text;
                self.add(&NewSeed::Imported { text, passphrase })?
            }
            None => match self.of_phrase()? {
                Some(seed) => self.add(&NewSeed::Given(&seed))?,
                None => self.add(&NewSeed::Random)?,
            },
        };
        Answer::done(&MadeSeed::new(self.name.clone(), made))
    }

    fn add(&self, seed: &NewSeed<'_>) -> Result<Fingerprint, KeysError> {
        let credentials = self.token.credentials(&self.pin)?;
        let operator = Operator::log_in(&credentials).map_err(KeysError::Device)?;
        let made = operator.add_seed(&self.name, seed, &credentials.pin);
        let file = self.file.as_deref();
        ended(operator, made).map_err(|error| match file {
            Some(file) => of_file(error, file),
            None => error,
        })
    }

    /// The seed of the phrase, where there is one.
    fn of_phrase(&self) -> Result<Option<Zeroizing<[u8; SEED_BYTES]>>, KeysError> {
        let passphrase = self.phrase_passphrase_file.as_deref();
        let passphrase = passphrase
            .map(|file| read(Some(file), "the phrase's passphrase", Entry::Known))
            .transpose()?;
        if !self.phrase && self.phrase_file.is_none() && passphrase.is_none() {
            return Ok(None);
        }
        let file = self.phrase_file.as_deref();
        let phrase = read(file, "the recovery phrase", Entry::Known)?;
        seed_of(&phrase, passphrase.as_ref()).map(Some)
    }
}

/// The seed of English words (BIP-39), whose checksum is looked at.
fn seed_of(
    phrase: &Pin,
    passphrase: Option<&Pin>,
) -> Result<Zeroizing<[u8; SEED_BYTES]>, KeysError> {
    let passphrase = passphrase.map_or("", Pin::expose);
    if !passphrase.is_ascii() {
        return Err(KeysError::PhrasePassphrase);
    }
    let words = Mnemonic::parse_in_normalized(Language::English, phrase.expose());
    let words = words.map_err(KeysError::Phrase)?;
    Ok(Zeroizing::new(words.to_seed_normalized(passphrase)))
}

impl Derive {
    /// Derives the key.
    ///
    /// # Errors
    /// See [`KeysError`].
    pub fn run(&self) -> Result<Answer, Failure> {
        let key = KeyId {
            purpose: self.purpose.into(),
            name: self.name.clone(),
        };
        let derivation = Derivation::new(self.algorithm.into(), &self.path);
        let derivation = derivation.map_err(KeysError::Path)?;
        let credentials = self.token.credentials(&self.pin)?;
        let operator = Operator::log_in(&credentials).map_err(KeysError::Device)?;
        let made = operator.derive(&key, &self.seed, &derivation, &credentials.pin);
        let made = ended(operator, made)?;
        Answer::done(&Generated::new(&made, &self.chain))
    }
}
