//! What leaves of all assets together, by what it is worth when it is signed.
//!
//! A price may be whatever attesters sign, so that an amount bounds no value: nothing but limits on values and on
//! counts does. What such a limit counts of several assets, on several chains, is in one program, so that it is not
//! counted once for each.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use num_bigint::BigInt;
use policy::{Limit, Measure, Policy, Selector, Statement};
use tx::{Asset, AssetKind, Chain, EffectKind, Name};

use crate::{
    destinations::{self, blurred},
    forms::Forms,
    loose::{is_beyond, names, without_functions},
    model::Model,
    moves::{Builder, begun},
    question::{Ground, Leaves, Question},
    span::Span,
};

/// What is asked: the most that all that leaves in a span is worth, in the reference currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worth {
    /// A book: only what is paid or sent by calls to others than it has, and all that others may take.
    pub outside: Option<Name>,
    /// In how many milliseconds: of requests one that much after the first is outside.
    pub span_millis: u64,
    /// The people who agree to whatever needs them.
    pub people: BTreeSet<Name>,
    /// The clients that ask; all of them where there is none.
    pub clients: Option<BTreeSet<Name>>,
}

/// The most that payments, calls and approvals of the assets that have a price are worth, each by the price that
/// held when it was signed, in 10^-8 of the reference currency, whatever attesters say of prices; `None` where no
/// limit bounds it. What has no price is worth nothing here.
///
/// As with [`crate::bound`], ages of destinations, who signed and what is dead are not looked at, nor are amounts.
/// What calls send is bounded by itself, and added.
pub fn worth(ground: &Ground<'_>, asked: &Worth) -> Option<BigInt> {
    let moved = [EffectKind::Payment, EffectKind::Approval];
    let moved = most(&valued(ground.policy), ground, (asked, &moved))?;
    let called = without_functions(ground.policy);
    let called = most(&valued(&called), ground, (asked, &[EffectKind::Call]))?;
    Some(moved + called)
}

/// The most that effects of these kinds are worth under a policy of values.
fn most(
    policy: &Policy,
    ground: &Ground<'_>,
    (asked, kinds): (&Worth, &[EffectKind]),
) -> Option<BigInt> {
    let batch = ground.forms.batch;
    let ground = &Ground {
        policy,
        // A value has no least and no most, and a fee takes from no limit on values more than nothing.
        forms: Forms {
            least: |_| 0,
            most: |_| None,
            batch,
            size: |_| (0, u64::MAX),
        },
        ..*ground
    };
    let model = model(ground, (asked, kinds));
    Span::new(&model, asked.span_millis, &[(0, 0)]).at_most()
}

fn model(ground: &Ground<'_>, (asked, kinds): (&Worth, &[EffectKind])) -> Model {
    let mut classes: BTreeMap<Chain, Range<usize>> = BTreeMap::new();
    let (mut model, mut places) = begun(ground);
    for asset in ground.policy.attestations.prices.keys() {
        let chain = asset.chain;
        let of_chain = classes.entry(chain).or_insert_with(|| {
            let from = model.classes.len();
            let more = destinations::classes(ground, chain, asked.outside.as_ref());
            model.classes.extend(more);
            model.batch = model.batch.max((ground.forms.batch)(chain));
            from..model.classes.len()
        });
        let question = Question {
            leaves: Leaves::Payments {
                asset: asset.clone(),
                outside: asked.outside.clone(),
            },
            span_millis: asked.span_millis,
            people: asked.people.clone(),
            clients: asked.clients.clone(),
        };
        let mut builder = Builder {
            ground,
            question: &question,
            chain,
            kind: EffectKind::Payment,
            classes: of_chain.clone(),
            places,
            model,
        };
        let kinds = kinds.iter().filter(|kind| moves(**kind, asset, ground));
        for kind in kinds {
            builder.add_all(*kind);
        }
        (model, places) = (builder.model, builder.places);
    }
    model
}

/// Whether an asset can leave by effects of the kind.
fn moves(kind: EffectKind, asset: &Asset, ground: &Ground<'_>) -> bool {
    match kind {
        EffectKind::Approval => {
            let mut allows = ground.policy.allows.iter();
            matches!(asset.kind, AssetKind::Erc20(_))
                && allows.any(|allow| allow.selector.gives(EffectKind::Approval))
        }
        EffectKind::Call => {
            let mut functions = ground.policy.functions.iter();
            *asset == Asset::native(asset.chain)
                && functions.any(|(contract, _)| contract.chain() == asset.chain)
        }
        _ => true,
    }
}

/// The policy as far as it bounds values, which stand in the place of amounts: limits on values, on counts, and
/// those that leave room for nothing. What asks for an amount is taken as [`crate::loose`] takes what asks for an
/// age: it can be met by a value of any size.
fn valued(policy: &Policy) -> Policy {
    let blurred = blurred(policy);
    let is_beyond = |selector: &Selector| {
        is_beyond(selector)
            || names(selector, &blurred)
            || selector.amount_max.is_some()
            || selector.amount_over.is_some()
    };
    let mut valued = policy.clone();
    for allow in &mut valued.allows {
        let selector = &mut allow.selector;
        (selector.age_min, selector.age_below, selector.signed_by) = (None, None, None);
        (selector.amount_max, selector.amount_over) = (None, None);
        selector.dead = None;
        if names(selector, &blurred) {
            (selector.to, selector.to_except) = (None, None);
        }
    }
    valued.denies.retain(|one| !is_beyond(&one.selector));
    valued.requires.retain(|one| !is_beyond(&one.selector));
    valued.limits.retain(|one| !is_beyond(&one.selector));
    valued.limits = valued.limits.into_iter().filter_map(of_values).collect();
    valued
}

/// What a limit says of values. What is outstanding says nothing of what leaves in a span.
fn of_values(mut limit: Statement<Limit>) -> Option<Statement<Limit>> {
    let bounds = match limit.says.measure {
        Measure::Amount => limit.says.cap.is_zero(),
        Measure::Count | Measure::Reference => true,
    };
    if limit.says.measure == Measure::Reference {
        limit.says.measure = Measure::Amount;
    }
    (bounds && !limit.says.outstanding).then_some(limit)
}
