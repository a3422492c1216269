//! A shop.
use std::fmt;

/// An order.
#[derive(Debug)]
pub struct Order {
    pub id: u64,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.id)
    }
}

pub async fn sell(order: Order) -> bool {
    order.id > 0
}
