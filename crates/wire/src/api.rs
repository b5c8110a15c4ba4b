//! The APIs, and the two enums that hold any request or response. Generated.
#![allow(clippy::large_enum_variant)]

include!(concat!(env!("OUT_DIR"), "/apis.rs"));
