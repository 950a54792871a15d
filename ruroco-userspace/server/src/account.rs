//! The server's account of the commander's slots: the [reported](ruroco_ipc::slots) slots, and the orders on
//! the way that are not in the report yet.
//!
//! The account may contain slots that are free again, but never lacks a used slot. So an order that fits in
//! here is not rejected for lack of a slot, and the counter of a knock that does not fit is not used up.

use std::collections::VecDeque;

use ruroco_common::datagram::KeyId;
use ruroco_daemon::shares::Shares;
use ruroco_ipc::slots::{SLOTS, SlotReport};

/// The slots as one connection to the commander knows them.
#[derive(Debug)]
pub struct Account {
    /// Those of the last report and those of the orders on the way.
    slots: Shares,
    /// The keys of the orders that the last report does not know of, the oldest first.
    on_the_way: VecDeque<KeyId>,
    /// How many orders were sent.
    sent: u64,
    is_known: bool,
}

impl Default for Account {
    /// Of a connection on which nothing was reported or sent yet.
    fn default() -> Self {
        // Both at their greatest: what is reported, and as much again on the way.
        let most = usize::try_from(SLOTS).unwrap_or_default();
        Self {
            slots: Shares::new(SLOTS, most.saturating_mul(2)),
            on_the_way: VecDeque::with_capacity(most),
            sent: 0,
            is_known: false,
        }
    }
}

impl Account {
    /// Whether there was a report.
    pub fn is_known(&self) -> bool {
        self.is_known
    }

    /// Whether an order of this key is sure to get a slot.
    pub fn has_room_for(&self, key: KeyId) -> bool {
        self.is_known && self.slots.may_take(key)
    }

    /// An order of this key was sent.
    pub fn sent(&mut self, key: KeyId) {
        self.sent = self.sent.saturating_add(1);
        self.on_the_way.push_back(key);
        self.slots.take(key);
    }

    /// A report has come.
    pub fn update(&mut self, report: SlotReport<'_>) {
        let unread = self.sent.saturating_sub(report.read);
        let unread = usize::try_from(unread).unwrap_or(usize::MAX);
        let read = self.on_the_way.len().saturating_sub(unread);
        self.on_the_way.drain(..read);
        self.slots.clear();
        let taken = report.taken.iter().chain(&self.on_the_way);
        taken.for_each(|key| self.slots.take(*key));
        self.is_known = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HALF: usize = 32;

    fn key(number: u8) -> KeyId {
        KeyId([number; 8])
    }

    #[test]
    fn before_a_report_there_is_no_room() {
        let mut account = Account::default();
        assert!(!account.has_room_for(key(1)));
        account.update(SlotReport { read: 0, taken: &[] });
        assert!(account.has_room_for(key(1)));
    }

    #[test]
    fn orders_on_the_way_have_a_slot_until_a_report_knows_better() {
        let mut account = Account::default();
        account.update(SlotReport { read: 0, taken: &[] });
        (0..HALF).for_each(|_| account.sent(key(1)));
        assert!(!account.has_room_for(key(1)) && account.has_room_for(key(2)));
        // One was rejected, another one runs, the others have not been read.
        account.update(SlotReport { read: 2, taken: &[key(1)] });
        assert!(account.has_room_for(key(1)));
        account.sent(key(1));
        assert!(!account.has_room_for(key(1)));
    }

    proptest! {
        /// A commander that reads orders and ends commands when it likes, and reports that reach the
        /// server when they like: no order ever comes for which there is no slot.
        #[test]
        fn what_fits_in_the_account_fits_in_the_slots(
            steps in prop::collection::vec((0_u8..4, 0_u8..4), 0..400),
        ) {
            let mut account = Account::default();
            let mut slots = Shares::new(SLOTS, 4);
            let (mut read, mut orders, mut reports) = (0_u64, VecDeque::new(), VecDeque::new());
            reports.push_back((0_u64, Vec::new()));
            for (step, number) in steps {
                match step {
                    0 if account.has_room_for(key(number)) => {
                        account.sent(key(number));
                        orders.push_back(key(number));
                    }
                    1 => if let Some(key) = orders.pop_front() {
                        prop_assert!(slots.may_take(key));
                        slots.take(key);
                        read += 1;
                        reports.push_back((read, slots.taken().collect()));
                    },
                    2 => {
                        slots.give_back(key(number));
                        reports.push_back((read, slots.taken().collect()));
                    }
                    _ => if let Some((read, taken)) = reports.pop_front() {
                        account.update(SlotReport { read, taken: &taken });
                    },
                }
            }
        }
    }
}
