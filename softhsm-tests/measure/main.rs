//! The benchmark: figures with the baseline of each measured in the same run.
//!
//! `softhsm-tests/bench [--json] [--entries N] [NAME…]` builds what is needed and runs this. Without names,
//! all that do not take minutes each.

mod coins;
mod figure;
mod journal;
mod load;
mod long;
mod machine;
mod memory;
mod opening;
mod path;
mod payments;
mod payouts;
mod pool;
mod raw;
mod raw_store;
mod rules;
mod wake;
mod witnessed;

use figure::{Figure, Format};

/// How many sessions sign, for the figures of the whole path.
const SESSIONS: u16 = 2;

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((role, of)) = arguments.split_first()
        && runs_as(role, of)
    {
        return;
    }
    let entries = entries(&mut arguments);
    let json = arguments.iter().any(|argument| argument == "--json");
    arguments.retain(|argument| argument != "--json");
    let known: Vec<&str> = [
        path::FIGURES.as_slice(),
        &pool::FIGURES,
        &journal::FIGURES,
        &opening::FIGURES,
        &memory::FIGURES,
        &payouts::FIGURES,
        &coins::FIGURES,
        &rules::FIGURES,
        &witnessed::FIGURES,
    ]
    .concat();
    for name in &arguments {
        assert!(
            known.contains(&name.as_str()),
            "no figure {name}; there are {known:?}"
        );
    }
    let wanted = |name: &str| match arguments.is_empty() {
        true => !opening::FIGURES.contains(&name),
        false => arguments.iter().any(|one| one == name),
    };
    let format = if json { Format::Json } else { Format::Text };
    let print = |figures: Vec<Figure>| {
        for figure in figures.iter().filter(|figure| wanted(figure.figure)) {
            figure.print(format);
        }
    };
    if path::FIGURES.into_iter().any(wanted) {
        print(path::measure(SESSIONS));
    }
    if pool::FIGURES.into_iter().any(wanted) {
        print(pool::measure());
    }
    if journal::FIGURES.into_iter().any(wanted) {
        print(journal::measure());
    }
    if opening::FIGURES.into_iter().any(wanted) {
        print(opening::measure(entries));
    }
    if memory::FIGURES.into_iter().any(wanted) {
        print(memory::measure());
    }
    if payouts::FIGURES.into_iter().any(wanted) {
        // The signer's own rate, beside what the coordinator makes of it.
        print(payouts::measure(path::per_second(SESSIONS)));
    }
    if coins::FIGURES.into_iter().any(wanted) {
        print(coins::measure());
    }
    if rules::FIGURES.into_iter().any(wanted) {
        print(rules::measure());
    }
    if witnessed::FIGURES.into_iter().any(wanted) {
        print(witnessed::measure(SESSIONS));
    }
}

/// Whether this is a process of a measurement, which it then was.
fn runs_as(role: &str, arguments: &[String]) -> bool {
    match role {
        raw::ROLE => raw::run(arguments),
        wake::ROLE => wake::run(),
        role if memory::ROLES.contains(&role) => memory::run(role, arguments),
        role if opening::ROLES.contains(&role) => opening::run(role, arguments),
        _ => return false,
    }
    true
}

/// How many entries a long journal shall have, if that is said.
fn entries(arguments: &mut Vec<String>) -> Option<u64> {
    let at = arguments
        .iter()
        .position(|argument| argument == "--entries")?;
    let mut said = arguments.drain(at..(at + 2).min(arguments.len()));
    let number = said.nth(1).expect("--entries N");
    Some(number.parse().expect("a number of entries"))
}
