//! `strongroom policy new`: a bundle to begin with, and cases that it holds.

mod template;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tx::{Address, Chain, Name};

use self::template::{Passkeys, Site, Template};
use super::error::PolicyError;
use crate::failure::Failure;
use crate::files::{self, Access};
use crate::output::Answer;

/// The largest file that is taken over.
const FILE_MAX_BYTES: u64 = 1024 * 1024;

/// `strongroom policy new`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The bundle's folder, which is made. Its cases go beside it, into FOLDER.test.toml.
    folder: PathBuf,
    /// What the bundle is for.
    #[arg(long)]
    template: Template,
    /// The chain, such as eip155:1 or litecoin:mainnet.
    #[arg(long)]
    chain: Chain,
    /// An officer, and the file of their SSH public key: ann=ann.pub. Once for each.
    #[arg(long, value_name = "NAME=FILE", required = true, value_parser = officer)]
    officer: Vec<(Name, PathBuf)>,
    /// How many officers have to agree [default: more than half of them].
    #[arg(long, value_name = "COUNT")]
    threshold: Option<usize>,
    /// The own address that is signed for elsewhere, where the template has one.
    #[arg(long, value_name = "ADDRESS")]
    cold: Option<String>,
    /// A payee's address, where the template pays to a book; once for each.
    #[arg(long, value_name = "ADDRESS")]
    payee: Vec<String>,
    /// An officer, and the file of a passkey's line as the approval page shows it: ann=ann.passkey. Such a passkey
    /// approves payments up to a tier; once for each.
    #[arg(long, value_name = "NAME=FILE", value_parser = officer, requires = "approval_page")]
    passkey: Vec<(Name, PathBuf)>,
    /// The origin of the page where passkeys are used, such as https://approve.example.org:8443; its host is their rpId.
    #[arg(long, value_name = "ORIGIN", requires = "passkey")]
    approval_page: Option<String>,
    /// The certificate of the authority that certifies clients, PEM.
    #[arg(long, value_name = "FILE")]
    root: PathBuf,
}

/// What was written.
#[derive(Debug, Serialize)]
struct Report {
    folder: PathBuf,
    cases: PathBuf,
    files: Vec<String>,
}

fn officer(text: &str) -> Result<(Name, PathBuf), String> {
    let (name, file) = text.split_once('=').ok_or("write NAME=FILE")?;
    let name = name
        .parse()
        .map_err(|error: tx::NameError| error.to_string())?;
    Ok((name, file.into()))
}

/// Writes the bundle and its cases.
///
/// # Errors
/// [`PolicyError`]; nothing is written in the place of a file that is there.
pub fn run(args: &Args) -> Result<Answer, Failure> {
    let site = site(args)?;
    let written = site.files(args.template);
    let cases = beside(&args.folder);
    for (path, text) in &written {
        create(&args.folder.join(path), text)?;
    }
    create(&cases, &site.cases(args.template))?;
    Answer::done(&Report {
        folder: args.folder.clone(),
        cases,
        files: written.into_iter().map(|(path, _)| path).collect(),
    })
}

/// What the flags say, if that is all that the template needs.
fn site(args: &Args) -> Result<Site, PolicyError> {
    let template = |what| PolicyError::Template { what };
    let address = |text: &String| {
        Address::parse(args.chain, text).map_err(|error| template(error.to_string()))
    };
    let cold = args.cold.as_ref().map(address).transpose()?;
    let payees = args
        .payee
        .iter()
        .map(address)
        .collect::<Result<Vec<_>, _>>()?;
    if args.template.has_cold() != cold.is_some() {
        let takes = if cold.is_some() { "takes no" } else { "needs" };
        return Err(template(format!("the template {takes} --cold ADDRESS")));
    }
    if args.template.has_payees() == payees.is_empty() {
        let takes = if payees.is_empty() {
            "needs"
        } else {
            "takes no"
        };
        return Err(template(format!("the template {takes} --payee ADDRESS")));
    }
    let officers = lines(&args.officer)?;
    let majority = officers.len() / 2 + 1;
    let root = files::read(&args.root, FILE_MAX_BYTES).map_err(PolicyError::File)?;
    let site = Site {
        chain: args.chain,
        threshold: args.threshold.unwrap_or(majority),
        officers,
        cold,
        payees,
        passkeys: passkeys(args)?,
        root: String::from_utf8_lossy(&root).into_owned(),
    };
    site.check(args.template)?;
    Ok(site)
}

/// The passkeys of officers.
fn passkeys(args: &Args) -> Result<Option<Passkeys>, PolicyError> {
    let Some(origin) = &args.approval_page else {
        return Ok(None);
    };
    let template = |what: String| PolicyError::Template { what };
    if !args.template.has_passkeys() {
        return Err(template("the template takes no --passkey NAME=FILE".into()));
    }
    let is_officer = |name: &Name| args.officer.iter().any(|(officer, _)| officer == name);
    if let Some((name, _)) = args.passkey.iter().find(|(name, _)| !is_officer(name)) {
        return Err(template(format!("no officer is called {name}")));
    }
    Ok(Some(Passkeys {
        origin: origin.clone(),
        of: lines(&args.passkey)?,
    }))
}

/// The one line of each file.
fn lines(named: &[(Name, PathBuf)]) -> Result<Vec<(Name, String)>, PolicyError> {
    let read = named.iter().map(|(name, path)| {
        let line = files::read(path, FILE_MAX_BYTES).map_err(PolicyError::File)?;
        Ok((
            name.clone(),
            String::from_utf8_lossy(&line).trim().to_owned(),
        ))
    });
    read.collect()
}

/// The cases' file.
fn beside(folder: &Path) -> PathBuf {
    folder.with_added_extension("test.toml")
}

fn create(path: &Path, text: &str) -> Result<(), PolicyError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|source| PolicyError::Folder {
            path: folder.to_owned(),
            source,
        })?;
    }
    files::create(path, text.as_bytes(), Access::Public).map_err(PolicyError::File)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for file in &self.files {
            writeln!(f, "{}", self.folder.join(file).display())?;
        }
        writeln!(f, "{}", self.cases.display())?;
        let (folder, cases) = (self.folder.display(), self.cases.display());
        writeln!(f, "Set the amounts, then:")?;
        writeln!(f, "  strongroom policy check {folder}")?;
        writeln!(f, "  strongroom policy test {folder} {cases}")?;
        writeln!(
            f,
            "  strongroom policy sign {folder} --fleet FLEET --sequence 1 --key KEY"
        )
    }
}
