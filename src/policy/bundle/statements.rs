//! The four kinds of statement, and what may happen under a freeze.

use tx::Amount;

use super::{
    attesters,
    draft::Draft,
    names::Taken,
    people::need,
    sections::Sections,
    selector,
    table::{Table, Value},
    units,
};
use crate::{
    Allow, AttestedNeed, Deny, Evacuate, Group, Limit, Measure, Need, Policy, Require, Selector,
    Statement,
};

/// Reads every statement. No two have one name, so that an answer names exactly one.
pub(super) fn read(sections: &mut Sections<'_>, draft: &mut Draft) {
    let policy = &draft.policy;
    let mut taken = Taken::default();
    let allows = each(sections.take("allow"), policy, &mut taken, allow);
    let denies = each(sections.take("deny"), policy, &mut taken, |_, _, _| {
        Some(Deny)
    });
    let (mut requires, mut requires_attested) = (Vec::new(), Vec::new());
    for one in each(sections.take("require"), policy, &mut taken, require) {
        let Statement {
            name,
            at,
            selector,
            says,
        } = one;
        match says {
            Required::People(says) => requires.push(Statement {
                name,
                at,
                selector,
                says,
            }),
            Required::Attesters(says) => requires_attested.push(Statement {
                name,
                at,
                selector,
                says,
            }),
        }
    }
    let limits = each(sections.take("limit"), policy, &mut taken, limit);
    let evacuates = each(sections.take("evacuate"), policy, &mut taken, evacuate);
    draft.policy.allows = allows;
    draft.policy.denies = denies;
    draft.policy.requires = requires;
    draft.policy.requires_attested = requires_attested;
    draft.policy.limits = limits;
    draft.policy.evacuates = evacuates;
}

fn each<K>(
    tables: Vec<Table<'_>>,
    policy: &Policy,
    taken: &mut Taken,
    says: impl Fn(&mut Table<'_>, &Selector, &Policy) -> Option<K>,
) -> Vec<Statement<K>> {
    let mut found = Vec::new();
    for mut table in tables {
        let name = table.new_name(taken);
        let selector = selector::read(&mut table, policy);
        let says = says(&mut table, &selector, policy);
        if let (Some(name), Some(says)) = (name, says) {
            found.push(Statement {
                name,
                at: table.place().location(),
                selector,
                says,
            });
        }
        table.finish();
    }
    found
}

fn allow(table: &mut Table<'_>, selector: &Selector, _: &Policy) -> Option<Allow> {
    if selector.effects.is_none() {
        table.error_hint(
            "names no effect and would allow every kind, rights over accounts too",
            "add effect = \"payment\", or what else may happen",
        );
        return None;
    }
    Some(Allow)
}

/// Whom a requirement asks.
enum Required {
    People(Require),
    Attesters(AttestedNeed),
}

fn require(table: &mut Table<'_>, _: &Selector, policy: &Policy) -> Option<Required> {
    let value = table.required("need")?;
    match value.has("attested") || value.has("within") {
        true => attesters::need(&value, policy).map(Required::Attesters),
        false => need(&value, policy).map(|need| Required::People(Require { need })),
    }
}

fn evacuate(table: &mut Table<'_>, _: &Selector, policy: &Policy) -> Option<Evacuate> {
    needed(table, policy).map(|need| Evacuate { need })
}

fn needed(table: &mut Table<'_>, policy: &Policy) -> Option<Need> {
    let value = table.required("need")?;
    need(&value, policy)
}

fn limit(table: &mut Table<'_>, selector: &Selector, policy: &Policy) -> Option<Limit> {
    if selector.dead.is_some() {
        table.error_hint(
            "counts re-issues whether what was attempted before is dead or not",
            "take `dead` out; an allow, a deny or a require can have it",
        );
    }
    let measure: Option<Measure> = table.required("measure").and_then(|value| value.word());
    let window = table.required("window");
    let cap = table.required("cap");
    let group = table
        .optional("group")
        .map(|group| group.each(Value::word::<Group>));
    let outstanding = table.optional("outstanding");
    let outstanding = outstanding.is_some_and(|value| attesters::outstanding(&value, policy));
    let over = table.optional("over");
    let hard = over.is_none();
    let over = over.and_then(|over| need(&over, policy));
    let window_millis = window.and_then(|window| window.map(units::window));
    let cap = cap.and_then(|cap| match measure? {
        Measure::Amount => selector::amount(&cap, selector, policy),
        Measure::Count => cap.map(count),
        Measure::Reference => attesters::value(&cap, policy),
    });
    if measure == Some(Measure::Reference) {
        attesters::priced(table, selector, policy);
    }
    if hard && cap == Some(Amount::ZERO) {
        table.warn("a hard cap of zero refuses whatever it selects; a deny says that plainly");
    }
    Some(Limit {
        measure: measure?,
        window_millis: window_millis?,
        cap: cap?,
        group: group.unwrap_or_default(),
        over,
        outstanding,
    })
}

fn count(text: &str) -> Result<Amount, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is no count of effects, such as \"100\""))
}
