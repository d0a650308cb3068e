-- What the coordinator keeps. Amounts are 32 bytes, big-endian: compared as they stand, never summed
-- by the database. Times are milliseconds since 1970. The tables are SQLite's (STRICT, BLOB,
-- WITHOUT ROWID); the statements that use them are PostgreSQL's as well. A stage is held against one
-- name after the other: of a list (IN) SQLite makes a table for every row that is written.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Withdrawals: the content is fixed for ever, (source, id) is the client's key for ever.
CREATE TABLE withdrawals (
    number       INTEGER PRIMARY KEY,
    source       TEXT NOT NULL,
    id           TEXT NOT NULL,
    client       TEXT NOT NULL,
    account      TEXT NOT NULL,
    chain        TEXT NOT NULL,
    intent       TEXT NOT NULL,
    stage        TEXT NOT NULL CHECK (
        stage = 'requested' OR stage = 'authenticated' OR stage = 'held' OR stage = 'manual' OR
        stage = 'approved' OR stage = 'assigned' OR stage = 'signed' OR stage = 'broadcast' OR
        stage = 'included' OR stage = 'final' OR stage = 'failed-on-chain' OR stage = 'released' OR
        stage = 'halted'),
    waiting      TEXT,
    not_before   INTEGER NOT NULL,
    lane         TEXT REFERENCES lanes (id),
    requested_at INTEGER NOT NULL,
    changed_at   INTEGER NOT NULL,
    UNIQUE (source, id)
) STRICT;
CREATE INDEX withdrawals_by_stage ON withdrawals (stage, chain, number);
CREATE INDEX withdrawals_by_account ON withdrawals (account, number);

-- How many have ended, and how: they are not counted anew whenever somebody asks.
CREATE TABLE ended (
    stage TEXT NOT NULL,
    chain TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (stage, chain)
) STRICT, WITHOUT ROWID;

-- History and outbox at once. Append-only.
CREATE TABLE events (
    id         INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,
    topic      TEXT NOT NULL,
    withdrawal INTEGER REFERENCES withdrawals (number),
    body       TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_withdrawal ON events (withdrawal, id) WHERE withdrawal IS NOT NULL;

-- The ledger. Append-only.
CREATE TABLE postings (
    id         TEXT PRIMARY KEY,
    debit      TEXT NOT NULL,
    credit     TEXT NOT NULL,
    asset      TEXT NOT NULL,
    amount     BLOB NOT NULL CHECK (length(amount) = 32 AND amount > zeroblob(32)),
    withdrawal INTEGER REFERENCES withdrawals (number),
    memo       TEXT NOT NULL,
    at         INTEGER NOT NULL,
    CHECK (debit <> credit)
) STRICT, WITHOUT ROWID;

-- What was ever posted to an account: both sums only grow. Written by compare-and-set.
CREATE TABLE balances (
    account TEXT NOT NULL,
    asset   TEXT NOT NULL,
    debits  BLOB NOT NULL CHECK (length(debits) = 32),
    credits BLOB NOT NULL CHECK (length(credits) = 32),
    PRIMARY KEY (account, asset),
    CHECK (debits <= credits OR NOT (account LIKE 'customer/%' OR account LIKE 'held/%'))
) STRICT, WITHOUT ROWID;

-- What is frozen for a withdrawal: settled or released, once.
CREATE TABLE holds (
    withdrawal INTEGER PRIMARY KEY REFERENCES withdrawals (number),
    account    TEXT NOT NULL,
    asset      TEXT NOT NULL,
    amount     BLOB NOT NULL CHECK (length(amount) = 32 AND amount > zeroblob(32)),
    state      TEXT NOT NULL CHECK (state IN ('held', 'settled', 'released')),
    changed_at INTEGER NOT NULL
) STRICT;

-- Deposits booked by hand. Append-only.
CREATE TABLE credits (
    id      TEXT PRIMARY KEY,
    client  TEXT NOT NULL,
    account TEXT NOT NULL,
    asset   TEXT NOT NULL,
    amount  BLOB NOT NULL CHECK (length(amount) = 32 AND amount > zeroblob(32)),
    memo    TEXT NOT NULL,
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Daily limits. No row means deny.
CREATE TABLE limits (
    asset    TEXT PRIMARY KEY,
    total    BLOB NOT NULL CHECK (length(total) = 32),
    customer BLOB NOT NULL CHECK (length(customer) = 32)
) STRICT, WITHOUT ROWID;

-- What of them is used on a day: account is a customer, or 'total'. Written by compare-and-set.
CREATE TABLE limit_days (
    asset   TEXT NOT NULL,
    account TEXT NOT NULL,
    day     INTEGER NOT NULL,
    used    BLOB NOT NULL CHECK (length(used) = 32),
    PRIMARY KEY (asset, account, day)
) STRICT, WITHOUT ROWID;

-- Who used them: at most one use and one reversal of it for a withdrawal. Append-only.
CREATE TABLE limit_uses (
    withdrawal INTEGER NOT NULL REFERENCES withdrawals (number),
    kind       TEXT NOT NULL CHECK (kind IN ('use', 'reversal')),
    asset      TEXT NOT NULL,
    account    TEXT NOT NULL,
    day        INTEGER NOT NULL,
    amount     BLOB NOT NULL CHECK (length(amount) = 32 AND amount > zeroblob(32)),
    at         INTEGER NOT NULL,
    PRIMARY KEY (withdrawal, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE lanes (
    id           TEXT PRIMARY KEY,
    account      TEXT NOT NULL,
    owner        TEXT,
    lease        INTEGER NOT NULL,
    lease_until  INTEGER NOT NULL,
    epoch        INTEGER NOT NULL,
    epoch_seen   INTEGER NOT NULL,
    next_attempt INTEGER NOT NULL,
    next_nonce   INTEGER NOT NULL,
    gate         TEXT NOT NULL,
    compared_to  INTEGER
) STRICT, WITHOUT ROWID;

-- Attempts: append-only; only the stage and its evidence are filled in. What is long and never changes
-- stands in tables of its own, so that a step writes little.
CREATE TABLE attempts (
    id         INTEGER PRIMARY KEY,
    lane       TEXT NOT NULL REFERENCES lanes (id),
    number     INTEGER NOT NULL,
    set_number INTEGER NOT NULL,
    purpose    TEXT NOT NULL,
    anchor     TEXT NOT NULL,
    keys       TEXT NOT NULL,
    -- The withdrawals' numbers, in the order of its intents.
    pays       TEXT NOT NULL,
    fee_terms  TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    stage      TEXT NOT NULL CHECK (
        stage = 'reserved' OR stage = 'signed' OR stage = 'broadcast' OR stage = 'included' OR
        stage = 'unproven' OR stage = 'final' OR stage = 'failed' OR stage = 'void' OR
        stage = 'dead'),
    -- The stage with its inclusion or certificate.
    evidence   TEXT NOT NULL,
    UNIQUE (lane, number)
) STRICT;
-- A set has the number of its first attempt: only the others have to be looked for.
CREATE INDEX attempts_by_set ON attempts (lane, set_number) WHERE number <> set_number;

-- What the signer is asked. Append-only.
CREATE TABLE requests (
    attempt INTEGER PRIMARY KEY REFERENCES attempts (id),
    request TEXT NOT NULL
) STRICT;

-- What it answered. Append-only.
CREATE TABLE answers (
    attempt INTEGER PRIMARY KEY REFERENCES attempts (id),
    answer  TEXT NOT NULL
) STRICT;

-- Which attempts pay a withdrawal. Append-only.
CREATE TABLE attempt_withdrawals (
    withdrawal INTEGER NOT NULL REFERENCES withdrawals (number),
    attempt    INTEGER NOT NULL REFERENCES attempts (id),
    PRIMARY KEY (withdrawal, attempt)
) STRICT, WITHOUT ROWID;

-- At most one live conflict set for a withdrawal. There are as many rows as payments under way.
CREATE TABLE live_sets (
    withdrawal INTEGER PRIMARY KEY REFERENCES withdrawals (number),
    lane       TEXT NOT NULL,
    set_number INTEGER NOT NULL
) STRICT;

-- At most one live conflict set for what the chain lets one transaction consume: a lane's live sets
-- are found here and in the table below.
CREATE TABLE reservations (
    key        TEXT PRIMARY KEY,
    lane       TEXT NOT NULL,
    set_number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Live sets that reserved nothing when they were adopted: older sets hold all that they consume.
CREATE TABLE overlapped (
    lane       TEXT NOT NULL,
    set_number INTEGER NOT NULL,
    PRIMARY KEY (lane, set_number)
) STRICT, WITHOUT ROWID;

-- Own coins as blocks show them, spent ones until their block is deep.
CREATE TABLE coins (
    lane     TEXT NOT NULL REFERENCES lanes (id),
    outpoint TEXT NOT NULL,
    amount   INTEGER NOT NULL,
    key      TEXT NOT NULL,
    script   BLOB NOT NULL,
    previous BLOB NOT NULL,
    height   INTEGER NOT NULL,
    coinbase INTEGER NOT NULL,
    PRIMARY KEY (lane, outpoint)
) STRICT;
CREATE TABLE spends (
    lane     TEXT NOT NULL,
    outpoint TEXT NOT NULL,
    height   INTEGER NOT NULL,
    txid     TEXT NOT NULL,
    PRIMARY KEY (lane, outpoint),
    FOREIGN KEY (lane, outpoint) REFERENCES coins (lane, outpoint)
) STRICT, WITHOUT ROWID;
CREATE TABLE blocks (
    lane   TEXT NOT NULL REFERENCES lanes (id),
    height INTEGER NOT NULL,
    hash   TEXT NOT NULL,
    PRIMARY KEY (lane, height)
) STRICT, WITHOUT ROWID;
