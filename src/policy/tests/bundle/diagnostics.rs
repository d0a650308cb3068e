//! Every wrong input is named at its file, line and key.

use strongroom_policy::bundle::{self, Severity};

use super::fixture::{CUSTOMERS, POLICY, errors, files, line, parse, people, person, replaced};

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
fn amounts_are_exact_or_refused() {
    const NUMBER: &str = r#"policy.toml:70:7: limit "eth-day": cap: "#;
    let cases = [
        (r#""-10 eth""#, "\"-10\" is no plain decimal number"),
        (r#""+10 eth""#, "\"+10\" is no plain decimal number"),
        (r#""1e1 eth""#, "\"1e1\" is no plain decimal number"),
        (r#""1_0 eth""#, "\"1_0\" is no plain decimal number"),
        (r#""1,0 eth""#, "\"1,0\" is no plain decimal number"),
        (r#""0x10 eth""#, "\"0x10\" is no plain decimal number"),
        (r#""010 eth""#, "\"010\" is no plain decimal number"),
        (r#""1. eth""#, "\"1.\" is no plain decimal number"),
        (r#""\u0661 eth""#, "\"١\" is no plain decimal number"),
        (
            r#""1.0000000000000000001 eth""#,
            "\"1.0000000000000000001\" is finer",
        ),
        (
            r#""115792089237316195423570985008687907853269984665640564039458 eth""#,
            "\"115792089237316195423570985008687907853269984665640564039458\" is 2^256 or more",
        ),
        (r#""10""#, "\"10\" is no number and unit"),
        (r#""10eth""#, "\"10eth\" is no number and unit"),
        (r#""10  eth""#, "a name has only a-z"),
        (r#""10 ETH""#, "a name has only a-z"),
        (r#""10 wei""#, "no asset is called \"wei\""),
        (r#""10 ltc""#, "is in ltc, which is not the one asset"),
        ("10", "must be a text in quotes"),
        ("1_0", "must be a text in quotes"),
        ("1e1", "must be a text in quotes"),
        ("\"\"", "\"\" is no number and unit"),
    ];
    for (cap, says) in cases {
        let text = replaced(POLICY, "cap = \"10 eth\"", &format!("cap = {cap}"));
        assert_says(&errors(&text), &[&format!("{NUMBER}{says}")], cap);
    }
}

#[test]
fn whole_numbers_are_plain() {
    for number in [
        "1_0",
        "0x10",
        "0b1",
        "-1",
        "+8",
        "8.0",
        "1e1",
        "\"8\"",
        "18446744073709551616",
        "true",
        "0",
    ] {
        let text = replaced(POLICY, "max_ahead = 8", &format!("max_ahead = {number}"));
        let says = "policy.toml:3:13: chain: max_ahead: must be ";
        assert_says(&errors(&text), &[says], number);
    }
    assert_cases(&[
        (
            "decimals = 8\n",
            "decimals = 256\n",
            &["policy.toml:16:12: asset \"ltc\": decimals: must be a plain whole number"],
        ),
        (
            "decimals = 8\n",
            "decimals = 18\n",
            &[
                "policy.toml:16:12: asset \"ltc\": decimals: litecoin:regtest/native has 8 decimal places",
            ],
        ),
    ]);
}

#[test]
fn fee_rates_have_a_unit_of_their_chain() {
    const AT: &str = "policy.toml:62:16: allow \"fees\": fee_rate_max: ";
    for (rate, says) in [
        (
            "50 sat/vb",
            "\"sat/vb\" is no unit of a fee rate on eip155:1; write gwei or wei",
        ),
        (
            "50 eth",
            "\"eth\" is no unit of a fee rate on eip155:1; write gwei or wei",
        ),
        ("0.5 wei", "\"0.5\" is finer"),
        ("50", "\"50\" is no number and unit"),
        ("-1 gwei", "\"-1\" is no plain decimal number"),
    ] {
        let text = replaced(POLICY, "50 gwei", rate);
        assert_says(&errors(&text), &[&format!("{AT}{says}")], rate);
    }
    assert_cases(&[
        (
            "effect = \"fee\"\nasset = \"eth\"\nfee_rate",
            "effect = [\"fee\", \"payment\"]\nasset = \"eth\"\nfee_rate",
            &["policy.toml:62:16: allow \"fees\": fee_rate_max: binds fees alone"],
        ),
        (
            "effect = \"fee\"\nasset = \"eth\"\nfee_rate",
            "effect = \"fee\"\nfee_rate",
            &["policy.toml:61:16: allow \"fees\": fee_rate_max: its unit depends on the chain"],
        ),
    ]);
}

#[test]
fn windows_are_bounded() {
    for window in [
        "59s",
        "0m",
        "91d",
        "24",
        "24 h",
        "-1h",
        "1e1h",
        "99999999999999999999h",
    ] {
        let text = replaced(
            POLICY,
            "\"24h\"\ncap = \"10 eth\"",
            &format!("\"{window}\"\ncap = \"10 eth\""),
        );
        let says = format!("policy.toml:69:10: limit \"eth-day\": window: {window:?} is no length");
        assert_says(&errors(&text), &[&says], window);
    }
}

#[test]
fn names_are_of_the_alphabet_and_unique() {
    assert_cases(&[
        (
            "name = \"walletd\"",
            "name = \"Walletd\"",
            &[
                "policy.toml:37:8: client: name: a name has only a-z, 0-9, '.', '_' and '-', not 'W'",
                "policy.toml:44:12: source \"payouts\": clients: no client is called \"walletd\"\n  help: there is none",
            ],
        ),
        (
            "name = \"fees\"\n",
            "name = \"p\u{430}y\"\n",
            &["policy.toml:59:8: allow: name: a name has only a-z"],
        ),
        (
            "name = \"fees\"\n",
            "name = \"\"\n",
            &["policy.toml:59:8: allow: name: a name has 1 to 64 characters"],
        ),
        (
            "name = \"fees\"\n",
            "name = \"pay\"\n",
            &["policy.toml:58:1: allow \"pay\": the name is taken at policy.toml:51:1"],
        ),
        (
            "name = \"fees-day\"",
            "name = \"pay\"",
            &["policy.toml:72:1: limit \"pay\": the name is taken at policy.toml:51:1"],
        ),
        (
            "name = \"ltc\"",
            "name = \"eth\"",
            &["policy.toml:13:1: asset \"eth\": the name is taken at policy.toml:8:1"],
        ),
        (
            "name = \"fees\"\n",
            "",
            &["policy.toml:58:1: allow: name is missing"],
        ),
        (
            "name = \"payouts\"",
            "name = \"none\"",
            &["policy.toml:42:1: source \"none\": \"none\" stands for no source"],
        ),
    ]);
}

#[test]
fn references_resolve() {
    assert_cases(&[
        (
            "to = \"book:customers\"",
            "to = \"book:custmers\"",
            &[
                "policy.toml:56:6: allow \"pay\": to: no book is called \"custmers\"\n  help: did you mean \"customers\"?",
            ],
        ),
        (
            "to = \"book:customers\"",
            "to = \"customers\"",
            &["policy.toml:56:6: allow \"pay\": to: \"customers\" is no destination"],
        ),
        (
            "to = \"book:customers\"",
            "to = [\"own-class:warm\", \"own-account:x\", \"address:0x70997970C51812dc3A010C7d01b50e0d17dc79C8\"]",
            &[
                "policy.toml:56:7: allow \"pay\": to: unknown variant `warm`, expected one of `hot`",
                "policy.toml:56:25: allow \"pay\": to: no account is called \"x\"",
                "policy.toml:56:42: allow \"pay\": to: \"0x70997970C51812dc3A010C7d01b50e0d17dc79C8\" is no <chain>:<address>",
            ],
        ),
        (
            "account = \"eth-hot\"\nasset = \"eth\"\nto",
            "account = \"eth-hto\"\nasset = \"usdc\"\nclient = \"x\"\nsource = \"y\"\nchain = \"eip155:5\"\nto",
            &[
                "policy.toml:54:11: allow \"pay\": account: no account is called \"eth-hto\"\n  help: did you mean \"eth-hot\"?",
                "policy.toml:55:9: allow \"pay\": asset: no asset is called \"usdc\"",
                "policy.toml:56:10: allow \"pay\": client: no client is called \"x\"",
                "policy.toml:57:10: allow \"pay\": source: no source is called \"y\"",
                "policy.toml:58:9: allow \"pay\": chain: no [[chain]] describes eip155:5",
            ],
        ),
        (
            "accounts = [\"eth-hot\", \"ltc-hot\"]",
            "accounts = [\"eth-hot\", \"ltc-cold\"]",
            &["policy.toml:40:24: client \"walletd\": accounts: no account is called \"ltc-cold\""],
        ),
        (
            "chains = [\"litecoin:regtest\"]",
            "chains = [\"litecoin:mainnet\"]",
            &[
                "policy.toml:27:11: account \"ltc-hot\": chains: no [[chain]] describes litecoin:mainnet",
            ],
        ),
        (
            "asset = \"eip155:1/native\"",
            "asset = \"eip155:10/native\"",
            &["policy.toml:10:9: asset \"eth\": asset: no [[chain]] describes eip155:10"],
        ),
        (
            "key = \"eth-hot-1\"",
            "key = \"eth-hot-2\"",
            &[
                "policy.toml:18:1: account \"eth-hot\": no [[sequence]] says where key \"eth-hot-1\" starts on eip155:1",
                "policy.toml:31:7: sequence: key: no key is called \"eth-hot-2\"",
            ],
        ),
        (
            "file = \"books/customers.txt\"",
            "file = \"books/clients.txt\"",
            &[
                "books/customers.txt: no [[book]] names this file",
                "policy.toml:49:8: book \"customers\": file: the bundle has no file \"books/clients.txt\"",
            ],
        ),
    ]);
}

#[test]
fn tables_and_keys_are_known() {
    assert_cases(&[
        (
            "to = \"book:customers\"",
            "too = \"book:customers\"",
            &["policy.toml:56:1: allow \"pay\": unknown key \"too\"\n  help: did you mean \"to\"?"],
        ),
        (
            "[[source]]",
            "[[sauce]]",
            &[
                "policy.toml:42:3: a bundle has no table \"sauce\"\n  help: did you mean \"source\"?",
            ],
        ),
        (
            "[[source]]",
            "[source]",
            &["policy.toml:42:2: write [[source]], in two pairs of brackets"],
        ),
        (
            "cap = \"10 eth\"",
            "cap = \"10 eth\"\ncap = \"20 eth\"",
            &["policy.toml:71:1: not TOML: duplicate key"],
        ),
        (
            "cap = \"10 eth\"",
            "cap = \"10 eth\"\nover = 1",
            &["policy.toml:71:8: limit \"eth-day\": over: must be a table"],
        ),
        (
            "verbs = [\"sign\"]",
            "verbs = [\"sing\", 1]",
            &[
                "policy.toml:39:10: client \"walletd\": verbs: unknown variant `sing`, expected one of `sign`",
                "policy.toml:39:18: client \"walletd\": verbs: must be a text in quotes",
            ],
        ),
        (
            "verbs = [\"sign\"]",
            "verbs = [\"sign\", \"sign\"]",
            &["policy.toml:39:18: client \"walletd\": verbs: stands in the list twice"],
        ),
        (
            "verbs = [\"sign\"]",
            "verbs = []",
            &["policy.toml:39:9: client \"walletd\": verbs: an empty list matches nothing"],
        ),
    ]);
}

#[test]
fn people_and_thresholds() {
    let need = |need: &str| {
        let cap = "cap = \"10 eth\"";
        errors(&replaced(POLICY, cap, &format!("{cap}\nover = {need}")))
    };
    const OVER: &str = "policy.toml:71:";
    for (text, column, says) in [
        (
            "{ threshold = 0, people = [\"ann\"] }",
            22,
            "over: threshold: must be at least 1",
        ),
        (
            "{ threshold = 2, people = [\"ann\"] }",
            22,
            "over: threshold: is above the number of people, 1",
        ),
        (
            "{ threshold = 1, people = [\"eve\"] }",
            35,
            "over: people: no person is called \"eve\"",
        ),
        (
            "{ threshold = 1, people = [] }",
            34,
            "over: people: an empty list matches nothing",
        ),
        ("{ threshold = 1 }", 8, "over: people is missing"),
        ("{ people = [\"ann\"] }", 8, "over: threshold is missing"),
        (
            "{ threshold = 1, people = [\"ann\"], x = 1 }",
            43,
            "over: unknown key \"x\"",
        ),
    ] {
        let says = format!("{OVER}{column}: limit \"eth-day\": {says}");
        assert_says(&need(text), &[&says], text);
    }
}

#[test]
fn keys_of_people() {
    let with = |text: &str| {
        let mut files = files(POLICY);
        files.insert("people.toml".into(), text.into());
        let found = bundle::parse(&files).expect_err("it is wrong");
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_says(
        &with(&(people() + &person("eve", &[&line(1)]))),
        &["people.toml:21:1: person \"eve\": has a key of \"ann\""],
        "one key, two people",
    );
    let rsa = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC5";
    assert_says(
        &with(&(people() + &person("eve", &[rsa, "ssh-ed25519 AAAA"]))),
        &[
            "people.toml:23:9: person \"eve\": keys: not a public key",
            "people.toml:23:53: person \"eve\": keys: not a public key",
        ],
        "no keys",
    );
    assert_says(
        &with(&people().replace("threshold = 2", "threshold = 4")),
        &["people.toml:2:13: governance: threshold: is above the number of officers, 3"],
        "threshold",
    );
    assert_says(
        &with(&person("ann", &[&line(1)])),
        &["manifest: no file of the bundle has a [governance] table"],
        "no governance",
    );
}

#[test]
fn statements_say_something() {
    assert_cases(&[
        (
            "effect = \"payment\"\naccount",
            "account",
            &["policy.toml:51:1: allow \"pay\": names no effect"],
        ),
        (
            "[[limit]]\nname = \"fees-day\"",
            "[[deny]]\nname = \"nothing\"\n[[limit]]\nname = \"fees-day\"",
            &["policy.toml:72:1: deny \"nothing\": has no condition"],
        ),
        (
            "[[limit]]\nname = \"fees-day\"",
            "[[require]]\nname = \"r\"\neffect = \"payment\"\n[[limit]]\nname = \"fees-day\"",
            &["policy.toml:72:1: require \"r\": need is missing"],
        ),
        (
            "effect = \"payment\"\nasset = \"eth\"\nmeasure",
            "effect = \"payment\"\nmeasure",
            &[
                "policy.toml:69:7: limit \"eth-day\": cap: is in eth, which is not the one asset that is selected",
            ],
        ),
        (
            "asset = \"eth\"\nmeasure = \"amount\"\nwindow = \"24h\"\ncap = \"10 eth\"",
            "asset = [\"eth\", \"ltc\"]\nmeasure = \"amount\"\nwindow = \"24h\"\ncap = \"10 eth\"",
            &[
                "policy.toml:70:7: limit \"eth-day\": cap: is in eth, which is not the one asset that is selected",
            ],
        ),
        (
            "measure = \"amount\"\nwindow = \"24h\"\ncap = \"10 eth\"",
            "measure = \"count\"\ncap = \"10 eth\"",
            &[
                "policy.toml:64:1: limit \"eth-day\": window is missing",
                "policy.toml:69:7: limit \"eth-day\": cap: \"10 eth\" is no count of effects",
            ],
        ),
    ]);
}

#[test]
fn what_is_ours_is_ours_once() {
    let account = "keys = [\"ltc-hot-1\"]";
    assert_cases(&[
        (
            account,
            "keys = [\"eth-hot-1\"]",
            &["policy.toml:28:9: account \"ltc-hot\": keys: is a key of account \"eth-hot\""],
        ),
        (
            account,
            "",
            &["policy.toml:24:1: account \"ltc-hot\": needs keys"],
        ),
        (
            account,
            "addresses = [\"eip155:1:0x70997970C51812dc3A010C7d01b50e0d17dc79C8\"]",
            &[
                "policy.toml:28:14: account \"ltc-hot\": addresses: eip155:1 is none of the account's chains",
            ],
        ),
        (
            "finalized = 0",
            "finalized = 1",
            &["policy.toml:34:13: sequence: finalized: is above next"],
        ),
        (
            "[[client]]",
            "[[edge]]\nfrom = \"hot\"\nto = [\"cold\", \"retired\"]\n[[client]]",
            &["policy.toml:38:15: edge: to: retired accounts are never paid to"],
        ),
        (
            "[[client]]",
            "[[client]]\nname = \"x\"\nuri = \"urn:strongroom:client:walletd\"\nverbs = \"keys\"\naccounts = \"eth-hot\"\n[[client]]",
            &["policy.toml:41:1: client \"walletd\": is recognised as \"x\" is"],
        ),
        (
            "uri = \"urn:strongroom:client:walletd\"",
            "spki = \"sha256:00\"",
            &["policy.toml:38:8: client \"walletd\": spki: is not \"sha256:\" and 64"],
        ),
        (
            "uri = \"urn:strongroom:client:walletd\"\n",
            "",
            &["policy.toml:36:1: client \"walletd\": needs either uri or spki"],
        ),
    ]);
}

#[test]
fn one_run_shows_all_that_is_wrong() {
    let text = replaced(POLICY, "10 eth", "1e1 eth");
    let text = replaced(&text, "max_ahead = 8", "max_ahead = 0");
    let found = errors(&replaced(&text, "50 gwei", "50 Gwei"));
    assert_eq!(found.len(), 3, "{found:#?}");
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
    for (conditions, why) in [
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
    ] {
        assert_says(&statement(conditions), &[&format!("{AT}{why}")], conditions);
    }
    assert_eq!(statement("effect = \"payment\""), Vec::<String>::new());
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
