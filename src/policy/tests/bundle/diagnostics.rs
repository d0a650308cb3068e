//! Every wrong input is named at its file, line and key.

mod statements;
mod values;

use strongroom_policy::bundle::{self, Severity};

use super::fixture::{CUSTOMERS, POLICY, errors, files, parse, replaced};

/// One change to the fixture's `policy.toml`, and how what is said about it begins.
type Case<'a> = (&'a str, &'a str, &'a [&'a str]);

/// Asserts that exactly these diagnostics come, each beginning as it is given.
fn assert_says(found: &[String], says: &[&str], about: &str) {
    let agree = found.len() == says.len()
        && found
            .iter()
            .zip(says)
            .all(|(found, says)| found.starts_with(says));
    assert!(agree, "{about}\nfound: {found:#?}\nexpected: {says:#?}");
}

fn assert_cases(cases: &[Case<'_>]) {
    for (part, by, says) in cases {
        assert_says(&errors(&replaced(POLICY, part, by)), says, by);
    }
}

#[test]
fn one_run_shows_all_that_is_wrong() {
    let text = replaced(POLICY, "10 eth", "1e1 eth");
    let text = replaced(&text, "max_ahead = 8", "max_ahead = 0");
    let found = errors(&replaced(&text, "50 gwei", "50 Gwei"));
    assert_eq!(found.len(), 3, "{found:#?}");
}

#[test]
fn a_long_book_is_read_whole_and_wrong_lines_are_named_in_their_order() {
    let line = |n: u64| format!("{:#042x}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut lines: Vec<String> = (1..=45_000).map(line).collect();
    lines.insert(20_000, "# people\n\n".into());
    let mut files = files(POLICY);
    let mut with = |lines: &[String]| {
        files.insert("books/customers.txt".into(), lines.concat().into());
        bundle::parse(&files).map_err(|found| {
            let found = found.iter().map(ToString::to_string);
            found.collect::<Vec<_>>()
        })
    };
    let read = with(&lines).unwrap();
    let customers = &read.policy().books[&"customers".parse().unwrap()].addresses;
    assert_eq!(customers.len(), 45_000);
    for one in lines
        .iter()
        .filter(|one| one.starts_with("0x"))
        .step_by(997)
    {
        let address = tx::Address::parse(tx::Chain::Evm(1), one.trim()).unwrap();
        assert!(customers.contains(&address), "{one}");
    }
    for wrong in [44_000, 30, 20_500, 10_001] {
        lines[wrong] = "x\n".into();
    }
    let says = [31, 10_002, 20_502, 44_002].map(|line| format!("books/customers.txt:{line}:1: "));
    let says: Vec<&str> = says.iter().map(String::as_str).collect();
    assert_says(&with(&lines).unwrap_err(), &says, "four wrong lines");
}

#[test]
fn books_and_files() {
    let with = |path: &str, bytes: &[u8]| {
        let mut files = files(POLICY);
        files.insert(path.into(), bytes.into());
        let found = bundle::parse(&files).expect_err("it is wrong");
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let book = format!("# head\n{CUSTOMERS}\n0x123\n0x70997970C51812dc3A010C7d01b50e0d17dc79c8\n");
    assert_says(
        &with("books/customers.txt", book.as_bytes()),
        &[
            "books/customers.txt:4:1: \"0x123\" is no address of eip155:1",
            "books/customers.txt:5:1: \"0x70997970C51812dc3A010C7d01b50e0d17dc79c8\" has a wrong checksum",
        ],
        "book",
    );
    let many = with("books/customers.txt", "x\n".repeat(1000).as_bytes());
    assert_eq!(many.len(), 21, "{many:#?}");
    assert_says(
        &with("books/customers.txt", b"# \xff\n"),
        &["books/customers.txt:1:3: the text is not UTF-8"],
        "book in Latin-1",
    );
    assert_says(
        &with("more.toml", b"# ok\nx = \xff"),
        &["more.toml:2:5: the text is not UTF-8"],
        "TOML in Latin-1",
    );
    for path in [
        "README.md",
        "a/b.toml",
        "books/x/y.txt",
        ".toml",
        "x.TOML",
        "roots/../x.pem",
        "\u{1b}[2J",
    ] {
        let found = with(path, b"");
        assert!(found[0].contains("is no file of a bundle"), "{found:?}");
        assert!(found[0].is_ascii(), "{found:?}");
    }
    assert_says(
        &with("big.toml", &vec![b'#'; 1024 * 1024 + 1]),
        &["big.toml: the file is larger than 1048576 bytes"],
        "large file",
    );
    assert_says(
        &with("roots/x.pem", b"-----BEGIN PRIVATE KEY-----"),
        &["roots/x.pem: holds a private key"],
        "a key among the roots",
    );
    let deep = format!("x = {}", "[".repeat(100_000));
    assert!(!with("deep.toml", deep.as_bytes()).is_empty());
    let mut no_roots = files(POLICY);
    no_roots.remove("roots/clients.pem");
    assert!(bundle::parse(&no_roots).is_err());
}

/// Conditions that shut each other out, and why nothing meets them.
const IDLE: &[(&str, &str)] = &[
    (
        "asset = \"eth\"\namount_over = \"2 eth\"\namount_max = \"2 eth\"",
        "the least amount",
    ),
    (
        "asset = \"eth\"\nchain = \"litecoin:regtest\"",
        "none of the assets",
    ),
    (
        "account = \"ltc-hot\"\nchain = \"eip155:1\"",
        "none of the accounts is used",
    ),
    (
        "account = \"ltc-hot\"\nasset = \"eth\"",
        "none of the accounts is used",
    ),
    (
        "account = \"ltc-hot\"\nclass = \"cold\"",
        "none of the accounts is of",
    ),
    (
        "effect = \"fee\"\nto = \"book:customers\"",
        "a fee has no destination",
    ),
    (
        "to = \"book:customers\"\nto_except = \"book:customers\"",
        "no destination is left",
    ),
    (
        "effect = \"payment\"\nage_min = \"7d\"\nage_below = \"7d\"",
        "the least age",
    ),
    (
        "effect = [\"fee\", \"change\"]\nage_min = \"7d\"",
        "only what leaves has a destination with an age",
    ),
    (
        "to = \"own-class:cold\"\nage_min = \"7d\"",
        "only what leaves has a destination with an age",
    ),
    (
        "effect = \"payment\"\nsigned_by = \"ann\"",
        "none of the signers is one of a source",
    ),
];

/// Those that what the bundle has shuts out.
const IDLE_HERE: &[(&str, &str)] = &[
    ("class = \"cold\"", "no account is of the classes"),
    (
        "effect = \"payment\"\nto = \"own-class:hot\"",
        "what goes to ourselves is an own-transfer",
    ),
    (
        "effect = [\"payment\", \"reissue\"]\nto = [\"own-account:eth-hot\", \"own-class:hot\"]",
        "what goes to ourselves is an own-transfer",
    ),
    (
        "asset = \"ltc\"\nto = \"book:customers\"",
        "none of the destinations is on the chains",
    ),
    (
        "chain = \"eip155:1\"\nto = \"own-account:ltc-hot\"",
        "none of the destinations is on the chains",
    ),
    ("tag = \"42\"", "no destination on the chains has a tag"),
    (
        "asset = \"ltc\"\ntag = \"42\"",
        "no destination on the chains has a tag",
    ),
    (
        "client = \"auditor\"\n[[client]]\nname = \"auditor\"\nverbs = [\"journal\"]\n\
         uri = \"urn:strongroom:client:auditor\"",
        "none of the clients may sign for the accounts",
    ),
    (
        "client = \"walletd\"\nsource = \"refunds\"\n[[client]]\nname = \"desk\"\n\
         verbs = [\"sign\"]\naccounts = [\"eth-hot\"]\nuri = \"urn:strongroom:client:desk\"\n\
         [[source]]\nname = \"refunds\"\nclients = [\"desk\"]",
        "none of the clients may bring intents of the sources",
    ),
    (
        "effect = \"call\"\nfunction = \"stake\"\nasset = \"ltc\"\n[[function]]\nname = \"stake\"\n\
         contract = \"eip155:1:0x00000000000000000000000000000000000000c0\"\n\
         signature = \"stake(uint256 amount)\"",
        "none of the functions is on the chains",
    ),
    (
        "hours = \"office\"\nhours_except = \"office\"\n[[hours]]\nname = \"office\"\n\
         zone = \"UTC\"\nopen = [\"mon-fri 08:00-18:00\"]",
        "no hour is left",
    ),
];

#[test]
fn what_can_never_match_is_warned_of() {
    let statement = |conditions: &str| {
        let text = format!("{POLICY}\n[[deny]]\nname = \"idle\"\n{conditions}\n");
        let bundle = parse(&text).unwrap_or_else(|found| panic!("{found:#?}"));
        let warnings = bundle.warnings().iter();
        assert!(
            warnings
                .clone()
                .all(|one| one.severity == Severity::Warning)
        );
        warnings.map(ToString::to_string).collect::<Vec<_>>()
    };
    const AT: &str = "policy.toml:80:1: warning: deny \"idle\": can never match: ";
    for (conditions, why) in IDLE.iter().chain(IDLE_HERE) {
        assert_says(&statement(conditions), &[&format!("{AT}{why}")], conditions);
    }
    for matching in [
        "effect = \"payment\"",
        "class = [\"cold\", \"hot\"]",
        "to = [\"own-class:hot\", \"book:customers\"]\neffect = \"payment\"",
        "to = \"own-class:hot\"\neffect = [\"payment\", \"own-transfer\"]",
        "to = [\"book:customers\", \"own-account:ltc-hot\"]\nasset = \"ltc\"",
    ] {
        assert_eq!(statement(matching), Vec::<String>::new(), "{matching}");
    }
}

#[test]
fn a_hard_cap_of_zero_is_warned_of_and_one_with_people_is_not() {
    let zero = replaced(POLICY, "10 eth", "0 eth");
    let warnings = parse(&zero).unwrap().warnings().to_vec();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let over = "\"0 eth\"\nover = { threshold = 1, people = \"ann\" }";
    let people = replaced(&zero, "\"0 eth\"", over);
    assert_eq!(parse(&people).unwrap().warnings(), []);
}

#[test]
fn a_diagnostic_has_its_parts() {
    let found = parse(&replaced(POLICY, "10 eth", "10 etc")).unwrap_err();
    let [one] = found.as_slice() else {
        panic!("{found:#?}");
    };
    assert_eq!(
        (one.file.as_str(), one.line, one.column),
        ("policy.toml", 70, 7)
    );
    assert_eq!(one.key.as_deref(), Some("cap"));
    assert_eq!(one.hint.as_deref(), Some("did you mean \"eth\"?"));
}
