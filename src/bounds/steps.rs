//! A plan as requests, one after the other.

use std::collections::{BTreeMap, VecDeque};

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{ToPrimitive, Zero};
use policy::{Group, Limit, Measure, Statement};
use tx::{Address, Asset, Name};

use crate::{
    destinations::{is_stranger, strangers},
    draft::Asked,
    model::{Column, Link, Model, Of},
    question::{Ground, Payment, Question, Step, amount},
    span::Plan,
};

/// More steps are not written down.
const STEPS_MAX: usize = 50_000;

/// Makes steps of what is asked for.
pub(crate) struct Steps<'a> {
    ground: &'a Ground<'a>,
    question: &'a Question,
    model: &'a Model,
    fresh: Box<dyn Iterator<Item = Address> + 'a>,
    /// What addresses of a class were paid when, where there are many of them.
    paid: BTreeMap<Address, VecDeque<(u64, BigInt)>>,
    steps: Vec<Step>,
}

/// The steps of a plan that begins at the ground's time and so many milliseconds; `None` where it is too long,
/// or where not every payment finds an address.
pub(crate) fn steps(
    (ground, question, model): (&Ground<'_>, &Question, &Model),
    begins: u64,
    plan: &Plan,
) -> Option<Vec<Step>> {
    let count = |asked: &Asked| -> BigInt {
        let payments = asked.payments.values().map(|(count, _)| count);
        payments
            .chain(asked.fees.values().map(|(count, _)| count))
            .sum()
    };
    let all: BigInt = plan.iter().map(|(_, asked)| count(asked)).sum();
    if all > STEPS_MAX.into() {
        return None;
    }
    let fresh = strangers(question.chain()).filter(|one| is_stranger(ground, one));
    let mut made = Steps {
        ground,
        question,
        model,
        fresh: Box::new(fresh),
        paid: BTreeMap::new(),
        steps: Vec::new(),
    };
    for (at, asked) in plan {
        made.add(begins, *at, asked)?;
    }
    Some(made.steps)
}

impl Steps<'_> {
    fn add(&mut self, begins: u64, at: u64, asked: &Asked) -> Option<()> {
        let mut linked: BTreeMap<usize, Vec<Payment>> = BTreeMap::new();
        for (number, numbers) in &asked.payments {
            let column = self.model.columns.get(*number)?;
            for sum in parts(numbers, (&column.least, &column.most))? {
                let payment = self.payment(column, at, &sum)?;
                match column.link {
                    Some(link) => linked.entry(link).or_default().push(payment),
                    None => {
                        let step = (&column.client, &column.account);
                        self.push(begins + at, step, (vec![payment], BigInt::zero()));
                    }
                }
            }
        }
        for (number, link) in self.model.links.iter().enumerate() {
            let payments = linked.remove(&number).unwrap_or_default();
            let fees = asked.fees.iter().filter(|((of, _), _)| *of == number);
            let mut all = Vec::new();
            for ((_, fee), numbers) in fees {
                let fee = link.fees.get(*fee)?;
                all.extend(parts(numbers, (&fee.least, &fee.most))?);
            }
            for batch in batches(link, payments, (all, self.model.batch))? {
                self.push(begins + at, (&link.client, &link.account), batch);
            }
        }
        Some(())
    }

    fn push(
        &mut self,
        at: u64,
        (client, account): (&Name, &Name),
        (payments, fee): (Vec<Payment>, BigInt),
    ) {
        self.steps.push(Step {
            at: self.ground.from.after_millis(at),
            client: client.clone(),
            account: account.clone(),
            chain: self.question.chain(),
            payments,
            fee: amount(&fee),
        });
    }

    fn payment(&mut self, column: &Column, at: u64, sum: &BigInt) -> Option<Payment> {
        let class = self.model.classes.get(column.class)?;
        let to = match (class.endless, column.copy) {
            (true, _) => self.fresh.next()?,
            (false, Some(copy)) => class.addresses.get(copy)?.clone(),
            (false, None) => self.with_room(&class.addresses, (at, sum))?,
        };
        Some(Payment {
            to,
            asset: self.asset(),
            amount: amount(sum),
            source: column.source.clone(),
        })
    }

    fn asset(&self) -> Asset {
        self.question.asset()
    }

    /// An address for which every limit by destinations has room, by whoever and from wherever it was paid.
    fn with_room(&mut self, addresses: &[Address], (at, sum): (u64, &BigInt)) -> Option<Address> {
        let limits = self.ground.policy.limits.iter();
        let apart = limits.filter(|limit| limit.says.group.contains(&Group::Destination));
        let apart: Vec<&Statement<Limit>> = apart.collect();
        let chosen = addresses.iter().find(|address| {
            let paid = self.paid.get(address);
            apart
                .iter()
                .all(|limit| has_room(&limit.says, paid, (at, sum)))
        });
        let chosen = chosen?.clone();
        if !apart.is_empty() {
            let paid = self.paid.entry(chosen.clone()).or_default();
            paid.push_back((at, sum.clone()));
        }
        Some(chosen)
    }
}

fn has_room(
    limit: &Limit,
    paid: Option<&VecDeque<(u64, BigInt)>>,
    (at, sum): (u64, &BigInt),
) -> bool {
    let measured = |sum: &BigInt| match limit.measure {
        Measure::Amount => sum.clone(),
        _ => 1.into(),
    };
    let within = paid.into_iter().flatten();
    let within = within.filter(|(when, _)| when + limit.window_millis > at);
    let used: BigInt = within.map(|(_, sum)| measured(sum)).sum();
    used + measured(sum) <= crate::question::number(limit.cap)
}

/// So many numbers from the least to the most that come to a sum, the largest first.
fn parts(
    (count, sum): &(BigInt, BigInt),
    (least, most): (&BigInt, &BigInt),
) -> Option<Vec<BigInt>> {
    let count = count.to_usize()?;
    let mut rest = sum - least * count;
    let more = most - least;
    let mut parts = Vec::new();
    for _ in 0..count {
        let part = rest.clone().min(more.clone());
        rest -= &part;
        parts.push(least + part);
    }
    rest.is_zero().then_some(parts)
}

/// The transactions of a link: its fees, each with as many payments as a transaction has.
fn batches(
    link: &Link,
    mut payments: Vec<Payment>,
    (fees, batch): (Vec<BigInt>, u64),
) -> Option<Vec<(Vec<Payment>, BigInt)>> {
    let count = fees.len();
    if count == 0 {
        return payments.is_empty().then(Vec::new);
    }
    let mut all: Vec<(Vec<Payment>, BigInt)> =
        fees.into_iter().map(|fee| (Vec::new(), fee)).collect();
    let mut spare = Vec::new();
    if link.of == Of::Several {
        // In the order of the sources, of each no more than there are transactions: dealt out in turn, no
        // two of one source come to one of them.
        payments.sort_by(|one, other| one.source.cmp(&other.source));
        let mut of: BTreeMap<Name, usize> = BTreeMap::new();
        let (dealt, over) = payments.into_iter().partition(|payment| {
            let dealt = of.entry(payment.source.clone()).or_default();
            *dealt += 1;
            *dealt <= count
        });
        payments = dealt;
        spare = over;
    }
    for (number, payment) in payments.into_iter().enumerate() {
        all.get_mut(number.mod_floor(&count))?.0.push(payment);
    }
    let batch = usize::try_from(batch).ok()?;
    for payment in spare {
        let room = all.iter_mut().find(|(payments, _)| payments.len() < batch);
        room?.0.push(payment);
    }
    let fits = all.iter().all(|(payments, _)| payments.len() <= batch);
    fits.then_some(all)
}
