-- What is append-only stays as it was written, whoever writes. SQLite's dialect; PostgreSQL has rights
-- for it (REVOKE UPDATE, DELETE). A statement that only names a column that stays is refused.

CREATE TRIGGER events_stay BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER events_remain BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER postings_stay BEFORE UPDATE ON postings BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER postings_remain BEFORE DELETE ON postings BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER credits_stay BEFORE UPDATE ON credits BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER credits_remain BEFORE DELETE ON credits BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER limit_uses_stay BEFORE UPDATE ON limit_uses BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER limit_uses_remain BEFORE DELETE ON limit_uses BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER attempt_withdrawals_stay BEFORE UPDATE ON attempt_withdrawals
BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER attempt_withdrawals_remain BEFORE DELETE ON attempt_withdrawals
BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER attempts_remain BEFORE DELETE ON attempts BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER attempts_end BEFORE UPDATE ON attempts
WHEN OLD.stage = 'final' OR OLD.stage = 'failed' OR OLD.stage = 'void' OR OLD.stage = 'dead'
BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER attempts_stay
BEFORE UPDATE OF id, lane, number, set_number, purpose, anchor, keys, pays, fee_terms, created_at ON attempts
BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER requests_stay BEFORE UPDATE ON requests BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER requests_remain BEFORE DELETE ON requests BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER answers_stay BEFORE UPDATE ON answers BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER answers_remain BEFORE DELETE ON answers BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER withdrawals_remain BEFORE DELETE ON withdrawals BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER withdrawals_end BEFORE UPDATE ON withdrawals
WHEN OLD.stage = 'final' OR OLD.stage = 'released'
BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER withdrawals_stay
BEFORE UPDATE OF number, source, id, client, account, chain, intent, requested_at ON withdrawals
BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER holds_remain BEFORE DELETE ON holds BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER holds_end BEFORE UPDATE ON holds WHEN OLD.state <> 'held'
BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER holds_stay BEFORE UPDATE OF withdrawal, account, asset, amount ON holds
BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER balances_remain BEFORE DELETE ON balances BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER balances_grow BEFORE UPDATE ON balances
WHEN NEW.debits < OLD.debits OR NEW.credits < OLD.credits
BEGIN SELECT RAISE(ABORT, 'append-only'); END;
