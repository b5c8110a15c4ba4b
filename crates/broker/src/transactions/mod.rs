//! Transactions: who writes what, and how it ends.
