//! What a bundle that is right says.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use proptest::prelude::*;
use strongroom_policy::{
    Group, Measure, Policy, ReasonCode, Selector, SourceSelector, Statement, To,
    bundle::{self, Bundle},
};
use tx::{Amount, EffectKind};

use crate::fixture::{self as counting, Ask, DAY, Signer, btc, limit};

use super::fixture::{self, Files, POLICY, ROOT, files, parse, person, replaced};

fn policy(bundle: Bundle) -> Policy {
    bundle.under(&fixture::manifest(&Files::new(), "main", 7, 6))
}

#[test]
fn the_fixture_is_read_in_full() {
    let bundle = parse(POLICY).unwrap();
    assert_eq!(bundle.warnings(), []);
    let policy = policy(bundle);
    assert_eq!((policy.fleet.as_str(), policy.sequence), ("main", 7));
    assert_eq!(policy.governance.threshold, 2);
    assert_eq!(policy.people.len(), 4);
    let lane = ("eth-hot-1".parse().unwrap(), "eip155:1".parse().unwrap());
    assert_eq!(policy.sequences[&lane].next, 0);
    assert_eq!(policy.chains[&lane.1].max_ahead, 8);
    let book = &policy.books[&"customers".parse().unwrap()];
    assert_eq!(book.addresses.len(), 1);
    let pay = &policy.allows[0];
    assert_eq!((pay.at.file.as_str(), pay.at.line), ("policy.toml", 51));
    let expected = Selector {
        effects: Some([EffectKind::Payment].into()),
        accounts: Some(["eth-hot".parse().unwrap()].into()),
        assets: Some(["eip155:1/native".parse().unwrap()].into()),
        to: Some([To::Book("customers".parse().unwrap())].into()),
        ..Selector::default()
    };
    assert_eq!(pay.selector, expected);
    let limit = &policy.limits[0].says;
    assert_eq!(limit.window_millis, 86_400_000);
    assert_eq!(limit.cap, "10000000000000000000".parse().unwrap());
    assert_eq!(limit.measure, Measure::Amount);
    assert!(limit.over.is_none());
    let rate = policy.allows[1].selector.fee_rate_max;
    assert_eq!(rate, Some(Amount::from(50_000_000_000u64)));
}

#[test]
fn every_condition_is_read() {
    let text = format!(
        "{POLICY}{}",
        r#"
[[limit]]
name = "everything"
client = "walletd"
source = ["payouts", "none"]
account = ["eth-hot"]
class = "hot"
chain = "eip155:1"
asset = "eth"
effect = ["payment", "own-transfer"]
to = ["address:eip155:1:0x70997970C51812dc3A010C7d01b50e0d17dc79C8", "own-class:cold", "own-account:ltc-hot"]
to_except = "book:customers"
amount_over = "0.000000000000000001 eth"
amount_max = "1.5 eth"
tag = "memo"
measure = "count"
window = "90d"
cap = "3"
group = ["destination", "client", "source", "account"]
over = { threshold = 1, people = ["dan"] }
"#
    );
    let policy = policy(parse(&text).unwrap());
    let limit = policy.limits.last().unwrap();
    let Selector {
        sources,
        to,
        to_except,
        amount_over,
        amount_max,
        tags,
        ..
    } = &limit.selector;
    let payouts = SourceSelector::Named("payouts".parse().unwrap());
    assert_eq!(sources, &Some([SourceSelector::None, payouts].into()));
    assert_eq!(to.as_ref().map(BTreeSet::len), Some(3));
    assert_eq!(to_except.as_ref().map(BTreeSet::len), Some(1));
    assert_eq!(amount_over, &Some(Amount::from(1u64)));
    assert_eq!(
        amount_max,
        &Some(Amount::from(1_500_000_000_000_000_000u64))
    );
    assert_eq!(tags, &Some(["memo".to_owned()].into()));
    let all = [
        Group::Destination,
        Group::Client,
        Group::Source,
        Group::Account,
    ];
    assert_eq!(limit.says.group, all.into());
    assert_eq!(limit.says.over.as_ref().map(|over| over.threshold), Some(1));
}

#[test]
fn a_fee_rate_on_a_bitcoin_like_chain_is_in_satoshi() {
    let text = format!(
        "{POLICY}\n[[deny]]\nname = \"dear\"\neffect = \"fee\"\nchain = \"litecoin:regtest\"\nfee_rate_over = \"500 sat/vb\"\n"
    );
    let policy = policy(parse(&text).unwrap());
    assert_eq!(
        policy.denies[0].selector.fee_rate_over,
        Some(Amount::from(500u64))
    );
}

/// Splits a text into its tables.
fn tables(text: &str) -> Vec<String> {
    let mut tables: Vec<String> = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') || tables.is_empty() {
            tables.push(String::new());
        }
        let last = tables.last_mut().unwrap();
        last.push_str(line);
        last.push('\n');
    }
    tables
}

/// All that a policy says, but for where it stands and in which order.
fn meaning(mut policy: Policy) -> String {
    fn sorted<K: std::fmt::Debug>(statements: &mut [Statement<K>]) {
        statements.sort_by(|one, other| one.name.cmp(&other.name));
        for statement in statements {
            statement.at.line = 0;
            statement.at.file = String::new();
        }
    }
    sorted(&mut policy.allows);
    sorted(&mut policy.denies);
    sorted(&mut policy.requires);
    sorted(&mut policy.limits);
    sorted(&mut policy.evacuates);
    format!("{policy:?}")
}

fn quickstart() -> Files {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policy/quickstart");
    let mut files = Files::new();
    for (prefix, folder) in [("", folder.clone()), ("books/", folder.join("books"))] {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                let name = entry.file_name().into_string().unwrap();
                files.insert(format!("{prefix}{name}"), fs::read(entry.path()).unwrap());
            }
        }
    }
    let (ann, ben) = (fixture::line(1), fixture::line(2));
    let governance =
        "[governance]\nthreshold = 2\nofficers = \"group:officers\"\ndelay = \"24h\"\n";
    let people = [
        governance,
        "[[group]]\nname = \"officers\"\nmembers = [\"group:deputies\", \"alice\"]\n",
        "[[group]]\nname = \"deputies\"\nmembers = [\"bob\"]\n",
        &person("alice", &[&ann]),
        &person("bob", &[&ben]),
        // Who stands by for them in the guide.
        &person("rita", &[&fixture::line(21)]),
        &person("roy", &[&fixture::line(22)]),
    ]
    .concat();
    files.insert("people.toml".into(), people.into());
    files.insert("roots/clients.pem".into(), ROOT.into());
    files
}

#[test]
fn the_quick_start_is_clean() {
    let files = quickstart();
    let bundle = bundle::parse(&files).unwrap_or_else(|found| panic!("{found:#?}"));
    assert_eq!(bundle.warnings(), []);
    let policy = policy(bundle);
    assert_eq!(policy.allows.len(), 5);
    assert_eq!(policy.limits.len(), 9);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_order_of_tables_and_files_means_nothing(
        shuffled in Just(quickstart()).prop_flat_map(|files| {
            let all: Vec<String> = files
                .iter()
                .filter(|(path, _)| path.ends_with(".toml"))
                .flat_map(|(_, bytes)| tables(str::from_utf8(bytes).unwrap()))
                .collect();
            Just(all).prop_shuffle()
        }),
        parts in 1usize..5,
    ) {
        let mut files = quickstart();
        let whole = meaning(policy(bundle::parse(&files).unwrap()));
        files.retain(|path, _| !path.ends_with(".toml"));
        for (number, table) in shuffled.iter().enumerate() {
            let file = files.entry(format!("part-{}.toml", number % parts)).or_default();
            file.extend(table.as_bytes());
        }
        let again = meaning(policy(bundle::parse(&files).unwrap()));
        prop_assert_eq!(whole, again);
    }

    #[test]
    fn any_text_is_read_or_refused(noise in "[\\[\\]a-z=\"{}., \n0-9_-]{0,60}", at: prop::sample::Index) {
        let mut text = POLICY.to_owned();
        text.insert_str(at.index(POLICY.len()), &noise);
        if let Err(found) = parse(&text) {
            prop_assert!(!found.is_empty());
            let lines = u32::try_from(text.lines().count()).unwrap() + 1;
            prop_assert!(found.iter().all(|one| one.line <= lines));
        }
    }
}

#[test]
fn a_book_may_stand_in_the_table() {
    let text = replaced(
        POLICY,
        "file = \"books/customers.txt\"",
        "addresses = [\"0x70997970c51812dc3a010c7d01b50e0d17dc79c8\"]",
    );
    let mut files = files(&text);
    files.remove("books/customers.txt");
    let policy = policy(bundle::parse(&files).unwrap());
    assert_eq!(policy.books.values().next().unwrap().addresses.len(), 1);
}

#[test]
fn a_book_of_a_million_is_read_and_one_more_is_refused_at_its_line() {
    let mut files = files(POLICY);
    let million = (1..=1_000_000_u32).map(|number| format!("0x{number:040}\n"));
    let mut text = format!("# a million\n{}", million.collect::<String>());
    let mut book = |text: &str| {
        files.insert("books/customers.txt".into(), text.into());
        bundle::parse(&files)
    };
    let parsed = policy(book(&text).unwrap());
    assert_eq!(
        parsed.books.values().next().unwrap().addresses.len(),
        1_000_000
    );
    text.push_str("\n# One more.\n0x1000000000000000000000000000000000000000\n");
    let found = book(&text).unwrap_err();
    let [one] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!(
        (one.file.as_str(), one.line),
        ("books/customers.txt", 1_000_004)
    );
    assert_eq!(one.message, "a book has at most 1000000 addresses");
}

/// The guide's blocks of this language.
fn blocks<'g>(guide: &'g str, language: &str) -> Vec<&'g str> {
    let mut parts = guide.split("```").skip(1).step_by(2).collect::<Vec<_>>();
    parts.retain(|part| part.starts_with(&format!("{language}\n")));
    parts
        .into_iter()
        .filter_map(|part| part.split_once('\n').map(|(_, text)| text))
        .collect()
}

fn guide() -> String {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let parts = ["policy/README.md", "docs/policy.md"];
    let parts = parts.map(|part| fs::read_to_string(top.join(part)).unwrap());
    parts.concat()
}

#[test]
fn the_guides_examples_are_right() {
    let (guide, mut files) = (guide(), quickstart());
    let mut examples = blocks(&guide, "toml");
    // Cases and claims stand beside a bundle, not in it.
    examples
        .retain(|example| !example.starts_with("[[case]]") && !example.starts_with("[[claim]]"));
    assert_eq!(examples.len(), 25);
    files.insert("examples.toml".into(), examples.concat().into());
    let bundle = bundle::parse(&files).unwrap_or_else(|found| panic!("{found:#?}"));
    assert_eq!(bundle.warnings(), []);
}

#[test]
fn the_guide_explains_every_reason() {
    // Serde lists every code in the error for one that there is not.
    let unknown = serde_json::from_str::<ReasonCode>("\"?\"").unwrap_err();
    let text = unknown.to_string();
    let (_, codes) = text.split_once("expected one of ").unwrap();
    let guide = guide();
    let codes: Vec<&str> = codes.split('`').skip(1).step_by(2).collect();
    assert!(codes.len() >= 19, "{codes:?}");
    for code in codes {
        assert!(guide.contains(&format!("\n| `{code}` |")), "{code}");
    }
}

/// The guide's table of what a limit holds, row by row on a signer.
#[test]
fn the_guides_numbers_are_those_of_a_signer() {
    let guide = guide();
    let (_, table) = guide.split_once("| transaction | spends |").unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let mut limited = counting::policy();
    limited.limits = vec![limit("day", btc(), 15, DAY)];
    let mut signer = Signer::new(limited);
    let mut known = BTreeMap::new();
    for (number, row) in rows.enumerate() {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, spends, pays, replaces, verdict, holds] = cells[..] else {
            panic!("{row}");
        };
        let coin = spends.strip_prefix("coin ").unwrap().parse().unwrap();
        let fee = 1_000 * (1 + u64::try_from(number).unwrap());
        let mut ask = Ask::utxo(name.trim_matches('`'), [coin], fee);
        for pay in pays.split(", ") {
            let (intent, units) = pay.split_once(": ").unwrap();
            let to = intent.strip_prefix("w-").unwrap().parse().unwrap();
            ask = ask.pay(intent, units.parse().unwrap(), to);
        }
        ask = ask.replaces(replaces.split_whitespace().map(|name| known[name]));
        match verdict {
            "signed" => {
                known.insert(name.to_owned(), signer.charged(&ask));
            }
            refused => {
                let codes = signer.codes(&ask).into_iter();
                let codes: Vec<_> = codes
                    .map(|code| serde_json::to_value(code).unwrap())
                    .collect();
                assert_eq!(codes, [refused], "{row}");
            }
        }
        let used = signer.state.room(signer.now).unwrap()[0].used;
        assert_eq!(used.to_string(), holds, "{row}");
    }
    assert_eq!(known.len(), 6);
}

/// A fuzzer that starts from bundles that are refused never comes to the checks of whole ones.
#[test]
fn what_the_fuzzer_starts_from_is_whole() {
    const NEXT: &str = "\n=====\n";
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/bundle");
    let mut read = 0;
    for seed in fs::read_dir(corpus).unwrap() {
        let path = seed.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        // As `fuzz/targets/bundle.rs` takes it apart.
        let names = ["one.toml", "two.toml", "books/customers.txt"];
        let mut files: Files = names
            .into_iter()
            .zip(text.splitn(3, NEXT))
            .filter(|(name, text)| *name == "one.toml" || !text.is_empty())
            .map(|(name, text)| (name.to_owned(), text.into()))
            .collect();
        let root = "-----BEGIN CERTIFICATE-----\n";
        files.insert("roots/clients.pem".into(), root.into());
        if let Err(found) = bundle::parse(&files) {
            panic!("{}: {found:#?}", path.display());
        }
        read += 1;
    }
    assert!(read >= 2, "{read}");
}
