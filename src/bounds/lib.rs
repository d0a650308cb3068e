//! What a policy lets out at most, whatever is asked.
//!
//! Nothing is sampled. What every statement speaks of alike is one kind of thing ([`moves`]); how many of
//! each are asked for, and what they come to, are the whole numbers of an integer program ([`draft`]),
//! which is decided exactly ([`program`], [`tableau`]); time is cut where windows end ([`span`]). Which
//! statement speaks of what is asked of the code that `signerd` runs ([`policy::Selector::speaks_of`]).
//! What this assumes stands in `docs/adr/0011-bounds-are-proved-by-integer-programs.md`.

mod agreed;
mod alike;
mod defect;
mod destinations;
mod draft;
mod forms;
mod hours;
mod loose;
mod model;
mod moves;
mod never;
mod program;
mod question;
mod rates;
mod span;
mod steps;
mod tableau;
#[cfg(test)]
mod tests;
mod worth;

use std::borrow::Cow;

use num_bigint::BigInt;
use num_traits::Zero;
use tx::{Asset, AssetKind, EffectKind};

use loose::{loose, without_functions};
use model::Model;
use span::{Plan, Span};

pub use agreed::agreed;
pub use forms::Forms;
pub use never::{Passing, passing};
pub use question::{Bound, Ground, Leaves, Payment, Question, Step};
pub use worth::{Worth, worth};

/// Decides a question. Where the age of a destination or who signed matters, the bound is that of a policy
/// that does not look at it, and no sequence is given. Nor is one where a statement names a book that is loaded
/// apart: the bound holds for whatever is in it.
///
/// What calls send leaves, too. It is bounded by itself, whatever is called, and added: a sequence has none. So does
/// what spenders may take by approvals, wherever they send it; what limits count with payments is not added twice.
pub fn bound(ground: &Ground<'_>, question: &Question) -> Bound {
    let paid = of_payments(ground, question);
    let called = of_calls(ground, question);
    let moved = paid.most.clone().zip(called);
    let moved = moved.map(|(paid, called)| paid + called);
    Bound {
        most: with_approved(ground, question, moved),
        ..paid
    }
}

/// The most that is paid and that spenders may take, of what is paid. Each is bounded by itself, and both together by
/// what counts both: neither is exceeded.
fn with_approved(ground: &Ground<'_>, question: &Question, paid: Option<BigInt>) -> Option<BigInt> {
    if !is_approved(ground, question) {
        return paid;
    }
    let policy = loose(ground.policy);
    let ground = Ground {
        policy: &policy,
        ..*ground
    };
    let most = |kinds: &[EffectKind]| {
        let model = moves::model_of(&ground, question, kinds);
        Span::new(&model, question.span_millis, &[(0, 0)]).at_most()
    };
    let approved = most(&[EffectKind::Approval]);
    if approved.as_ref().is_some_and(BigInt::is_zero) {
        return paid;
    }
    let together = most(&[EffectKind::Payment, EffectKind::Approval]);
    let apart = paid.zip(approved).map(|(paid, approved)| paid + approved);
    match (apart, together) {
        (Some(apart), Some(together)) => Some(apart.min(together)),
        (apart, together) => apart.or(together),
    }
}

/// Whether spenders may be approved of what is asked about.
fn is_approved(ground: &Ground<'_>, question: &Question) -> bool {
    let mut allows = ground.policy.allows.iter();
    match &question.leaves {
        Leaves::Payments { asset, .. } => {
            matches!(asset.kind, AssetKind::Erc20(_))
                && allows.any(|allow| allow.selector.gives(EffectKind::Approval))
        }
        Leaves::Fees { .. } => false,
    }
}

/// The most that calls send; nothing where no limit bounds it.
fn of_calls(ground: &Ground<'_>, question: &Question) -> Option<BigInt> {
    let is_sent = match &question.leaves {
        Leaves::Payments { asset, .. } => {
            let mut functions = ground.policy.functions.iter();
            *asset == Asset::native(asset.chain)
                && functions.any(|(contract, _)| contract.chain() == asset.chain)
        }
        Leaves::Fees { .. } => false,
    };
    if !is_sent {
        return Some(BigInt::default());
    }
    let policy = without_functions(ground.policy);
    let policy = loose(&policy);
    let ground = Ground {
        policy: &policy,
        ..*ground
    };
    let model = moves::model_of(&ground, question, &[EffectKind::Call]);
    Span::new(&model, question.span_millis, &[(0, 0)]).at_most()
}

fn of_payments(ground: &Ground<'_>, question: &Question) -> Bound {
    let policy = match loose(ground.policy) {
        Cow::Borrowed(_) => return decided(ground, question),
        Cow::Owned(policy) => policy,
    };
    let loose = Ground {
        policy: &policy,
        ..*ground
    };
    Bound {
        reached: BigInt::default(),
        steps: Vec::new(),
        ..decided(&loose, question)
    }
}

fn decided(ground: &Ground<'_>, question: &Question) -> Bound {
    let model = moves::model(ground, question);
    let starts = hours::starts(ground, &model, question.span_millis);
    let always = [(0, 0)];
    let whole = Span::new(&model, question.span_millis, &always);
    let Some(mut most) = whole.at_most() else {
        return Bound {
            most: None,
            reached: BigInt::default(),
            steps: Vec::new(),
        };
    };
    let mut best = (BigInt::default(), 0, Plan::new());
    for start in &starts {
        if best.0 == most {
            break;
        }
        let span = Span::new(&model, question.span_millis, &start.hours);
        let plan = span.planned();
        best = better(best, (leaves(&model, &plan), start.at, plan));
        if best.0 < most
            && let Some((decided, plan)) = span.decided()
        {
            most = most.min(decided);
            best = better(best, (leaves(&model, &plan), start.at, plan));
        }
    }
    let (reached, at, plan) = best;
    match steps::steps((ground, question, &model), at, &plan) {
        Some(steps) => Bound {
            most: Some(most),
            reached,
            steps,
        },
        None => Bound {
            most: Some(most),
            reached: BigInt::default(),
            steps: Vec::new(),
        },
    }
}

type Found = (BigInt, u64, Plan);

fn better(one: Found, other: Found) -> Found {
    if other.0 > one.0 { other } else { one }
}

fn leaves(model: &Model, plan: &Plan) -> BigInt {
    plan.iter().map(|(_, asked)| asked.leaves(model)).sum()
}
