//! `strongroom policy prove`: the most that leaves, whatever is asked, and claims about it.
//!
//! The bounds are those of the crate `bounds`. What reaches one is shown as requests, and `--witness` has
//! the code that `signerd` runs decide on each of them.

mod asked;
mod claims;
mod replay;
mod report;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use bounds::{Forms, Ground};
use num_bigint::BigInt;
use policy::{KeyRegistration, Policy};
use tx::{Interval, Name, Registry, Time};

use self::asked::{Asked, What};
use self::claims::Claim;
use self::report::{Answered, Never, Report};
use super::error::PolicyError;
use super::offline;
use crate::failure::Failure;
use crate::output::Answer;

/// The first Monday of 2026, 00:00 UTC: what is proved today is proved alike tomorrow.
const MONDAY_MILLIS: u64 = 1_767_571_200_000;

/// `strongroom policy prove`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The bundle's folder.
    folder: PathBuf,
    /// A file of claims that must hold; docs/policy.md says what stands in one. May be repeated.
    #[arg(long, value_name = "FILE")]
    claims: Vec<PathBuf>,
    #[command(flatten)]
    claim: claims::Flags,
    /// Have each request decided, one after the other, that lets as much leave as the bound says.
    #[arg(long)]
    witness: bool,
    /// Show those requests as well.
    #[arg(long, requires = "witness")]
    steps: bool,
    /// When the requests begin, where the hours of the week matter: at this time or up to a week later
    /// [default: Monday, 5 January 2026, 00:00 UTC].
    #[arg(long, value_name = "TIME")]
    from: Option<Time>,
    /// The fleet, where the bundle has no manifest yet.
    #[arg(long, default_value = "unsigned")]
    fleet: Name,
    /// Public keys as JSON, as signerd answers, where it matters which they are; the others are made up.
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
}

/// The question by which most leaves, and its answer.
fn worst<Q, B>(
    answers: impl Iterator<Item = (Q, B)>,
    most: impl Fn(&B) -> &Option<BigInt>,
) -> Result<(Q, B), PolicyError> {
    let more = |one: (Q, B), other: (Q, B)| {
        let is_more = match (most(&one.1), most(&other.1)) {
            (None, _) => false,
            (_, None) => true,
            (Some(one), Some(other)) => other > one,
        };
        if is_more { other } else { one }
    };
    answers.reduce(more).ok_or_else(|| PolicyError::Claim {
        what: "nobody to agree".to_owned(),
    })
}

/// What is proved about.
struct Place {
    policy: Arc<Policy>,
    registry: Arc<Registry>,
    keys: Vec<(Name, String)>,
    from: Time,
}

/// Decides the claims, or the questions that are asked of every bundle.
///
/// # Errors
/// [`PolicyError`] where the bundle or a file cannot be read.
pub fn run(args: &Args) -> Result<Answer, Failure> {
    let place = Place::of(args)?;
    let mut claims = Vec::new();
    for path in &args.claims {
        claims.extend(claims::read(path)?);
    }
    claims.extend(args.claim.claim()?);
    let all = match claims.is_empty() {
        true => asked::of_every_bundle(&place.policy),
        false => Asked::of_claims(&place.policy, &claims)?,
    };
    let answers = all.iter().map(|asked| place.answer(asked, args));
    let answers = answers.collect::<Result<Vec<_>, PolicyError>>()?;
    let never = match claims.is_empty() {
        true => asked::kinds().map(|kind| place.never(kind, None)).collect(),
        false => place.claimed(&claims),
    };
    let report = Report::new(answers, never, args.steps);
    if report.holds() {
        Answer::done(&report)
    } else {
        Answer::refused(&report)
    }
}

impl Place {
    fn of(args: &Args) -> Result<Self, PolicyError> {
        let policy = Arc::new(offline::policy(&args.folder, &args.fleet)?);
        let given = match &args.keys {
            Some(path) => offline::keys(path)?,
            None => Vec::new(),
        };
        let known = |name: &Name| given.iter().find(|(known, _)| known == name);
        let names = offline::key_names(&policy).into_keys();
        let keys = names.map(|name| match known(name) {
            Some(key) => key.clone(),
            None => (name.clone(), offline::made_up(name.as_str())),
        });
        let keys: Vec<_> = keys.collect();
        let from = args.from.unwrap_or(Time::from_millis(MONDAY_MILLIS));
        let at = Interval { lo: from, hi: from };
        let state = offline::state(&policy, keys.clone(), at).map_err(PolicyError::State)?;
        debug_assert!(
            state
                .registrations()
                .all(|key: &KeyRegistration| !key.public.is_empty())
        );
        Ok(Self {
            registry: state.registry(),
            policy,
            keys,
            from,
        })
    }

    fn ground(&self) -> Ground<'_> {
        Ground {
            policy: &self.policy,
            registry: &self.registry,
            forms: Forms::CODECS,
            from: self.from,
        }
    }

    /// The answer to a question; of several choices of people, the one by which most leaves.
    fn answer(&self, asked: &Asked, args: &Args) -> Result<Answered, PolicyError> {
        let ground = &self.ground();
        let choices = asked.agreeing(&self.policy).into_iter();
        match &asked.what {
            What::Of(leaves) => {
                let questions = choices.map(|people| asked.question(leaves, people));
                let bounds = questions.map(|question| {
                    let bound = bounds::bound(ground, &question);
                    (question, bound)
                });
                let (question, bound) = worst(bounds, |bound| &bound.most)?;
                let replayed = (args.witness && bound.is_exact())
                    .then(|| replay::replay(self, &question, &bound));
                let answer = (question, bound);
                Ok(Answered::of(&self.policy, asked, answer, replayed))
            }
            What::Worth { outside } => {
                let questions = choices.map(|people| asked.worth(outside, people));
                let bounds = questions.map(|question| {
                    let most = bounds::worth(ground, &question);
                    (question, most)
                });
                let answer = worst(bounds, |most| most)?;
                Ok(Answered::of_worth(&self.policy, asked, answer))
            }
        }
    }

    fn never(&self, kind: tx::EffectKind, claim: Option<&Claim>) -> Never {
        let passing = bounds::passing(&self.ground(), kind, &BTreeSet::new());
        Never::of(kind, passing, claim.map(|claim| claim.name.clone()))
    }

    /// The claims that some kinds of effect never pass.
    fn claimed(&self, claims: &[Claim]) -> Vec<Never> {
        let kinds = claims.iter().flat_map(|claim| {
            let kinds = claim.never.iter().flatten();
            kinds.map(move |kind| self.never(*kind, Some(claim)))
        });
        kinds.collect()
    }
}
