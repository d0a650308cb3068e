//! Books that are loaded apart from the bundle: who may, what they hold while they cool, and that nothing is
//! forgotten.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use proptest::prelude::*;
use strongroom_policy::{
    Addresses, Allow, Book, BookApart, BookLoaded, BookVetoed, Deny, Digest, Entry, HotState,
    Policy, ReasonCode, Record, Resumed, Selector, State, StateError, To, Verdict,
    book::{BookError, BookFile, Shelf, file_hash},
    evaluate,
    statement::{self, BookUpdate, BookVeto, StatementError},
    widenings,
};
use tx::{Address, EffectKind, Time};

use crate::{
    fixture::{
        Ask, BTC, DAY, START, Signer, amount, btc, effects, limit, name, statement, stranger,
        stranger_of,
    },
    unseal::{governed, officer},
};

const COOLING: u64 = 3_600_000;

fn apart() -> BookApart {
    BookApart {
        chain: BTC,
        threshold: 2,
        signers: ["ann", "cem"].map(name).into(),
        cooling_millis: COOLING,
    }
}

fn to_payees() -> Selector {
    Selector {
        to: Some([To::Book(name("payees"))].into()),
        ..effects(&[EffectKind::Payment])
    }
}

/// Payments to the book alone.
fn running() -> Policy {
    let mut policy = governed();
    let apart = Some(apart());
    policy.books.insert(
        name("payees"),
        Book {
            addresses: Addresses::default(),
            apart,
        },
    );
    policy.allows = vec![
        statement("payees", to_payees(), Allow),
        statement("fees", effects(&[EffectKind::Fee]), Allow),
    ];
    policy
}

/// Anybody but those in the book.
fn denying() -> Policy {
    let mut policy = running();
    policy.allows = governed().allows;
    policy.denies = vec![statement("listed", to_payees(), Deny)];
    policy
}

/// A book's file with these strangers.
pub fn file(strangers: &[u8]) -> Vec<u8> {
    file_of(strangers.iter().map(|n| stranger(BTC, *n)))
}

fn file_of(addresses: impl Iterator<Item = Address>) -> Vec<u8> {
    let mut lines: Vec<String> = addresses.map(|one| format!("{one}\n")).collect();
    lines.sort();
    lines.concat().into_bytes()
}

/// A signer, and the files that were loaded.
struct Site {
    signer: Signer,
    files: RefCell<HashMap<Digest, Vec<u8>>>,
}

impl Site {
    fn new(policy: Policy) -> Self {
        Self {
            signer: Signer::new(policy),
            files: RefCell::default(),
        }
    }

    fn update(&self, strangers: &[u8]) -> BookUpdate {
        self.update_to(&file(strangers))
    }

    fn update_to(&self, file: &[u8]) -> BookUpdate {
        let book = self.signer.state.book(&name("payees"));
        BookUpdate {
            fleet: name("main"),
            replaces: book.map_or(0, |book| book.sequence),
            book: name("payees"),
            chain: BTC,
            addresses: file.iter().filter(|byte| **byte == b'\n').count() as u64,
            file: file_hash(file),
        }
    }

    fn apply(&mut self, entry: Entry) -> Result<(), StateError> {
        let record = Record {
            v: 1,
            time: self.signer.now,
            entry,
        };
        let index = self.signer.state.entries();
        self.signer.state.apply(index, &record)?;
        self.signer.records.push(record);
        Ok(())
    }

    fn loaded(&self, update: &BookUpdate) -> BookLoaded {
        BookLoaded {
            not_before: self.signer.now.lo.after_millis(COOLING),
            ..signed(update, &[(1, "ann"), (3, "cem")])
        }
    }

    fn load(&mut self, strangers: &[u8]) {
        self.load_file(file(strangers));
    }

    fn load_file(&mut self, file: Vec<u8>) {
        let update = self.update_to(&file);
        self.files.borrow_mut().insert(update.file, file);
        let entry = Entry::BookLoaded(Box::new(self.loaded(&update)));
        self.apply(entry).unwrap();
        self.shelve();
    }

    fn shelve(&mut self) {
        let book = self.signer.state.book(&name("payees")).unwrap();
        let read = |hash| Ok::<_, NoFile>(self.files.borrow()[&hash].clone());
        let shelf = Shelf::fill(book, read).unwrap();
        self.signer.state.shelve(name("payees"), Arc::new(shelf));
    }

    fn cool(&mut self, sequence: u64) -> Result<(), StateError> {
        let book = name("payees");
        self.apply(Entry::BookCooled { book, sequence })
    }

    /// Whether a payment to the stranger would be signed.
    fn pays(&self, to: u8) -> bool {
        let ask = Ask::utxo("pay", [99], 1).pay("w", 5, to);
        matches!(self.signer.evaluate(&ask), Verdict::Permit(_))
    }

    fn charge(&mut self, id: &str, coin: u32, to: u8) {
        let ask = Ask::utxo(id, [coin], 1).pay(id, 5, to);
        self.signer.charged(&ask);
    }
}

#[derive(Debug)]
struct NoFile;

impl From<BookError> for NoFile {
    fn from(error: BookError) -> Self {
        panic!("{error}")
    }
}

pub fn signed(update: &BookUpdate, seeds: &[(u8, &str)]) -> BookLoaded {
    let (text, namespace) = (update.to_string(), update.header().namespace());
    let one = |(seed, _): &(u8, &str)| statement::sign(&text, &namespace, &officer(*seed)).unwrap();
    BookLoaded {
        book: update.book.clone(),
        chain: update.chain,
        sequence: update.sequence(),
        file: update.file,
        addresses: update.addresses,
        not_before: Time::from_millis(START + COOLING),
        by: Resumed {
            hash: update.hash(),
            statement: text.clone(),
            signatures: seeds.iter().map(one).collect(),
            signed_by: seeds.iter().map(|(_, who)| name(who)).collect(),
        },
    }
}

fn vetoed(entry: u64, sequence: u64, (seed, who): (u8, &str)) -> BookVetoed {
    let statement = BookVeto {
        fleet: name("main"),
        entry,
        book: name("payees"),
    };
    let (text, namespace) = (statement.to_string(), statement.header().namespace());
    BookVetoed {
        book: name("payees"),
        sequence,
        by: Resumed {
            hash: statement.hash(),
            signatures: statement::sign(&text, &namespace, &officer(seed)).unwrap(),
            statement: text,
            signed_by: [name(who)].into(),
        },
    }
}

#[test]
fn an_address_is_paid_once_it_has_cooled_and_no_longer_at_once_when_it_is_out() {
    let mut site = Site::new(running());
    assert!(!site.pays(3), "nothing was ever loaded");
    site.load(&[3, 4]);
    assert!(!site.pays(3), "it is cooling");
    site.signer.pass(COOLING - 1);
    assert!(matches!(site.cool(1), Err(StateError::Early { .. })));
    site.signer.pass(1);
    assert!(!site.pays(3), "no entry says that it has cooled");
    let lo = site.signer.now.lo;
    assert_eq!(site.signer.state.cooled(lo), [(name("payees"), 1)]);
    site.cool(1).unwrap();
    assert!(site.pays(3) && site.pays(4));
    site.load(&[4, 5]);
    assert!(!site.pays(3), "it was taken out");
    assert!(site.pays(4), "it stayed");
    assert!(!site.pays(5), "it is cooling");
    site.signer.pass(COOLING);
    site.cool(2).unwrap();
    assert!(!site.pays(3) && site.pays(4) && site.pays(5));
}

#[test]
fn an_address_on_a_deny_list_is_denied_at_once_and_until_it_has_cooled() {
    let mut site = Site::new(denying());
    assert!(!site.pays(3), "nothing is known of the list");
    site.load(&[4]);
    assert!(site.pays(3), "the list does not have it");
    assert!(!site.pays(4), "it is denied at once");
    site.load(&[3]);
    assert!(!site.pays(3));
    assert!(!site.pays(4), "that it is off the list is cooling");
    site.signer.pass(COOLING);
    site.cool(2).unwrap();
    assert!(!site.pays(3) && site.pays(4));
}

#[test]
fn one_officer_keeps_what_was_added_from_counting_and_not_what_was_taken_out() {
    let mut site = Site::new(running());
    site.load(&[3, 4]);
    site.signer.pass(COOLING);
    site.cool(1).unwrap();
    site.load(&[4, 5]);
    let entry = site.signer.state.book(&name("payees")).unwrap().entry;
    let stranger_to_it = vetoed(entry, 2, (4, "dan"));
    let refused = site.apply(Entry::BookVetoed(Box::new(stranger_to_it)));
    assert!(
        matches!(refused, Err(StateError::Book(StatementError::Quorum(_)))),
        "{refused:?}"
    );
    let other = vetoed(entry + 1, 2, (2, "ben"));
    let refused = site.apply(Entry::BookVetoed(Box::new(other)));
    assert!(matches!(refused, Err(StateError::NotCooling { .. })));
    let veto = vetoed(entry, 2, (2, "ben"));
    site.apply(Entry::BookVetoed(Box::new(veto))).unwrap();
    site.signer.pass(2 * COOLING);
    assert!(matches!(site.cool(2), Err(StateError::NotCooling { .. })));
    assert!(!site.pays(3) && site.pays(4) && !site.pays(5));
    // What its signers say next cools as ever, and what was vetoed is done with.
    site.load(&[4, 6]);
    site.signer.pass(COOLING);
    site.cool(3).unwrap();
    assert!(!site.pays(5) && site.pays(4) && site.pays(6));
    assert!(
        site.signer
            .state
            .book(&name("payees"))
            .unwrap()
            .steps
            .is_empty()
    );
}

#[test]
fn what_does_not_follow_is_refused_and_the_book_stays() {
    let mut site = Site::new(running());
    site.load(&[3]);
    let before = site.signer.state.hot();
    let good = site.update(&[3, 4]);
    let refusal = |site: &mut Site, loaded: BookLoaded| {
        site.apply(Entry::BookLoaded(Box::new(loaded))).unwrap_err()
    };
    let name_of = |error: StateError| match error {
        StateError::Book(error) => error.book_name(),
        other => panic!("{other}"),
    };
    let with = |change: &dyn Fn(&mut BookUpdate)| {
        let mut update = good.clone();
        change(&mut update);
        signed(&update, &[(1, "ann"), (3, "cem")])
    };
    for (loaded, expected) in [
        (with(&|one| one.replaces = 0), "book-sequence"),
        (with(&|one| one.replaces = 2), "book-sequence"),
        (with(&|one| one.fleet = name("other")), "book-fleet"),
        (
            with(&|one| (one.book, one.replaces) = (name("others"), 0)),
            "book-name",
        ),
        (with(&|one| one.chain = crate::fixture::ETH), "book-name"),
        (signed(&good, &[(1, "ann")]), "book-quorum"),
        // An officer of the bundle, and no signer of the book.
        (signed(&good, &[(1, "ann"), (2, "ben")]), "book-quorum"),
        (signed(&good, &[(1, "ann"), (1, "ann")]), "book-quorum"),
    ] {
        assert_eq!(name_of(refusal(&mut site, loaded)), expected);
    }
    let mut changed = site.loaded(&good);
    changed.by.statement = changed.by.statement.replace("addresses 2", "addresses 3");
    assert_eq!(refusal(&mut site, changed), StateError::Statement);
    let mut other_file = site.loaded(&good);
    other_file.file = Digest([9; 32]);
    assert_eq!(refusal(&mut site, other_file), StateError::Statement);
    let mut sooner = site.loaded(&good);
    sooner.not_before = site.signer.now.lo;
    assert!(matches!(
        refusal(&mut site, sooner),
        StateError::Delay { .. }
    ));
    assert_eq!(site.signer.state.hot(), before);
    let loaded = site.loaded(&good);
    site.apply(Entry::BookLoaded(Box::new(loaded))).unwrap();
}

#[test]
fn what_was_paid_to_a_book_counts_however_the_book_is_edited() {
    let mut policy = running();
    policy.allows = governed().allows;
    let mut capped = limit("payees", btc(), 10, DAY);
    capped.selector = Selector {
        assets: capped.selector.assets,
        ..to_payees()
    };
    policy.limits = vec![capped];
    let mut site = Site::new(policy);
    site.load(&[3]);
    site.charge("a", 1, 3);
    site.charge("b", 2, 3);
    let full = Ask::utxo("c", [3], 1).pay("c", 5, 3);
    assert_eq!(site.signer.codes(&full), [ReasonCode::Limit].into());
    site.load(&[]);
    site.signer.pass(COOLING);
    site.cool(2).unwrap();
    assert!(site.pays(3), "the book does not have it any longer");
    site.load(&[4]);
    let next = Ask::utxo("d", [4], 1).pay("d", 5, 4);
    assert_eq!(site.signer.codes(&next), [ReasonCode::Limit].into());
    let rooms = site.signer.state.room(site.signer.now).unwrap();
    assert_eq!(rooms[0].used, amount(10));
}

#[test]
fn a_book_is_of_the_hot_state_and_holds_nothing_for_sure_until_its_files_are_there() {
    let mut site = Site::new(running());
    site.load(&[3]);
    site.signer.pass(COOLING);
    site.cool(1).unwrap();
    site.load(&[3, 4]);
    let hot = site.signer.state.hot();
    let bytes = hot.encode().unwrap();
    assert_eq!(HotState::decode(&bytes).unwrap(), hot);
    // A fold over the same entries, as a start makes it.
    let policy = site.signer.state.policy().cloned().unwrap();
    let mut records = site.signer.records.clone();
    let mut again = State::new();
    for (index, record) in (0..).zip(records.drain(..)) {
        again.apply(index, &record).unwrap();
        if matches!(record.entry, Entry::PolicyActivated { .. }) {
            again.activate(Arc::clone(&policy)).unwrap();
        }
    }
    assert_eq!(again.hot(), hot);
    assert!(!again.is_shelved(&name("payees")));
    site.signer.state = again;
    assert!(!site.pays(3));
}

#[test]
fn an_update_on_a_shelf_is_what_filling_a_new_one_gives() {
    let mut site = Site::new(running());
    site.load(&[3, 4]);
    site.signer.pass(COOLING);
    site.cool(1).unwrap();
    let (old, new) = (file(&[3, 4]), file(&[4, 5]));
    let known = site.signer.state.shelf(&name("payees")).unwrap();
    site.load(&[4, 5]);
    let book = site.signer.state.book(&name("payees")).unwrap().clone();
    let newest = BookFile::parse(BTC, &new).unwrap();
    let turned = known.turned(&book, newest, (&old, &new)).unwrap();
    site.signer.state.shelve(name("payees"), Arc::new(turned));
    assert!(!site.pays(3) && site.pays(4) && !site.pays(5));
}

#[test]
fn a_shelf_of_another_content_says_nothing_for_sure() {
    let mut site = Site::new(running());
    site.load(&[3]);
    site.signer.pass(COOLING);
    site.cool(1).unwrap();
    assert!(site.pays(3));
    let update = site.update(&[3, 4]);
    let entry = Entry::BookLoaded(Box::new(site.loaded(&update)));
    site.apply(entry).unwrap();
    assert!(!site.pays(3), "its shelf is not there yet");
}

#[test]
fn a_file_has_one_address_a_line_in_one_order() {
    let good = file(&[3, 4, 5]);
    let parsed = BookFile::parse(BTC, &good).unwrap();
    assert_eq!((parsed.count, parsed.hash), (3, file_hash(&good)));
    assert_eq!(BookFile::parse(BTC, b"").unwrap().count, 0);
    let text = String::from_utf8(good).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let wrong = |text: String| BookFile::parse(BTC, text.as_bytes()).unwrap_err();
    assert_eq!(wrong(text.trim_end().into()), BookError::End);
    assert_eq!(
        wrong(format!("{}\n{}\n", lines[1], lines[0])),
        BookError::Order { line: 2 }
    );
    assert_eq!(
        wrong(format!("{0}\n{0}\n", lines[0])),
        BookError::Order { line: 2 }
    );
    for line in ["# ann", "", " ", "0x12"] {
        let found = wrong(format!("{line}\n"));
        assert!(
            matches!(found, BookError::Line { line: 1, .. }),
            "{line:?}: {found}"
        );
    }
    let crlf = wrong(text.replace('\n', "\r\n"));
    assert!(matches!(crlf, BookError::Line { line: 1, .. }), "{crlf}");
    let twice = wrong(format!("{}\n{}\n", lines[0].to_uppercase(), lines[0]));
    assert!(matches!(twice, BookError::Twice { .. }), "{twice}");
    assert_eq!(
        BookFile::parse(BTC, b"\xff\n").unwrap_err(),
        BookError::Text
    );
}

#[test]
fn statements_about_books_have_one_spelling() {
    let update = BookUpdate {
        fleet: name("main"),
        replaces: 4,
        book: name("payees"),
        chain: BTC,
        addresses: 2,
        file: Digest([7; 32]),
    };
    let text = update.to_string();
    assert_eq!(BookUpdate::parse(&text).unwrap(), update);
    assert!(text.starts_with("strongroom-book-v1\nfleet main\nanswers sequence 4\nbook payees\n"));
    let veto = BookVeto {
        fleet: name("main"),
        entry: 9,
        book: name("payees"),
    };
    assert_eq!(BookVeto::parse(&veto.to_string()).unwrap(), veto);
    assert_eq!(veto.header().namespace(), "strongroom-book-veto-v1");
    for wrong in [
        text.replace("addresses 2", "addresses 02"),
        text.replace("load\n", "load"),
        text.replace("sequence 4", "entry 4"),
        text.replace("payees\n", "payees\nbook payees\n"),
        format!("{text}\n"),
        veto.to_string(),
    ] {
        assert!(BookUpdate::parse(&wrong).is_err(), "{wrong}");
    }
}

/// Invariant 8: changed in any bit a statement is none, or another one that nobody signed.
#[test]
fn no_statement_about_a_book_says_the_same_with_a_bit_changed() {
    let running = running();
    let update = Site::new(running.clone()).update(&[1, 2]);
    let loaded = signed(&update, &[(1, "ann"), (3, "cem")]);
    assert!(update.signed_by(&loaded.by.signatures, &running).is_ok());
    let veto = BookVeto {
        fleet: name("main"),
        entry: 9,
        book: name("payees"),
    };
    let namespace = veto.header().namespace();
    let vetoed = statement::sign(&veto.to_string(), &namespace, &officer(2)).unwrap();
    assert!(veto.signed_by(&vetoed, &running).is_ok());
    let mut parsed = 0;
    each_bit(&update.to_string(), |changed| {
        if let Ok(other) = BookUpdate::parse(changed) {
            parsed += 1;
            assert_ne!(other, update);
            assert_eq!(other.to_string(), changed, "two spellings");
            let signed = other.signed_by(&loaded.by.signatures, &running);
            assert!(signed.is_err(), "{changed}");
        }
    });
    each_bit(&veto.to_string(), |changed| {
        if let Ok(other) = BookVeto::parse(changed) {
            parsed += 1;
            assert_ne!(other, veto);
            assert_eq!(other.to_string(), changed, "two spellings");
            assert!(other.signed_by(&vetoed, &running).is_err(), "{changed}");
        }
    });
    // Digits and letters turn into others: it is the signatures that tell these apart.
    assert!(parsed > 100, "{parsed}");
    // Nor does one kind of statement stand for another, of whatever names.
    assert!(BookVeto::parse(&update.to_string()).is_err());
    assert!(BookUpdate::parse(&veto.to_string()).is_err());
    assert!(update.signed_by(&vetoed, &running).is_err());
    assert!(veto.signed_by(&loaded.by.signatures, &running).is_err());
}

/// The text with each of its bits changed, where that is text.
fn each_bit(text: &str, mut see: impl FnMut(&str)) {
    for bit in 0..text.len() * 8 {
        let mut bytes = text.as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(changed) = str::from_utf8(&bytes) {
            see(changed);
        }
    }
}

proptest! {
    /// As that, of any statement, with any byte replaced, left out or put in anywhere.
    #[test]
    fn a_statement_about_a_book_has_one_spelling(
        (replaces, addresses, file) in (0..u64::MAX, any::<u64>(), any::<[u8; 32]>()),
        (place, byte) in (any::<prop::sample::Index>(), 0u8..128),
    ) {
        let update = BookUpdate {
            fleet: name("main"),
            replaces,
            book: name("payees"),
            chain: BTC,
            addresses,
            file: Digest(file),
        };
        let text = update.to_string();
        prop_assert_eq!(&BookUpdate::parse(&text).unwrap(), &update);
        let at = place.index(text.len());
        let byte = char::from(byte).to_string();
        for (range, by) in [(at..at + 1, byte.as_str()), (at..at + 1, ""), (at..at, byte.as_str())] {
            let mut changed = text.clone();
            changed.replace_range(range, by);
            if let Ok(other) = BookUpdate::parse(&changed) {
                prop_assert_eq!(other == update, changed == text);
                prop_assert_eq!(other.to_string(), changed);
            }
        }
    }
}

#[test]
fn who_signs_a_book_and_how_long_it_cools_is_not_changed_at_once() {
    let running = running();
    assert!(widenings(&running, &running).is_empty());
    let changes: [fn(&mut BookApart); 4] = [
        |one| one.threshold = 1,
        |one| one.cooling_millis = 0,
        |one| one.chain = crate::fixture::ETH,
        |one| {
            one.signers.insert(name("ben"));
        },
    ];
    for change in changes {
        let mut offered = running.clone();
        let book = offered.books.get_mut(&name("payees")).unwrap();
        change(book.apart.as_mut().unwrap());
        assert!(!widenings(&running, &offered).is_empty());
    }
    // A list that the bundle has by itself is another one, whatever it has.
    let mut listed = running.clone();
    listed.books.insert(name("payees"), Book::default());
    assert!(!widenings(&running, &listed).is_empty());
    let mut gone = running.clone();
    gone.books.clear();
    gone.allows.remove(0);
    assert!(widenings(&running, &gone).is_empty());
}

/// What `read` of a shelf fails with is the caller's.
#[test]
fn a_file_that_is_not_its_hash_fills_no_shelf() {
    let mut site = Site::new(running());
    site.load(&[3]);
    let book = site.signer.state.book(&name("payees")).unwrap();
    let other = Shelf::fill(book, |_| Ok::<_, Wrong>(file(&[4])));
    assert!(matches!(other, Err(Wrong(BookError::Hash { .. }))));
}

#[derive(Debug)]
struct Wrong(BookError);

impl From<BookError> for Wrong {
    fn from(error: BookError) -> Self {
        Self(error)
    }
}

/// Where a book is apart from the bundle, as where it is in it (`crate::allocations`).
#[test]
fn a_decision_allocates_nothing_that_grows_with_a_book_apart() {
    let [few, many] = [10, 20_000].map(|addresses: u32| {
        let mut site = Site::new(running());
        let others = (0..addresses).map(|n| stranger_of(BTC, 1_000 + n));
        site.load_file(file_of(others.chain([stranger(BTC, 3)])));
        site.signer.pass(COOLING);
        site.cool(1).unwrap();
        let ask = Ask::utxo("pay", [1], 1).pay("a", 5, 3);
        let decoded = ask.transaction.clone().decoded();
        let (state, now) = (&site.signer.state, site.signer.now);
        let counted = allocation_counter::measure(|| {
            let verdict = evaluate(state, now, &decoded, &ask.request);
            assert!(matches!(verdict, Ok(Verdict::Permit(_))));
        });
        (counted.count_total, counted.bytes_total)
    });
    assert!(few.0 > 0, "nothing was counted");
    assert_eq!(few, many);
}
