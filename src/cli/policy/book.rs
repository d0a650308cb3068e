//! `strongroom policy book`: the books that are loaded apart from the bundle, made and signed here, and vetoed at
//! a signer.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use policy::book::{ADDRESSES_MAX, BYTES_MAX, file_hash};
use policy::statement::{self, BookUpdate, BookVeto};
use serde::Serialize;
use tx::{Address, Chain, Name};

use super::error::PolicyError;
use super::governance::{Officers, fleet};
use crate::client::PeerArgs;
use crate::failure::Failure;
use crate::files::{self, Access};
use crate::output::Answer;
use crate::ssh;

/// `strongroom policy book`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a book's file and the statement about it, and add signatures to that.
    #[command(
        after_help = "Without --key nothing is signed. Somebody elsewhere signs NAME.statement with\n\
                      `ssh-keygen -Y sign -n strongroom-book-v1 -f KEY NAME.statement`; append what it writes to\n\
                      NAME.statement.sig. Put the three files into the folder `books` of signerd's configuration and\n\
                      send it SIGHUP."
    )]
    Sign(SignArgs),
    /// Keep what a content that is cooling changed from counting: one officer is enough.
    #[command(
        after_help = "Without --officer-key and --signature the statement is printed. Sign it as it is with\n\
                      `ssh-keygen -Y sign -n strongroom-book-veto-v1 -f KEY FILE` and give what that writes as --signature."
    )]
    Veto(VetoArgs),
}

/// `strongroom policy book sign`.
#[derive(Debug, ClapArgs)]
struct SignArgs {
    /// The book's name in the bundle.
    book: Name,
    /// The folder for NAME.txt, NAME.statement and NAME.statement.sig.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The addresses, one a line in any order; what follows `#` is for people. Left out: the statement that is in
    /// the folder is signed.
    #[arg(long, value_name = "FILE", requires_all = ["chain", "fleet", "sequence"])]
    from: Option<PathBuf>,
    /// The chain of the addresses.
    #[arg(long, requires = "from")]
    chain: Option<Chain>,
    /// The fleet.
    #[arg(long, requires = "from")]
    fleet: Option<Name>,
    /// The content's own sequence: one above that of the present one, which `policy status` shows.
    #[arg(long, requires = "from", value_parser = clap::value_parser!(u64).range(1..))]
    sequence: Option<u64>,
    /// What to sign with: an OpenSSH private key, or the public key of one that an agent or a security key has;
    /// several may be given.
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
}

/// `strongroom policy book veto`.
#[derive(Debug, ClapArgs)]
struct VetoArgs {
    #[command(flatten)]
    peer: PeerArgs,
    /// The book.
    book: Name,
    /// The sequence of the content, as `policy status` shows it.
    sequence: u64,
    #[command(flatten)]
    officers: Officers,
}

/// What was made and signed.
#[derive(Debug, Serialize)]
struct Report {
    book: Name,
    chain: Chain,
    sequence: u64,
    addresses: u64,
    file: String,
    statement: PathBuf,
    /// How many signatures stand under it. Whose count, the running bundle says.
    signatures: usize,
}

/// Runs one of the group's commands.
///
/// # Errors
/// See [`PolicyError`].
pub fn run(args: &Args) -> Result<Answer, Failure> {
    match &args.command {
        Command::Sign(args) => sign(args),
        Command::Veto(args) => veto(args),
    }
}

fn sign(args: &SignArgs) -> Result<Answer, Failure> {
    let path = |ending: &str| args.out.join(format!("{}.{ending}", args.book));
    let (statement, signatures) = (path("statement"), path("statement.sig"));
    let update = match &args.from {
        Some(from) => made(args, from, (&path("txt"), &statement, &signatures))?,
        None => stated(args, &statement)?,
    };
    let mut armour = String::new();
    if signatures.exists() {
        let bytes = files::read(&signatures, SIGNATURES_MAX_BYTES).map_err(PolicyError::File)?;
        armour = String::from_utf8_lossy(&bytes).into_owned();
    }
    let (text, namespace) = (update.to_string(), update.header().namespace());
    for file in &args.key {
        let made = ssh::sign(file, &text, &namespace)?;
        if !armour.contains(&made) {
            armour.push_str(&made);
        }
    }
    write(&signatures, &armour)?;
    let parsed = statement::Signatures::parse(&armour).map_err(PolicyError::Signatures)?;
    Answer::done(&Report {
        sequence: update.sequence(),
        chain: update.chain,
        addresses: update.addresses,
        file: update.file.to_string(),
        book: update.book,
        statement,
        signatures: parsed.len(),
    })
}

/// The largest file of signatures.
const SIGNATURES_MAX_BYTES: u64 = 64 * 1024;

/// The statement that is there.
fn stated(args: &SignArgs, path: &Path) -> Result<BookUpdate, PolicyError> {
    let wrong = |what: String| PolicyError::Book {
        path: path.to_owned(),
        what,
    };
    let most = BookUpdate::BYTES_MAX as u64;
    let bytes = files::read(path, most).map_err(PolicyError::File)?;
    let update = BookUpdate::parse(&String::from_utf8_lossy(&bytes));
    let update = update.map_err(|error| wrong(error.to_string()))?;
    match update.book == args.book {
        true => Ok(update),
        false => Err(wrong(format!("it is about the book {}", update.book))),
    }
}

/// The file in its one order, and the statement about it. The signatures go first: a crash in between leaves a
/// statement without any, not one with those of another.
fn made(
    args: &SignArgs,
    from: &Path,
    (file, statement, signatures): (&Path, &Path, &Path),
) -> Result<BookUpdate, PolicyError> {
    let (Some(chain), Some(fleet), Some(sequence)) = (args.chain, &args.fleet, args.sequence)
    else {
        return Err(PolicyError::NoManifest);
    };
    let (text, addresses) = listed(from, chain)?;
    let update = BookUpdate {
        fleet: fleet.clone(),
        replaces: sequence.saturating_sub(1),
        book: args.book.clone(),
        chain,
        addresses,
        file: file_hash(text.as_bytes()),
    };
    let old = files::read(statement, BookUpdate::BYTES_MAX as u64).unwrap_or_default();
    if old != update.to_string().as_bytes() {
        write(signatures, "")?;
    }
    write(file, &text)?;
    write(statement, &update.to_string())?;
    Ok(update)
}

/// The addresses of a file as people write it, each once and in order, and how many they are.
fn listed(path: &Path, chain: Chain) -> Result<(String, u64), PolicyError> {
    let wrong = |what: String| PolicyError::Book {
        path: path.to_owned(),
        what,
    };
    let bytes = files::read(path, BYTES_MAX as u64).map_err(PolicyError::File)?;
    let text = String::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
    let mut lines = BTreeSet::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let address = Address::parse(chain, line);
        let address = address.map_err(|error| wrong(format!("line {number}: {error}")))?;
        lines.insert(format!("{address}\n"));
    }
    if lines.len() > ADDRESSES_MAX {
        return Err(wrong(format!("it has more than {ADDRESSES_MAX} addresses")));
    }
    let count = lines.len() as u64;
    Ok((lines.into_iter().collect(), count))
}

fn write(path: &Path, text: &str) -> Result<(), PolicyError> {
    files::replace(path, text.as_bytes(), Access::Public).map_err(PolicyError::File)
}

fn veto(args: &VetoArgs) -> Result<Answer, Failure> {
    let signer = args.peer.signer()?;
    let answer = signer.governance()?;
    let mut books = answer.books.iter();
    let book = books.find(|one| one.book == args.book.as_str());
    let mut cooling = book.into_iter().flat_map(|book| &book.cooling);
    let content = cooling.find(|one| one.sequence == args.sequence);
    let content = content.ok_or_else(|| PolicyError::NotCooling {
        book: args.book.clone(),
        sequence: args.sequence,
    })?;
    let statement = BookVeto {
        fleet: fleet(&answer)?,
        entry: content.entry,
        book: args.book.clone(),
    };
    args.officers
        .bring(&signer, &statement.header(), statement.to_string())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            book,
            chain,
            sequence,
            addresses,
            file,
            statement,
            signatures,
        } = self;
        writeln!(
            f,
            "{}: book {book}, sequence {sequence}",
            statement.display()
        )?;
        writeln!(f, "  addresses   {addresses} of {chain}")?;
        writeln!(f, "  file        {file}")?;
        writeln!(f, "  signatures  {signatures}")
    }
}
