//! `strongroom keys`: what an operator does with a token or a keystore by hand.
//!
//! A module is loaded into this process, with this process's environment: SoftHSM finds its
//! tokens by `SOFTHSM2_CONF` there.

mod error;
mod pin;
mod report;
mod seed;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use ::keys::admin::{self, Credentials, NewToken, Operator, Strength};
use ::keys::conformance;
use ::keys::profile::ProfileError;
use ::keys::{Backend, Essentials, KeyAlgorithm, KeyId, KeyPurpose, Profile, TokenSelector};
use ::keys::{
    pin::PinError,
    protocol::{Pin, Text},
};
use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use tx::{Chain, Name};

use self::error::KeysError;
use self::pin::{Entry, read};
use self::report::{Generated, Identity, Listing};
use self::seed::{Derive, Seed};
use crate::failure::Failure;
use crate::files;
use crate::output::Answer;

/// `strongroom keys`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Initialise a token that is not: give it a label and its PINs. Or make a keystore.
    Init {
        #[command(flatten)]
        token: TokenArgs,
        /// A file with the security officer's PIN of a token [default: asked for].
        #[arg(long, value_name = "FILE", conflicts_with = "keystore")]
        so_pin_file: Option<PathBuf>,
        /// A file with the security officer's PIN that the device came with, where it has one.
        #[arg(long, value_name = "FILE", conflicts_with = "keystore")]
        factory_so_pin_file: Option<PathBuf>,
        #[command(flatten)]
        pin: PinArgs,
    },
    /// Show what a token says of itself. No PIN is needed.
    Token {
        #[command(flatten)]
        token: TokenArgs,
    },
    /// Generate a key that never leaves the token, or the keystore in clear.
    Generate(Generate),
    /// Take a key that was made elsewhere over into a keystore.
    Import(Import),
    /// Put a seed into a keystore, which keys are derived from: a random one, or one that was made elsewhere.
    Seed(Seed),
    /// Derive a key from a seed of the keystore, as other wallets do (BIP-32, SLIP-0010, BIP-86).
    Derive(Derive),
    /// List the keys of a device, and those that signerd would not use.
    List {
        #[command(flatten)]
        token: TokenArgs,
        #[command(flatten)]
        pin: PinArgs,
        /// A chain whose addresses are shown, as eip155:1; several may be given.
        #[arg(long)]
        chain: Vec<Chain>,
    },
    /// Try on a token what signerd needs of it, and whether its firmware profile tells the truth. It makes
    /// keys for tests, destroys them, and touches no other.
    Conformance {
        #[command(flatten)]
        token: TokenArgs,
        #[command(flatten)]
        pin: PinArgs,
        /// A file for the report, as JSON.
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
    },
}

#[derive(Debug, ClapArgs)]
struct Generate {
    #[command(flatten)]
    token: TokenArgs,
    #[command(flatten)]
    pin: PinArgs,
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

#[derive(Debug, ClapArgs)]
struct Import {
    #[command(flatten)]
    token: TokenArgs,
    #[command(flatten)]
    pin: PinArgs,
    /// The key's file: Web3 Secret Storage version 3, or an Ed25519 key's of another keystore.
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// A file with the passphrase of that file, of mode 0600 [default: asked for].
    #[arg(long, value_name = "FILE")]
    file_pin_file: Option<PathBuf>,
    /// The key's name, as the policy's accounts have it.
    #[arg(long)]
    name: Name,
    /// What it may be used for, for ever.
    #[arg(long, value_enum, default_value_t = Purpose::Spend)]
    purpose: Purpose,
    /// A chain whose address is shown, as eip155:1; several may be given.
    #[arg(long)]
    chain: Vec<Chain>,
}

/// Which token or keystore.
#[derive(Debug, ClapArgs)]
struct TokenArgs {
    /// The PKCS#11 module.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "keystore",
        conflicts_with = "keystore"
    )]
    module: Option<PathBuf>,
    /// The token's label; or else its serial number.
    #[arg(long, value_name = "LABEL", requires = "module")]
    token: Option<String>,
    /// The folder of an encrypted keystore, in place of a module and a token.
    #[arg(long, value_name = "FOLDER")]
    keystore: Option<PathBuf>,
    /// The device's serial number, in place of the label or beside it.
    #[arg(long, value_name = "SERIAL")]
    serial: Option<String>,
    /// The firmware profile of the device, as firmware-profiles/softhsm-2.6.toml.
    #[arg(long, value_name = "FILE")]
    profile: PathBuf,
}

#[derive(Debug, ClapArgs)]
struct PinArgs {
    /// A file with the user's PIN or the keystore's passphrase, of mode 0600 [default: asked for].
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Purpose {
    /// Transactions.
    Spend,
    /// The journal's checkpoints.
    Checkpoint,
    /// Self-tests.
    Test,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Algorithm {
    /// ECDSA, for EVM chains and Bitcoin-like ones.
    Secp256k1,
    /// EdDSA.
    Ed25519,
    /// Schnorr signatures, for P2TR: a keystore's alone.
    Bip340,
}

impl From<Purpose> for KeyPurpose {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Spend => Self::Spend,
            Purpose::Checkpoint => Self::Checkpoint,
            Purpose::Test => Self::Test,
        }
    }
}

impl From<Algorithm> for KeyAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Secp256k1 => Self::Secp256k1,
            Algorithm::Ed25519 => Self::Ed25519,
            Algorithm::Bip340 => Self::Bip340,
        }
    }
}

/// Runs one of the group's commands.
///
/// # Errors
/// See [`KeysError`].
pub fn run(args: &Args) -> Result<Answer, Failure> {
    ::keys::not_dumpable().map_err(KeysError::Process)?;
    match &args.command {
        Command::Init {
            token,
            so_pin_file,
            factory_so_pin_file,
            pin,
        } => token.init(so_pin_file.as_deref(), factory_so_pin_file.as_deref(), pin),
        Command::Token { token } => {
            let identity = admin::identify(&token.backend()?, &token.selector()?, token.profile()?)
                .map_err(KeysError::Device)?;
            Answer::done(&Identity::new(&identity))
        }
        Command::Import(import) => import.run(),
        Command::Generate(generate) => generate.run(),
        Command::Seed(seed) => seed.run(),
        Command::Derive(derive) => derive.run(),
        Command::List { token, pin, chain } => {
            let operator = token.log_in(pin)?;
            let listed = operator
                .list()
                .and_then(|keys| Ok((keys, operator.seeds()?)));
            let identity = operator.identity().clone();
            let (keys, seeds) = ended(operator, listed)?;
            Answer::done(&Listing::new(&identity, keys, seeds, chain))
        }
        Command::Conformance { token, pin, report } => {
            let found = conformance::run(&token.credentials(pin)?, &token.whole_profile()?);
            let found = found.map_err(KeysError::Device)?;
            if let Some(path) = report {
                let json = serde_json::json!(found).to_string();
                files::create(path, json.as_bytes(), files::Access::Public)
                    .map_err(KeysError::File)?;
            }
            match found.conforms() {
                true => Answer::done(&found),
                false => Answer::refused(&found),
            }
        }
    }
}

impl Generate {
    fn run(&self) -> Result<Answer, Failure> {
        let key = KeyId {
            purpose: self.purpose.into(),
            name: self.name.clone(),
        };
        let operator = self.token.log_in(&self.pin)?;
        let made = operator.generate(&key, self.algorithm.into());
        let made = ended(operator, made)?;
        Answer::done(&Generated::new(&made, &self.chain))
    }
}

impl Import {
    fn run(&self) -> Result<Answer, Failure> {
        let key = KeyId {
            purpose: self.purpose.into(),
            name: self.name.clone(),
        };
        let text = key_file(&self.file)?;
        let passphrase = read(
            self.file_pin_file.as_deref(),
            "the file's passphrase",
            Entry::Known,
        )?;
        let operator = self.token.log_in(&self.pin)?;
        let made = operator.import(&key, &text, &passphrase);
        let made = ended(operator, made).map_err(|error| of_file(error, &self.file))?;
        Answer::done(&Generated::new(&made, &self.chain))
    }
}

/// What is rejected after the device was opened is the passphrase of a file that is taken over.
fn of_file(error: KeysError, path: &Path) -> KeysError {
    match error {
        KeysError::Device(::keys::protocol::Failure::PinRejected) => {
            let path = path.into();
            KeysError::FilePassphrase { path }
        }
        other => other,
    }
}

/// Logs out. What failed before matters more than that.
fn ended<T>(
    operator: Operator,
    outcome: Result<T, ::keys::protocol::Failure>,
) -> Result<T, KeysError> {
    let logged_out = operator.log_out();
    let value = outcome.map_err(KeysError::Device)?;
    logged_out.map_err(KeysError::Device)?;
    Ok(value)
}

/// The text of a key's or a seed's file.
fn key_file(path: &Path) -> Result<String, KeysError> {
    let bytes = files::read(path, KEY_FILE_MAX_BYTES).map_err(KeysError::File)?;
    String::from_utf8(bytes).map_err(|_| KeysError::KeyFile { path: path.into() })
}

/// Longer than any key's file.
const KEY_FILE_MAX_BYTES: u64 = 64 * 1024;

/// The fewest characters of a new keystore's passphrase: whoever copies the files tries as many as
/// they like.
const PASSPHRASE_MIN_CHARS: usize = 12;

/// A PIN that is set now: a keystore's is a passphrase.
fn passphrase(file: Option<&Path>) -> Result<Pin, KeysError> {
    let what = "the keystore's passphrase";
    let passphrase = read(file, what, Entry::Chosen)?;
    if passphrase.expose().chars().count() < PASSPHRASE_MIN_CHARS {
        return Err(KeysError::Pin {
            what,
            source: PinError::Unusable(
                "it has less than 12 characters, and files can be tried without end",
            ),
        });
    }
    Ok(passphrase)
}

impl TokenArgs {
    fn init(
        &self,
        so_pin_file: Option<&Path>,
        factory_so_pin_file: Option<&Path>,
        pin: &PinArgs,
    ) -> Result<Answer, Failure> {
        let profile = self.profile()?;
        let identity = match (&self.keystore, &self.module) {
            (Some(folder), _) => {
                let passphrase = passphrase(pin.pin_file.as_deref())?;
                admin::init_keystore(folder, &passphrase, Strength::default())
            }
            (None, module) => {
                let label = self.label()?.ok_or(KeysError::NoToken)?;
                let so_pin = read(so_pin_file, "the security officer's PIN", Entry::Chosen)?;
                let factory = factory_so_pin_file
                    .map(|file| read(Some(file), "the device's first PIN", Entry::Known));
                let user_pin = read(pin.pin_file.as_deref(), "the user's PIN", Entry::Chosen)?;
                admin::init_token(&NewToken {
                    module: module.clone().unwrap_or_default(),
                    label,
                    factory_so_pin: factory.transpose()?,
                    so_pin,
                    user_pin,
                    profile,
                })
            }
        };
        let identity = identity.map_err(KeysError::Device)?;
        Answer::done(&Identity::new(&identity))
    }

    /// The parser lets one of the two through.
    fn backend(&self) -> Result<Backend, KeysError> {
        let text = |option, path: &Path| {
            Text::new(&path.to_string_lossy())
                .map_err(|source| KeysError::TooLong { option, source })
        };
        match (&self.keystore, &self.module) {
            (Some(folder), _) => text("--keystore", folder).map(Backend::Keystore),
            (None, module) => {
                let module = module.as_deref().unwrap_or(Path::new(""));
                text("--module", module).map(Backend::Module)
            }
        }
    }

    /// Of a keystore it is always the same.
    fn label(&self) -> Result<Option<Text<32>>, KeysError> {
        let of_keystore = self.keystore.as_ref().map(|_| ::keys::KEYSTORE_LABEL);
        let label = self.token.as_deref().or(of_keystore);
        let label = label.map(Text::new).transpose();
        label.map_err(|source| KeysError::TooLong {
            option: "--token",
            source,
        })
    }

    fn selector(&self) -> Result<TokenSelector, KeysError> {
        let serial = self.serial.as_deref().map(Text::new).transpose();
        let serial = serial.map_err(|source| KeysError::TooLong {
            option: "--serial",
            source,
        })?;
        let label = self.label()?;
        if label.is_none() && serial.is_none() {
            return Err(KeysError::NoToken);
        }
        Ok(TokenSelector { label, serial })
    }

    fn profile(&self) -> Result<Essentials, KeysError> {
        let profile = self.whole_profile()?.essentials();
        profile.map_err(|source| self.no_profile(source))
    }

    fn whole_profile(&self) -> Result<Profile, KeysError> {
        Profile::read(&self.profile).map_err(|source| self.no_profile(source))
    }

    fn no_profile(&self, source: ProfileError) -> KeysError {
        let path = self.profile.clone();
        KeysError::Profile { path, source }
    }

    fn log_in(&self, pin: &PinArgs) -> Result<Operator, KeysError> {
        Operator::log_in(&self.credentials(pin)?).map_err(KeysError::Device)
    }

    fn credentials(&self, pin: &PinArgs) -> Result<Credentials, KeysError> {
        let (backend, token, profile) = (self.backend()?, self.selector()?, self.profile()?);
        let what = match backend {
            Backend::Keystore(_) => "the keystore's passphrase",
            _ => "the user's PIN",
        };
        let pin = read(pin.pin_file.as_deref(), what, Entry::Known)?;
        Ok(Credentials {
            backend,
            token,
            pin,
            profile,
        })
    }
}
