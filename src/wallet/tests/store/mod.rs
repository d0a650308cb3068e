//! One suite for every store.

mod accept;
mod changes;
mod decide;
pub mod fixture;
mod lanes;
mod ledger;
mod lists;
mod payouts;
mod random;
mod settle;
mod sqlite;

use std::future::Future;

use tempfile::TempDir;
use wallet::store::{Durability, Options, SqliteStore, Store};

/// A kind of store: how one is made, and opened again.
pub trait Kind: Sized {
    /// The store.
    type Store: Store;

    /// A place for a new one.
    fn new() -> Self;

    /// Opens it, for the first time or again.
    fn open(&self) -> impl Future<Output = Self::Store>;
}

/// SQLite, in a folder of its own.
pub struct Sqlite {
    folder: TempDir,
}

impl Kind for Sqlite {
    type Store = SqliteStore;

    fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    async fn open(&self) -> SqliteStore {
        let options = Options {
            durability: Durability::Process,
            ..Options::default()
        };
        let path = self.folder.path().join("walletd.db");
        SqliteStore::open_with(&path, &options).await.unwrap()
    }
}

/// Makes a test of each check for a kind.
macro_rules! suite {
    ($kind:ty: $($module:ident::$check:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                super::$module::$check::<$kind>().await;
            }
        )*
    };
}

mod sqlite_conforms {
    use super::Sqlite;

    suite! { Sqlite:
        accept::a_new_withdrawal_is_held_limited_and_approved,
        accept::the_same_again_is_the_same,
        accept::another_content_is_different,
        accept::too_little_is_refused,
        accept::no_limit_denies,
        accept::beyond_a_limit_a_person_decides,
        accept::a_day_s_limit_is_a_day_s,
        accept::each_of_many_is_answered_by_itself,
        accept::one_that_fails_harms_no_other,
        accept::a_hundred_at_once_never_overdraw,
        accept::a_hundred_at_once_never_exceed_a_limit,
        decide::a_person_approves_once,
        decide::a_release_gives_everything_back_once,
        decide::what_an_attempt_was_made_for_is_not_released,
        decide::what_is_certified_void_is_released,
        decide::a_deposit_is_booked_once,
        decide::limits_are_replaced_and_what_was_used_stays,
        decide::waiting_is_said_and_is_waited_for,
        settle::a_person_says_it_paid,
        settle::what_a_person_says_did_not_pay_is_paid_anew,
        settle::what_a_person_says_did_not_pay_is_released,
        settle::what_may_still_be_mined_is_not_settled,
        settle::what_is_unproven_stays_where_it_is,
        payouts::a_payout_goes_its_way,
        payouts::a_failed_payout_is_paid_anew,
        payouts::a_replacement_s_rival_dies,
        payouts::a_cancellation_frees_its_set,
        payouts::an_unsigned_attempt_is_voided,
        payouts::a_dead_set_frees_its_withdrawals,
        changes::a_commit_is_all_or_nothing,
        changes::adopted_attempts_are_followed,
        changes::adopted_strangers_go_to_suspense,
        changes::adopted_attempts_over_what_others_hold_are_not_forgotten,
        changes::blocks_come_and_go,
        lanes::a_halted_gate_stays,
        lanes::a_person_opens_a_halted_lane,
        lanes::a_lease_fences,
        lanes::the_epoch_rises_once_it_was_seen,
        lanes::two_lanes_never_share_a_withdrawal,
        changes::what_was_committed_is_there_after_a_crash,
        ledger::books_balance,
        ledger::every_step_is_recorded_once,
        lists::withdrawals_are_listed_by_keyset,
        lists::approved_ones_are_found,
        lists::attempts_and_requests_are_known,
        random::loaded_is_applied,
    }
}
