-- What is append-only stays as it was written, whoever writes. SQLite's dialect; PostgreSQL has rights
-- for it (REVOKE UPDATE, DELETE).

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
CREATE TRIGGER attempts_stay BEFORE UPDATE ON attempts
WHEN OLD.stage NOT IN ('reserved', 'signed', 'broadcast', 'included', 'unproven')
    OR (NEW.id, NEW.lane, NEW.number, NEW.set_number, NEW.purpose, NEW.anchor, NEW.keys, NEW.pays, NEW.fee_terms, NEW.created_at)
    IS NOT (OLD.id, OLD.lane, OLD.number, OLD.set_number, OLD.purpose, OLD.anchor, OLD.keys, OLD.pays, OLD.fee_terms, OLD.created_at)
BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER requests_stay BEFORE UPDATE ON requests BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER requests_remain BEFORE DELETE ON requests BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER answers_stay BEFORE UPDATE ON answers BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER answers_remain BEFORE DELETE ON answers BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER withdrawals_remain BEFORE DELETE ON withdrawals BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER withdrawals_stay BEFORE UPDATE ON withdrawals
WHEN OLD.stage IN ('final', 'released')
    OR (NEW.number, NEW.source, NEW.id, NEW.client, NEW.account, NEW.chain, NEW.intent, NEW.requested_at)
    IS NOT (OLD.number, OLD.source, OLD.id, OLD.client, OLD.account, OLD.chain, OLD.intent, OLD.requested_at)
BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER holds_remain BEFORE DELETE ON holds BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER holds_stay BEFORE UPDATE ON holds
WHEN OLD.state <> 'held'
    OR (NEW.withdrawal, NEW.account, NEW.asset, NEW.amount) IS NOT (OLD.withdrawal, OLD.account, OLD.asset, OLD.amount)
BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER balances_remain BEFORE DELETE ON balances BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER balances_grow BEFORE UPDATE ON balances
WHEN NEW.debits < OLD.debits OR NEW.credits < OLD.credits
BEGIN SELECT RAISE(ABORT, 'append-only'); END;
