//! What is SQLite's: faults of the file, rights of the tables, and the books as rows.

use std::{collections::BTreeMap, path::Path};

use rusqlite::{Connection, Row};
use tempfile::TempDir;
use tx::Amount;
use wallet::{
    change::{Change, Gate},
    store::{Accepted, Durability, Filter, Options, SqliteStore, Store, StoreError},
};

use super::fixture::{Worker, accepted, ann, asked, at, evm, finally, id, lane_id, name, prepare};

const QUICK: Options = Options {
    durability: Durability::Process,
    busy_millis: 100,
    readers: 2,
    pages_max: None,
};

fn raw(path: &Path) -> Connection {
    Connection::open(path).unwrap()
}

fn rows<T>(conn: &Connection, text: &str, of: impl Fn(&Row<'_>) -> T) -> Vec<T> {
    let mut statement = conn.prepare(text).unwrap();
    let rows = statement.query_map([], |row| Ok(of(row))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// A folder with a store in which one withdrawal was paid and one is under way.
async fn used() -> (TempDir, std::path::PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("walletd.db");
    let store = SqliteStore::open_with(&path, &QUICK).await.unwrap();
    prepare(&store).await;
    let (a, b) = (
        accepted(&store, evm(), "a", 5).await,
        accepted(&store, evm(), "b", 5).await,
    );
    let queued = [a.clone(), b.clone()];
    let mut lane = Worker::take(&store, evm()).await;
    let paid = lane.send(lane.payout_next(&[&a]), &queued).await;
    lane.send(lane.payout_next(&[&b]), &queued).await;
    lane.commit(vec![finally(paid, 3)], &[]).await;
    accepted(&store, evm(), "c", 5).await;
    let done = store.release(&id("c"), &name("ann"), at(2)).await;
    assert!(done.is_ok());
    store.close().await;
    (folder, path)
}

#[tokio::test]
async fn what_is_written_once_stays() {
    let (_folder, path) = used().await;
    let conn = raw(&path);
    for text in [
        "UPDATE events SET topic = 'x' WHERE id = 1",
        "DELETE FROM events WHERE id = 1",
        "UPDATE postings SET memo = 'x'",
        "DELETE FROM postings",
        "UPDATE credits SET memo = 'x'",
        "DELETE FROM credits",
        "UPDATE limit_uses SET day = 1",
        "DELETE FROM limit_uses",
        "DELETE FROM attempts",
        "UPDATE attempts SET keys = '[]'",
        "UPDATE attempts SET pays = '[]'",
        "UPDATE attempts SET stage = 'broadcast' WHERE stage = 'final'",
        "UPDATE attempts SET stage = 'sent' WHERE stage = 'broadcast'",
        "UPDATE requests SET request = '{}'",
        "DELETE FROM requests",
        "UPDATE answers SET answer = '{}'",
        "DELETE FROM answers",
        "UPDATE attempt_withdrawals SET withdrawal = 2",
        "DELETE FROM attempt_withdrawals",
        "DELETE FROM withdrawals",
        "UPDATE withdrawals SET intent = '{}'",
        "UPDATE withdrawals SET stage = 'approved' WHERE stage = 'final'",
        "UPDATE withdrawals SET stage = 'paid' WHERE stage = 'broadcast'",
        "DELETE FROM holds",
        "UPDATE holds SET state = 'held' WHERE state = 'settled'",
        "UPDATE holds SET amount = zeroblob(32)",
        "UPDATE balances SET credits = zeroblob(32)",
        "DELETE FROM balances",
        "UPDATE balances SET debits = cast(x'ff' || randomblob(31) AS BLOB) WHERE account LIKE 'held/%'",
        "INSERT INTO live_sets SELECT withdrawal, 'other', 9 FROM live_sets",
        "INSERT INTO reservations SELECT key, 'other', 9 FROM reservations",
    ] {
        assert!(conn.execute(text, []).is_err(), "{text}");
    }
    drop(conn);
    SqliteStore::open(&path).await.unwrap().close().await;
}

#[tokio::test]
async fn balances_are_the_sums_of_postings() {
    let (_folder, path) = used().await;
    let conn = raw(&path);
    let amount = |row: &Row<'_>, index| Amount::from_be_bytes(row.get(index).unwrap());
    let text = |row: &Row<'_>, index| row.get::<_, String>(index).unwrap();
    let zero = (Amount::ZERO, Amount::ZERO);
    let mut sums: BTreeMap<(String, String), (Amount, Amount)> = BTreeMap::new();
    let add = |sum: &mut Amount, more| *sum = sum.checked_add(more).unwrap();
    let postings = "SELECT debit, credit, asset, amount FROM postings";
    let postings = rows(&conn, postings, |row| {
        let asset = text(row, 2);
        (
            (text(row, 0), asset.clone()),
            (text(row, 1), asset),
            amount(row, 3),
        )
    });
    assert_eq!(postings.len(), 8);
    for (debit, credit, units) in postings {
        add(&mut sums.entry(debit).or_insert(zero).0, units);
        add(&mut sums.entry(credit).or_insert(zero).1, units);
    }
    let balances = "SELECT account, asset, debits, credits FROM balances";
    let balances = rows(&conn, balances, |row| {
        (
            (text(row, 0), text(row, 1)),
            (amount(row, 2), amount(row, 3)),
        )
    });
    assert_eq!(balances.into_iter().collect::<BTreeMap<_, _>>(), sums);
    let states = "SELECT state FROM holds ORDER BY withdrawal";
    let states = rows(&conn, states, |row| text(row, 0));
    assert_eq!(states, ["settled", "held", "released"]);
}

#[tokio::test]
async fn locked_by_another_it_waits_and_then_says_so() {
    let (_folder, path) = used().await;
    let store = SqliteStore::open_with(&path, &QUICK).await.unwrap();
    let other = raw(&path);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refusal = store.accept(vec![asked("d", ann(), 1)], at(3)).await;
    assert!(
        matches!(refusal, Err(StoreError::Unavailable { .. })),
        "{refusal:?}"
    );
    // Who reads is not hindered.
    assert_eq!(store.withdrawal(&id("d")).await.unwrap(), None);
    other.execute_batch("ROLLBACK").unwrap();
    let again = store
        .accept(vec![asked("d", ann(), 1)], at(3))
        .await
        .unwrap();
    assert!(matches!(again[..], [Accepted::New(_)]));
}

#[tokio::test]
async fn full_it_writes_nothing_and_then_goes_on() {
    let (_folder, path) = used().await;
    let full = Options {
        pages_max: Some(1),
        ..QUICK
    };
    let before;
    {
        // SQLite bounds the pages to those there are.
        let store = SqliteStore::open_with(&path, &full).await.unwrap();
        before = store
            .withdrawals(&Filter::default(), None, 9_999)
            .await
            .unwrap();
        let many: Vec<_> = (0..500)
            .map(|n| asked(&format!("f-{n}"), ann(), 1))
            .collect();
        let refusal = store.accept(many, at(3)).await;
        let Err(StoreError::Unavailable { detail }) = refusal else {
            panic!("{refusal:?}");
        };
        assert_eq!(detail, "the disk is full");
        let after = store
            .withdrawals(&Filter::default(), None, 9_999)
            .await
            .unwrap();
        assert_eq!(after, before);
        store.close().await;
    }
    let store = SqliteStore::open_with(&path, &QUICK).await.unwrap();
    let many: Vec<_> = (0..500)
        .map(|n| asked(&format!("f-{n}"), ann(), 1))
        .collect();
    assert_eq!(store.accept(many, at(3)).await.unwrap().len(), 500);
}

#[tokio::test]
async fn what_is_not_its_own_is_refused() {
    let (folder, path) = used().await;
    let conn = raw(&path);
    let newer = "UPDATE meta SET value = '9999' WHERE name = 'version'";
    conn.execute(newer, []).unwrap();
    drop(conn);
    let newer = SqliteStore::open(&path).await;
    assert!(matches!(newer, Err(StoreError::Corrupt { .. })));
    let other = folder.path().join("other.db");
    raw(&other)
        .execute_batch("CREATE TABLE t (x INTEGER)")
        .unwrap();
    let text = folder.path().join("text.db");
    std::fs::write(
        &text,
        "no database at all, and long enough to have a header. ".repeat(99),
    )
    .unwrap();
    for path in [&other, &text] {
        let refusal = SqliteStore::open(path).await.unwrap_err();
        assert!(matches!(refusal, StoreError::Corrupt { .. }), "{refusal:?}");
        assert!(!refusal.to_string().contains("db"), "no path: {refusal}");
    }
    let nowhere = SqliteStore::open(&folder.path().join("no/where.db")).await;
    assert!(matches!(nowhere, Err(StoreError::Unavailable { .. })));
}

/// When `close` returns nobody holds the file, so that nothing stands beside it any more.
#[tokio::test]
async fn closed_it_is_one_file() {
    let (folder, path) = used().await;
    let store = SqliteStore::open_with(&path, &QUICK).await.unwrap();
    let (a, b, c) = (id("a"), id("b"), id("c"));
    let read = tokio::join!(
        store.withdrawal(&a),
        store.withdrawal(&b),
        store.withdrawal(&c)
    );
    assert!(matches!(read, (Ok(Some(_)), Ok(Some(_)), Ok(Some(_)))));
    store.close().await;
    let files = std::fs::read_dir(folder.path()).unwrap();
    let files: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["walletd.db"]);
}

/// Only the wait for others has an end: a connection is made however long it takes.
#[tokio::test]
async fn a_first_reader_needs_no_patience() {
    let (_folder, path) = used().await;
    let impatient = Options {
        busy_millis: 0,
        readers: 1,
        ..QUICK
    };
    let store = SqliteStore::open_with(&path, &impatient).await.unwrap();
    assert!(store.withdrawal(&id("a")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_damaged_page_is_said() {
    let (_folder, path) = used().await;
    let mut bytes = std::fs::read(&path).unwrap();
    for byte in &mut bytes[8_192..] {
        *byte = 0xa5;
    }
    std::fs::write(&path, bytes).unwrap();
    let refusal = match SqliteStore::open_with(&path, &QUICK).await {
        Err(error) => error,
        Ok(store) => store.load(&lane_id(evm())).await.unwrap_err(),
    };
    assert!(matches!(refusal, StoreError::Corrupt { .. }), "{refusal:?}");
}

#[tokio::test]
async fn two_on_one_file_fence_each_other() {
    let (_folder, path) = used().await;
    let one = SqliteStore::open_with(&path, &QUICK).await.unwrap();
    let two = SqliteStore::open_with(&path, &QUICK).await.unwrap();
    assert_eq!(one.id(), two.id());
    let held = Worker {
        store: &one,
        view: one.load(&lane_id(evm())).await.unwrap(),
        now: 10,
    };
    let open = |lane: &Worker<'_, SqliteStore>| lane.commit_of(vec![Change::Gate(Gate::Open)]);
    one.commit(open(&held)).await.unwrap();
    let lane = lane_id(evm());
    assert_eq!(
        two.acquire(&lane, "two", at(900), at(9_000)).await.unwrap(),
        None
    );
    let row = two
        .acquire(&lane, "two", at(1_000), at(9_000))
        .await
        .unwrap();
    assert_eq!(row.unwrap().lease, held.view.row.lease + 1);
    // The first had kept its view: its next commit is refused all the same.
    let late = one.commit(open(&held)).await;
    assert!(matches!(late, Err(StoreError::Fenced { .. })), "{late:?}");
    assert_eq!(
        one.load(&lane).await.unwrap(),
        two.load(&lane).await.unwrap()
    );
    // Both accept, in turns, by one set of books.
    for number in 0..20 {
        let store = if number % 2 == 0 { &one } else { &two };
        let answers = store
            .accept(vec![asked(&format!("t-{number}"), ann(), 1)], at(3))
            .await;
        assert!(matches!(answers.unwrap()[..], [Accepted::New(_)]));
    }
    let all = one
        .withdrawals(&Filter::default(), None, 100)
        .await
        .unwrap();
    assert_eq!(all.len(), 23);
}
