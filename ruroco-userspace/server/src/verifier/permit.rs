//! The proof that a knock has passed every check.

use ruroco_ipc::order::Order;

/// A knock that may be carried out once its counter is on the disk. Only [`Verifier::judge`](super::Verifier::judge)
/// makes one, and only [`FloorFile::persist`](crate::floor_file::FloorFile::persist) takes it.
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    order: Order,
}

impl Permit {
    pub(super) fn new(order: Order) -> Self {
        Self { order }
    }

    /// What will be ordered.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// The order; the permit is used up.
    pub(crate) fn into_order(self) -> Order {
        self.order
    }
}
