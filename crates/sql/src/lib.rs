//! From text to plan: the dialect, the catalog, the planner.
//!
//! **What it is.** A [`session`] takes scripts in Flink SQL's dialect: DDL changes its [`catalog`], SET its
//! [`settings`], and an INSERT, a statement set or a query becomes a [`fleuve_plan::Pipeline`]. [`parser`] knows the
//! text, [`types`] the types, [`planner`] the meaning, [`explain`] how a plan is told to people.
//!
//! **What it is not.** It opens no file, connects to nothing and runs nothing: a table is a declaration, and whether its
//! connector exists is for the connector to say.
//!
//! **Invariants.** Every error has a code of [`fleuve_base::codes`], and in a script a place: bytes of the whole script.
//! After an error a session is as it was before. No input makes the parser panic, overflow the stack or run for
//! longer than its length warrants.
//!
//! ```
//! use fleuve_sql::session::{Outcome, Session};
//!
//! let mut session = Session::new();
//! let script = "
//!     CREATE TABLE payments (card STRING, amt DOUBLE) WITH ('connector' = 'datagen');
//!     SELECT card, amnt FROM payments";
//! let error = session.parse(script)?.iter().find_map(|statement| session.execute(statement).err());
//! let error = error.expect("the second statement has a typo");
//! assert_eq!(error.to_string(), "error[E012]: unknown column `amnt`");
//! assert_eq!(error.hint(), Some("did you mean `amt`?"));
//! # Ok::<(), fleuve_base::Error>(())
//! ```

pub mod catalog;
pub mod explain;
mod like;
pub mod parser;
pub mod planner;
pub mod session;
pub mod settings;
mod show;
pub mod types;
