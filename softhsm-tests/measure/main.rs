//! The benchmark: figures with the baseline of each measured in the same run.
//!
//! `softhsm-tests/bench [--json] [NAME…]` builds what is needed and runs this.

mod figure;
mod load;
mod machine;
mod path;
mod raw;

use figure::{Figure, Format};

/// How many sessions sign, for the figures of the whole path.
const SESSIONS: u16 = 2;

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == raw::ROLE) {
        raw::run(&arguments[1..]);
        return;
    }
    let json = arguments.iter().any(|argument| argument == "--json");
    arguments.retain(|argument| argument != "--json");
    for name in &arguments {
        assert!(
            path::FIGURES.contains(&name.as_str()),
            "no figure {name}; there are {:?}",
            path::FIGURES
        );
    }
    let wanted = |name: &str| arguments.is_empty() || arguments.iter().any(|one| one == name);
    let format = if json { Format::Json } else { Format::Text };
    for figure in path::measure(SESSIONS)
        .into_iter()
        .filter(|figure: &Figure| wanted(figure.figure))
    {
        figure.print(format);
    }
}
