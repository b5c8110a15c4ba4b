//! Tables from the statement to the log and back: bad records and changelogs, over stops, crashes and numbers of workers.

mod changelogs;
mod dead_letters;
mod net;
mod samples;
mod sketches;
mod world;
