//! The tests of the whole program, in one binary: it links everything, and linking is the slow part.

mod cli;
mod errors;
mod guide;
mod indexes;
mod kill;
mod nexmark;
mod serve;
mod tables;
