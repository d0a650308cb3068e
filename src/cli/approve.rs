//! `strongroom approve` and `strongroom reject`: what a person says of an intent that a coordinator wants paid, or of
//! a transaction that pays none.
//!
//! Nothing of what the signer answers is signed as it comes. The text is rendered here, from the intent or the bytes of
//! the transaction and a bundle that was verified here, and has to be to the byte what the signer shows.

mod about;
mod error;

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use api::intents::IntentNeed;
use api::signing::Statement;
use policy::approval::Says;
use policy::bundle::{self, MANIFEST, Manifest, Trust};
use policy::statement::{self, Signatures};
use policy::{BundleHash, Need, Policy};
use serde::Serialize;
use tx::{IntentId, Name};

use self::about::{About, Asked as Question};
use self::error::ApproveError;
use crate::client::{PeerArgs, Signer};
use crate::failure::Failure;
use crate::files;
use crate::output::{Answer, Format};
use crate::policy::folder;
use crate::ssh;

/// The largest file with a statement or a signature.
const FILE_MAX_BYTES: u64 = 64 * 1024;

/// `strongroom approve` and `strongroom reject`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    peer: PeerArgs,
    /// The intent, by its source and the source's id: payouts/w-17.
    #[arg(value_name = "SOURCE/ID", value_parser = intent, required_unless_present = "transaction",
          conflicts_with = "transaction")]
    intent: Option<IntentId>,
    /// A transaction that pays no intent, by the journal entry that registered it.
    #[arg(long, value_name = "ENTRY")]
    transaction: Option<u64>,
    /// The folder of the bundle that governs the signer.
    #[arg(long, value_name = "FOLDER")]
    policy: PathBuf,
    /// The bundle's fingerprint, where you know it: sha256:… . Left out, the bundle must be signed by enough
    /// officers that it names itself.
    #[arg(long, value_name = "HASH", value_parser = hash)]
    bundle: Option<BundleHash>,
    /// The need that is meant, by the beginning of its fingerprint, where several could be.
    #[arg(long, value_name = "FINGERPRINT")]
    need: Option<String>,
    /// What to sign with: an OpenSSH private key, or the public key of one that an agent or a security key
    /// has. Left out, the text is printed, to be signed elsewhere.
    #[arg(long, value_name = "FILE", conflicts_with = "signature")]
    signing_key: Option<PathBuf>,
    /// A text that was printed before, with --signature.
    #[arg(long, value_name = "FILE", requires = "signature")]
    statement: Option<PathBuf>,
    /// Its signature, as `ssh-keygen -Y sign -n strongroom-approval-v1` writes it; of a transaction with
    /// `-n strongroom-transaction-approval-v1`.
    #[arg(long, value_name = "FILE", requires = "statement")]
    signature: Option<PathBuf>,
    /// Sign without asking.
    #[arg(long)]
    yes: bool,
}

fn intent(text: &str) -> Result<IntentId, &'static str> {
    let wanted = "SOURCE/ID is expected, such as payouts/w-17";
    let (source, id) = text.split_once('/').ok_or(wanted)?;
    Ok(IntentId {
        source: source.parse().map_err(|_| wanted)?,
        id: id.parse().map_err(|_| wanted)?,
    })
}

/// A bundle's fingerprint.
pub fn hash(text: &str) -> Result<BundleHash, &'static str> {
    let text = text.strip_prefix("sha256:").unwrap_or(text);
    text.parse()
        .map_err(|_| "64 hexadecimal digits are expected")
}

impl Args {
    fn question(&self) -> Result<Question, ApproveError> {
        match (&self.intent, self.transaction) {
            (_, Some(entry)) => Ok(Question::Transaction(entry)),
            (Some(intent), None) => Ok(Question::Intent(intent.clone())),
            (None, None) => Err(ApproveError::OtherIntent),
        }
    }
}

/// Says it of the intent or the transaction.
///
/// # Errors
/// [`ApproveError`]; [`crate::client::SignerError`].
pub fn run(args: &Args, says: Says, format: Format) -> Result<Answer, Failure> {
    let signer = args.peer.signer()?;
    let question = args.question()?;
    let about = question.ask(&signer)?;
    let policy = verified(&args.policy, args.bundle)?;
    let asked = Asked::of(args, says, (question, about), policy)?;
    let namespace = asked.question.namespace();
    let text = asked.text()?;
    let statement = match (&args.signing_key, &args.statement, &args.signature) {
        (Some(key), _, _) => {
            asked.agree(&text, args, format)?;
            let signature = ssh::sign(key, &text, namespace)?;
            Statement {
                statement: text,
                signatures: vec![signature],
            }
        }
        (None, Some(statement), Some(signature)) => asked.brought(statement, signature)?,
        _ => {
            return Answer::done(&Unsigned {
                namespace,
                statement: text,
            });
        }
    };
    asked.send(&signer, &statement)
}

/// The bundle in the folder, if it is one that governed: by the fingerprint that a person gave, or because
/// enough of the officers that it names have signed it.
///
/// # Errors
/// [`ApproveError`].
pub fn verified(folder: &Path, pinned: Option<BundleHash>) -> Result<Policy, Failure> {
    let files = folder::read(folder)?;
    let text = files.get(MANIFEST).ok_or(ApproveError::NoManifest)?;
    let manifest = Manifest::verify(text, &files).map_err(ApproveError::Manifest)?;
    let trust = match pinned {
        Some(hash) => Trust::Activated(hash),
        None => Trust::Pinned(manifest.hash()),
    };
    let bundle =
        bundle::load(&files, trust).map_err(|error| ApproveError::Bundle(Box::new(error)))?;
    Ok(bundle.into_policy())
}

/// What is asked of a person.
struct Asked {
    question: Question,
    about: About,
    policy: Policy,
    says: Says,
    need: IntentNeed,
    people: BTreeSet<Name>,
}

impl Asked {
    fn of(
        args: &Args,
        says: Says,
        (question, about): (Question, About),
        policy: Policy,
    ) -> Result<Self, ApproveError> {
        if about.policy() != policy.hash.to_string() {
            return Err(ApproveError::OtherBundle {
                governs: about.policy().to_owned(),
                found: policy.hash,
            });
        }
        if !about.is(&question) {
            return Err(match question {
                Question::Intent(_) => ApproveError::OtherIntent,
                Question::Transaction(_) => ApproveError::OtherTransaction,
            });
        }
        let begins = args.need.as_deref().unwrap_or_default();
        let meant = |need: &&IntentNeed| need.fingerprint.starts_with(begins);
        let mut meant = about.needs().iter().filter(meant);
        let need = match (meant.next(), meant.next()) {
            (Some(need), None) => need.clone(),
            (None, _) => return Err(ApproveError::NoNeed),
            (Some(_), Some(_)) => {
                let needs = about.needs().iter().map(described).collect();
                return Err(ApproveError::Needs { needs });
            }
        };
        let known = policy.needs().find(|one| is(one, &need));
        let people = known.ok_or(ApproveError::UnknownNeed)?.people.clone();
        Ok(Self {
            question,
            about,
            policy,
            says,
            need,
            people,
        })
    }

    /// The text, rendered here; an error where the signer shows another one.
    fn text(&self) -> Result<String, ApproveError> {
        let shown = match self.says {
            Says::Approve => &self.need.approve,
            Says::Reject => &self.need.reject,
        };
        self.rendered(shown)
    }

    /// A text, if it is the very one that says so of this for this need.
    fn rendered(&self, shown: &str) -> Result<String, ApproveError> {
        let said = self.about.said(shown, &self.policy)?;
        if !self.about.is_answered(&said, self.says, &self.need) {
            return Err(ApproveError::Differs);
        }
        said.rendered(shown).ok_or(ApproveError::Differs)
    }

    /// Shows the text and asks.
    fn agree(&self, text: &str, args: &Args, format: Format) -> Result<(), ApproveError> {
        // A script that reads JSON has read the text that was printed, or has no eyes.
        if format == Format::Json {
            return args.yes.then_some(()).ok_or(ApproveError::NobodyToAsk);
        }
        let mut out = io::stderr();
        let told = self.about.needs().len();
        let by = self.need.asked_by.join(", ");
        let _shown = write!(
            out,
            "{text}\nasked for by {by}; needs that may ask: {told}\n"
        );
        if args.yes {
            return Ok(());
        }
        let input = io::stdin();
        if !input.is_terminal() {
            return Err(ApproveError::NobodyToAsk);
        }
        let _asked = write!(out, "type {} to sign it: ", self.says).and_then(|()| out.flush());
        let mut typed = String::new();
        let read = input.lock().read_line(&mut typed);
        match read.is_ok() && typed.trim() == self.says.as_str() {
            true => Ok(()),
            false => Err(ApproveError::NotAgreed),
        }
    }

    fn brought(&self, statement: &Path, signature: &Path) -> Result<Statement, ApproveError> {
        let read = |path| {
            let bytes = files::read(path, FILE_MAX_BYTES).map_err(ApproveError::File)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        Ok(Statement {
            statement: self.rendered(&read(statement)?)?,
            signatures: vec![read(signature)?],
        })
    }

    /// Sends it, once it is known whose word it is.
    fn send(&self, signer: &Signer, statement: &Statement) -> Result<Answer, Failure> {
        let signatures = Signatures::parse_all(&statement.signatures);
        let signatures = signatures.map_err(ApproveError::Signature)?;
        let mut people = self.policy.people.clone();
        people.retain(|name, _| self.people.contains(name));
        let text = &statement.statement;
        let signed = statement::verify(text, self.question.namespace(), &signatures, &people);
        if signed.is_empty() {
            let people = self.people.clone();
            return Err(ApproveError::Nobody { people }.into());
        }
        let stands = self.question.send(signer, statement)?;
        let needs = stands.into_needs().into_iter();
        Answer::done(&Brought {
            says: self.says,
            by: signed,
            statement: statement.statement.clone(),
            needs: needs.map(Standing::of).collect(),
        })
    }
}

fn is(need: &Need, asked: &IntentNeed) -> bool {
    need.fingerprint().to_string() == asked.fingerprint
}

fn described(need: &IntentNeed) -> String {
    let short = need.fingerprint.get(..8).unwrap_or_default();
    let (asked, people) = (need.asked_by.join(", "), need.people.join(", "));
    format!("{short}: {asked}: {} of {people}", need.threshold)
}

/// The text, to be signed elsewhere.
#[derive(Debug, Serialize)]
struct Unsigned {
    namespace: &'static str,
    statement: String,
}

/// What was said, and how the intent stands.
#[derive(Debug, Serialize)]
struct Brought {
    says: Says,
    by: BTreeSet<Name>,
    statement: String,
    needs: Vec<Standing>,
}

#[derive(Debug, Serialize)]
struct Standing {
    fingerprint: String,
    asked_by: Vec<String>,
    threshold: u32,
    counted: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enough_from: Option<tx::Time>,
}

impl Standing {
    fn of(need: IntentNeed) -> Self {
        let IntentNeed {
            fingerprint,
            asked_by,
            threshold,
            counted,
            enough_from,
            ..
        } = need;
        Self {
            fingerprint,
            asked_by,
            threshold,
            counted,
            enough_from,
        }
    }
}

impl fmt::Display for Unsigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.statement)
    }
}

impl fmt::Display for Brought {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by: Vec<&str> = self.by.iter().map(Name::as_str).collect();
        writeln!(
            f,
            "the signer has taken it: {} by {}",
            self.says,
            by.join(", ")
        )?;
        for need in &self.needs {
            let (asked, counted) = (need.asked_by.join(", "), need.counted.join(", "));
            write!(f, "{asked}: {} needed, {counted:?} count", need.threshold)?;
            match need.enough_from {
                Some(time) => writeln!(f, ", enough from {time} of the signer's time")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}
